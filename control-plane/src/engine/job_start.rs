//! Starts due extractions and checks.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::job_selection::{self, ConcurrencyLimits, DueJob};
use super::{Engine, jobs};
use crate::model::UpstreamKey;

const EXTRACTION_LIMITS: ConcurrencyLimits =
    ConcurrencyLimits { max_running: 8, max_per_source: 1 };
const CHECK_LIMITS: ConcurrencyLimits = ConcurrencyLimits { max_running: 16, max_per_source: 4 };

impl Engine {
    pub(super) fn start_due_extractions(&mut self) {
        let now = Instant::now();
        let running = self.sources.iter().enumerate().filter(|(_, state)| state.is_running);
        let running = running.map(|(index, _)| (index, 1)).collect();
        let due: Vec<DueJob> = self
            .sources
            .iter()
            .enumerate()
            .filter(|(_, state)| !state.is_running && state.due_at <= now)
            .map(|(source, state)| DueJob {
                source,
                due_at: state.due_at,
                is_watched: state.is_watched,
            })
            .collect();
        let next = job_selection::select_jobs(&due, &running, &EXTRACTION_LIMITS);
        for DueJob { source: index, .. } in
            next.into_iter().filter_map(|selected| due.get(selected))
        {
            let Some(state) = self.sources.get_mut(*index) else { continue };
            state.begin_run();
            let (executor, source) = (self.executor.clone(), state.source.clone());
            let last_failures =
                state.last_trace.as_ref().map(|trace| trace.failures.clone()).unwrap_or_default();
            let (clock, events) = (self.clock.clone(), self.event_channel.0.clone());
            self.jobs.spawn(jobs::run_extraction(
                executor,
                *index,
                source,
                last_failures,
                clock,
                events,
            ));
        }
    }

    pub(super) fn start_due_checks(&mut self) {
        let now = Instant::now();
        let mut running: BTreeMap<usize, usize> = BTreeMap::new();
        for (key, _) in self.upstreams.iter().filter(|(_, one)| one.check_running_since.is_some()) {
            *running.entry(key.source).or_default() += 1;
        }
        let due = self.upstreams.iter().filter_map(|(key, upstream)| {
            let due_at = upstream.check_due_at().filter(|due| *due <= now)?;
            let watched = self.viewers.contains_key(&key.stream);
            Some((key.clone(), DueJob { source: key.source, due_at, is_watched: watched }))
        });
        let (keys, due): (Vec<UpstreamKey>, Vec<DueJob>) = due.unzip();
        let next = job_selection::select_jobs(&due, &running, &CHECK_LIMITS);
        self.metrics.set_checks_waiting(due.len() - next.len());
        for key in next.into_iter().filter_map(|selected| keys.get(selected)) {
            self.start_check(key);
        }
    }

    fn start_check(&mut self, key: &UpstreamKey) {
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
