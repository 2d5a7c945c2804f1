//! The rules of the splice registry (docs/splice.md), for any sequence of proposals, some of which
//! are lost on their way to the shared registry or on their way back.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::ready;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::store::splice_proposal::{RenditionStart, SpliceProposal};
use crate::store::splice_registry::SpliceRegistry;
use crate::stream::StreamId;

/// Numbers near each other, and at the limits of what is counted: Lua's numbers end at 2^53.
const NUMBERS: [u64; 8] =
    [0, 5, 100, (1 << 53) - 1, (1 << 53) + 1, i64::MAX as u64, u64::MAX - 1, u64::MAX];
const EDGES: usize = 3;
const STEP_BYTES: usize = 5;

/// What a registry has decided last, by rendition.
#[derive(Clone, Default)]
struct LastDecisions {
    generation: u64,
    switch_record: Vec<u8>,
    /// Splice record and next number.
    renditions: HashMap<String, (Option<Vec<u8>>, u64)>,
}

/// What becomes of a message to the shared registry.
#[derive(Clone, Copy, PartialEq)]
enum Delivery {
    Delivered,
    Lost,
    ReplyLost,
}

/// Runs the steps: five bytes are one proposal of one edge. Checks that no registry goes back to an
/// earlier generation or lowers a next number, and that the shared one replaces no record that is in
/// force and raises no number of a rendition that has no splice record.
pub fn splice_registry(data: &[u8]) {
    let Some(stream) = StreamId::of_feed("World feed") else { return };
    let shared = SpliceRegistry::default();
    let edges: [SpliceRegistry; EDGES] = Default::default();
    // The shared registry is the last one.
    let last_decisions: RefCell<[LastDecisions; EDGES + 1]> = RefCell::default();
    for step in data.as_chunks::<STEP_BYTES>().0 {
        let [who, what, generation, number, age] = *step;
        let edge = usize::from(who) % EDGES;
        let Some(registry) = edges.get(edge) else { continue };
        let proposal = build_proposal(&stream, what, generation, number, age);
        let delivery = match who / 16 {
            0..=9 => Delivery::Delivered,
            10..=12 => Delivery::Lost,
            _ => Delivery::ReplyLost,
        };
        let shared_decision = pin!(registry.propose_shared(&proposal, |proposal| {
            if delivery == Delivery::Lost {
                return ready(Err(()));
            }
            let decision = shared.propose(&proposal);
            check(&mut last_decisions.borrow_mut()[EDGES], &proposal, &shared, true);
            ready(if delivery == Delivery::ReplyLost { Err(()) } else { Ok(decision) })
        }));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(decision) = shared_decision.poll(&mut context) else {
            panic!("a registry waits for something else than the message")
        };
        if decision.is_err() {
            registry.propose_locally(&proposal);
        }
        check(&mut last_decisions.borrow_mut()[edge], &proposal, registry, false);
    }
}

fn build_proposal(
    stream: &StreamId,
    what: u8,
    generation: u8,
    number: u8,
    age: u8,
) -> SpliceProposal {
    let rendition = if what & 1 == 0 { "v" } else { "a" };
    let base = NUMBERS[usize::from(number >> 5)];
    let number = base.saturating_add(u64::from(number & 31));
    let record = |kind: &str| format!("{kind}{}", what >> 5).into_bytes();
    let start = RenditionStart { published: number, record: record("splice") };
    let query = SpliceProposal::query(stream.clone(), rendition.to_owned(), generation.into());
    let proposal = SpliceProposal {
        switch_record: record("switch"),
        reserved_below: if age & 7 == 7 { number } else { 0 },
        generation_age: (age > 127).then(|| std::time::Duration::from_secs(age.into())),
        ..query.clone()
    };
    match what >> 1 & 3 {
        0 => query,
        1 => SpliceProposal { start: Some(start), ..proposal },
        2 => SpliceProposal { start: Some(start), is_restored: true, ..proposal },
        _ => SpliceProposal { next_number: number, tail_record: record("tail"), ..proposal },
    }
}

/// Compares what a registry says now with what it has said before. An edge may give up what it has
/// decided alone, but neither a generation nor a number.
fn check(
    last_decisions: &mut LastDecisions,
    proposal: &SpliceProposal,
    registry: &SpliceRegistry,
    is_shared: bool,
) {
    let (stream, rendition) = (proposal.stream.clone(), proposal.rendition.clone());
    let now = registry.propose(&SpliceProposal::query(stream, rendition.clone(), 0));
    let (record, next_number) = last_decisions.renditions.entry(rendition).or_default();
    assert!(now.generation >= last_decisions.generation, "an earlier generation");
    assert!(now.next_number >= *next_number, "{next_number} steps back to {}", now.next_number);
    assert!(now.first_free_number() >= now.next_number);
    let is_new = now.generation > last_decisions.generation;
    if is_shared && !is_new {
        assert_eq!(now.switch_record, last_decisions.switch_record, "another switch record");
        if record.is_some() {
            assert_eq!(now.splice_record, *record, "another splice record");
        } else if now.splice_record.is_none() {
            assert_eq!(now.next_number, *next_number, "a number without a splice record");
        }
    }
    (*record, *next_number) = (now.splice_record.clone(), now.next_number);
    if is_new {
        // The generation begins without splice records, and next numbers stay.
        last_decisions.renditions.values_mut().for_each(|(record, _)| *record = None);
        (last_decisions.generation, last_decisions.switch_record) =
            (now.generation, now.switch_record);
    }
}
