//! What edges publish of one rendition, alone and together, by tables and in a simulation.

mod simulation;
mod store;

use proptest::prelude::*;

use self::simulation::{SETTLED_POLLS, SimulatedEdge, Simulation, rewritten_playlist};
use self::store::{MessageFault, SharedRegistry};
use super::*;

/// A candidate that the map ranks first, at second 100.
fn candidate<'a>(source: &'a str, text: &'a str) -> SpliceCandidate<'a> {
    SpliceCandidate {
        source,
        preferred_source: source,
        map_version: 1,
        max_target_duration: 0,
        switch_reason: SwitchReason::Map,
        playlist: text.as_bytes(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_duration_stays_while_players_watch() {
    let edge = SimulatedEdge::new(&SharedRegistry::default());
    let publisher = &edge.publisher;
    for (source, claimed, longest, fits, expected, pause_ms) in [
        ("a", 6, 4, true, 6, 0),
        ("claims-more", 8, 6, true, 6, 0),
        ("does-not-say", 6, 8, true, 8, 0),
        ("longer", 8, 8, false, 8, 9000),
        ("a", 6, 4, true, 8, 9000),
    ] {
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:{claimed}\n#EXT-X-MEDIA-SEQUENCE:5\n\
             #EXTINF:{longest},\n{source}.ts\n"
        );
        let candidate = candidate(source, &text);
        assert_eq!(publisher.is_within_target_duration(text.as_bytes()), fits, "{source}");
        let rendition_splice = publisher.propose_splice(&candidate, false).await.unwrap().unwrap();
        let published =
            publisher.publish(&rendition_splice, &rewritten_playlist(&text), false).await.unwrap();
        let PublishOutcome::Playlist(text) = published else { panic!("{source} is not published") };
        let published_target = parse_playlist(&text).unwrap().target_duration;
        let source_switch = publisher.stream_state.current_generation().source_switch.unwrap();
        assert_eq!((published_target, source_switch.pause_ms), (expected, pause_ms), "{source}");
    }
    for (milliseconds, expected) in [(8999, true), (1, false)] {
        tokio::time::advance(Duration::from_millis(milliseconds)).await;
        assert_eq!(publisher.is_player_reload_required(), expected);
    }
}

/// A player reloads once in a target duration.
#[tokio::test(start_paused = true)]
async fn every_player_comes_while_there_is_nothing() {
    for (target_duration, expected) in [(1, 1500), (2, 3000), (3, 4500), (6, 9000)] {
        let edge = SimulatedEdge::new(&SharedRegistry::default());
        for (source, seconds) in [("a", target_duration), ("longer", target_duration + 1)] {
            let text = format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:{seconds}\n#EXTINF:{seconds},\n{source}.ts\n"
            );
            let candidate = candidate(source, &text);
            edge.publisher.propose_splice(&candidate, false).await.unwrap().unwrap();
        }
        let source_switch = edge.publisher.stream_state.current_generation().source_switch.unwrap();
        assert_eq!(source_switch.pause_ms, expected, "{target_duration} s");
    }
}

/// Edges that could not reach each other have decided differently, and agree again in whichever
/// order they are polled.
#[tokio::test(start_paused = true)]
async fn edges_that_decided_apart_come_together() {
    for dated in [true, false] {
        for (order, wait, is_cleared) in
            [([0, 1], 2, false), ([1, 0], 2, false), ([0, 1], 6, false), ([1, 0], 8, true)]
        {
            let what = format!("{order:?} {wait} {is_cleared} {dated}");
            let mut simulation = Simulation::new(dated, [0; 3]);
            for _ in 0..5 {
                simulation.poll_edge(0).await;
                simulation.poll_edge(1).await;
                simulation.advance_time(2).await;
            }
            (0..3).for_each(|edge| simulation.set_reachable(edge, false));
            // The active source fails, and the edges fail over to different ones.
            simulation.edges[0].dead_sources = [true, false, false];
            simulation.poll_edge(0).await;
            simulation.advance_time(wait).await;
            simulation.edges[1].dead_sources = [true, true, false];
            simulation.poll_edge(1).await;
            for _ in 0..3 {
                simulation.advance_time(2).await;
                simulation.poll_edge(0).await;
                simulation.poll_edge(1).await;
            }
            let differ = simulation.last_segment(0).1 != simulation.last_segment(1).1;
            assert!(differ, "{what}: the edges publish the same");
            if is_cleared {
                simulation.clear_registry();
            }
            (0..3).for_each(|edge| simulation.set_reachable(edge, true));
            simulation.edges.iter_mut().for_each(|edge| edge.dead_sources = [true, false, false]);
            let reconnected_at = simulation.last_segment(0).0.max(simulation.last_segment(1).0);
            for _ in 0..10 {
                simulation.advance_time(2).await;
                for edge in order {
                    assert!(simulation.poll_edge(edge).await, "{what}");
                }
                // A third edge is polled for the first time.
                simulation.poll_edge(2).await;
            }
            assert!(
                simulation.last_segment(0).0 >= reconnected_at + 9,
                "{what}: the playlist does not advance"
            );
            let reasons = &simulation.edges[order[0]].publisher.switch_counter;
            assert_eq!(reasons.with_label_values(&["split"]).get(), 1, "{what}");
            for other in [1, 2] {
                assert_eq!(simulation.last_segment(0), simulation.last_segment(other), "{what}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    AdvanceTime(u64),
    PollEdge(usize),
    PreferSource(usize),
    SourceFails(usize, usize),
    SourceRecovers(usize, usize),
    /// The edge is killed, and starts from its disk.
    EdgeKilled(usize),
    /// The edge's machine loses its power, and takes longer to start than a second, after which the
    /// numbers on disk are synced.
    PowerLost(usize),
    /// What the edge was to write is on its disk.
    DiskWritten(usize),
    /// The sequence numbers of a source start again.
    SourceRestarts(usize),
    EdgePartitioned(usize),
    EdgeReconnects(usize),
    /// The shared registry loses its contents.
    RegistryCleared,
    /// The shared registry loses what it was told in so many moments.
    WritesLost(usize),
    /// The next message of an edge to the shared registry fails.
    MessageFails(usize, MessageFault),
    LateMessagesArrive,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0_u64..5).prop_map(Event::AdvanceTime),
        12 => (0_usize..3).prop_map(Event::PollEdge),
        1 => (0_usize..3).prop_map(Event::PreferSource),
        2 => (0_usize..3, 0_usize..3).prop_map(|(edge, source)| Event::SourceFails(edge, source)),
        2 => (0_usize..3, 0_usize..3).prop_map(|(edge, source)| Event::SourceRecovers(edge, source)),
        1 => (0_usize..3).prop_map(Event::EdgeKilled),
        1 => (0_usize..3).prop_map(Event::PowerLost),
        4 => (0_usize..3).prop_map(Event::DiskWritten),
        1 => (0_usize..3).prop_map(Event::SourceRestarts),
        1 => (0_usize..3).prop_map(Event::EdgePartitioned),
        2 => (0_usize..3).prop_map(Event::EdgeReconnects),
        1 => Just(Event::RegistryCleared),
        1 => (1_usize..6).prop_map(Event::WritesLost),
        1 => (0_usize..3).prop_map(|edge| Event::MessageFails(edge, MessageFault::ReplyLost)),
        1 => (0_usize..3).prop_map(|edge| Event::MessageFails(edge, MessageFault::Late)),
        1 => Just(Event::LateMessagesArrive),
    ];
    proptest::collection::vec(event, 1..120)
}

/// Invariants under any events: the numbers on an edge never step back, a number is the same
/// segment for ever, and it is the same segment on all edges that could reach each other, and had,
/// when it was first published. After a start an edge ends no earlier than it had on its disk, and
/// a number is the segment that it was, if the edge had all that it knew on its disk.
async fn check(dated: bool, clock_skews: [i64; 3], events: &[Event]) {
    let mut simulation = Simulation::new(dated, clock_skews);
    for event in events {
        match *event {
            Event::AdvanceTime(seconds) => simulation.advance_time(seconds).await,
            Event::PollEdge(edge) => drop(simulation.poll_edge(edge).await),
            Event::PreferSource(source) => {
                simulation.preferred = source;
                simulation.map_version += 1;
            }
            Event::SourceFails(edge, source) => simulation.edges[edge].dead_sources[source] = true,
            Event::SourceRecovers(edge, source) => {
                simulation.edges[edge].dead_sources[source] = false
            }
            Event::EdgeKilled(edge) => simulation.edges[edge].kill(),
            Event::PowerLost(edge) => {
                simulation.edges[edge].lose_power();
                simulation.advance_time(2).await;
            }
            Event::DiskWritten(edge) => simulation.edges[edge].finish_write(),
            Event::SourceRestarts(source) => simulation.sources[source].offset += 10_000,
            Event::EdgePartitioned(edge) => simulation.set_reachable(edge, false),
            Event::EdgeReconnects(edge) if !simulation.edges[edge].is_reachable() => {
                simulation.set_reachable(edge, true)
            }
            Event::EdgeReconnects(_) => {}
            Event::RegistryCleared => simulation.clear_registry(),
            Event::WritesLost(moments) => simulation.lose_writes(moments),
            Event::MessageFails(edge, fault) => {
                simulation.edges[edge].store.fail_next_message(Some(fault));
            }
            Event::LateMessagesArrive => simulation.deliver_late_messages(),
        }
    }
    // After all sources and edges have recovered, all edges publish the same.
    simulation.deliver_late_messages();
    for edge in &mut simulation.edges {
        edge.dead_sources = [false; 3];
        edge.store.fail_next_message(None);
    }
    for edge in 0..3 {
        if !simulation.edges[edge].is_reachable() {
            simulation.set_reachable(edge, true);
        }
    }
    for _ in 0..SETTLED_POLLS + 6 {
        for edge in 0..3 {
            // An edge that was restarted may wait for its source to come as far as it was.
            simulation.poll_edge(edge).await;
        }
        simulation.advance_time(2).await;
    }
    for edge in 0..3 {
        assert!(simulation.poll_edge(edge).await);
    }
    for edge in 1..3 {
        assert_eq!(simulation.last_segment(0), simulation.last_segment(edge));
    }
}

/// Seconds by which clocks of sources are apart: not at all, a little, more than can be aligned.
fn clock_skews() -> impl Strategy<Value = [i64; 3]> {
    let skew = prop_oneof![4 => Just(0_i64), 2 => -3_i64..4, 1 => Just(-90), 1 => Just(3600)];
    [skew.clone(), skew.clone(), skew]
}

/// 256 schedules in `make test`, and 20 000 with `FULL=1`.
fn config() -> ProptestConfig {
    match std::env::var_os("FULL") {
        Some(_) => ProptestConfig::with_cases(20_000),
        None => ProptestConfig::default(),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn edges_agree_whatever_happens(
        dated in any::<bool>(),
        clock_skews in clock_skews(),
        events in events(),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check(dated, clock_skews, &events));
    }
}
