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

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

use super::number_journal::NextNumbers;
use crate::stream::StreamId;

/// Lifetime of a stream's records without any proposal; the stream starts over afterwards.
pub(super) const IDLE_STREAM_TTL: Duration = Duration::from_secs(6 * 3600);

/// A proposal of an edge, which is also its query.
#[derive(Clone, Debug)]
pub struct SpliceProposal {
    pub stream: StreamId,
    pub rendition: String,
    /// Splice generation by which the edge publishes or wants to publish; 0 if it knows of none.
    pub generation: u64,
    /// Media sequence number after the last segment that the edge is about to publish; 0 if none.
    pub next_number: u64,
    /// Record of the last segments about to be published, for edges that have not seen them.
    pub tail_record: Vec<u8>,
    /// Record of the source switch with which the generation begins, written if it has not begun.
    pub switch_record: Vec<u8>,
    /// Where the rendition begins in the generation, if the edge proposes that.
    pub start: Option<RenditionStart>,
    /// `start` is not new: it restores a splice that the other edges have lost.
    pub is_restored: bool,
    /// Every number of the stream below this one may have been published before this edge was
    /// killed. Ignored if the rendition is known to have begun.
    pub reserved_below: u64,
    /// How long ago the generation began, zero if it begins with this proposal. `None`: not known.
    pub generation_age: Option<Duration>,
}

impl SpliceProposal {
    /// A proposal that changes nothing and returns the current decision.
    pub fn query(stream: StreamId, rendition: String, generation: u64) -> Self {
        Self {
            stream,
            rendition,
            generation,
            next_number: 0,
            tail_record: Vec::new(),
            switch_record: Vec::new(),
            start: None,
            is_restored: false,
            reserved_below: 0,
            generation_age: None,
        }
    }

    fn as_query(&self) -> Self {
        Self::query(self.stream.clone(), self.rendition.clone(), self.generation)
    }
}

/// Where a rendition continues in a splice generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionStart {
    /// First media sequence number of the generation.
    pub published: u64,
    pub record: Vec<u8>,
}

/// The decision that is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpliceDecision {
    /// Splice generation; 0 if there is no decision.
    pub generation: u64,
    pub switch_record: Vec<u8>,
    /// Splice record of the rendition in this generation, if an edge has begun it.
    pub splice_record: Option<Vec<u8>>,
    /// Media sequence number after the rendition's last published one, in any generation.
    pub next_number: u64,
    pub tail_record: Vec<u8>,
    /// The highest `next_number` that this process knows: a higher one if it has published while the
    /// other edges could not be asked, also before it was restarted.
    pub known_next_number: u64,
    /// Below this number this process has published by another splice than `splice_record`, while
    /// the other edges could not be asked or before the shared registry lost it; 0 if it has not.
    pub superseded_below: u64,
    /// Every number of the stream below this one may have been published.
    pub reserved_below: u64,
    /// How long ago the generation began, by one clock for all edges: edges' own clocks may differ.
    /// `None`: not known, long ago.
    pub generation_age: Option<Duration>,
    /// The same for `tail_record`.
    pub tail_age: Option<Duration>,
    /// Whether the decision is the same at every edge; false if the other edges could not be asked.
    pub is_shared: bool,
}

impl SpliceDecision {
    /// The lowest number that has certainly not been published.
    pub fn first_free_number(&self) -> u64 {
        if self.splice_record.is_some() {
            self.next_number
        } else {
            self.next_number.max(self.reserved_below)
        }
    }
}

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

/// All records of a stream.
#[derive(Clone, Default, Serialize, Deserialize)]
struct StreamSplices {
    generation: u64,
    change: Vec<u8>,
    parts: BTreeMap<String, Vec<u8>>,
    heads: BTreeMap<String, (u64, Vec<u8>)>,
    /// Upper bound of the numbers that a killed process may have published in any rendition. The
    /// first rendition that is published again under an earlier decision shows how far all of them
    /// had come.
    #[serde(default)]
    reserved: u64,
    /// When the generation began, in unix milliseconds of this edge's clock. For a restart: while the
    /// process runs, `began_at` counts.
    #[serde(default)]
    began_at_ms: Option<u64>,
    #[serde(skip)]
    began_at: Option<Instant>,
    /// When the tail records were made.
    #[serde(skip)]
    tails_at: BTreeMap<String, Instant>,
    /// The other edges know `reserved`, and their value replaces it from now on.
    #[serde(skip)]
    told: bool,
    /// Time of the last proposal or decision.
    #[serde(skip)]
    heard: Option<Instant>,
}

impl SpliceRegistry {
    /// Applies a proposal to this registry and returns the decision in force.
    pub fn propose(&self, proposal: &SpliceProposal) -> SpliceDecision {
        let mut streams = self.lock_streams();
        let now = Instant::now();
        let idle =
            |entry: &StreamSplices| entry.heard.is_some_and(|at| now - at >= IDLE_STREAM_TTL);
        if streams.get(&proposal.stream).is_some_and(idle) {
            streams.remove(&proposal.stream);
        }
        let entry = streams.entry(proposal.stream.clone()).or_default();
        entry.heard = Some(now);
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
        entry.heard = Some(Instant::now());
        if decision.generation < entry.generation {
            return false;
        }
        let is_new_generation =
            entry.generation != decision.generation || entry.change != decision.switch_record;
        if is_new_generation {
            entry.generation = decision.generation;
            entry.change.clone_from(&decision.switch_record);
            entry.parts.clear();
            entry.set_generation_age(decision.generation_age);
        }
        let is_reservation_shared = entry.told || decision.reserved_below >= entry.reserved;
        if is_new_generation || is_reservation_shared || decision.splice_record.is_some() {
            (entry.reserved, entry.told) = (decision.reserved_below, true);
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
        entry.parts.insert(rendition, splice_record.clone()).as_ref() != Some(splice_record)
    }

    /// The reservation, if it is known from disk only; else 0.
    fn reservation_from_disk(&self, proposal: &SpliceProposal) -> u64 {
        let streams = self.lock_streams();
        let entry = streams.get(&proposal.stream).filter(|entry| !entry.told);
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
        let own_record = entry.parts.get(&proposal.rendition);
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
            entry.parts.get(&proposal.rendition).filter(|_| decision.next_number == 0);
        let is_same_switch =
            entry.generation == decision.generation && entry.change == decision.switch_record;
        let is_lost = entry.generation > decision.generation
            || (is_same_switch && decision.splice_record.is_none());
        let head = entry.heads.get(&proposal.rendition).cloned().unwrap_or_default();
        (is_lost && entry.generation > 0 && (splice_record.is_some() || !is_same_switch)).then(
            || SpliceProposal {
                generation: entry.generation,
                switch_record: entry.change.clone(),
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
            entry.told = false;
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
            (entry.tails_at, entry.heard) = (BTreeMap::new(), None);
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

impl StreamSplices {
    fn set_generation_age(&mut self, age: Option<Duration>) {
        self.began_at = age.and_then(|age| Instant::now().checked_sub(age));
        let age_ms = age.and_then(|age| u64::try_from(age.as_millis()).ok());
        self.began_at_ms = age_ms.map(|age| unix_ms().saturating_sub(age));
    }

    fn generation_age(&self) -> Option<Duration> {
        self.began_at.map(|at| at.elapsed())
    }

    fn propose(&mut self, proposal: &SpliceProposal) -> SpliceDecision {
        if proposal.generation > self.generation && !proposal.switch_record.is_empty() {
            self.generation = proposal.generation;
            self.change.clone_from(&proposal.switch_record);
            self.parts.clear();
            self.set_generation_age(proposal.generation_age);
        }
        let head = self.heads.entry(proposal.rendition.clone()).or_default();
        let has_begun = self.parts.contains_key(&proposal.rendition);
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
                        && proposal.switch_record == self.change =>
                {
                    self.parts.insert(proposal.rendition.clone(), start.record.clone());
                    head.0 = start.published;
                }
                // A segment published under another switch record is ignored too.
                None if has_begun
                    && proposal.next_number > head.0
                    && proposal.switch_record == self.change =>
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
            switch_record: self.change.clone(),
            splice_record: self.parts.get(&proposal.rendition).cloned(),
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

fn unix_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn query(rendition: &str, generation: u64) -> SpliceProposal {
        let stream = StreamId::of_feed("World feed").unwrap();
        SpliceProposal::query(stream, rendition.to_owned(), generation)
    }

    fn begins(generation: u64, change: &str, published: u64, record: &str) -> SpliceProposal {
        let start = RenditionStart { published, record: record.into() };
        SpliceProposal {
            switch_record: change.into(),
            start: Some(start),
            ..query("v", generation)
        }
    }

    fn publishes(generation: u64, change: &str, next: u64) -> SpliceProposal {
        let tail_record = format!("{next}").into();
        SpliceProposal {
            next_number: next,
            tail_record,
            switch_record: change.into(),
            ..query("v", generation)
        }
    }

    /// The audio rendition begins.
    fn audio_begins(generation: u64, change: &str, published: u64) -> SpliceProposal {
        SpliceProposal { rendition: "a-en".into(), ..begins(generation, change, published, "s") }
    }

    /// A second audio rendition begins, or is restored.
    fn second_audio_begins(is_restored: bool) -> SpliceProposal {
        SpliceProposal {
            is_restored,
            rendition: "a-fr".into(),
            ..audio_begins(9, "i", BEYOND_F64_INTEGERS + 5)
        }
    }

    fn reserving(rendition: &str, generation: u64, reserved_below: u64) -> SpliceProposal {
        SpliceProposal { reserved_below, ..query(rendition, generation) }
    }

    /// The first integer that a double (Lua's number type) cannot represent.
    const BEYOND_F64_INTEGERS: u64 = (1 << 53) + 1;

    /// Generation, switch record, splice record and first free number.
    pub(crate) type ExpectedDecision = (u64, &'static str, &'static str, u64);

    /// Proposals of edges, one after the other, with the expected decisions, for every
    /// implementation.
    pub(crate) fn proposal_sequence() -> Vec<(&'static str, SpliceProposal, ExpectedDecision)> {
        vec![
            ("nothing is written", query("v", 0), (0, "", "", 0)),
            ("the first change", begins(1, "a", 0, "a0"), (1, "a", "a0", 0)),
            (
                "a second proposal gets the existing decision",
                begins(1, "b", 9, "b9"),
                (1, "a", "a0", 0),
            ),
            ("it is published", publishes(1, "a", 107), (1, "a", "a0", 107)),
            ("a lower number moves no head", publishes(1, "a", 106), (1, "a", "a0", 107)),
            ("another rendition has a head of its own", query("a-en", 1), (1, "a", "", 0)),
            ("no splice begins below the head", begins(2, "b", 106, "b106"), (2, "b", "", 107)),
            ("an earlier generation moves no head", publishes(1, "a", 108), (2, "b", "", 107)),
            ("nor does a rendition without a splice", publishes(2, "b", 108), (2, "b", "", 107)),
            (
                "no splice begins under another switch record",
                begins(2, "c", 107, "c107"),
                (2, "b", "", 107),
            ),
            ("a splice begins at the head", begins(2, "b", 107, "b107"), (2, "b", "b107", 107)),
            (
                "publishing under another switch record moves no head",
                publishes(2, "c", 109),
                (2, "b", "b107", 107),
            ),
            ("the rendition is published", publishes(2, "b", 108), (2, "b", "b107", 108)),
            (
                "a later generation is taken as it is",
                begins(7, "g", 200, "g200"),
                (7, "g", "g200", 200),
            ),
            (
                "numbers may be high",
                publishes(7, "g", BEYOND_F64_INTEGERS),
                (7, "g", "g200", BEYOND_F64_INTEGERS),
            ),
            (
                "numbers beyond 2^53 differ by one",
                publishes(7, "g", BEYOND_F64_INTEGERS + 1),
                (7, "g", "g200", BEYOND_F64_INTEGERS + 1),
            ),
            (
                "no splice begins below the high head",
                begins(8, "h", BEYOND_F64_INTEGERS, "h"),
                (8, "h", "", BEYOND_F64_INTEGERS + 1),
            ),
            (
                "numbers are not compared as text",
                begins(8, "h", 9, "h9"),
                (8, "h", "", BEYOND_F64_INTEGERS + 1),
            ),
            (
                "a splice begins at the high head",
                begins(8, "h", BEYOND_F64_INTEGERS + 1, "hh"),
                (8, "h", "hh", BEYOND_F64_INTEGERS + 1),
            ),
            (
                "a killed edge reserves numbers",
                reserving("a-en", 8, BEYOND_F64_INTEGERS + 9),
                (8, "h", "", BEYOND_F64_INTEGERS + 9),
            ),
            (
                "an earlier generation reserves nothing",
                reserving("a-en", 7, BEYOND_F64_INTEGERS + 99),
                (8, "h", "", BEYOND_F64_INTEGERS + 9),
            ),
            (
                "a rendition that has begun ignores a reservation",
                reserving("v", 8, BEYOND_F64_INTEGERS + 99),
                (8, "h", "hh", BEYOND_F64_INTEGERS + 1),
            ),
            (
                "no other rendition begins below the reservation",
                audio_begins(8, "h", BEYOND_F64_INTEGERS + 8),
                (8, "h", "", BEYOND_F64_INTEGERS + 9),
            ),
            (
                "nor does the next generation",
                begins(9, "i", BEYOND_F64_INTEGERS + 8, "i"),
                (9, "i", "", BEYOND_F64_INTEGERS + 9),
            ),
            (
                "the next generation begins at the reservation",
                begins(9, "i", BEYOND_F64_INTEGERS + 9, "ii"),
                (9, "i", "ii", BEYOND_F64_INTEGERS + 9),
            ),
            (
                "the next generation is published",
                publishes(9, "i", BEYOND_F64_INTEGERS + 11),
                (9, "i", "ii", BEYOND_F64_INTEGERS + 11),
            ),
            (
                "the other rendition does not step back",
                audio_begins(9, "i", 1),
                (9, "i", "", BEYOND_F64_INTEGERS + 9),
            ),
            (
                "the other rendition begins at the reservation",
                audio_begins(9, "i", BEYOND_F64_INTEGERS + 9),
                (9, "i", "s", BEYOND_F64_INTEGERS + 9),
            ),
            (
                "a killed edge reserves numbers again",
                reserving("a-fr", 9, BEYOND_F64_INTEGERS + 99),
                (9, "i", "", BEYOND_F64_INTEGERS + 99),
            ),
            (
                "a new splice does not begin below the reservation",
                second_audio_begins(false),
                (9, "i", "", BEYOND_F64_INTEGERS + 99),
            ),
            (
                "a restored splice continues below the reservation",
                second_audio_begins(true),
                (9, "i", "s", BEYOND_F64_INTEGERS + 5),
            ),
            (
                "publishing lowers the reservation",
                publishes(9, "i", BEYOND_F64_INTEGERS + 12),
                (9, "i", "ii", BEYOND_F64_INTEGERS + 12),
            ),
            (
                "the next generation begins at the lowered reservation",
                begins(10, "j", BEYOND_F64_INTEGERS + 12, "j"),
                (10, "j", "j", BEYOND_F64_INTEGERS + 12),
            ),
            (
                "and so does the other rendition",
                audio_begins(10, "j", BEYOND_F64_INTEGERS + 11),
                (10, "j", "", BEYOND_F64_INTEGERS + 12),
            ),
        ]
    }

    pub(crate) fn check(what: &str, decision: &SpliceDecision, expected: ExpectedDecision) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let splice_record = decision.splice_record.as_deref().map(text).unwrap_or_default();
        let got = (
            decision.generation,
            text(&decision.switch_record),
            splice_record,
            decision.first_free_number(),
        );
        let (generation, change, splice_record, next) = expected;
        assert_eq!(got, (generation, change.to_owned(), splice_record.to_owned(), next), "{what}");
    }

    #[test]
    fn the_first_proposal_is_decisive() {
        let registry = SpliceRegistry::default();
        for (what, proposal, expected) in proposal_sequence() {
            let decision = registry.propose(&proposal);
            check(what, &decision, expected);
            assert!(decision.is_shared, "{what}");
        }
    }

    /// Two edges decide apart and meet again: the first one's splice is accepted, and the numbers
    /// of the other still count as published.
    #[tokio::test]
    async fn splices_decided_apart_are_settled_by_the_first_proposal() {
        let shared = SpliceRegistry::default();
        let send =
            |proposal: SpliceProposal| std::future::ready(Ok::<_, ()>(shared.propose(&proposal)));
        let edges = [SpliceRegistry::default(), SpliceRegistry::default()];
        for edge in &edges {
            edge.propose_shared(&begins(1, "a", 0, "a0"), send).await.unwrap();
            edge.propose_shared(&publishes(1, "a", 107), send).await.unwrap();
        }
        for (edge, change, next) in [(&edges[0], "b", 109), (&edges[1], "c", 111)] {
            let record = format!("{change}107");
            let alone = edge.propose_locally(&begins(2, change, 107, &record));
            assert!(!alone.is_shared && alone.splice_record == Some(record.into()));
            assert_eq!(edge.propose_locally(&publishes(2, change, next)).next_number, next);
        }
        for (what, edge, proposal, expected) in [
            (
                "the first edge publishes without a splice",
                0,
                publishes(2, "b", 110),
                (2, "b", "", 107),
            ),
            (
                "the first edge proposes its splice",
                0,
                begins(2, "b", 107, "b107"),
                (2, "b", "b107", 107),
            ),
            ("the first edge publishes", 0, publishes(2, "b", 110), (2, "b", "b107", 110)),
            (
                "the second edge gets the first one's splice",
                1,
                publishes(2, "c", 112),
                (2, "b", "b107", 110),
            ),
            (
                "the second edge begins above both",
                1,
                begins(3, "d", 111, "d111"),
                (3, "d", "d111", 111),
            ),
            (
                "the first edge gets the second one's splice",
                0,
                publishes(2, "b", 111),
                (3, "d", "d111", 111),
            ),
        ] {
            let (decision, _) = edges[edge].propose_shared(&proposal, send).await.unwrap();
            check(what, &decision, expected);
        }
    }

    /// An edge decides alone, is killed, and hears what the others have decided meanwhile.
    #[tokio::test]
    async fn numbers_of_another_splice_are_superseded() {
        let stream = StreamId::of_feed("World feed").unwrap();
        let numbers = |next| {
            let renditions = HashMap::from([("v".to_owned(), next)]);
            NextNumbers::from([(stream.clone(), renditions)])
        };
        let own = |first: u64, record: &str| {
            let registry = SpliceRegistry::default();
            registry.propose(&begins(1, "a", first, record));
            registry.raise_next_numbers(numbers(110));
            SpliceRegistry::restore(registry.snapshot(50))
        };
        let only_numbers = |next| {
            let registry = SpliceRegistry::default();
            registry.raise_next_numbers(numbers(next));
            registry
        };
        for (what, own, expected) in [
            ("it had published by another splice", own(100, "a100"), 110),
            ("it goes on by the same", own(107, "b107"), 0),
            ("it is new", SpliceRegistry::default(), 0),
            ("its records are lost, and nobody has heard of its numbers", only_numbers(110), 110),
            ("its records are lost, and the others have come further", only_numbers(109), 0),
        ] {
            let shared = SpliceRegistry::default();
            shared.propose(&begins(2, "b", 107, "b107"));
            shared.propose(&publishes(2, "b", 109));
            let send = |proposal: SpliceProposal| {
                std::future::ready(Ok::<_, ()>(shared.propose(&proposal)))
            };
            let (decision, _) = own.propose_shared(&query("v", 0), send).await.unwrap();
            assert_eq!(decision.superseded_below, expected, "{what}");
            let (decision, _) = own.propose_shared(&query("v", 2), send).await.unwrap();
            assert_eq!(decision.superseded_below, 0, "{what}: it is told once");
        }
    }

    #[test]
    fn shared_decisions_are_taken_over() {
        let (shared, local) = (SpliceRegistry::default(), SpliceRegistry::default());
        for (what, proposal, expected) in proposal_sequence() {
            let decision = shared.propose(&proposal);
            local.apply_decision(&proposal, &decision);
            assert!(!local.apply_decision(&proposal, &decision), "{what}: no news twice");
            check(what, &local.propose(&tests::query(&proposal.rendition, 0)), expected);
        }
    }

    /// A killed process had published more numbers than it had written, up to its reservation.
    #[test]
    fn no_new_splice_begins_below_the_reservation() {
        let before = SpliceRegistry::default();
        before.propose(&begins(1, "a", 0, "a0"));
        before.propose(&publishes(1, "a", 107));
        let snapshot = before.snapshot(50);
        assert_eq!(snapshot.reservations_by_stream().into_values().collect::<Vec<_>>(), [157]);
        let restarted = || SpliceRegistry::restore(snapshot.clone());
        for (what, proposals) in [
            (
                "another source begins above it, and so does its other rendition",
                vec![
                    (begins(2, "b", 107, "b107"), (2, "b", "", 157)),
                    (begins(2, "b", 157, "b157"), (2, "b", "b157", 157)),
                    (
                        SpliceProposal { rendition: "a-en".into(), ..begins(2, "b", 100, "e100") },
                        (2, "b", "", 157),
                    ),
                ],
            ),
            (
                "the same one goes on, and what follows begins where it is",
                vec![
                    (begins(1, "a", 0, "a0"), (1, "a", "a0", 107)),
                    (publishes(1, "a", 107), (1, "a", "a0", 107)),
                    (publishes(1, "a", 112), (1, "a", "a0", 112)),
                    (begins(2, "b", 112, "b112"), (2, "b", "b112", 112)),
                ],
            ),
        ] {
            let registry = restarted();
            for (proposal, expected) in proposals {
                check(what, &registry.propose(&proposal), expected);
            }
        }
    }

    /// Video and audio keep the same numbers when one of two edges was killed and the shared
    /// registry lost everything, whichever edge proposes first and whether or not the second can
    /// ask then.
    #[tokio::test]
    async fn a_reservation_ends_with_shared_knowledge_and_holds_for_all_renditions() {
        let both = |proposal: SpliceProposal| {
            [proposal.clone(), SpliceProposal { rendition: "a-en".into(), ..proposal }]
        };
        let shared = SpliceRegistry::default();
        let send =
            |proposal: SpliceProposal| std::future::ready(Ok::<_, ()>(shared.propose(&proposal)));
        let (knows, killed) = (SpliceRegistry::default(), SpliceRegistry::default());
        for proposal in
            [begins(1, "a", 100, "a"), publishes(1, "a", 107)].into_iter().flat_map(both)
        {
            knows.propose_shared(&proposal, send).await.unwrap();
            killed.propose_shared(&proposal, send).await.unwrap();
        }
        let [video, audio] = both(publishes(1, "a", 109));
        let [next_video, next_audio] = both(begins(2, "b", 109, "b"));
        for (what, proposals, alone, expected) in [
            ("the edge that knows continues", vec![(0, &video), (0, &audio)], 0, 109),
            (
                "both edges propose",
                vec![(0, &video), (1, &video), (0, &audio), (1, &audio)],
                1,
                109,
            ),
            ("each edge proposes one rendition", vec![(0, &audio), (1, &video)], 1, 109),
            ("the killed edge continues", vec![(1, &video), (1, &audio)], 1, 109),
            (
                "both edges and the next audio splice",
                vec![(1, &video), (0, &audio), (1, &next_audio)],
                1,
                109,
            ),
            ("the killed edge continues with one rendition", vec![(1, &audio)], 1, 109),
            ("no edge knows how far the killed one had come", vec![(1, &next_video)], 1, 157),
            ("nor for the other rendition", vec![(1, &next_audio)], 1, 157),
        ] {
            // The shared registry loses all its records.
            *shared.lock_streams() = HashMap::new();
            let copy = |registry: &SpliceRegistry| {
                SpliceRegistry(Mutex::new(registry.lock_streams().clone()))
            };
            let edges = [copy(&knows), SpliceRegistry::restore(killed.snapshot(50))];
            for (edge, proposal) in proposals {
                edges[edge].propose_shared(proposal, send).await.unwrap();
            }
            for proposal in [&next_video, &next_audio] {
                let name = &proposal.rendition;
                let first_free = edges[alone].propose_locally(proposal).first_free_number();
                assert_eq!(first_free, expected, "{what}: {name} alone");
                let (decision, _) = edges[alone].propose_shared(proposal, send).await.unwrap();
                assert_eq!(decision.first_free_number(), expected, "{what}: {name}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_stream_is_forgotten() {
        let registry = SpliceRegistry::default();
        registry.propose(&begins(1, "a", 0, "a0"));
        for (seconds, expected) in
            [(IDLE_STREAM_TTL.as_secs() - 1, 1), (IDLE_STREAM_TTL.as_secs(), 0)]
        {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(registry.propose(&query("v", 0)).generation, expected, "after {seconds} s");
        }
    }
}
