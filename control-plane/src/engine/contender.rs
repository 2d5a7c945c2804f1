//! One upstream in the running for a stream: its health, and what it has shown. No I/O.

use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::Health;
use tokio::time::Instant;

use crate::check::{CheckError, Checked, Head};
use crate::extract::Candidate;
use crate::rank::Record;
use crate::refresh;

pub(crate) struct Contender {
    pub(crate) candidate: Candidate,
    pub(crate) checked: Checked,
    pub(crate) health: Health,
    pub(crate) record: Record,
    /// Grows whenever its URLs change.
    pub(crate) generation: u64,
    /// When its last check passed.
    pub(crate) checked_at: Timestamp,
    pub(crate) error: Option<String>,
    pub(crate) next_check: Instant,
    pub(crate) checking: bool,
    /// When its source last found it.
    pub(crate) found: Instant,
    failures: u32,
    down_since: Option<Instant>,
    /// When the playlist was first seen where it is.
    moved: Instant,
}

/// How long an upstream that is down is still shown.
const GRACE: Duration = Duration::from_secs(60);
/// Failed checks in a row that make a degraded upstream one that is down.
const TOLERATED: u32 = 3;
/// In target durations: a live playlist moves once in each.
const FROZEN: u32 = 3;

impl Contender {
    pub(crate) fn new(
        candidate: Candidate,
        checked: Checked,
        generation: u64,
        now: Timestamp,
    ) -> Self {
        let mut record = Record::default();
        record.passed(checked.latency);
        Self {
            candidate,
            checked,
            health: Health::Healthy,
            record,
            generation,
            checked_at: now,
            error: None,
            next_check: Instant::now(),
            checking: false,
            found: Instant::now(),
            failures: 0,
            down_since: None,
            moved: Instant::now(),
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.checking).then_some(self.next_check)
    }

    /// A re-extraction that passed its check. The same URL again is no new generation, only
    /// one more passed check.
    pub(crate) fn replace(
        &mut self,
        candidate: Candidate,
        checked: Checked,
        generation: u64,
        now: Timestamp,
    ) {
        self.found = Instant::now();
        if self.candidate == candidate {
            self.rechecked(Ok(checked), generation, now);
            return;
        }
        if let Err(error) = self.moving(&checked) {
            // The same still picture behind another token.
            (self.candidate, self.checked) = (candidate, checked);
            self.generation = generation;
            return self.failed(&error, now);
        }
        let first = Self::new(candidate, checked, generation, now);
        let mut record = self.record;
        record.passed(first.checked.latency);
        // A check of its predecessor may be under way; its verdict will be ignored.
        *self = Self { record, checking: self.checking, moved: self.moved, ..first };
    }

    /// Answers whether `generation` was used up, because its URLs changed.
    pub(crate) fn rechecked(
        &mut self,
        result: Result<Checked, CheckError>,
        generation: u64,
        now: Timestamp,
    ) -> bool {
        match result.and_then(|checked| self.moving(&checked).map(|()| checked)) {
            Ok(checked) => self.passed(checked, generation, now),
            Err(error) => {
                self.failed(&error, now);
                false
            }
        }
    }

    fn passed(&mut self, checked: Checked, generation: u64, now: Timestamp) -> bool {
        let urls = |checked: &Checked| -> Vec<_> {
            let each = checked.renditions.iter();
            each.map(|one| (one.id.clone(), one.playlist.clone())).collect()
        };
        let changed = urls(&self.checked) != urls(&checked);
        if changed {
            self.generation = generation;
        }
        self.record.passed(checked.latency);
        self.checked = checked;
        self.checked_at = now;
        self.failures = 0;
        self.down_since = None;
        self.error = None;
        self.health = Health::Healthy;
        self.expire(now);
        changed
    }

    fn failed(&mut self, error: &CheckError, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.record.failed();
        self.error = Some(error.message.clone());
        let down = error.definite || self.failures >= TOLERATED || self.expired(now);
        self.health = if down { Health::Down } else { Health::Degraded };
        if down {
            self.down_since.get_or_insert_with(Instant::now);
        }
    }

    /// A playlist that answers but does not move shows a still picture.
    fn moving(&mut self, checked: &Checked) -> Result<(), CheckError> {
        let Head { sequence, target } = checked.head;
        if sequence != self.checked.head.sequence {
            self.moved = Instant::now();
        }
        let still = self.moved.elapsed();
        if still < target * FROZEN {
            return Ok(());
        }
        Err(CheckError::new(format!("the playlist has not moved for {} s", still.as_secs())))
    }

    fn expired(&self, now: Timestamp) -> bool {
        self.candidate.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// A token that has ended without being renewed: it may still play, but not for long.
    /// Answers whether that is news.
    pub(crate) fn expire(&mut self, now: Timestamp) -> bool {
        if self.health == Health::Healthy && self.expired(now) {
            self.health = Health::Degraded;
            self.error = Some("its token has expired".to_owned());
            return true;
        }
        false
    }

    /// How long until the next check: soon while it is not clear what is the matter.
    pub(crate) fn patience(&self, check_every: Duration) -> Duration {
        match self.health {
            Health::Degraded if self.failures > 0 => {
                refresh::back_off(self.failures, 0.0).min(check_every)
            }
            _ => check_every,
        }
    }

    /// Is it still worth showing?
    pub(crate) fn listed(&self) -> bool {
        self.down_for() < GRACE
    }

    pub(crate) fn down_for(&self) -> Duration {
        self.down_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
