//! [`SpliceRegistry`]: the splice decisions that edges share, so that a media sequence number is
//! the same segment at every edge.
//!
//! A stream goes through splice generations, one per switch of its source. A generation has one
//! *switch record* for the stream and one *splice record* for each of its renditions, whose
//! contents only the edges interpret. Both are written once: a later proposal gets the existing
//! record in return. A rendition also has a *head*, the number up to which it is published, below
//! which no splice can begin. No head moves after the next generation has begun, so no number is
//! published twice.
//!
//! [`SpliceRegistry::propose`] is the whole protocol; `agree.lua` implements the same over Redis.
//! In stored records a switch record is a `change`, a splice record a `part`.

mod stream_splices;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

use self::stream_splices::{StreamSplices, unix_ms};
use super::number_journal::NextNumbers;
use super::splice_decision::SpliceDecision;
use super::splice_proposal::{RenditionStart, SpliceProposal};
use crate::stream::StreamId;

/// Lifetime of a stream's records without any proposal; the stream starts over afterwards.
pub(super) const IDLE_STREAM_TTL: Duration = Duration::from_secs(6 * 3600);

/// The splice registry in the memory of one process.
#[derive(Default)]
pub struct SpliceRegistry(Mutex<HashMap<StreamId, StreamSplices>>);

/// What a registry is on disk: all its records, in which the numbers that follow are reserved.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegistrySnapshot(HashMap<StreamId, StreamSplices>);

impl RegistrySnapshot {
    /// By stream, the number below which all numbers are reserved.
    pub(super) fn reservations_by_stream(&self) -> HashMap<StreamId, u64> {
        self.0.iter().map(|(stream, entry)| (stream.clone(), entry.reserved)).collect()
    }
}

impl SpliceRegistry {
    /// Applies a proposal to this registry and returns the decision in force.
    pub fn propose(&self, proposal: &SpliceProposal) -> SpliceDecision {
        let mut streams = self.lock_streams();
        let now = Instant::now();
        let idle = |entry: &StreamSplices| {
            entry.last_used_at.is_some_and(|at| now - at >= IDLE_STREAM_TTL)
        };
        if streams.get(&proposal.stream).is_some_and(idle) {
            streams.remove(&proposal.stream);
        }
        let entry = streams.entry(proposal.stream.clone()).or_default();
        entry.last_used_at = Some(now);
        entry.propose(proposal)
    }

    /// Decides together with the other edges. `send` sends a proposal to the shared registry and
    /// returns its decision. Records that the shared registry has lost are restored before any edge
    /// starts over, also if this edge was restarted and knows them only from disk. Returns the
    /// decision, and whether it changed anything here.
    pub async fn propose_shared<F, E>(
        &self,
        proposal: &SpliceProposal,
        send: impl Fn(SpliceProposal) -> F,
    ) -> Result<(SpliceDecision, bool), E>
    where
        F: Future<Output = Result<SpliceDecision, E>>,
    {
        let reserved_below = proposal.reserved_below.max(self.reservation_from_disk(proposal));
        let first_proposal =
            if self.is_ahead_of(proposal) { proposal.as_query() } else { proposal.clone() };
        let mut decision = send(SpliceProposal { reserved_below, ..first_proposal }).await?;
        if let Some(restoring) = self.build_restoring_proposal(proposal, &decision) {
            decision = send(SpliceProposal { reserved_below, ..restoring }).await?;
            // The rendition's splice exists only now, so the segment is proposed again.
            if proposal.next_number > decision.next_number
                && proposal.generation == decision.generation
            {
                decision = send(proposal.clone()).await?;
            }
        }
        decision.superseded_below = self.superseded_below(proposal, &decision);
        let changed = self.apply_decision(proposal, &decision);
        decision.known_next_number = self.known_next_number(proposal).max(decision.next_number);
        Ok((decision, changed))
    }

    /// Decides without the other edges, from earlier decisions.
    pub fn propose_locally(&self, proposal: &SpliceProposal) -> SpliceDecision {
        SpliceDecision { is_shared: false, ..self.propose(proposal) }
    }

    /// Takes over a shared decision and returns whether it changed anything here. Records that the
    /// shared registry has lost are kept.
    fn apply_decision(&self, proposal: &SpliceProposal, decision: &SpliceDecision) -> bool {
        let mut streams = self.lock_streams();
        let entry = streams.entry(proposal.stream.clone()).or_default();
        entry.last_used_at = Some(Instant::now());
        if decision.generation < entry.generation {
            return false;
        }
        let is_new_generation = entry.generation != decision.generation
            || entry.switch_record != decision.switch_record;
        if is_new_generation {
            entry.generation = decision.generation;
            entry.switch_record.clone_from(&decision.switch_record);
            entry.splice_records.clear();
            entry.set_generation_age(decision.generation_age);
        }
        let is_reservation_known =
            entry.is_reservation_shared || decision.reserved_below >= entry.reserved;
        if is_new_generation || is_reservation_known || decision.splice_record.is_some() {
            (entry.reserved, entry.is_reservation_shared) = (decision.reserved_below, true);
        }
        let rendition = proposal.rendition.clone();
        let head = entry.heads.entry(rendition.clone()).or_default();
        // Numbers published while the other edges could not be asked are taken too, so the head
        // never moves back.
        if decision.next_number >= head.0 {
            *head = (decision.next_number, decision.tail_record.clone());
            match decision.tail_age.and_then(|age| Instant::now().checked_sub(age)) {
                Some(at) => drop(entry.tails_at.insert(rendition.clone(), at)),
                None => drop(entry.tails_at.remove(&rendition)),
            }
        }
        let Some(splice_record) = &decision.splice_record else { return is_new_generation };
        entry.splice_records.insert(rendition, splice_record.clone()).as_ref()
            != Some(splice_record)
    }

    /// The reservation, if it is known from disk only; else 0.
    fn reservation_from_disk(&self, proposal: &SpliceProposal) -> u64 {
        let streams = self.lock_streams();
        let entry = streams.get(&proposal.stream).filter(|entry| !entry.is_reservation_shared);
        entry.map_or(0, |entry| entry.reserved)
    }

    fn known_next_number(&self, proposal: &SpliceProposal) -> u64 {
        let streams = self.lock_streams();
        let head = streams.get(&proposal.stream).and_then(|it| it.heads.get(&proposal.rendition));
        head.map_or(0, |head| head.0)
    }

    /// How far this process has come with the rendition by another splice than the one in force.
    fn superseded_below(&self, proposal: &SpliceProposal, decision: &SpliceDecision) -> u64 {
        let streams = self.lock_streams();
        let Some(entry) = streams.get(&proposal.stream) else { return 0 };
        let own_record = entry.splice_records.get(&proposal.rendition);
        if decision.splice_record.is_none() || own_record == decision.splice_record.as_ref() {
            return 0;
        }
        let next_number = entry.heads.get(&proposal.rendition).map_or(0, |head| head.0);
        // Without records, the numbers may have been published by the splice in force.
        let has_records = entry.generation > 0;
        if has_records || next_number > decision.next_number { next_number } else { 0 }
    }

    /// Whether this registry knows a later generation than the proposal.
    fn is_ahead_of(&self, proposal: &SpliceProposal) -> bool {
        self.lock_streams()
            .get(&proposal.stream)
            .is_some_and(|entry| entry.generation > proposal.generation)
    }

    /// Proposes records that are known here but missing in the shared registry. The splice record
    /// is included only if the shared registry knows nothing of the rendition: elsewhere, other
    /// edges may have published what this edge decided alone, and only an edge that knows where the
    /// splice began can tell whether it still holds.
    fn build_restoring_proposal(
        &self,
        proposal: &SpliceProposal,
        decision: &SpliceDecision,
    ) -> Option<SpliceProposal> {
        let streams = self.lock_streams();
        let entry = streams.get(&proposal.stream)?;
        let splice_record =
            entry.splice_records.get(&proposal.rendition).filter(|_| decision.next_number == 0);
        let is_same_switch = entry.generation == decision.generation
            && entry.switch_record == decision.switch_record;
        let is_lost = entry.generation > decision.generation
            || (is_same_switch && decision.splice_record.is_none());
        let head = entry.heads.get(&proposal.rendition).cloned().unwrap_or_default();
        (is_lost && entry.generation > 0 && (splice_record.is_some() || !is_same_switch)).then(
            || SpliceProposal {
                generation: entry.generation,
                switch_record: entry.switch_record.clone(),
                start: splice_record
                    .map(|record| RenditionStart { published: head.0, record: record.clone() }),
                is_restored: true,
                generation_age: entry.generation_age(),
                ..proposal.as_query()
            },
        )
    }

    /// A copy for disk, in which the next `reserved_count` numbers of each stream are reserved: an
    /// edge that publishes them before the next copy is on disk may be killed.
    pub fn snapshot(&self, reserved_count: u64) -> RegistrySnapshot {
        let mut streams = self.lock_streams().clone();
        for entry in streams.values_mut() {
            let heads = entry.heads.values().map(|head| head.0);
            let highest = heads.max().unwrap_or_default();
            entry.reserved = entry.reserved.max(highest.saturating_add(reserved_count));
            entry.is_reservation_shared = false;
        }
        RegistrySnapshot(streams)
    }

    /// The registry of an edge that starts from its disk.
    pub fn restore(snapshot: RegistrySnapshot) -> Self {
        let RegistrySnapshot(mut streams) = snapshot;
        for entry in streams.values_mut() {
            let age =
                entry.began_at_ms.map(|ms| Duration::from_millis(unix_ms().saturating_sub(ms)));
            entry.began_at = age.and_then(|age| Instant::now().checked_sub(age));
            (entry.tails_at, entry.last_used_at) = (BTreeMap::new(), None);
        }
        Self(Mutex::new(streams))
    }

    /// Takes over how far renditions had come since the records were saved. A stream whose records
    /// were never saved, or cannot be read, begins above.
    pub fn raise_next_numbers(&self, next_numbers: NextNumbers) {
        let mut streams = self.lock_streams();
        for (stream, renditions) in next_numbers {
            let entry = streams.entry(stream).or_default();
            for (rendition, next_number) in renditions {
                let head = entry.heads.entry(rendition).or_default();
                head.0 = head.0.max(next_number);
            }
        }
    }

    fn lock_streams(&self) -> MutexGuard<'_, HashMap<StreamId, StreamSplices>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests;
