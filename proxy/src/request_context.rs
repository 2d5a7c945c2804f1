//! [`RequestContext`]: the state of one request, from its header to its log line.

use std::time::{Duration, Instant};

use pingora::Error;
use pingora::http::RequestHeader;
use pingora_proxy::Session;
use pitwall_upstream_map::trace_context;
use prometheus::IntGauge;

use crate::access_log::{AccessDetails, AccessLine, is_access_log_enabled};
use crate::http::client_address::ClientAddress;
use crate::http::request_id::RequestId;
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
    /// `None` until `request_filter` has run.
    request_id: Option<RequestId>,
    /// Until the response was ready to be sent.
    first_byte: Option<Duration>,
    /// `None`: the request is not logged.
    details: Option<Box<AccessDetails>>,
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
            request_id: None,
            first_byte: None,
            details: None,
        }
    }
}

impl RequestContext {
    /// Counts a request that has come, and gives it its id.
    pub fn begin(&mut self, request: &RequestHeader, metrics: &Metrics) {
        metrics.requests_in_flight.inc();
        self.in_flight_guard = Some(InFlightGuard(metrics.requests_in_flight.clone()));
        self.details = is_access_log_enabled().then(Box::default);
        self.request_id = Some(RequestId::of_headers(&request.headers));
    }

    /// The span of the request, for whoever exports spans.
    pub fn span(&mut self) -> tracing::Span {
        let Some(request_id) = &mut self.request_id else { return tracing::Span::none() };
        let span = tracing::debug_span!("request", request_id = request_id.as_str());
        if let Some(remote) = request_id.remote_trace() {
            trace_context::set_parent(&span, remote);
        }
        // The exporter begins traces of its own, which the log is to name too.
        if let Some(exported) = trace_context::exported_context(&span) {
            request_id.trace = exported;
        }
        span
    }

    /// The id that [`begin`](Self::begin) has given.
    pub fn request_id(&self) -> Option<&RequestId> {
        self.request_id.as_ref()
    }

    /// Has `tell` say something of the request, if it is logged.
    pub fn add_log_details(&mut self, tell: impl FnOnce(&mut AccessDetails)) {
        if let Some(details) = self.details.as_deref_mut() {
            tell(details);
        }
    }

    /// When the request came.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Measures the time until now, when the response is ready to be sent.
    pub fn record_first_byte(&mut self, metrics: &Metrics) {
        let elapsed = self.started.elapsed();
        self.first_byte = Some(elapsed);
        metrics.first_byte_duration.of(self.route).observe(elapsed.as_secs_f64());
    }

    /// Counts and logs the request, which has been answered or has failed with `error`.
    pub fn record_completion(&self, session: &Session, error: Option<&Error>, metrics: &Metrics) {
        if self.in_flight_guard.is_none() {
            return;
        }
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        let label = match status {
            ..400 if error.is_some() => StatusLabel::Aborted,
            status => StatusLabel::of(status),
        };
        let duration = self.started.elapsed();
        let seconds = duration.as_secs_f64();
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
        if let (Some(details), Some(request_id)) = (&self.details, &self.request_id) {
            let line = AccessLine {
                request_id: request_id.as_str(),
                trace_id: request_id.trace.trace_id,
                client: self.client_address.map(|client| client.address),
                method: session.req_header().method.as_str(),
                route: self.route,
                details,
                status,
                bytes: sent,
                is_aborted: label == StatusLabel::Aborted,
                first_byte: self.first_byte,
                duration,
            };
            line.write();
        }
    }
}
