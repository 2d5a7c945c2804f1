//! What is known of each source, and when it is asked again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{ExtractorError, ExtractorState, ExtractorStatus};
use tokio::time::Instant;

use super::work::Report;
use crate::refresh;
use crate::source::Source;

pub(crate) struct SourceState {
    pub(crate) source: Arc<Source>,
    pub(crate) due: Instant,
    pub(crate) running: bool,
    pub(crate) last_success_at: Option<Timestamp>,
    failures: u32,
    last_run_at: Option<Timestamp>,
    next_run_at: Option<Timestamp>,
    duration: Option<Duration>,
    candidates: usize,
    error: Option<ExtractorError>,
}

impl SourceState {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source: Arc::new(source),
            due: Instant::now(),
            running: false,
            last_success_at: None,
            failures: 0,
            last_run_at: None,
            next_run_at: None,
            duration: None,
            candidates: 0,
            error: None,
        }
    }

    /// A run ended. One that partly failed is tried again like one that failed.
    pub(crate) fn ran(&mut self, report: Report, now: Timestamp, jitter: f64) {
        self.running = false;
        self.last_run_at = Some(now);
        self.duration = Some(report.duration);
        let regular = refresh::next(now, self.source.every, report.expires_at, jitter);
        let wait = match &report.failure {
            None => {
                self.failures = 0;
                self.last_success_at = Some(now);
                self.candidates = report.candidates;
                regular
            }
            Some(_) => {
                self.failures = self.failures.saturating_add(1);
                refresh::back_off(self.failures, jitter).min(regular)
            }
        };
        self.error = report.failure;
        self.due = Instant::now() + wait;
        self.next_run_at = now.checked_add(wait).ok();
    }

    pub(crate) fn failing(&self) -> bool {
        self.failures > 0
    }

    /// What it found stopped working. A source that fails itself is already being retried.
    pub(crate) fn hurry(&mut self) {
        if !self.running && !self.failing() {
            self.due = self.due.min(Instant::now());
        }
    }

    pub(crate) fn status(&self) -> ExtractorStatus {
        let state = match (self.last_run_at, self.failing()) {
            (None, _) => ExtractorState::Never,
            (Some(_), true) => ExtractorState::Failing,
            (Some(_), false) => ExtractorState::Ok,
        };
        ExtractorStatus {
            name: self.source.name.clone(),
            kind: self.source.kind().to_owned(),
            state,
            every_seconds: self.source.every.as_secs(),
            last_run_at: self.last_run_at,
            last_success_at: self.last_success_at,
            next_run_at: self.next_run_at,
            duration_ms: self.duration.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
            candidates: self.candidates,
            error: self.error.clone(),
        }
    }
}
