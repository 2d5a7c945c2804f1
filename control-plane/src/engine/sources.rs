//! What is known of each source, and when it is asked again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{ExtractorError, ExtractorState, ExtractorStatus};
use tokio::time::Instant;

use super::trace::Trace;
use super::work::{CHECK, Report};
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
    /// When the last run began, and the last one that found all that the source has.
    began: Option<Instant>,
    listed: Option<Instant>,
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

/// How long what is down, and what its source does not list any more, is still tried and known.
pub(crate) const UNLISTED: Duration = Duration::from_mins(10);
/// The same while its source cannot say what it lists.
const UNASKED: Duration = Duration::from_hours(24);
/// Sources that all became due at once start within this time.
const SPREAD: Duration = Duration::from_secs(10);

impl SourceState {
    pub(crate) fn new(source: Source, lifetimes: Lifetimes) -> Self {
        Self {
            source: Arc::new(source),
            due: Instant::now(),
            running: false,
            began: None,
            listed: None,
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

    pub(crate) fn begin(&mut self) {
        self.running = true;
        self.began = Some(Instant::now());
    }

    pub(crate) fn has_run(&self) -> bool {
        self.last_end.is_some()
    }

    /// Has it told all that it has since?
    pub(crate) fn has_listed_since(&self, moment: Instant) -> bool {
        self.listed.is_some_and(|began| began >= moment)
    }

    /// Was what was found then among what it listed last?
    pub(crate) fn lists(&self, found: Instant) -> bool {
        self.listed.is_none_or(|began| began <= found)
    }

    /// Does what was found then count as found still? What it lists no longer does for a while,
    /// and what it could not be asked about since for a day.
    pub(crate) fn still_names(&self, found: Instant) -> bool {
        found.elapsed() < if self.lists(found) { UNASKED } else { UNLISTED }
    }

    /// What went wrong with this feed in the last run, or with all of its source.
    pub(crate) fn failures(&self, feed: &str) -> Vec<&ExtractorError> {
        let begins = |text: &str, feed: &str| {
            text.strip_prefix(feed).is_some_and(|rest| rest.starts_with(": "))
        };
        let of_feed = |one: &ExtractorError| begins(&one.step, feed) || begins(&one.message, feed);
        let feeds = self.source.feeds();
        let of_all = |one: &ExtractorError| {
            one.step != CHECK && !feeds.iter().any(|other| begins(&one.step, other))
        };
        let failures = self.trace.iter().flat_map(|trace| &trace.failures);
        failures.filter(|one| of_feed(one) || of_all(one)).collect()
    }

    /// What the leader before knew.
    pub(crate) fn inherit(&mut self, last_success_at: Option<Timestamp>) {
        self.last_success_at = self.last_success_at.max(last_success_at);
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
        if report.complete {
            self.listed = self.began;
        }
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

    /// `dead`: something of what it finds that is down, and why.
    pub(crate) fn status(&self, dead: Option<&ExtractorError>) -> ExtractorStatus {
        let error = self.error.as_ref().or(dead);
        let state = match (self.last_run_at, error) {
            (None, _) => ExtractorState::Never,
            (Some(_), Some(_)) => ExtractorState::Failing,
            (Some(_), None) => ExtractorState::Ok,
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
            error: error.cloned(),
        }
    }
}
