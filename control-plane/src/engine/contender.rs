//! One upstream in the running for a stream: its health, and what it has shown. No I/O.

use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::ExpirySource;
use pitwall_upstream_map::{Health, Rendition, Role};
use tokio::time::Instant;

use super::pulse::Pulse;
use super::sources::SourceState;
use crate::breaker::Breaker;
use crate::check::{CheckError, CheckRules, Checked, Fault};
use crate::expiry::Expiry;
use crate::extract::Candidate;
use crate::history::Past;
use crate::rank::Record;

pub(crate) struct Contender {
    pub(crate) candidate: Candidate,
    pub(crate) checked: Checked,
    pub(crate) expiry: Expiry,
    pub(crate) record: Record,
    pub(crate) breaker: Breaker,
    /// Grows whenever its URLs change.
    pub(crate) generation: u64,
    /// When its last check passed.
    pub(crate) checked_at: Timestamp,
    verified: Instant,
    pub(crate) error: Option<String>,
    pub(crate) next_check: Instant,
    /// Since when a check is under way.
    pub(crate) checking: Option<Instant>,
    /// When the last one began.
    pub(crate) last_check: Instant,
    /// When its source last found it.
    found: Instant,
    /// When its URL first passed a check.
    fresh: Instant,
    pulse: Pulse,
    /// Its token ends, or has ended, without being renewed.
    ending: bool,
    /// How long its URL had lived when it was refused.
    lived: Option<Duration>,
}

/// A token that its source fails to renew: so long before its end something else plays.
const ENDING: Duration = Duration::from_secs(10);

/// What a check, or a find that passed its check, is judged by.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    pub(crate) rules: &'a CheckRules,
    pub(crate) now: Timestamp,
    /// The next generation, if it takes one.
    pub(crate) generation: u64,
}

impl Contender {
    pub(crate) fn new(
        candidate: Candidate,
        checked: Checked,
        expiry: Expiry,
        judge: Judge<'_>,
        past: Option<Past>,
    ) -> Self {
        let Past { mut record, trips } = past.unwrap_or_default();
        record.passed(&checked.sample);
        let (now, mut pulse) = (Instant::now(), Pulse::new());
        // Its first sample; what is wrong with it shows when there is another.
        let _ = pulse.take(&checked, judge.rules, judge.now);
        Self {
            candidate,
            checked,
            expiry,
            record,
            breaker: Breaker::new(trips),
            generation: judge.generation,
            checked_at: judge.now,
            verified: now,
            error: None,
            next_check: now,
            checking: None,
            last_check: now,
            found: now,
            fresh: now,
            pulse,
            ending: false,
            lived: None,
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.checking.is_none().then_some(self.next_check)
    }

    pub(crate) fn begin_check(&mut self) {
        self.last_check = Instant::now();
        self.checking = Some(self.last_check);
    }

    pub(crate) fn health(&self) -> Health {
        match self.breaker.health() {
            Health::Healthy if self.ending => Health::Degraded,
            health => health,
        }
    }

    /// Is this another URL, or the same with other headers?
    fn is_elsewhere(&self, candidate: &Candidate) -> bool {
        self.candidate.playlist != candidate.playlist || self.candidate.headers != candidate.headers
    }

    /// How long its URL had lived when it was refused, if this is its successor.
    pub(crate) fn lived(&self, successor: &Candidate) -> Option<Duration> {
        self.lived.filter(|_| self.is_elsewhere(successor))
    }

    /// A find that passed its check. The same URL again is no new generation, only one more
    /// passed check.
    pub(crate) fn replace(
        &mut self,
        candidate: Candidate,
        checked: Checked,
        expiry: Expiry,
        judge: Judge<'_>,
    ) {
        self.found = Instant::now();
        let elsewhere = self.is_elsewhere(&candidate);
        (self.candidate, self.expiry) = (candidate, expiry);
        if !elsewhere {
            self.rechecked(Ok(checked), judge);
            return;
        }
        // A check of its predecessor may be under way; its verdict will be ignored.
        self.generation = judge.generation;
        self.fresh = Instant::now();
        self.lived = None;
        match self.pulse.take(&checked, judge.rules, judge.now) {
            Ok(()) => {
                self.breaker.renewed();
                self.passed(checked, judge.now);
            }
            // The same still picture behind another token.
            Err(error) => {
                self.checked = checked;
                self.failed(&error);
            }
        }
    }

    /// Answers whether the generation was used up, because its URLs changed.
    pub(crate) fn rechecked(
        &mut self,
        result: Result<Checked, CheckError>,
        judge: Judge<'_>,
    ) -> bool {
        let urls = |contender: &Self| -> Vec<_> {
            contender.renditions().map(|one| (one.id.clone(), one.playlist.clone())).collect()
        };
        let before = urls(self);
        let alive =
            |checked: Checked| self.pulse.take(&checked, judge.rules, judge.now).map(|()| checked);
        match result.and_then(alive) {
            Ok(checked) => {
                self.breaker.passed();
                self.passed(checked, judge.now);
                let changed = before != urls(self);
                if changed {
                    self.generation = judge.generation;
                }
                changed
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    fn passed(&mut self, checked: Checked, now: Timestamp) {
        self.record.passed(&checked.sample);
        self.checked = checked;
        self.checked_at = now;
        self.verified = Instant::now();
        self.error = None;
        self.lived = None;
        self.ending = false;
        self.expire(now, false);
    }

    fn failed(&mut self, error: &CheckError) {
        self.record.failed();
        self.breaker.failed(error.fault);
        self.error = Some(error.message.clone());
        if error.fault == Fault::Refused && self.expiry.source != ExpirySource::Upstream {
            self.lived.get_or_insert(self.verified.saturating_duration_since(self.fresh));
        }
    }

    /// A token that has ended without being renewed, or is about to while its source fails:
    /// it may still play, but not for long. Answers whether that is news.
    pub(crate) fn expire(&mut self, now: Timestamp, failing: bool) -> bool {
        let Some(left) = self.token_left(now) else { return false };
        let ending = left.is_zero() || (failing && left <= ENDING);
        if !ending || self.ending {
            return false;
        }
        self.ending = true;
        let message = if left.is_zero() { "has ended" } else { "ends and is not renewed" };
        self.error.get_or_insert(format!("its token {message}"));
        true
    }

    /// How long its token lives; `None` if it may live for ever.
    pub(crate) fn token_left(&self, now: Timestamp) -> Option<Duration> {
        let left = self.expiry.at?.duration_since(now);
        Some(Duration::try_from(left).unwrap_or_default())
    }

    /// May it be shown as something that plays? Only what passed a check within `interval`.
    pub(crate) fn listed(&self, interval: Duration) -> bool {
        // A check that takes long is no verdict, but no confirmation either.
        let slow = self.checking.is_some_and(|since| since.elapsed() >= interval / 3);
        let sure = self.health() == Health::Healthy && !slow;
        self.health() != Health::Down && (sure || self.verified.elapsed() < interval)
    }

    /// Its source has found it again, though that did not pass a check.
    pub(crate) fn found_again(&mut self) {
        self.found = Instant::now();
    }

    /// When its source last found it.
    pub(crate) fn found(&self) -> Instant {
        self.found
    }

    /// It has been down for `after`, and its source does not name it any more.
    pub(crate) fn forgotten(&self, after: Duration, source: &SourceState) -> bool {
        self.breaker.down_for() >= after && !source.still_names(self.found)
    }

    /// What viewers are offered: not what stands still while the rest goes on.
    pub(crate) fn renditions(&self) -> impl Iterator<Item = &Rendition> {
        self.checked.renditions.iter().filter(|one| !self.pulse.is_stuck(&one.id))
    }

    pub(crate) fn target(&self) -> Duration {
        self.checked.head.target
    }

    /// Of the best picture.
    pub(crate) fn bit_rate(&self) -> Option<u64> {
        let video = self.checked.renditions.iter().find(|one| one.role == Role::Video);
        self.checked.sample.bit_rate.or(video?.bandwidth)
    }
}
