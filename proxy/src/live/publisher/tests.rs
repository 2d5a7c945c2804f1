//! Simulation of edges that publish one rendition while sources fail and the store between the
//! edges is partitioned or cleared.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use pitwall_hls::{UriReference, Variables};
use pitwall_upstream_map::store::{CurrentMap, SpliceRegistry, StoreError};
use pitwall_upstream_map::{MemoryStore, UpstreamMap};
use prometheus::Opts;
use proptest::prelude::*;
use url::Url;

use super::*;
use crate::playlist::UpstreamPlaylist;
use crate::playlist::rewrite_cache::RewriteKey;

/// The splice registry that the edges share; it may be cleared.
type SharedRegistry = Arc<Mutex<Arc<SpliceRegistry>>>;

/// The store as one edge sees it; the edge may be cut off from it.
struct PartitionableStore {
    shared_registry: SharedRegistry,
    local_registry: SpliceRegistry,
    reachable: AtomicBool,
    memory_store: Arc<MemoryStore>,
}

#[async_trait]
impl Store for PartitionableStore {
    async fn publish(&self, map: UpstreamMap) -> Result<(), StoreError> {
        self.memory_store.publish(map).await
    }

    fn current_map(&self) -> &CurrentMap {
        self.memory_store.current_map()
    }

    async fn propose_splice(&self, proposal: &SpliceProposal) -> SpliceDecision {
        if !self.reachable.load(Ordering::SeqCst) {
            return self.local_registry.propose_locally(proposal);
        }
        let shared_registry =
            self.shared_registry.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let propose = |proposal: SpliceProposal| {
            std::future::ready(Ok::<_, ()>(shared_registry.propose(&proposal)))
        };
        self.local_registry.propose_shared(proposal, propose).await.unwrap().0
    }
}

/// A source that publishes a segment every two seconds, under numbers of its own.
#[derive(Clone, Copy)]
struct SimulatedSource {
    name: &'static str,
    offset: u64,
    dated: bool,
}

const WINDOW_SEGMENTS: u64 = 5;

impl SimulatedSource {
    fn playlist_at(&self, second: u64) -> String {
        let next = second / 2;
        let first = next - WINDOW_SEGMENTS;
        let mut text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n",
            first + self.offset
        );
        for n in first..next {
            if self.dated {
                let at = i64::try_from(1_800_000_000 + n * 2).unwrap();
                let date = Timestamp::from_second(at).unwrap();
                text += &format!("#EXT-X-PROGRAM-DATE-TIME:{date}\n");
            }
            text += &format!("#EXTINF:2,\n{}-{}.ts\n", self.name, n + self.offset);
        }
        text
    }
}

/// A segment as a player sees it: its URI and its discontinuity sequence number.
type SeenSegment = (String, u64);

struct SimulatedEdge {
    store: Arc<PartitionableStore>,
    publisher: Publisher,
    /// Which sources the edge cannot fetch.
    dead_sources: [bool; 3],
    head: (u64, u64),
    /// The number after the last segment, which outlives a restart.
    next_number: u64,
    seen_segments: BTreeMap<u64, SeenSegment>,
    /// How often the edge was polled since all edges could reach each other and knew the published
    /// numbers.
    settled_polls: usize,
}

impl SimulatedEdge {
    fn new(shared_registry: &SharedRegistry) -> Self {
        let store = Arc::new(PartitionableStore {
            shared_registry: shared_registry.clone(),
            local_registry: SpliceRegistry::default(),
            reachable: AtomicBool::new(true),
            memory_store: MemoryStore::new(),
        });
        Self {
            publisher: publisher(&store),
            store,
            dead_sources: [false; 3],
            head: (0, 0),
            next_number: 0,
            seen_segments: BTreeMap::new(),
            settled_polls: SETTLED_POLLS,
        }
    }

    /// Restarts the edge with its persisted registry, which knows how far it had come. It may then
    /// show older segments than before, and ends no earlier.
    fn restart(&mut self) {
        self.publisher = publisher(&self.store);
        self.head = (0, 0);
        self.seen_segments.clear();
    }

    fn is_reachable(&self) -> bool {
        self.store.reachable.load(Ordering::SeqCst)
    }
}

fn publisher(store: &Arc<PartitionableStore>) -> Publisher {
    let stream_state = Arc::new(StreamState::default());
    let counter_opts = Opts::new("switches", "Switches.");
    Publisher {
        store: store.clone(),
        switch_counter: IntCounterVec::new(counter_opts, &["reason"]).unwrap(),
        rendition_state: stream_state.rendition_state("v"),
        stream_state,
        stream: StreamId::of_feed("World feed").unwrap(),
        rendition: "v".to_owned(),
        window: Duration::from_secs(300),
    }
}

struct Simulation {
    shared_registry: SharedRegistry,
    sources: [SimulatedSource; 3],
    /// Source that the map ranks first, and version of the map, as all edges have it.
    preferred: usize,
    map_version: u64,
    second: u64,
    edges: Vec<SimulatedEdge>,
    /// The segment that was first published under each number. `None`: it was published before all
    /// edges had heard of each other, and another edge may have published another segment under the
    /// number.
    first_published: BTreeMap<u64, Option<SeenSegment>>,
}

/// After this many polls each, all edges agree.
const SETTLED_POLLS: usize = 3;

/// Start of the simulated time, long enough for a full window of segments before it.
const START_SECOND: u64 = 1000;

impl Simulation {
    fn new(dated: bool) -> Self {
        let shared_registry = SharedRegistry::default();
        let source = |name, offset| SimulatedSource { name, offset, dated };
        Self {
            edges: (0..3).map(|_| SimulatedEdge::new(&shared_registry)).collect(),
            shared_registry,
            sources: [source("a", 0), source("b", 5_000), source("c", 70)],
            preferred: 0,
            map_version: 1,
            second: START_SECOND,
            first_published: BTreeMap::new(),
        }
    }

    fn set_reachable(&mut self, edge: usize, is_reachable: bool) {
        self.edges[edge].store.reachable.store(is_reachable, Ordering::SeqCst);
        self.reset_settled();
    }

    fn clear_registry(&mut self) {
        *self.shared_registry.lock().unwrap() = Arc::default();
        // The edges that have not published these numbers cannot learn what the segments were.
        self.first_published.values_mut().for_each(|first| *first = None);
        self.reset_settled();
    }

    fn reset_settled(&mut self) {
        self.edges.iter_mut().for_each(|edge| edge.settled_polls = 0);
    }

    /// Whether all edges can reach each other, and have polled often enough since.
    fn is_settled(&self) -> bool {
        self.edges.iter().all(|edge| edge.settled_polls >= SETTLED_POLLS && edge.is_reachable())
    }

    async fn advance_time(&mut self, seconds: u64) {
        self.second += seconds;
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    /// Selects the source that the edge polls, as `select_upstream` does.
    fn select_source(&self, edge: &SimulatedEdge) -> Option<usize> {
        let is_alive = |one: &usize| !edge.dead_sources[*one];
        let active_source = edge.publisher.active_source();
        let active = self.sources.iter().position(|one| Some(one.name) == active_source.as_deref());
        let current_generation = edge.publisher.stream_state.current_generation();
        let has_newer_map = current_generation
            .source_switch
            .is_some_and(|source_switch| self.map_version > source_switch.map);
        let must_move = current_generation.shared && has_newer_map && is_alive(&self.preferred);
        let best = [self.preferred, 0, 1, 2].into_iter().find(is_alive);
        active.filter(|active| is_alive(active) && !must_move).or(best)
    }

    /// Polls an edge as a player does. Returns whether there was a playlist.
    async fn poll_edge(&mut self, edge: usize) -> bool {
        let text = self.publish_on_edge(edge).await;
        let Some(text) = text else { return false };
        self.assert_consistent(edge, std::str::from_utf8(&text).unwrap());
        // The counts rise one after the other, so that each edge has heard what the others have
        // published.
        let least = self.edges.iter().map(|edge| edge.settled_polls).min().unwrap_or_default();
        let all = self.edges.iter().all(SimulatedEdge::is_reachable);
        let edge = &mut self.edges[edge];
        edge.settled_polls = if all { edge.settled_polls.max(least + 1) } else { 0 };
        true
    }

    async fn publish_on_edge(&self, edge: usize) -> Option<Bytes> {
        let edge = &self.edges[edge];
        let publisher = &edge.publisher;
        for _ in 0..PROPOSAL_ATTEMPTS_MAX {
            let source = self.sources[self.select_source(edge)?];
            let text = source.playlist_at(self.second);
            let candidate = SpliceCandidate {
                source: source.name,
                preferred_source: self.sources[self.preferred].name,
                map_version: self.map_version,
                max_target_duration: 2,
                switch_reason: SwitchReason::Map,
                playlist: text.as_bytes(),
            };
            let Some(rendition_splice) = publisher.propose_splice(&candidate, false).await.unwrap()
            else {
                continue;
            };
            let rewritten = rewritten_playlist(&text);
            match publisher.check_continuity(&rendition_splice, &rewritten).0 {
                PlaylistContinuity::Continuous => {}
                PlaylistContinuity::Behind => {
                    return publisher.rendition_state.last_published(Duration::MAX / 8);
                }
                PlaylistContinuity::Superseded => continue,
                PlaylistContinuity::Restarted => {
                    publisher.propose_splice(&candidate, true).await.unwrap();
                    continue;
                }
            }
            match publisher.publish(&rendition_splice, &rewritten, false).await.unwrap() {
                PublishOutcome::Playlist(text) => return Some(text),
                PublishOutcome::Behind => {
                    return publisher.rendition_state.last_published(Duration::MAX / 8);
                }
                PublishOutcome::Superseded => {}
            }
        }
        panic!("edges do not agree");
    }

    fn assert_consistent(&mut self, edge: usize, text: &str) {
        let settled = self.is_settled();
        let (name, edge) = (edge, &mut self.edges[edge]);
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.parse::<u64>().unwrap()).unwrap_or_default()
        };
        let mut number = value("#EXT-X-MEDIA-SEQUENCE:");
        let mut discontinuity = value("#EXT-X-DISCONTINUITY-SEQUENCE:");
        let head = (number, discontinuity);
        let last = std::mem::replace(&mut edge.head, head);
        assert!(head.0 >= last.0 && head.1 >= last.1, "{name}: {last:?} to {head:?}: {text}");
        for line in text.lines() {
            discontinuity += u64::from(line == "#EXT-X-DISCONTINUITY");
            if line.starts_with('#') {
                continue;
            }
            let now = (line.to_owned(), discontinuity);
            if let Some(before) = edge.seen_segments.insert(number, now.clone()) {
                assert_eq!(before, now, "{name}: {number} has changed: {text}");
            } else if settled {
                let first = self.first_published.entry(number).or_insert_with(|| Some(now.clone()));
                let same = first.as_ref().is_none_or(|first| *first == now);
                assert!(same, "{name}: {number} is {now:?}, and was {first:?}: {text}");
            } else {
                let first = self.first_published.entry(number).or_default();
                *first = first.take().filter(|first| *first == now);
            }
            number += 1;
        }
        assert!(number >= edge.next_number, "{name}: {} to {number}: {text}", edge.next_number);
        edge.next_number = number;
    }

    fn last_segment(&self, edge: usize) -> (u64, &SeenSegment) {
        let last = self.edges[edge].seen_segments.last_key_value().unwrap();
        (*last.0, last.1)
    }
}

fn rewritten_playlist(text: &str) -> RewrittenPlaylist {
    let rewrite_key = RewriteKey {
        base_url: Url::parse("http://origin.example/v.m3u8").unwrap(),
        seal_period: 1,
        expires: None,
        extension: "ts",
        upstream_generation: 1,
        splice: None,
    };
    let (body, base_url) = (text.to_owned().into(), rewrite_key.base_url.clone());
    let upstream_playlist = UpstreamPlaylist { body, base_url, fetch_duration: Duration::ZERO };
    let mut uri_mapper = |reference: &UriReference<'_>, out: &mut Vec<u8>| {
        out.extend_from_slice(reference.url.rsplit('/').next().unwrap().as_bytes());
    };
    RewrittenPlaylist::rewrite(
        None,
        upstream_playlist,
        rewrite_key,
        &Variables::default(),
        "x",
        &mut uri_mapper,
    )
    .unwrap()
}

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
        ("does-not-say", 6, 8, true, 6, 0),
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
            let mut simulation = Simulation::new(dated);
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
    EdgeRestarts(usize),
    /// The sequence numbers of a source start again.
    SourceRestarts(usize),
    EdgePartitioned(usize),
    EdgeReconnects(usize),
    /// The shared registry loses its contents.
    RegistryCleared,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0_u64..5).prop_map(Event::AdvanceTime),
        12 => (0_usize..3).prop_map(Event::PollEdge),
        1 => (0_usize..3).prop_map(Event::PreferSource),
        2 => (0_usize..3, 0_usize..3).prop_map(|(edge, source)| Event::SourceFails(edge, source)),
        2 => (0_usize..3, 0_usize..3).prop_map(|(edge, source)| Event::SourceRecovers(edge, source)),
        1 => (0_usize..3).prop_map(Event::EdgeRestarts),
        1 => (0_usize..3).prop_map(Event::SourceRestarts),
        1 => (0_usize..3).prop_map(Event::EdgePartitioned),
        2 => (0_usize..3).prop_map(Event::EdgeReconnects),
        1 => Just(Event::RegistryCleared),
    ];
    proptest::collection::vec(event, 1..120)
}

/// Invariants under any events: the numbers on an edge never step back, a number is the same
/// segment for ever, and it is the same segment on all edges that could reach each other, and had,
/// when it was first published.
async fn check(dated: bool, events: &[Event]) {
    let mut simulation = Simulation::new(dated);
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
            Event::EdgeRestarts(edge) => simulation.edges[edge].restart(),
            Event::SourceRestarts(source) => simulation.sources[source].offset += 10_000,
            Event::EdgePartitioned(edge) => simulation.set_reachable(edge, false),
            Event::EdgeReconnects(edge) if !simulation.edges[edge].is_reachable() => {
                simulation.set_reachable(edge, true)
            }
            Event::EdgeReconnects(_) => {}
            Event::RegistryCleared => simulation.clear_registry(),
        }
    }
    // After all sources and edges have recovered, all edges publish the same.
    for edge in &mut simulation.edges {
        edge.dead_sources = [false; 3];
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

proptest! {
    #[test]
    fn edges_agree_whatever_happens(dated in any::<bool>(), events in events()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check(dated, &events));
    }
}
