//! [`StreamSplices`]: the records of one stream.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

use crate::store::splice_decision::SpliceDecision;
use crate::store::splice_proposal::SpliceProposal;

/// All records of a stream.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct StreamSplices {
    pub(super) generation: u64,
    #[serde(rename = "change")]
    pub(super) switch_record: Vec<u8>,
    /// By rendition.
    #[serde(rename = "parts")]
    pub(super) splice_records: BTreeMap<String, Vec<u8>>,
    /// By rendition, the number after the last published one, and the record of the last segments.
    pub(super) heads: BTreeMap<String, (u64, Vec<u8>)>,
    /// Upper bound of the numbers that a killed process may have published in any rendition. The
    /// first rendition that is published again under an earlier decision shows how far all of them
    /// had come.
    #[serde(default)]
    pub(super) reserved: u64,
    /// When the generation began, in unix milliseconds of this edge's clock. For a restart: while the
    /// process runs, `began_at` counts.
    #[serde(default)]
    pub(super) began_at_ms: Option<u64>,
    #[serde(skip)]
    pub(super) began_at: Option<Instant>,
    /// When the tail records were made.
    #[serde(skip)]
    pub(super) tails_at: BTreeMap<String, Instant>,
    /// The other edges know `reserved`, and their value replaces it from now on.
    #[serde(skip)]
    pub(super) is_reservation_shared: bool,
    /// Time of the last proposal or decision.
    #[serde(skip)]
    pub(super) last_used_at: Option<Instant>,
}

impl StreamSplices {
    pub(super) fn set_generation_age(&mut self, age: Option<Duration>) {
        self.began_at = age.and_then(|age| Instant::now().checked_sub(age));
        let age_ms = age.and_then(|age| u64::try_from(age.as_millis()).ok());
        self.began_at_ms = age_ms.map(|age| unix_ms().saturating_sub(age));
    }

    pub(super) fn generation_age(&self) -> Option<Duration> {
        self.began_at.map(|at| at.elapsed())
    }

    pub(super) fn propose(&mut self, proposal: &SpliceProposal) -> SpliceDecision {
        if proposal.generation > self.generation && !proposal.switch_record.is_empty() {
            self.generation = proposal.generation;
            self.switch_record.clone_from(&proposal.switch_record);
            self.splice_records.clear();
            self.set_generation_age(proposal.generation_age);
        }
        let head = self.heads.entry(proposal.rendition.clone()).or_default();
        let has_begun = self.splice_records.contains_key(&proposal.rendition);
        if proposal.generation == self.generation {
            if !has_begun {
                self.reserved = self.reserved.max(proposal.reserved_below);
            }
            let first_free = if proposal.is_restored { head.0 } else { head.0.max(self.reserved) };
            match &proposal.start {
                // A splice that was made for another switch record is ignored.
                Some(start)
                    if !has_begun
                        && start.published >= first_free
                        && proposal.switch_record == self.switch_record =>
                {
                    self.splice_records.insert(proposal.rendition.clone(), start.record.clone());
                    head.0 = start.published;
                }
                // A segment published under another switch record is ignored too.
                None if has_begun
                    && proposal.next_number > head.0
                    && proposal.switch_record == self.switch_record =>
                {
                    *head = (proposal.next_number, proposal.tail_record.clone());
                    self.tails_at.insert(proposal.rendition.clone(), Instant::now());
                    self.reserved = self.reserved.min(proposal.next_number);
                }
                _ => {}
            }
        }
        SpliceDecision {
            generation: self.generation,
            switch_record: self.switch_record.clone(),
            splice_record: self.splice_records.get(&proposal.rendition).cloned(),
            next_number: head.0,
            tail_record: head.1.clone(),
            known_next_number: head.0,
            superseded_below: 0,
            reserved_below: self.reserved,
            generation_age: self.generation_age(),
            tail_age: self.tails_at.get(&proposal.rendition).map(|at| at.elapsed()),
            is_shared: true,
        }
    }
}

pub(super) fn unix_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}
