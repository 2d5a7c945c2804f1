//! Applies the results of jobs.

use std::sync::Arc;

use pitwall_upstream_map::{Health, UpstreamMap};
use tokio::time::Instant;

use super::Engine;
use super::jobs::{EngineEvent, JobEvent};
use crate::check::{CheckError, CheckFailureKind, CheckFindings};
use crate::expiry::TokenExpiry;
use crate::extract::Candidate;
use crate::metrics::{CheckOutcome, RefreshOutcome};
use crate::model::UpstreamKey;
use crate::model::tracked_upstream::{CheckContext, TrackedUpstream};

impl Engine {
    pub(super) fn apply_event(&mut self, event: EngineEvent) {
        match event {
            EngineEvent::OfSource { source, event } => {
                let state = self.sources.get(event.source());
                // A job may have ended just before its source was removed or changed.
                let is_current = state.is_some_and(|state| {
                    state.is_configured() && Arc::ptr_eq(&state.source, &source)
                });
                match is_current {
                    true => self.apply_job_event(*event),
                    false => self.discard_job_event(*event),
                }
            }
            EngineEvent::PublicationEnded { version, result } => {
                self.on_publication_ended(version, result);
            }
        }
    }

    fn apply_job_event(&mut self, event: JobEvent) {
        match event {
            JobEvent::CandidatePassed { key, candidate, findings } => {
                self.on_candidate_passed(key, candidate, findings)
            }
            JobEvent::CandidateRejected { key, position, reason } => {
                if let Some(upstream) = self.upstreams.get_mut(&key) {
                    upstream.mark_found();
                }
                self.known_streams.record_rejected_find(&key, position, reason);
                self.reviews.touch(&key.stream);
            }
            JobEvent::RunEnded { source, report } => {
                let now = self.clock.now();
                self.runs.end_job(source);
                let Some(state) = self.sources.get_mut(source) else { return };
                if report.first_failure().is_some() {
                    self.metrics.record_refresh(&state.source.name, RefreshOutcome::Failed);
                }
                self.metrics.record_run(&state.source.name, &report, now);
                state.end_run(report, now, self.cadence, rand::random());
                self.forget_superseded(source);
                self.schedule_run(source);
                self.touch_source_and_streams(source);
            }
            JobEvent::RecheckEnded { key, generation, result } => {
                self.checks.end_job(key.source);
                self.on_recheck_ended(&key, generation, result);
                self.schedule_check(&key);
                self.reviews.touch(&key.stream);
            }
        }
    }

    /// Discards the event of a job that began before its source changed or went: it may say what
    /// the source's settings no longer allow.
    fn discard_job_event(&mut self, event: JobEvent) {
        let JobEvent::RecheckEnded { key, .. } = event else { return };
        self.checks.end_job(key.source);
        if let Some(upstream) = self.upstreams.get_mut(&key) {
            upstream.check_running_since = None;
            upstream.next_check_at = Instant::now();
        }
        self.schedule_check(&key);
    }

    /// A candidate of an extraction passed its check.
    fn on_candidate_passed(
        &mut self,
        key: UpstreamKey,
        candidate: Candidate,
        findings: CheckFindings,
    ) {
        let Some(state) = self.sources.get_mut(key.source) else { return };
        self.known_streams.clear_rejected_find(&key);
        let (now, source) = (self.clock.now(), state.source.clone());
        if let Some(lifetime) =
            self.upstreams.get(&key).and_then(|upstream| upstream.observed_lifetime(&candidate))
        {
            state.lifetimes.record_lifetime(lifetime);
        }
        let learned = state.lifetimes.shortest_lifetime();
        let expiry = TokenExpiry::resolve(
            &candidate.playlist,
            candidate.expires_at,
            learned,
            source.ttl,
            now,
        );
        self.last_generation = UpstreamMap::next_version(self.last_generation, now);
        let context =
            CheckContext { rules: &source.check, now, next_generation: self.last_generation };
        let outcome = match self.upstreams.get_mut(&key) {
            Some(upstream) => {
                let before = upstream.generation;
                upstream.replace_candidate(candidate, findings, expiry, context);
                match upstream.generation == before {
                    true => RefreshOutcome::Unchanged,
                    false => RefreshOutcome::Renewed,
                }
            }
            None => {
                let history = self.persisted.take_upstream_history(&key);
                let upstream = TrackedUpstream::new(candidate, findings, expiry, context, history);
                self.upstreams.insert(key.clone(), upstream);
                self.mark_inherited_found(&key);
                RefreshOutcome::New
            }
        };
        self.metrics.record_refresh(&source.name, outcome);
        let next_check = Instant::now() + self.next_check_interval(&key);
        if let Some(upstream) = self.upstreams.get_mut(&key) {
            upstream.next_check_at = next_check;
        }
        self.schedule_check(&key);
        self.reviews.touch(&key.stream);
    }

    fn on_recheck_ended(
        &mut self,
        key: &UpstreamKey,
        generation: u64,
        result: Result<CheckFindings, CheckError>,
    ) {
        let (regular, is_last) = (self.next_check_interval(key), self.is_last_playable(key));
        let Some(state) = self.sources.get_mut(key.source) else { return };
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        upstream.check_running_since = None;
        upstream.next_check_at = Instant::now() + regular;
        // The result belongs to the URL that this upstream had before.
        if upstream.generation != generation {
            return;
        }
        let now = self.clock.now();
        let next_generation = UpstreamMap::next_version(self.last_generation, now);
        let (previous_health, trips) = (upstream.health(), upstream.breaker.trip_count());
        let token_rejected =
            result.as_ref().is_err_and(|error| error.kind == CheckFailureKind::TokenRejected);
        let context = CheckContext { rules: &state.source.check, now, next_generation };
        if upstream.apply_recheck(result, context) {
            self.last_generation = next_generation;
        }
        let health = upstream.health();
        if health == Health::Healthy && previous_health != Health::Healthy {
            tracing::info!(source = state.source.name, stream = %key.stream, "the upstream passes its checks again");
        }
        let outcome = match (health, token_rejected) {
            (_, true) => CheckOutcome::Refused,
            (Health::Healthy, _) => CheckOutcome::Passed,
            (Health::Degraded, _) => CheckOutcome::Doubtful,
            (Health::Down, _) => CheckOutcome::Failed,
        };
        self.metrics.record_check(&state.source.name, outcome);
        upstream.next_check_at =
            Instant::now() + upstream.breaker.next_check_delay(regular, is_last);
        // A token that expired early is renewed now, not at its expected expiry.
        let died = health == Health::Down && upstream.breaker.trip_count() > trips;
        if died || (previous_health == Health::Healthy && health != Health::Healthy) {
            state.retry_early();
            self.schedule_run(key.source);
        }
        // The stream's other upstreams are checked before viewers are moved to one of them.
        if previous_health == Health::Healthy && health != Health::Healthy {
            self.check_alternatives_now(key);
        }
    }

    fn check_alternatives_now(&mut self, key: &UpstreamKey) {
        let upstreams = self.upstreams.of_stream(&key.stream);
        let alternatives =
            upstreams.filter(|(other, it)| *other != key && it.health() == Health::Healthy);
        let alternatives: Vec<_> = alternatives.map(|(other, _)| other.clone()).collect();
        for other in alternatives {
            self.bring_check_forward(&other, Instant::now());
        }
    }
}
