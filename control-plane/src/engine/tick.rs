//! What time alone changes, and what the edges tell.

use std::time::Duration;

use pitwall_upstream_map::demand::{Report, Seen};
use pitwall_upstream_map::{Health, StreamId};
use tokio::time::Instant;

use super::Engine;
use super::sources::UNLISTED;
use crate::publish;
use crate::refresh::Tempo;

/// Edges may complain as often as they like; this is how often it makes a check.
const COMPLAINTS: Duration = Duration::from_secs(1);

impl Engine {
    pub(super) fn tick(&mut self) {
        let now = self.clock.now();
        for (key, contender) in &mut self.contenders {
            let failing = self.sources.get(key.source).is_some_and(|state| state.failing());
            self.dirty |= contender.expire(now, failing);
        }
        let before = self.contenders.len();
        self.contenders.retain(|key, contender| {
            let source = self.sources.get(key.source);
            source.is_some_and(|source| !contender.forgotten(UNLISTED, source))
        });
        self.dirty |= self.contenders.len() != before;
        let interval = self.shown_for();
        let listed = self.contenders.values().filter(|one| one.listed(interval)).count();
        self.dirty |= listed != std::mem::replace(&mut self.listed, listed);
        if !self.is_finding_its_feet() {
            self.dirty |= self.review();
        }
        self.listen();
        let schedule = self.schedule.borrow();
        self.dirty |= publish::phases(&schedule.schedule, now) != self.phases;
        let tempo = Tempo::of(&schedule.schedule, now);
        self.metrics.schedule(&schedule.schedule, now);
        drop(schedule);
        if std::mem::replace(&mut self.tempo, tempo) == Tempo::Slow && tempo == Tempo::Fast {
            // Pre-warmed: the first viewer finds streams whose tokens are young.
            self.sources.iter_mut().for_each(|state| state.wake(now, rand::random()));
        }
        self.metrics.tokens(&self.sources, &self.contenders, now);
    }

    /// Who is watched, and what failed.
    pub(super) fn listen(&mut self) {
        let watched = self.store.demand().watched();
        if watched != self.watched {
            self.dirty = true;
            let new: Vec<StreamId> =
                watched.keys().filter(|one| !self.watched.contains_key(*one)).cloned().collect();
            self.watched = watched;
            self.attend(&new);
        }
        for report in self.store.demand().take_reports() {
            self.hear(&report);
        }
    }

    /// Somebody came: what they watch is looked at now, and its sources are no longer put off.
    fn attend(&mut self, new: &[StreamId]) {
        let now = Instant::now();
        for (index, state) in self.sources.iter_mut().enumerate() {
            let watched = |stream: &StreamId| {
                self.contenders.keys().any(|key| key.source == index && key.stream == *stream)
            };
            state.watched = self.watched.keys().any(watched);
            let put_off = self.tempo == Tempo::Slow && new.iter().any(watched);
            if put_off && state.stale(self.clock.now()) {
                state.wake(self.clock.now(), 0.0);
            }
        }
        for (key, contender) in &mut self.contenders {
            if new.contains(&key.stream) && contender.health() != Health::Down {
                contender.next_check = contender.next_check.min(now);
            }
        }
    }

    /// What an edge says weakens or hurries, it never decides.
    fn hear(&mut self, report: &Report) {
        let upstream = self.contenders.iter_mut().find(|(key, contender)| {
            let source = self.sources.get(key.source).map(|state| state.source.name.as_str());
            key.stream == report.stream
                && source == Some(report.source.as_str())
                && contender.generation == report.generation
        });
        let Some((_, contender)) = upstream else { return };
        match report.what {
            Seen::Failed { .. } if contender.health() != Health::Down => {
                let last = contender.last_check + COMPLAINTS;
                contender.next_check = contender.next_check.min(last.max(Instant::now()));
            }
            Seen::Failed { .. } => {}
            Seen::Stalled { stalls, of } if of > 0 => {
                contender.record.stalled(f64::from(stalls) / f64::from(of));
            }
            Seen::Stalled { .. } => {}
        }
    }
}
