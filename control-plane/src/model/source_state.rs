//! [`SourceState`]: the state of one source and the time of its next run.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{
    ExtractorActivity, ExtractorError, ExtractorState, ExtractorStatus,
};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::run_report::{CHECK_STEP, SourceRunReport};
use super::run_trace::RunTrace;
use crate::extract::ConfiguredSource;
use crate::refresh::{self, PollCadence, TokenLifetimes};

/// The index of the configured source of this name.
pub(crate) fn source_index(sources: &[SourceState], name: &str) -> Option<usize> {
    sources.iter().position(|state| state.is_configured() && state.source.name == name)
}

pub(crate) struct SourceState {
    pub(crate) source: Arc<ConfiguredSource>,
    /// The place in the configuration; `None` once it is removed from there.
    pub(crate) position: Option<usize>,
    /// The run in progress.
    pub(crate) run: Option<AbortHandle>,
    /// Since when the source has its present definition, until a complete run shows what it has
    /// by that.
    redefined_at: Option<Instant>,
    pub(crate) due_at: Instant,
    pub(crate) is_running: bool,
    /// When the last run began, and when the last complete run began.
    run_began_at: Option<Instant>,
    last_complete_run_began_at: Option<Instant>,
    pub(crate) last_success_at: Option<Timestamp>,
    pub(crate) lifetimes: TokenLifetimes,
    /// One of the source's streams is watched.
    pub(crate) is_watched: bool,
    /// The end of a token of the source is known.
    pub(crate) has_token: bool,
    pub(crate) last_trace: Option<RunTrace>,
    consecutive_failures: u32,
    last_run_at: Option<Timestamp>,
    last_run_ended_at: Option<Instant>,
    next_run_at: Option<Timestamp>,
    last_run_duration: Option<Duration>,
    pub(crate) candidates: usize,
    last_error: Option<ExtractorError>,
}

/// How long a down upstream that its source no longer lists is still probed and known.
pub(crate) const UNLISTED_RETENTION: Duration = Duration::from_mins(10);
/// The same while no run of its source is complete.
const UNREACHABLE_RETENTION: Duration = Duration::from_hours(24);
/// Runs that fail in a row within about half a minute, after which the reason is taken for lasting.
const REPEATED_FAILURES: u32 = 5;
/// Runs that are brought forward together start within this time.
const BRING_FORWARD_MAX_JITTER: Duration = Duration::from_secs(10);

impl SourceState {
    pub(crate) fn new(
        source: Arc<ConfiguredSource>,
        position: usize,
        lifetimes: TokenLifetimes,
    ) -> Self {
        Self {
            source,
            position: Some(position),
            run: None,
            redefined_at: None,
            due_at: Instant::now(),
            is_running: false,
            run_began_at: None,
            last_complete_run_began_at: None,
            last_success_at: None,
            lifetimes,
            is_watched: false,
            has_token: false,
            last_trace: None,
            consecutive_failures: 0,
            last_run_at: None,
            last_run_ended_at: None,
            next_run_at: None,
            last_run_duration: None,
            candidates: 0,
            last_error: None,
        }
    }

    /// The state of a source whose definition was replaced: it runs at once, and what was learned of
    /// its tokens stays.
    pub(crate) fn with_new_definition(
        &self,
        source: Arc<ConfiguredSource>,
        position: usize,
    ) -> Self {
        Self {
            redefined_at: Some(Instant::now()),
            last_success_at: self.last_success_at,
            is_watched: self.is_watched,
            has_token: self.has_token,
            ..Self::new(source, position, self.lifetimes.clone())
        }
    }

    pub(crate) fn is_configured(&self) -> bool {
        self.position.is_some()
    }

    /// When the first complete run since the definition was replaced began; once for each
    /// replacement. What was last found before is not what the source has now.
    pub(crate) fn take_redefined_run_start(&mut self) -> Option<Instant> {
        let redefined_at = self.redefined_at?;
        let began = self.last_complete_run_began_at.filter(|began| *began >= redefined_at)?;
        self.redefined_at = None;
        Some(began)
    }

    pub(crate) fn begin_run(&mut self) {
        self.is_running = true;
        self.run_began_at = Some(Instant::now());
    }

    pub(crate) fn has_run(&self) -> bool {
        self.last_run_ended_at.is_some()
    }

    /// Has a run that began at or after `moment` been complete?
    pub(crate) fn has_complete_run_since(&self, moment: Instant) -> bool {
        self.last_complete_run_began_at.is_some_and(|began| began >= moment)
    }

    /// Was what was found at `found_at` still listed by the last complete run?
    pub(crate) fn is_find_still_listed(&self, found_at: Instant) -> bool {
        self.last_complete_run_began_at.is_none_or(|began| began <= found_at)
    }

    /// Does what was found at `found_at` still count as found? For ten minutes once a complete run
    /// no longer listed it, for a day while no later run was complete.
    pub(crate) fn is_find_still_known(&self, found_at: Instant) -> bool {
        found_at.elapsed()
            < if self.is_find_still_listed(found_at) {
                UNREACHABLE_RETENTION
            } else {
                UNLISTED_RETENTION
            }
    }

    /// Failures of the last run that concern this feed, or the source as a whole.
    pub(crate) fn failures_of_feed(&self, feed: &str) -> Vec<&ExtractorError> {
        let starts_with = |text: &str, feed: &str| {
            text.strip_prefix(feed).is_some_and(|rest| rest.starts_with(": "))
        };
        let of_feed =
            |one: &ExtractorError| starts_with(&one.step, feed) || starts_with(&one.message, feed);
        let feeds = &self.source.configured_feeds;
        let of_all = |one: &ExtractorError| {
            one.step != CHECK_STEP && !feeds.iter().any(|other| starts_with(&one.step, other))
        };
        let failures = self.last_trace.iter().flat_map(|trace| &trace.failures);
        failures.filter(|one| of_feed(one) || of_all(one)).collect()
    }

    /// Takes over the time of the last success that the previous leader published.
    pub(crate) fn inherit_last_success(&mut self, last_success_at: Option<Timestamp>) {
        self.last_success_at = self.last_success_at.max(last_success_at);
    }

    /// Has a run ended at or after `moment`?
    pub(crate) fn has_run_since(&self, moment: Instant) -> bool {
        self.last_run_ended_at.is_some_and(|end| end >= moment)
    }

    /// Records the end of a run. A partly failed run is retried like a failed one.
    pub(crate) fn end_run(
        &mut self,
        report: SourceRunReport,
        now: Timestamp,
        cadence: PollCadence,
        jitter: f64,
    ) {
        self.is_running = false;
        self.run = None;
        self.last_run_at = Some(now);
        self.last_run_ended_at = Some(Instant::now());
        if report.is_complete {
            self.last_complete_run_began_at = self.run_began_at;
        }
        self.last_run_duration = Some(report.duration);
        let cadence = if self.is_watched { PollCadence::Fast } else { cadence };
        let lifetime = self.lifetimes.shortest_lifetime().or(self.source.ttl);
        let assumed =
            lifetime.filter(|_| report.has_unknown_expiry).and_then(|it| now.checked_add(it).ok());
        let expires_at = [report.expires_at, assumed].into_iter().flatten().min();
        let regular = refresh::next_run_delay(
            now,
            cadence.run_interval(self.source.every),
            expires_at,
            jitter,
        );
        let delay = match report.first_failure() {
            None => {
                self.consecutive_failures = 0;
                self.last_success_at = Some(now);
                self.candidates = report.candidates;
                regular
            }
            Some(_) => {
                self.consecutive_failures = self.consecutive_failures.saturating_add(1);
                refresh::retry_backoff(self.consecutive_failures, cadence.retry_max_delay(), jitter)
                    .min(regular)
            }
        };
        if report.unusable.is_some() && report.unusable != self.last_error {
            let why = report.unusable.as_ref().map_or("", |one| one.message.as_str());
            tracing::warn!(
                source = self.source.name,
                why,
                "some of what the source lists is left out; see its trace"
            );
        }
        self.last_error = report.first_failure().or(report.unusable.as_ref()).cloned();
        self.last_trace = Some(RunTrace::of(&self.source, report, now));
        self.schedule_next_run(delay, now);
    }

    fn schedule_next_run(&mut self, delay: Duration, now: Timestamp) {
        self.due_at = Instant::now() + delay;
        self.next_run_at = now.checked_add(delay).ok();
    }

    /// Why the last runs of the source failed, if [`REPEATED_FAILURES`] did in a row. A list of which
    /// some entries fail their check has not failed.
    pub(crate) fn repeated_failure(&self) -> Option<&ExtractorError> {
        let failure = self.last_error.as_ref().filter(|error| error.step != CHECK_STEP);
        failure.filter(|_| self.consecutive_failures >= REPEATED_FAILURES)
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.consecutive_failures > 0
    }

    /// Runs the source now, as an upstream of it stopped working. A failing source is already
    /// retried.
    pub(crate) fn retry_early(&mut self) {
        if !self.is_running && !self.is_failing() {
            self.due_at = self.due_at.min(Instant::now());
        }
    }

    /// Brings a delayed run forward, as a session is about to begin or a viewer has joined.
    pub(crate) fn bring_run_forward(&mut self, now: Timestamp, jitter: f64) {
        let soon = BRING_FORWARD_MAX_JITTER.mul_f64(jitter.clamp(0.0, 1.0));
        if !self.is_running && self.due_at > Instant::now() + soon {
            self.schedule_next_run(soon, now);
        }
    }

    /// Is the last run older than the configured interval, which the slow cadence exceeds?
    pub(crate) fn is_stale(&self, now: Timestamp) -> bool {
        let every = jiff::SignedDuration::try_from(self.source.every).unwrap_or_default();
        self.last_run_at.is_none_or(|last| now.duration_since(last) >= every)
    }

    /// An operator requested a run.
    pub(crate) fn request_run(&mut self) {
        self.due_at = Instant::now();
    }

    pub(crate) fn activity(&self) -> ExtractorActivity {
        let duration = self.last_run_duration.map(|it| it.as_millis());
        ExtractorActivity {
            last_run_at: self.last_run_at,
            last_success_at: self.last_success_at,
            next_run_at: self.next_run_at,
            duration_ms: duration.map(|it| u64::try_from(it).unwrap_or(u64::MAX)),
        }
    }

    /// `dead`: the error of a down upstream of this source.
    pub(crate) fn extractor_status(&self, dead: Option<ExtractorError>) -> ExtractorStatus {
        let state = match self.last_run_at {
            None => ExtractorState::Never,
            Some(_) if self.is_failing() || dead.is_some() => ExtractorState::Failing,
            Some(_) => ExtractorState::Ok,
        };
        // The error of a run that has not failed says only what was left out.
        let error = match self.is_failing() {
            true => self.last_error.clone(),
            false => dead.or_else(|| self.last_error.clone()),
        };
        ExtractorStatus {
            name: self.source.name.clone(),
            kind: self.source.kind.to_owned(),
            state,
            every_seconds: self.source.every.as_secs(),
            candidates: self.candidates,
            error,
        }
    }
}
