//! Metrics and health.

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{StatusCode, header};
use pitwall_upstream_map::Store;
use prometheus::{Registry, TextEncoder};

pub(super) fn router(registry: Registry, store: Arc<dyn Store>) -> Router {
    let metrics = move || {
        let text = TextEncoder::new().encode_to_string(&registry.gather());
        async move {
            let plain = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
            match text {
                Ok(text) => (plain, text).into_response(),
                Err(error) => {
                    tracing::error!(%error, "metrics cannot be written");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }
        }
    };
    // Ready as soon as there is a map, whatever it holds.
    let ready = move || {
        let there = store.current().version > 0;
        async move { if there { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE } }
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(ready))
}
