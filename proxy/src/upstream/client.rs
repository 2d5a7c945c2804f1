//! [`UpstreamClient`]: every request of the edge to an upstream, counted and timed.

use std::time::Instant;

use pitwall_fetch::{FetchError, FetchErrorKind, Fetcher, Request, Response};
use tracing::Instrument as _;

use crate::http::problem::Problem;
use crate::metrics::upstream::{TrafficKind, UpstreamMetrics};
use crate::metrics::{Label, StatusLabel};
use crate::upstream::target::UpstreamTarget;

/// Sends requests to upstreams.
pub struct UpstreamClient {
    fetcher: Fetcher,
    metrics: UpstreamMetrics,
}

impl UpstreamClient {
    pub fn new(fetcher: Fetcher, metrics: UpstreamMetrics) -> Self {
        Self { fetcher, metrics }
    }

    /// Sends a request to `target`, when its source has a free permit.
    ///
    /// # Errors
    /// [`Problem::Unavailable`] without a permit in time, or the problem of the fetch.
    pub async fn send(
        &self,
        target: &UpstreamTarget,
        kind: TrafficKind,
        request: Request<'_>,
    ) -> Result<Response, Problem> {
        let source = target.profile.source();
        let span = tracing::debug_span!(
            "fetch",
            source,
            kind = kind.text(),
            status = tracing::field::Empty
        );
        self.send_in_span(target, kind, request, &span).instrument(span.clone()).await
    }

    async fn send_in_span(
        &self,
        target: &UpstreamTarget,
        kind: TrafficKind,
        request: Request<'_>,
        span: &tracing::Span,
    ) -> Result<Response, Problem> {
        let profile = &target.profile;
        let waits = self.metrics.permit_wait.start_timer();
        let permit = profile.limiter.acquire().await;
        waits.observe_duration();
        let permit = permit?;
        let request = Request { cookies: profile.cookie_jar(), ..request };
        let sent_at = Instant::now();
        let result = self.fetcher.send(&profile.policy, request).await;
        let outcome = match &result {
            Ok(response) => StatusLabel::of(response.status().as_u16()).text(),
            Err(error) => error_label(error),
        };
        span.record("status", outcome);
        self.metrics.count_request(profile.source(), kind, outcome);
        let response = result.inspect_err(|error| {
            if error.denial().is_some() {
                profile.denials.log_denial(target.explain_denial(error));
            }
        })?;
        self.metrics.first_byte.of(kind).observe(sent_at.elapsed().as_secs_f64());
        let bytes = self.metrics.byte_counter_of(profile.source(), kind);
        Ok(response.with_guard(permit).with_byte_observer(move |count| bytes.inc_by(count)))
    }
}

/// The `status` of a request without a response.
fn error_label(error: &FetchError) -> &'static str {
    match error.kind {
        FetchErrorKind::BadUrl(_) | FetchErrorKind::Denied => "denied",
        FetchErrorKind::Resolve | FetchErrorKind::Connect | FetchErrorKind::Tls => "unreachable",
        FetchErrorKind::Timeout => "timeout",
        FetchErrorKind::TooManyRedirects
        | FetchErrorKind::BadRedirect
        | FetchErrorKind::TooLarge
        | FetchErrorKind::Body => "invalid",
    }
}
