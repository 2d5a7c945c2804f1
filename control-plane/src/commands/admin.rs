//! The admin endpoints: metrics and health.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pitwall_upstream_map::Store;
use prometheus::{Registry, TextEncoder};
use tokio::sync::{mpsc, oneshot, watch};

use super::problem::Problem;
use super::token::AdminToken;

/// Where requests to reload the configuration go: each is a sender of the response.
pub(super) type ReloadRequests = mpsc::Sender<oneshot::Sender<http::Response<Vec<u8>>>>;

/// What the admin endpoints are of.
pub struct AdminEndpoints {
    pub registry: Registry,
    pub store: Arc<dyn Store>,
    /// `None`: a reload is refused.
    pub admin_token: watch::Receiver<Option<AdminToken>>,
    pub reload_requests: ReloadRequests,
}

pub(super) fn router(endpoints: AdminEndpoints) -> Router {
    let AdminEndpoints { registry, store, admin_token, reload_requests } = endpoints;
    let reload = move |headers: HeaderMap| {
        let (token, requests) = (admin_token.borrow().clone(), reload_requests.clone());
        async move { request_reload(token, &headers, &requests).await }
    };
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
            None if store.fence().borrow().is_some() => {
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
        .layer(map_response(forbid_storing))
}

/// Has the configuration read again; the response says what changed, or why nothing did.
async fn request_reload(
    token: Option<AdminToken>,
    headers: &HeaderMap,
    requests: &ReloadRequests,
) -> Response {
    if !headers.contains_key(header::AUTHORIZATION) {
        return Problem::TokenMissing.into_response();
    }
    if !token.is_some_and(|token| token.is_presented_in(headers)) {
        return Problem::TokenInvalid.into_response();
    }
    let (reply, response) = oneshot::channel();
    let sent = requests.send(reply).await.is_ok();
    match if sent { response.await.ok() } else { None } {
        Some(response) => response.map(Body::from),
        // The process stops.
        None => Problem::Busy.into_response(),
    }
}

/// Health and metrics are those of the moment: no cache on the way may keep them.
async fn forbid_storing(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}
