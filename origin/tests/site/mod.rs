//! [`Site`]: an origin without a socket, whose time the test sets.
#![allow(dead_code, reason = "no test file uses every helper")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use http::{HeaderMap, Request, StatusCode, header};
use pitwall_origin::{Clock, Origin, OriginConfig};
use tower::ServiceExt;

pub(crate) const BASE: &str = "http://origin.test";
/// Unix time in seconds at which every [`Site`] starts.
pub(crate) const NOW: u64 = 1_800_000_001;

pub(crate) struct Site {
    router: Router,
    now_ms: Arc<AtomicU64>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Site {
    pub(crate) fn new() -> Self {
        let now_ms = Arc::new(AtomicU64::new(NOW * 1000));
        let clock_ms = now_ms.clone();
        let clock = Clock::new(move || {
            UNIX_EPOCH + Duration::from_millis(clock_ms.load(Ordering::Relaxed))
        });
        let origin = Origin::new(OriginConfig { clock, ..OriginConfig::default() });
        Self { router: origin.router(BASE.parse().unwrap()), now_ms }
    }

    pub(crate) fn set_seconds(&self, now: u64) {
        self.now_ms.store(now * 1000, Ordering::Relaxed);
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
