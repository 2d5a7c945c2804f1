//! Changes that come with time, and feedback from the edges.

use std::time::Duration;

use pitwall_upstream_map::feedback::{Observation, UpstreamReport};
use pitwall_upstream_map::{Health, StreamId};
use tokio::time::Instant;

use super::Engine;
use crate::model::source_state::UNLISTED_RETENTION;
use crate::publish;
use crate::refresh::PollCadence;

/// Minimum time between two checks of an upstream that edges' reports cause.
const REPORTED_CHECK_MIN_INTERVAL: Duration = Duration::from_secs(1);

impl Engine {
    pub(super) fn tick(&mut self) {
        let now = self.clock.now();
        for (key, upstream) in &mut self.upstreams {
            let source_is_failing =
                self.sources.get(key.source).is_some_and(|state| state.is_failing());
            self.needs_publication |= upstream.update_token_ending(now, source_is_failing);
        }
        let before = self.upstreams.len();
        self.upstreams.retain(|key, upstream| {
            let source = self.sources.get(key.source);
            source.is_some_and(|source| !upstream.is_forgettable(UNLISTED_RETENTION, source))
        });
        self.needs_publication |= self.upstreams.len() != before;
        let max_age = self.listing_max_age();
        let listed = self.upstreams.values().filter(|one| one.is_listed(max_age)).count();
        self.needs_publication |= listed != std::mem::replace(&mut self.listed_count, listed);
        if !self.is_warming_up() {
            self.needs_publication |= self.update_known_streams();
        }
        self.drain_feedback();
        let schedule = self.schedule.borrow();
        self.needs_publication |=
            publish::session_phases(&schedule.schedule, now) != self.published_session_phases;
        let cadence = PollCadence::of(&schedule.schedule, now);
        self.metrics.update_schedule_age(&schedule.schedule, now);
        drop(schedule);
        if std::mem::replace(&mut self.cadence, cadence) == PollCadence::Slow
            && cadence == PollCadence::Fast
        {
            // Runs are brought forward, so that the session's first viewer finds streams with young
            // tokens.
            self.sources.iter_mut().for_each(|state| state.bring_run_forward(now, rand::random()));
        }
        self.metrics.update_token_times(&self.sources, &self.upstreams, now);
    }

    /// Takes in viewers and reports from the edges.
    pub(super) fn drain_feedback(&mut self) {
        let viewers = self.store.feedback().viewers_by_stream();
        if viewers != self.viewers {
            self.needs_publication = true;
            let joined: Vec<StreamId> =
                viewers.keys().filter(|one| !self.viewers.contains_key(*one)).cloned().collect();
            self.viewers = viewers;
            self.on_viewers_joined(&joined);
        }
        for report in self.store.feedback().take_reports() {
            self.on_report(&report);
        }
    }

    /// Checks the streams that viewers have joined now, and ends the slow cadence of their sources.
    fn on_viewers_joined(&mut self, joined: &[StreamId]) {
        let now = Instant::now();
        for (index, state) in self.sources.iter_mut().enumerate() {
            let has_stream = |stream: &StreamId| {
                self.upstreams.keys().any(|key| key.source == index && key.stream == *stream)
            };
            state.is_watched = self.viewers.keys().any(has_stream);
            let is_delayed = self.cadence == PollCadence::Slow && joined.iter().any(has_stream);
            if is_delayed && state.is_stale(self.clock.now()) {
                state.bring_run_forward(self.clock.now(), 0.0);
            }
        }
        for (key, upstream) in &mut self.upstreams {
            if joined.contains(&key.stream) && upstream.health() != Health::Down {
                upstream.next_check_at = upstream.next_check_at.min(now);
            }
        }
    }

    /// An edge's report can lower a score or hasten a check; it never changes an upstream's health.
    fn on_report(&mut self, report: &UpstreamReport) {
        let upstream = self.upstreams.iter_mut().find(|(key, upstream)| {
            let source = self.sources.get(key.source).map(|state| state.source.name.as_str());
            key.stream == report.stream
                && source == Some(report.source.as_str())
                && upstream.generation == report.generation
        });
        let Some((_, upstream)) = upstream else { return };
        match report.what {
            Observation::Failed { .. } if upstream.health() != Health::Down => {
                let last = upstream.last_check_began_at + REPORTED_CHECK_MIN_INTERVAL;
                upstream.next_check_at = upstream.next_check_at.min(last.max(Instant::now()));
            }
            Observation::Failed { .. } => {}
            Observation::Stalled { stalls, of } if of > 0 => {
                upstream.stats.record_stalls(f64::from(stalls) / f64::from(of));
            }
            Observation::Stalled { .. } => {}
        }
    }
}
