//! The admin endpoints: metrics, health, and what is logged.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pitwall_upstream_map::Store;
use prometheus::{Registry, TextEncoder};
use tokio::sync::watch;

use super::problem::Problem;
use super::reload_route::{ReloadRequestSender, request_reload};
use super::token::AdminToken;

/// Reads the filter of the log, or replaces it; empty text stands for the configured one. An error
/// says what is wrong with the text.
pub type LogFilter = Arc<dyn Fn(Option<&str>) -> Result<String, String> + Send + Sync>;

/// What the admin endpoints are of.
#[derive(Clone)]
pub struct AdminEndpointState {
    pub registry: Registry,
    pub store: Arc<dyn Store>,
    /// `None`: a reload is refused, and every change of the log.
    pub admin_token: watch::Receiver<Option<AdminToken>>,
    pub reload_requests: ReloadRequestSender,
    pub log_filter: LogFilter,
}

/// Longer than any filter.
const LOG_FILTER_MAX_BYTES: usize = 4096;

impl AdminEndpointState {
    fn replace_log_filter(&self, headers: &HeaderMap, text: &str) -> (StatusCode, String) {
        match &*self.admin_token.borrow() {
            None => {
                let why = "no admin token is configured: access.admin_token_file\n";
                (StatusCode::FORBIDDEN, why.to_owned())
            }
            Some(token) if !token.is_presented_in(headers) => {
                let why = "show the admin token: Authorization: Bearer TOKEN\n";
                (StatusCode::UNAUTHORIZED, why.to_owned())
            }
            Some(_) => build_filter_response((self.log_filter)(Some(text))),
        }
    }
}

fn build_filter_response(filter: Result<String, String>) -> (StatusCode, String) {
    match filter {
        Ok(filter) => (StatusCode::OK, format!("{filter}\n")),
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")),
    }
}

pub(super) fn router(endpoints: AdminEndpointState) -> Router {
    let AdminEndpointState { registry, store, .. } = endpoints.clone();
    let metrics = move || {
        let text = TextEncoder::new().encode_to_string(&registry.gather());
        async move {
            let content_type = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
            match text {
                Ok(text) => (content_type, text).into_response(),
                Err(error) => {
                    tracing::error!(%error, "the metrics cannot be encoded");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }
        }
    };
    // Ready as soon as there is a map, whatever it contains. A standby that cannot decrypt the
    // leader's map has another key and is not ready: if it led, no edge could decrypt its map.
    let ready = move || {
        let (status, text) = match store.unreadable_reason() {
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
            None if store.map().version == 0 => {
                (StatusCode::SERVICE_UNAVAILABLE, "no map yet\n".to_owned())
            }
            None if store.subscribe_fence().borrow().is_some() => {
                (StatusCode::OK, "ready: leads\n".to_owned())
            }
            None => (StatusCode::OK, "ready: stands by\n".to_owned()),
        };
        async move { (status, text) }
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(ready))
        .route("/reload", post(reload))
        .route("/log/level", get(read_log_level).put(replace_log_level))
        .layer(DefaultBodyLimit::max(LOG_FILTER_MAX_BYTES))
        .with_state(endpoints)
        .layer(map_response(forbid_storing))
}

async fn reload(
    State(endpoints): State<AdminEndpointState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return Err(Problem::TokenMissing);
    }
    let token = endpoints.admin_token.borrow().clone();
    if !token.is_some_and(|token| token.is_presented_in(&headers)) {
        return Err(Problem::TokenInvalid);
    }
    request_reload(&endpoints.reload_requests).await
}

async fn read_log_level(State(endpoints): State<AdminEndpointState>) -> (StatusCode, String) {
    build_filter_response((endpoints.log_filter)(None))
}

async fn replace_log_level(
    State(endpoints): State<AdminEndpointState>,
    headers: HeaderMap,
    text: String,
) -> (StatusCode, String) {
    endpoints.replace_log_filter(&headers, &text)
}

/// Health and metrics are those of the moment: no cache on the way may keep them.
async fn forbid_storing(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}
