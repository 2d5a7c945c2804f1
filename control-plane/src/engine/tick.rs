//! Changes that come with time, and feedback from the edges.

use std::collections::BTreeMap;
use std::time::Duration;

use pitwall_upstream_map::feedback::{Observation, UpstreamReport};
use pitwall_upstream_map::{Health, StreamId};
use tokio::time::Instant;

use super::{Engine, TICK_INTERVAL};
use crate::model::UpstreamKey;
use crate::model::source_state::UNLISTED_RETENTION;
use crate::refresh::PollCadence;

/// Minimum time between two checks of an upstream that edges' reports cause.
const REPORTED_CHECK_MIN_INTERVAL: Duration = Duration::from_secs(1);

/// How often the figures in the documents of all streams are renewed.
const FIGURES_INTERVAL: Duration = Duration::from_secs(30);

impl Engine {
    pub(super) fn tick_if_due(&mut self) {
        let now = Instant::now();
        if self.last_tick_at.is_none_or(|last| now >= last + TICK_INTERVAL) {
            self.last_tick_at = Some(now);
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.drain_feedback();
        self.update_time_dependent_upstreams();
        for stream in self.known_streams.streams_with_outdated_finds(&self.sources) {
            self.reviews.touch(&stream);
        }
        let now = self.clock.now();
        let schedule = self.schedule.borrow();
        let cadence = PollCadence::of(&schedule.schedule, now);
        self.metrics.update_schedule_age(&schedule.schedule, now);
        drop(schedule);
        if std::mem::replace(&mut self.cadence, cadence) == PollCadence::Slow
            && cadence == PollCadence::Fast
        {
            // Runs are brought forward, so that the session's first viewer finds streams with young
            // tokens.
            self.sources.iter_mut().for_each(|state| state.bring_run_forward(now, rand::random()));
            (0..self.sources.len()).for_each(|source| self.schedule_run(source));
        }
        self.metrics.set_checks_waiting(self.checks.count_overdue(Instant::now()));
        if !self.is_warming_up() {
            self.review_touched();
            self.draft_timed_documents();
            self.send_alerts();
        }
        for health in [Health::Healthy, Health::Degraded, Health::Down] {
            self.metrics.set_streams(health, self.counts.count_active(health));
        }
    }

    /// Finds the upstreams that time has changed: a token ends, a check is late, or one that its
    /// source no longer lists has been down for long enough to be forgotten.
    fn update_time_dependent_upstreams(&mut self) {
        let now = self.clock.now();
        let max_age = self.listing_max_age();
        let mut forgotten: Vec<UpstreamKey> = Vec::new();
        let mut remaining: BTreeMap<usize, Duration> = BTreeMap::new();
        let renewed_at = &mut self.publication.figures_renewed_at;
        let renews_figures = renewed_at.is_none_or(|at| at.elapsed() >= FIGURES_INTERVAL);
        if renews_figures {
            *renewed_at = Some(Instant::now());
        }
        for (key, upstream) in self.upstreams.iter_mut() {
            let state = self.sources.get(key.source);
            let is_failing = state.is_some_and(|state| state.is_failing());
            let is_ending = upstream.update_token_ending(now, is_failing);
            let has_new_figures = renews_figures && upstream.show_latest_figures();
            if is_ending || has_new_figures || upstream.is_listed(max_age) != upstream.is_shown {
                self.reviews.touch(&key.stream);
            }
            if state.is_none_or(|state| upstream.is_forgettable(UNLISTED_RETENTION, state)) {
                forgotten.push(key.clone());
            }
            if let Some(left) = upstream.token_time_left(now)
                && upstream.health() != Health::Down
            {
                let first = remaining.entry(key.source).or_insert(left);
                *first = left.min(*first);
            }
        }
        for key in forgotten {
            self.upstreams.remove(&key);
            self.schedule_check(&key);
            self.reviews.touch(&key.stream);
            self.reviews.touch_source(key.source);
        }
        for (index, state) in self.sources.iter_mut().enumerate() {
            let left = remaining.get(&index).copied();
            if left.is_some() || state.has_token {
                self.metrics.set_token_remaining(&state.source.name, left);
            }
            state.has_token = left.is_some();
        }
    }

    /// Takes in viewers and reports from the edges.
    pub(super) fn drain_feedback(&mut self) {
        let viewers = self.store.feedback().viewers_by_stream();
        if viewers != self.viewers {
            let before = std::mem::replace(&mut self.viewers, viewers);
            let all = before.keys().chain(self.viewers.keys());
            let changed = all.filter(|stream| before.get(*stream) != self.viewers.get(*stream));
            for stream in changed.cloned().collect::<Vec<_>>() {
                self.on_viewers_changed(&stream, !before.contains_key(&stream));
            }
        }
        for queued in self.store.feedback().take_queued_reports() {
            if let Some(lag) = queued.age() {
                self.metrics.record_feedback_lag(lag);
            }
            self.on_report(&queued.report);
        }
    }

    /// Checks a stream that viewers have `joined` now, and ends the slow cadence of its sources.
    fn on_viewers_changed(&mut self, stream: &StreamId, joined: bool) {
        self.reviews.touch(stream);
        if self.known_streams.is_configured(stream) {
            let viewers = self.viewers.get(stream).copied().unwrap_or_default();
            self.metrics.set_stream_viewers(stream, viewers);
        }
        let keys: Vec<_> = self.upstreams.of_stream(stream).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let is_watched = self
                .upstreams
                .of_source(key.source)
                .any(|(key, _)| self.viewers.contains_key(&key.stream));
            let now = self.clock.now();
            if let Some(state) = self.sources.get_mut(key.source) {
                state.is_watched = is_watched;
                if joined && self.cadence == PollCadence::Slow && state.is_stale(now) {
                    state.bring_run_forward(now, 0.0);
                }
            }
            self.schedule_run(key.source);
            let upstream = self.upstreams.get(&key);
            if joined && upstream.is_some_and(|upstream| upstream.health() != Health::Down) {
                self.bring_check_forward(&key, Instant::now());
            } else {
                self.schedule_check(&key);
            }
        }
    }

    /// An edge's report can lower a score or hasten a check; it never changes an upstream's health.
    fn on_report(&mut self, report: &UpstreamReport) {
        if let Observation::Stalled { stalls, of } = report.what
            && self.known_streams.is_configured(&report.stream)
        {
            self.metrics.record_playback_reports(&report.stream, stalls, of);
        }
        let found = self.upstreams.of_stream_mut(&report.stream).find(|(key, upstream)| {
            let source = self.sources.get(key.source).map(|state| state.source.name.as_str());
            source == Some(report.source.as_str()) && upstream.generation == report.generation
        });
        let Some((key, upstream)) = found else { return };
        match report.what {
            Observation::Failed { .. } if upstream.health() != Health::Down => {
                let last = upstream.last_check_began_at + REPORTED_CHECK_MIN_INTERVAL;
                let key = key.clone();
                self.bring_check_forward(&key, last.max(Instant::now()));
            }
            Observation::Failed { .. } => {}
            Observation::Stalled { stalls, of } if of > 0 => {
                upstream.stats.record_stalls(f64::from(stalls) / f64::from(of));
                self.reviews.touch(&report.stream);
            }
            Observation::Stalled { .. } => {}
        }
    }
}
