//! [`RequestContext`]: the state of one request, from its header to its log line.

use std::time::{Duration, Instant};

use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::{ErrorSource, Result};
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
    /// Counts the request until the context is dropped, so that an aborted one is counted down too.
    requests_in_flight: IntGauge,
    /// `None` before the request was admitted, and where the connection has no peer address.
    pub client_address: Option<ClientAddress>,
    pub request_id: RequestId,
    /// Until the response was ready to be sent.
    first_byte: Option<Duration>,
    /// `None`: the request is not logged.
    details: Option<Box<AccessDetails>>,
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        self.requests_in_flight.dec();
    }
}

impl RequestContext {
    /// Counts a request that has come, and gives it its id.
    pub fn begin(request: &RequestHeader, metrics: &Metrics) -> Self {
        metrics.requests_in_flight.inc();
        Self {
            started: Instant::now(),
            route: RouteLabel::Refused,
            requests_in_flight: metrics.requests_in_flight.clone(),
            client_address: None,
            request_id: RequestId::of_headers(&request.headers),
            first_byte: None,
            details: is_access_log_enabled().then(Box::default),
        }
    }

    /// The span of the request, for whoever exports spans.
    pub fn span(&mut self) -> tracing::Span {
        let span = tracing::debug_span!("request", request_id = self.request_id.as_str());
        if let Some(remote) = self.request_id.remote_trace() {
            trace_context::set_parent(&span, remote);
        }
        // The exporter begins traces of its own, which the log is to name too.
        if let Some(exported) = trace_context::exported_context(&span) {
            self.request_id.trace = exported;
        }
        span
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

    /// Counts and logs the request, which has been answered or has failed.
    pub fn record_completion(
        &self,
        session: &ServerSession,
        answered: &Result<()>,
        metrics: &Metrics,
    ) {
        let error = answered.as_ref().err();
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
        // Without the query, which holds seals and keys.
        let (route, path) = (self.route.text(), session.req_header().uri.path());
        let text = error.map(tracing::field::display);
        tracing::debug!(route, path, status, sent, seconds, error = text, "answered");
        // Viewers disconnect all the time, which is no error of the edge.
        if let Some(error) = error.filter(|error| error.esource() != &ErrorSource::Downstream) {
            tracing::error!(%error, route, path, "a response broke off");
        }
        if let Some(details) = &self.details {
            let line = AccessLine {
                request_id: self.request_id.as_str(),
                trace_id: self.request_id.trace.trace_id,
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
