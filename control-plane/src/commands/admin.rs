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
    // Ready as soon as there is a map, whatever it holds. One that stands by and cannot read what
    // the leader publishes has another key: once it led, no edge could read what it publishes.
    let ready = move || {
        let (status, text) = match store.unreadable() {
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            None if store.current().version == 0 => {
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
}
