use super::*;

pub(crate) fn query(rendition: &str, generation: u64) -> SpliceProposal {
    let stream = StreamId::of_feed("World feed").unwrap();
    SpliceProposal::query(stream, rendition.to_owned(), generation)
}

fn begins(generation: u64, change: &str, published: u64, record: &str) -> SpliceProposal {
    let start = RenditionStart { published, record: record.into() };
    SpliceProposal { switch_record: change.into(), start: Some(start), ..query("v", generation) }
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
        ("the first edge publishes without a splice", 0, publishes(2, "b", 110), (2, "b", "", 107)),
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
        let send =
            |proposal: SpliceProposal| std::future::ready(Ok::<_, ()>(shared.propose(&proposal)));
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
    for proposal in [begins(1, "a", 100, "a"), publishes(1, "a", 107)].into_iter().flat_map(both) {
        knows.propose_shared(&proposal, send).await.unwrap();
        killed.propose_shared(&proposal, send).await.unwrap();
    }
    let [video, audio] = both(publishes(1, "a", 109));
    let [next_video, next_audio] = both(begins(2, "b", 109, "b"));
    for (what, proposals, alone, expected) in [
        ("the edge that knows continues", vec![(0, &video), (0, &audio)], 0, 109),
        ("both edges propose", vec![(0, &video), (1, &video), (0, &audio), (1, &audio)], 1, 109),
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
        let copy =
            |registry: &SpliceRegistry| SpliceRegistry(Mutex::new(registry.lock_streams().clone()));
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
    for (seconds, expected) in [(IDLE_STREAM_TTL.as_secs() - 1, 1), (IDLE_STREAM_TTL.as_secs(), 0)]
    {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert_eq!(registry.propose(&query("v", 0)).generation, expected, "after {seconds} s");
    }
}
