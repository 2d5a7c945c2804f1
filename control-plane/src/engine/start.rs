//! Starting what is due.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::{self, Due, Limits};
use super::{Engine, Key, work};

const EXTRACTIONS: Limits = Limits { at_once: 8, per_source: 1 };
const CHECKS: Limits = Limits { at_once: 16, per_source: 4 };

impl Engine {
    pub(super) fn start_extractions(&mut self) {
        let now = Instant::now();
        let running = self.sources.iter().enumerate().filter(|(_, state)| state.running);
        let running = running.map(|(index, _)| (index, 1)).collect();
        let due: Vec<Due> = self
            .sources
            .iter()
            .enumerate()
            .filter(|(_, state)| !state.running && state.due <= now)
            .map(|(source, state)| Due { source, at: state.due, watched: state.watched })
            .collect();
        let next = queue::next(&due, &running, &EXTRACTIONS);
        for Due { source: index, .. } in next.into_iter().filter_map(|place| due.get(place)) {
            let Some(state) = self.sources.get_mut(*index) else { continue };
            state.begin();
            let (work, source) = (self.work.clone(), state.source.clone());
            let last = state.trace.as_ref().map(|trace| trace.failures.clone()).unwrap_or_default();
            let (clock, events) = (self.clock.clone(), self.events.0.clone());
            self.jobs.spawn(work::extract(work, *index, source, last, clock, events));
        }
    }

    pub(super) fn start_checks(&mut self) {
        let now = Instant::now();
        let mut running: BTreeMap<usize, usize> = BTreeMap::new();
        for (key, _) in self.contenders.iter().filter(|(_, one)| one.checking.is_some()) {
            *running.entry(key.source).or_default() += 1;
        }
        let due = self.contenders.iter().filter_map(|(key, contender)| {
            let at = contender.due().filter(|due| *due <= now)?;
            let watched = self.watched.contains_key(&key.stream);
            Some((key.clone(), Due { source: key.source, at, watched }))
        });
        let (keys, due): (Vec<Key>, Vec<Due>) = due.unzip();
        let next = queue::next(&due, &running, &CHECKS);
        self.metrics.waiting(due.len() - next.len());
        for key in next.into_iter().filter_map(|place| keys.get(place)) {
            self.start_check(key);
        }
    }

    fn start_check(&mut self, key: &Key) {
        let Some(state) = self.sources.get(key.source) else { return };
        let Some(contender) = self.contenders.get_mut(key) else { return };
        contender.begin_check();
        let job = work::Recheck {
            key: key.clone(),
            generation: contender.generation,
            source: state.source.clone(),
            candidate: contender.candidate.clone(),
            last: contender.checked.clone(),
            error: contender.error.clone(),
        };
        self.jobs.spawn(work::recheck(self.work.clone(), job, self.events.0.clone()));
    }

    /// Between two checks of something that plays well: a target duration while it is watched,
    /// else well within the interval, so that a failure can be confirmed before it ends.
    pub(super) fn interval(&self, key: &Key) -> Duration {
        let regular = self.check_every * 2 / 3;
        let plays = self.playing.get(&key.stream).is_some_and(|playing| playing.key == *key);
        match self.contenders.get(key) {
            Some(contender) if plays && self.watched.contains_key(&key.stream) => {
                contender.target().clamp(SHORTEST, regular.max(SHORTEST))
            }
            _ => regular,
        }
    }
}

const SHORTEST: Duration = Duration::from_secs(1);
