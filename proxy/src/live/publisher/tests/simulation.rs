//! Edges that publish one rendition while sources fail, edges are killed, and the store between the
//! edges fails in every way it can.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use pitwall_hls::{UriReference, Variables};
use pitwall_upstream_map::StreamId;
use pitwall_upstream_map::store::{RegistrySnapshot, SpliceRegistry};
use prometheus::{IntCounterVec, Opts};
use url::Url;

use super::super::{
    PROPOSAL_ATTEMPTS_MAX, PlaylistContinuity, PublishOutcome, Publisher, SpliceCandidate,
    StreamState, SwitchReason,
};
use super::store::{FaultyStore, SharedRegistry};
use crate::playlist::UpstreamPlaylist;
use crate::playlist::rewrite_cache::{RewriteKey, RewrittenPlaylist};

/// A source that publishes a segment every two seconds, under numbers of its own.
#[derive(Clone, Copy)]
pub(super) struct SimulatedSource {
    name: &'static str,
    pub(super) offset: u64,
    dated: bool,
    /// By how many seconds its clock is ahead.
    clock_skew: i64,
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
                let at = i64::try_from(1_800_000_000 + n * 2).unwrap() + self.clock_skew;
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

pub(super) struct SimulatedEdge {
    pub(super) store: Arc<FaultyStore>,
    pub(super) publisher: Publisher,
    /// Which sources the edge cannot fetch.
    pub(super) dead_sources: [bool; 3],
    head: (u64, u64),
    pub(super) seen_segments: BTreeMap<u64, SeenSegment>,
    /// What was seen before the edge was killed, while all that it knew was on its disk.
    seen_before_kill: BTreeMap<u64, SeenSegment>,
    /// The highest number that was on disk before it was published. No playlist ends below it, also
    /// after a start.
    next_before_kill: u64,
    /// From this number on, what was seen before the machine lost its power is known by the
    /// reservation only.
    unsynced_from: u64,
    /// How often the edge was polled since all edges could reach each other and knew the published
    /// numbers.
    settled_polls: usize,
}

impl SimulatedEdge {
    pub(super) fn new(shared_registry: &SharedRegistry) -> Self {
        let store = FaultyStore::new(shared_registry);
        Self {
            publisher: publisher(&store),
            store,
            dead_sources: [false; 3],
            head: (0, 0),
            seen_segments: BTreeMap::new(),
            seen_before_kill: BTreeMap::new(),
            next_before_kill: 0,
            unsynced_from: u64::MAX,
            settled_polls: SETTLED_POLLS,
        }
    }

    /// Kills the edge, which starts again from its disk.
    pub(super) fn kill(&mut self) {
        if self.store.is_journal_written() {
            self.next_before_kill = self.next_before_kill.max(self.next_number());
        }
        let seen = std::mem::take(&mut self.seen_segments);
        match self.store.is_written() {
            true => self.seen_before_kill.extend(seen),
            false => self.seen_before_kill.clear(),
        }
        self.store.restart();
        self.publisher = publisher(&self.store);
        self.head = (0, 0);
    }

    /// As [`kill`](Self::kill), and what was not synced is lost: how far the edge had come it knows
    /// only by what is reserved.
    pub(super) fn lose_power(&mut self) {
        let next_number = if self.store.is_written() { self.next_number() } else { 0 };
        self.unsynced_from = self.store.lose_unsynced();
        self.kill();
        self.next_before_kill = next_number;
        if self.is_reachable() {
            self.forget_unsynced();
        }
    }

    /// Others can be asked, who do not heed the reservation where they have a splice.
    fn forget_unsynced(&mut self) {
        let from = std::mem::replace(&mut self.unsynced_from, u64::MAX);
        self.seen_before_kill.retain(|number, _| *number < from);
        self.next_before_kill = self.next_before_kill.min(from);
    }

    fn next_number(&self) -> u64 {
        self.seen_segments.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// What was to be written reaches the disk.
    pub(super) fn finish_write(&self) {
        self.store.finish_write(self.next_number());
    }

    pub(super) fn is_reachable(&self) -> bool {
        self.store.reachable.load(Ordering::SeqCst)
    }
}

fn publisher(store: &Arc<FaultyStore>) -> Publisher {
    let stream_state = Arc::new(StreamState::default());
    let counter_opts = Opts::new("switches", "Switches.");
    Publisher {
        store: store.clone(),
        switch_counter: IntCounterVec::new(counter_opts, &["reason"]).unwrap(),
        rendition_state: stream_state.get_or_create_rendition("v"),
        stream_state,
        stream: StreamId::of_feed("World feed").unwrap(),
        rendition: "v".to_owned(),
        window: Duration::from_secs(300),
    }
}

pub(super) struct Simulation {
    shared_registry: SharedRegistry,
    /// What the shared registry was, at each moment.
    checkpoints: Vec<RegistrySnapshot>,
    pub(super) sources: [SimulatedSource; 3],
    /// Source that the map ranks first, and version of the map, as all edges have it.
    pub(super) preferred: usize,
    pub(super) map_version: u64,
    second: u64,
    pub(super) edges: Vec<SimulatedEdge>,
    /// The segment that was first published under each number. `None`: it was published before all
    /// edges had heard of each other, and another edge may have published another segment under the
    /// number.
    first_published: BTreeMap<u64, Option<SeenSegment>>,
    /// Under each number, the URIs of segments with the edges that have published them.
    published: BTreeMap<u64, BTreeSet<(usize, String)>>,
}

/// After this many polls each, all edges agree.
pub(super) const SETTLED_POLLS: usize = 3;

/// Start of the simulated time, long enough for a full window of segments before it.
const START_SECOND: u64 = 1000;

impl Simulation {
    pub(super) fn new(dated: bool, clock_skews: [i64; 3]) -> Self {
        let shared_registry = SharedRegistry::default();
        let source = |name, offset, clock_skew| SimulatedSource { name, offset, dated, clock_skew };
        let [a, b, c] = clock_skews;
        Self {
            edges: (0..3).map(|_| SimulatedEdge::new(&shared_registry)).collect(),
            shared_registry,
            checkpoints: Vec::new(),
            sources: [source("a", 0, a), source("b", 5_000, b), source("c", 70, c)],
            preferred: 0,
            map_version: 1,
            second: START_SECOND,
            first_published: BTreeMap::new(),
            published: BTreeMap::new(),
        }
    }

    pub(super) fn set_reachable(&mut self, edge: usize, is_reachable: bool) {
        self.edges[edge].store.reachable.store(is_reachable, Ordering::SeqCst);
        if is_reachable {
            self.edges[edge].forget_unsynced();
        }
        self.reset_settled();
    }

    pub(super) fn clear_registry(&mut self) {
        self.replace_registry(Arc::default());
    }

    /// A replica takes over that lacks the writes of the last moments.
    pub(super) fn lose_writes(&mut self, moments: usize) {
        let kept = self.checkpoints.len().saturating_sub(moments);
        self.checkpoints.truncate(kept);
        let registry = self.checkpoints.last().cloned().map(SpliceRegistry::restore);
        self.replace_registry(Arc::new(registry.unwrap_or_default()));
    }

    fn replace_registry(&mut self, registry: Arc<SpliceRegistry>) {
        *self.shared_registry.registry.lock().unwrap() = registry;
        // The edges that have not published these numbers cannot learn what the segments were.
        self.first_published.values_mut().for_each(|first| *first = None);
        self.reset_settled();
    }

    fn reset_settled(&mut self) {
        self.edges.iter_mut().for_each(|edge| edge.settled_polls = 0);
    }

    /// Messages arrive that their senders have given up.
    pub(super) fn deliver_late_messages(&mut self) {
        if self.shared_registry.deliver_late() {
            self.reset_settled();
        }
    }

    /// Whether all edges can reach each other, and have polled often enough since.
    fn is_settled(&self) -> bool {
        self.edges.iter().all(|edge| edge.settled_polls >= SETTLED_POLLS && edge.is_reachable())
    }

    pub(super) async fn advance_time(&mut self, seconds: u64) {
        for edge in &self.edges {
            edge.store.finish_journal();
            if seconds > 0 {
                edge.store.sync_journal();
            }
        }
        self.checkpoints.push(self.shared_registry.current().snapshot(0));
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
    pub(super) async fn poll_edge(&mut self, edge: usize) -> bool {
        let text = self.publish_on_edge(edge).await;
        let has_decided_alone = self.edges[edge].store.take_message_failed();
        if has_decided_alone {
            self.reset_settled();
        }
        let Some(text) = text else { return false };
        self.assert_consistent(edge, std::str::from_utf8(&text).unwrap());
        // The counts rise one after the other, so that each edge has heard what the others have
        // published.
        let least = self.edges.iter().map(|edge| edge.settled_polls).min().unwrap_or_default();
        let all = self.edges.iter().all(SimulatedEdge::is_reachable) && !has_decided_alone;
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
        let splice = edge.publisher.rendition_state.splice();
        let splice_point = splice.map_or(0, |splice| splice.splice.from.published);
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
            let published = self.published.entry(number).or_default();
            let before = edge.seen_before_kill.get(&number).unwrap_or(&now);
            // In front of the splice point a number that edges had published apart is, after a
            // start, what they have agreed on since.
            let is_settled_since = || {
                number < splice_point
                    && (before.0 == now.0
                        || published.iter().any(|(other, uri)| *other != name && *uri == now.0))
            };
            assert!(
                *before == now || is_settled_since(),
                "{name}: {number} was {before:?} before a kill, is {now:?}: {text}"
            );
            published.insert((name, now.0.clone()));
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
        let before = edge.next_before_kill;
        assert!(number >= before, "{name}: ends at {number}, and {before} before a kill: {text}");
    }

    pub(super) fn last_segment(&self, edge: usize) -> (u64, &SeenSegment) {
        let last = self.edges[edge].seen_segments.last_key_value().unwrap();
        (*last.0, last.1)
    }
}

pub(super) fn rewritten_playlist(text: &str) -> RewrittenPlaylist {
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
