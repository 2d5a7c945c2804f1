//! What jobs brought to light.

use pitwall_upstream_map::{Health, UpstreamMap};
use tokio::time::Instant;

use super::contender::{Contender, Judge};
use super::work::Event;
use super::{Engine, Key};
use crate::check::{CheckError, Checked, Fault};
use crate::expiry::Expiry;
use crate::extract::Candidate;
use crate::metrics::{CheckOutcome, RefreshOutcome};

impl Engine {
    pub(super) fn apply(&mut self, event: Event) {
        self.dirty = true;
        match event {
            Event::Passed { key, candidate, checked } => self.passed(key, candidate, checked),
            Event::Refused { key, position, why } => {
                if let Some(contender) = self.contenders.get_mut(&key) {
                    contender.found_again();
                }
                self.known.refused(&key, position, why);
            }
            Event::Ran { source, report } => {
                let now = self.clock.now();
                let Some(state) = self.sources.get_mut(source) else { return };
                if report.failure().is_some() {
                    self.metrics.refreshed(&state.source.name, RefreshOutcome::Failed);
                }
                self.metrics.ran(&state.source.name, &report, now);
                state.ran(report, now, self.tempo, rand::random());
            }
            Event::Rechecked { key, generation, result } => {
                self.rechecked(&key, generation, result);
            }
        }
    }

    /// A find that passed its check.
    fn passed(&mut self, key: Key, candidate: Candidate, checked: Checked) {
        let Some(state) = self.sources.get_mut(key.source) else { return };
        self.known.passed(&key);
        let (now, source) = (self.clock.now(), state.source.clone());
        if let Some(lived) = self.contenders.get(&key).and_then(|known| known.lived(&candidate)) {
            state.lifetimes.learn(lived);
        }
        let learned = state.lifetimes.expected();
        let expiry = Expiry::judged(candidate.expires_at, learned, source.ttl, now);
        self.generation = UpstreamMap::next_version(self.generation, now);
        let judge = Judge { rules: &source.check, now, generation: self.generation };
        let outcome = match self.contenders.get_mut(&key) {
            Some(known) => {
                let before = known.generation;
                known.replace(candidate, checked, expiry, judge);
                match known.generation == before {
                    true => RefreshOutcome::Unchanged,
                    false => RefreshOutcome::Renewed,
                }
            }
            None => {
                let past = self.memory.recall(&key);
                let contender = Contender::new(candidate, checked, expiry, judge, past);
                self.contenders.entry(key.clone()).or_insert(contender);
                RefreshOutcome::New
            }
        };
        self.metrics.refreshed(&source.name, outcome);
        let next_check = Instant::now() + self.interval(&key);
        if let Some(contender) = self.contenders.get_mut(&key) {
            contender.next_check = next_check;
        }
    }

    fn rechecked(&mut self, key: &Key, generation: u64, result: Result<Checked, CheckError>) {
        let (regular, alone) = (self.interval(key), self.alone(key));
        let Some(state) = self.sources.get_mut(key.source) else { return };
        let Some(contender) = self.contenders.get_mut(key) else { return };
        contender.checking = None;
        contender.next_check = Instant::now() + regular;
        // A verdict on its predecessor.
        if contender.generation != generation {
            return;
        }
        let now = self.clock.now();
        let fresh = UpstreamMap::next_version(self.generation, now);
        let (was, trips) = (contender.health(), contender.breaker.trips());
        let refused = result.as_ref().is_err_and(|error| error.fault == Fault::Refused);
        let judge = Judge { rules: &state.source.check, now, generation: fresh };
        if contender.rechecked(result, judge) {
            self.generation = fresh;
        }
        let health = contender.health();
        if health == Health::Healthy && was != Health::Healthy {
            tracing::info!(source = state.source.name, stream = %key.stream, "checks pass again");
        }
        let outcome = match (health, refused) {
            (_, true) => CheckOutcome::Refused,
            (Health::Healthy, _) => CheckOutcome::Passed,
            (Health::Degraded, _) => CheckOutcome::Doubtful,
            (Health::Down, _) => CheckOutcome::Failed,
        };
        self.metrics.checked(&state.source.name, outcome);
        contender.next_check = Instant::now() + contender.breaker.wait(regular, alone);
        // A token that died early is renewed now, not when it was meant to end.
        let died = health == Health::Down && contender.breaker.trips() > trips;
        if died || (was == Health::Healthy && health != Health::Healthy) {
            state.hurry();
        }
        // Whoever might have to step in is looked at before it has to.
        if was == Health::Healthy && health != Health::Healthy {
            self.look_at_others(key);
        }
    }

    fn look_at_others(&mut self, key: &Key) {
        let now = Instant::now();
        for (other, contender) in &mut self.contenders {
            let steps_in = other.stream == key.stream && other != key;
            if steps_in && contender.health() == Health::Healthy {
                contender.next_check = contender.next_check.min(now);
            }
        }
    }
}
