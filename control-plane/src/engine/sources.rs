//! What is known of each source, and when it is asked again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{ExtractorError, ExtractorState, ExtractorStatus};
use tokio::time::Instant;

use super::trace::Trace;
use super::work::Report;
use crate::refresh::{self, Lifetimes, Tempo};
use crate::source::Source;

/// Where the one of this name stands.
pub(super) fn place(sources: &[SourceState], name: &str) -> Option<usize> {
    sources.iter().position(|state| state.source.name == name)
}

pub(crate) struct SourceState {
    pub(crate) source: Arc<Source>,
    pub(crate) due: Instant,
    pub(crate) running: bool,
    pub(crate) last_success_at: Option<Timestamp>,
    pub(crate) lifetimes: Lifetimes,
    /// Somebody watches one of its streams.
    pub(crate) watched: bool,
    pub(crate) trace: Option<Trace>,
    failures: u32,
    last_run_at: Option<Timestamp>,
    last_end: Option<Instant>,
    next_run_at: Option<Timestamp>,
    duration: Option<Duration>,
    pub(crate) candidates: usize,
    error: Option<ExtractorError>,
}

/// Sources that all became due at once start within this time.
const SPREAD: Duration = Duration::from_secs(10);

impl SourceState {
    pub(crate) fn new(source: Source, lifetimes: Lifetimes) -> Self {
        Self {
            source: Arc::new(source),
            due: Instant::now(),
            running: false,
            last_success_at: None,
            lifetimes,
            watched: false,
            trace: None,
            failures: 0,
            last_run_at: None,
            last_end: None,
            next_run_at: None,
            duration: None,
            candidates: 0,
            error: None,
        }
    }

    /// Did a run end after this?
    pub(crate) fn ran_since(&self, moment: Instant) -> bool {
        self.last_end.is_some_and(|end| end >= moment)
    }

    /// A run ended. One that partly failed is tried again like one that failed.
    pub(crate) fn ran(&mut self, report: Report, now: Timestamp, tempo: Tempo, jitter: f64) {
        self.running = false;
        self.last_run_at = Some(now);
        self.last_end = Some(Instant::now());
        self.duration = Some(report.duration);
        let tempo = if self.watched { Tempo::Fast } else { tempo };
        let lifetime = self.lifetimes.expected().or(self.source.ttl);
        let assumed = lifetime.filter(|_| report.undated).and_then(|it| now.checked_add(it).ok());
        let expires_at = [report.expires_at, assumed].into_iter().flatten().min();
        let regular = refresh::next(now, tempo.every(self.source.every), expires_at, jitter);
        let wait = match report.failure() {
            None => {
                self.failures = 0;
                self.last_success_at = Some(now);
                self.candidates = report.candidates;
                regular
            }
            Some(_) => {
                self.failures = self.failures.saturating_add(1);
                refresh::back_off(self.failures, tempo.longest_retry(), jitter).min(regular)
            }
        };
        if report.unusable.is_some() && report.unusable != self.error {
            let why = report.unusable.as_ref().map_or("", |one| one.message.as_str());
            tracing::warn!(source = self.source.name, why, "some of what was found cannot be used");
        }
        self.error = report.failure().or(report.unusable.as_ref()).cloned();
        self.trace = Some(Trace::of(&self.source, report, now));
        self.wait(wait, now);
    }

    fn wait(&mut self, wait: Duration, now: Timestamp) {
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

    /// Something is about to begin, or somebody came: what was put off is due soon.
    pub(crate) fn wake(&mut self, now: Timestamp, jitter: f64) {
        let soon = SPREAD.mul_f64(jitter.clamp(0.0, 1.0));
        if !self.running && self.due > Instant::now() + soon {
            self.wait(soon, now);
        }
    }

    /// It was put off for longer than it is when somebody watches.
    pub(crate) fn stale(&self, now: Timestamp) -> bool {
        let every = jiff::SignedDuration::try_from(self.source.every).unwrap_or_default();
        self.last_run_at.is_none_or(|last| now.duration_since(last) >= every)
    }

    /// An operator wants it now.
    pub(crate) fn run_now(&mut self) {
        self.due = Instant::now();
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
