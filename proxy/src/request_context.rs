//! [`RequestContext`]: the state of one request, from its header to its log line.

use std::time::Instant;

use pingora::Error;
use pingora_proxy::Session;
use prometheus::IntGauge;

use crate::http::client_address::ClientAddress;
use crate::metrics::{Label, Metrics, RouteLabel, StatusLabel};

/// The state of one request.
pub struct RequestContext {
    started: Instant,
    pub route: RouteLabel,
    /// Keeps the request in the `requests_in_flight` gauge until the context is dropped, so that an
    /// aborted request is counted down too. `None` until `request_filter` has run.
    in_flight_guard: Option<InFlightGuard>,
    /// `None` before the request was admitted, and where the connection has no peer address.
    pub client_address: Option<ClientAddress>,
}

struct InFlightGuard(IntGauge);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for RequestContext {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            route: RouteLabel::Refused,
            in_flight_guard: None,
            client_address: None,
        }
    }
}

impl RequestContext {
    pub fn count_in_flight(&mut self, metrics: &Metrics) {
        metrics.requests_in_flight.inc();
        self.in_flight_guard = Some(InFlightGuard(metrics.requests_in_flight.clone()));
    }

    /// Counts and logs the request, which has been answered or has failed with `error`.
    pub fn record(&self, session: &Session, error: Option<&Error>, metrics: &Metrics) {
        if self.in_flight_guard.is_none() {
            return;
        }
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        let label = match status {
            ..400 if error.is_some() => StatusLabel::Aborted,
            100..200 => StatusLabel::Informational,
            200..300 => StatusLabel::Successful,
            300..400 => StatusLabel::Redirection,
            400..500 => StatusLabel::ClientError,
            500..600 => StatusLabel::ServerError,
            _ => StatusLabel::None,
        };
        let seconds = self.started.elapsed().as_secs_f64();
        let sent = session.body_bytes_sent() as u64;
        metrics.requests.of(self.route).of(label).inc();
        metrics.request_duration.of(self.route).observe(seconds);
        metrics.response_bytes.of(self.route).inc_by(sent);
        tracing::debug!(
            route = self.route.text(),
            path = session.req_header().uri.path(),
            status,
            sent,
            seconds,
            "answered"
        );
    }
}
