//! Starts due extractions and checks.

use std::time::Duration;

use tokio::time::Instant;

use super::job_queue::ConcurrencyLimits;
use super::{Engine, jobs};
use crate::model::UpstreamKey;
use crate::model::tracked_upstream::TrackedUpstream;

pub(super) const EXTRACTION_LIMITS: ConcurrencyLimits =
    ConcurrencyLimits { max_running: 8, max_per_source: 1 };
pub(super) const CHECK_LIMITS: ConcurrencyLimits =
    ConcurrencyLimits { max_running: 16, max_per_source: 4 };

impl Engine {
    /// Queues the next run of a source, after its time has changed.
    pub(super) fn schedule_run(&mut self, source: usize) {
        let Some(state) = self.sources.get(source) else { return };
        let may_start = state.is_configured() && !state.is_running;
        let due_at = may_start.then_some(state.due_at);
        self.runs.schedule(&source, due_at, state.is_watched);
    }

    /// Queues the next check of an upstream, after its time has changed.
    pub(super) fn schedule_check(&mut self, key: &UpstreamKey) {
        let due_at = self.upstreams.get(key).and_then(TrackedUpstream::check_due_at);
        self.checks.schedule(key, due_at, self.viewers.contains_key(&key.stream));
    }

    /// Has an upstream checked at the latest at `at`.
    pub(super) fn bring_check_forward(&mut self, key: &UpstreamKey, at: Instant) {
        if let Some(upstream) = self.upstreams.get_mut(key) {
            upstream.next_check_at = upstream.next_check_at.min(at);
        }
        self.schedule_check(key);
    }

    pub(super) fn start_due_extractions(&mut self) {
        for index in self.runs.take_due_jobs(Instant::now()) {
            let Some(state) = self.sources.get_mut(index) else { continue };
            state.begin_run();
            let (executor, source) = (self.executor.clone(), state.source.clone());
            let last_failures =
                state.last_trace.as_ref().map(|trace| trace.failures.clone()).unwrap_or_default();
            let (clock, events) = (self.clock.clone(), self.event_channel.0.clone());
            let run = self.jobs.spawn(jobs::run_extraction(
                executor,
                index,
                source,
                last_failures,
                clock,
                events,
            ));
            state.run = Some(run);
        }
    }

    pub(super) fn start_due_rechecks(&mut self) {
        for key in self.checks.take_due_jobs(Instant::now()) {
            self.start_recheck(&key);
        }
    }

    fn start_recheck(&mut self, key: &UpstreamKey) {
        let Some(state) = self.sources.get(key.source) else { return };
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        upstream.begin_check();
        let job = jobs::RecheckJob {
            key: key.clone(),
            generation: upstream.generation,
            source: state.source.clone(),
            candidate: upstream.candidate.clone(),
            last_findings: upstream.findings.clone(),
            last_error: upstream.last_error.clone(),
        };
        self.jobs.spawn(jobs::run_recheck(
            self.executor.clone(),
            job,
            self.event_channel.0.clone(),
        ));
    }

    /// The time between two checks of a healthy upstream: one target duration while it is active
    /// and watched, otherwise two thirds of the check interval, so that a failure can be confirmed
    /// within the interval.
    pub(super) fn next_check_interval(&self, key: &UpstreamKey) -> Duration {
        let regular = self.check_interval * 2 / 3;
        let is_active =
            self.active_upstreams.get(&key.stream).is_some_and(|active| active.key == *key);
        match self.upstreams.get(key) {
            Some(upstream) if is_active && self.viewers.contains_key(&key.stream) => upstream
                .target_duration()
                .clamp(CHECK_MIN_INTERVAL, regular.max(CHECK_MIN_INTERVAL)),
            _ => regular,
        }
    }
}

const CHECK_MIN_INTERVAL: Duration = Duration::from_secs(1);
