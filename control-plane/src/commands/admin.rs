//! The admin endpoints: metrics and health.

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use pitwall_upstream_map::Store;
use prometheus::{Registry, TextEncoder};

pub(super) fn router(registry: Registry, store: Arc<dyn Store>) -> Router {
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
        .layer(map_response(forbid_storing))
}

/// Health and metrics are those of the moment: no cache on the way may keep them.
async fn forbid_storing(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}
