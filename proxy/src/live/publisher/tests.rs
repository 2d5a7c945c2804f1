//! Edges that publish one rendition, whatever becomes of their sources and of the store between
//! them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use pitwall_hls::{Reference, Variables};
use pitwall_upstream_map::store::{Held, Ledger, StoreError};
use pitwall_upstream_map::{MemoryStore, UpstreamMap};
use prometheus::Opts;
use proptest::prelude::*;
use url::Url;

use super::*;
use crate::playlists::UpstreamAnswer;
use crate::playlists::version::Terms;

/// What edges have between them. It may be emptied.
type Redis = Arc<Mutex<Arc<Ledger>>>;

/// A store that can be cut off, as one edge sees it.
struct Reach {
    redis: Redis,
    own: Ledger,
    reachable: AtomicBool,
    rest: Arc<MemoryStore>,
}

#[async_trait]
impl Store for Reach {
    async fn publish(&self, map: UpstreamMap) -> Result<(), StoreError> {
        self.rest.publish(map).await
    }

    fn held(&self) -> &Held {
        self.rest.held()
    }

    async fn agree(&self, word: &Word) -> Agreed {
        if !self.reachable.load(Ordering::SeqCst) {
            return self.own.agree_alone(word);
        }
        let redis = self.redis.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let say = |word: Word| std::future::ready(Ok::<_, ()>(redis.agree(&word)));
        self.own.agree_with(word, say).await.unwrap().0
    }
}

/// One that publishes a segment every two seconds, under numbers of its own.
#[derive(Clone, Copy)]
struct Source {
    name: &'static str,
    offset: u64,
    dated: bool,
}

const WINDOW: u64 = 5;

impl Source {
    fn at(&self, second: u64) -> String {
        let next = second / 2;
        let first = next - WINDOW;
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

/// A segment, as a player sees it: its line, and its discontinuity number.
type Seen = (String, u64);

struct Edge {
    store: Arc<Reach>,
    publisher: Publisher,
    /// Which sources it cannot have.
    dead: [bool; 3],
    head: (u64, u64),
    seen: BTreeMap<u64, Seen>,
    /// How often it was polled since they all can ask each other, and know what was.
    polls: usize,
}

impl Edge {
    fn new(redis: &Redis) -> Self {
        let store = Arc::new(Reach {
            redis: redis.clone(),
            own: Ledger::default(),
            reachable: AtomicBool::new(true),
            rest: MemoryStore::new(),
        });
        Self {
            publisher: publisher(&store),
            store,
            dead: [false; 3],
            head: (0, 0),
            seen: BTreeMap::new(),
            polls: SETTLED,
        }
    }

    /// With what is on its disk. It may show more of what was than before.
    fn restarts(&mut self) {
        self.publisher = publisher(&self.store);
        self.head = (0, 0);
        self.seen.clear();
    }

    fn is_reachable(&self) -> bool {
        self.store.reachable.load(Ordering::SeqCst)
    }
}

fn publisher(store: &Arc<Reach>) -> Publisher {
    let line = Arc::new(Line::default());
    let switches = Opts::new("switches", "Switches.");
    Publisher {
        store: store.clone(),
        switches: IntCounterVec::new(switches, &["reason"]).unwrap(),
        track: line.track("v"),
        line,
        stream: StreamId::of_feed("World feed").unwrap(),
        rendition: "v".to_owned(),
        window: Duration::from_secs(300),
    }
}

struct World {
    redis: Redis,
    sources: [Source; 3],
    /// The map, as everybody has it.
    picked: usize,
    map: u64,
    second: u64,
    edges: Vec<Edge>,
    /// What was published first by anybody, of each number. `None`: before they had all heard of
    /// each other, who may have meant something else by it.
    first: BTreeMap<u64, Option<Seen>>,
}

/// After so many polls of each edge they have come together.
const SETTLED: usize = 3;

/// Long before anything begins.
const BEGIN: u64 = 1000;

impl World {
    fn new(dated: bool) -> Self {
        let redis = Redis::default();
        let source = |name, offset| Source { name, offset, dated };
        Self {
            edges: (0..3).map(|_| Edge::new(&redis)).collect(),
            redis,
            sources: [source("a", 0), source("b", 5_000), source("c", 70)],
            picked: 0,
            map: 1,
            second: BEGIN,
            first: BTreeMap::new(),
        }
    }

    fn reachable(&mut self, edge: usize, is: bool) {
        self.edges[edge].store.reachable.store(is, Ordering::SeqCst);
        self.unsettled();
    }

    fn emptied(&mut self) {
        *self.redis.lock().unwrap() = Arc::default();
        // Who has not published these has nobody to ask what they were.
        self.first.values_mut().for_each(|first| *first = None);
        self.unsettled();
    }

    fn unsettled(&mut self) {
        self.edges.iter_mut().for_each(|edge| edge.polls = 0);
    }

    /// Can all ask each other, and have they?
    fn is_settled(&self) -> bool {
        self.edges.iter().all(|edge| edge.polls >= SETTLED && edge.is_reachable())
    }

    async fn passes(&mut self, seconds: u64) {
        self.second += seconds;
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    /// As [`choose`](super::super::choose) does.
    fn choose(&self, edge: &Edge) -> Option<usize> {
        let alive = |one: &usize| !edge.dead[*one];
        let playing = edge.publisher.playing();
        let plays = self.sources.iter().position(|one| Some(one.name) == playing.as_deref());
        let latest = edge.publisher.line.latest();
        let newer = latest.change.is_some_and(|change| self.map > change.map);
        let moves = latest.shared && newer && alive(&self.picked);
        let best = [self.picked, 0, 1, 2].into_iter().find(alive);
        plays.filter(|plays| alive(plays) && !moves).or(best)
    }

    /// A player polls an edge. Says whether there was an answer.
    async fn polls(&mut self, edge: usize) -> bool {
        let text = self.answers(edge).await;
        let Some(text) = text else { return false };
        self.sees(edge, std::str::from_utf8(&text).unwrap());
        // One after the other, so that each has heard what the others made of it.
        let least = self.edges.iter().map(|edge| edge.polls).min().unwrap_or_default();
        let all = self.edges.iter().all(Edge::is_reachable);
        let edge = &mut self.edges[edge];
        edge.polls = if all { edge.polls.max(least + 1) } else { 0 };
        true
    }

    async fn answers(&self, edge: usize) -> Option<Bytes> {
        let edge = &self.edges[edge];
        let publisher = &edge.publisher;
        for _ in 0..TURNS {
            let source = self.sources[self.choose(edge)?];
            let text = source.at(self.second);
            let offer = Offer {
                source: source.name,
                picked: self.sources[self.picked].name,
                map: self.map,
                now: self.second,
                target_duration: 2,
                reason: Reason::Map,
                playlist: text.as_bytes(),
            };
            let Some(part) = publisher.part(&offer, false).await.unwrap() else { continue };
            let version = version(&text);
            match publisher.step(&part, &version).0 {
                Step::Ahead => {}
                Step::Behind => return publisher.track.shown(Duration::MAX / 8),
                Step::Over => continue,
                Step::Restarted => {
                    publisher.part(&offer, true).await.unwrap();
                    continue;
                }
            }
            match publisher.publish(&part, &version, false).await.unwrap() {
                Published::Text(text) => return Some(text),
                Published::Behind => return publisher.track.shown(Duration::MAX / 8),
                Published::Over => {}
            }
        }
        panic!("edges do not agree");
    }

    fn sees(&mut self, edge: usize, text: &str) {
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
            if let Some(before) = edge.seen.insert(number, now.clone()) {
                assert_eq!(before, now, "{name}: {number} has changed: {text}");
            } else if settled {
                let first = self.first.entry(number).or_insert_with(|| Some(now.clone()));
                let same = first.as_ref().is_none_or(|first| *first == now);
                assert!(same, "{name}: {number} is {now:?}, and was {first:?}: {text}");
            } else {
                let first = self.first.entry(number).or_default();
                *first = first.take().filter(|first| *first == now);
            }
            number += 1;
        }
    }

    fn last(&self, edge: usize) -> (u64, &Seen) {
        let last = self.edges[edge].seen.last_key_value().unwrap();
        (*last.0, last.1)
    }
}

fn version(text: &str) -> Version {
    let terms = Terms {
        base: Url::parse("http://origin.example/v.m3u8").unwrap(),
        seal_period: 1,
        expires: None,
        extension: "ts",
        generation: 1,
        splice: None,
    };
    let (body, base) = (text.to_owned().into(), terms.base.clone());
    let answer = UpstreamAnswer { body, base, took: Duration::ZERO };
    let mut linker = |reference: &Reference<'_>, out: &mut Vec<u8>| {
        out.extend_from_slice(reference.url.rsplit('/').next().unwrap().as_bytes());
    };
    Version::make(None, answer, terms, &Variables::default(), "x", &mut linker).unwrap()
}

/// The source that the map has picked, at second 100.
fn offer_of<'a>(source: &'a str, text: &'a str) -> Offer<'a> {
    Offer {
        source,
        picked: source,
        map: 1,
        now: 100,
        target_duration: 0,
        reason: Reason::Map,
        playlist: text.as_bytes(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_duration_stays_while_players_watch() {
    let edge = Edge::new(&Redis::default());
    let publisher = &edge.publisher;
    for (source, claimed, longest, fits, expected, nothing_until) in [
        ("a", 6, 4, true, 6, 0),
        ("claims-more", 8, 6, true, 6, 0),
        ("does-not-say", 6, 8, true, 6, 0),
        ("longer", 8, 8, false, 8, 109),
        ("a", 6, 4, true, 8, 109),
    ] {
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:{claimed}\n#EXT-X-MEDIA-SEQUENCE:5\n\
             #EXTINF:{longest},\n{source}.ts\n"
        );
        let offer = offer_of(source, &text);
        assert_eq!(publisher.fits(text.as_bytes()), fits, "{source}");
        let part = publisher.part(&offer, false).await.unwrap().unwrap();
        let published = publisher.publish(&part, &version(&text), false).await.unwrap();
        let Published::Text(text) = published else { panic!("{source} is not published") };
        let told = cut_of(&text).unwrap().target_duration;
        let change = publisher.line.latest().change.unwrap();
        assert_eq!((told, change.nothing_until), (expected, nothing_until), "{source}");
    }
    assert!(publisher.is_anew(108) && !publisher.is_anew(109));
}

/// The second in which it is decided has begun already, and a player comes once in a target duration.
#[tokio::test(start_paused = true)]
async fn every_player_comes_while_there_is_nothing() {
    for (told, expected) in [(1, 102), (2, 103), (3, 105), (6, 109)] {
        let edge = Edge::new(&Redis::default());
        for (source, seconds) in [("a", told), ("longer", told + 1)] {
            let text = format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:{seconds}\n#EXTINF:{seconds},\n{source}.ts\n"
            );
            let offer = offer_of(source, &text);
            edge.publisher.part(&offer, false).await.unwrap().unwrap();
        }
        let change = edge.publisher.line.latest().change.unwrap();
        assert_eq!(change.nothing_until, expected, "{told} s");
    }
}

/// What edges that could not ask each other decided, in whichever order they speak again.
#[tokio::test(start_paused = true)]
async fn edges_that_decided_apart_come_together() {
    for dated in [true, false] {
        for (order, wait, emptied) in
            [([0, 1], 2, false), ([1, 0], 2, false), ([0, 1], 6, false), ([1, 0], 8, true)]
        {
            let what = format!("{order:?} {wait} {emptied} {dated}");
            let mut world = World::new(dated);
            for _ in 0..5 {
                world.polls(0).await;
                world.polls(1).await;
                world.passes(2).await;
            }
            (0..3).for_each(|edge| world.reachable(edge, false));
            // The source that plays is lost, and they do not find the same one instead.
            world.edges[0].dead = [true, false, false];
            world.polls(0).await;
            world.passes(wait).await;
            world.edges[1].dead = [true, true, false];
            world.polls(1).await;
            for _ in 0..3 {
                world.passes(2).await;
                world.polls(0).await;
                world.polls(1).await;
            }
            let apart = world.last(0).1 != world.last(1).1;
            assert!(apart, "{what}: they differ");
            if emptied {
                world.emptied();
            }
            (0..3).for_each(|edge| world.reachable(edge, true));
            world.edges.iter_mut().for_each(|edge| edge.dead = [true, false, false]);
            let healed = world.last(0).0.max(world.last(1).0);
            for _ in 0..10 {
                world.passes(2).await;
                for edge in order {
                    assert!(world.polls(edge).await, "{what}");
                }
                // And one that comes now.
                world.polls(2).await;
            }
            assert!(world.last(0).0 >= healed + 9, "{what}: it goes on");
            let reasons = &world.edges[order[0]].publisher.switches;
            assert_eq!(reasons.with_label_values(&["split"]).get(), 1, "{what}");
            for other in [1, 2] {
                assert_eq!(world.last(0), world.last(other), "{what}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Passes(u64),
    Polls(usize),
    Picks(usize),
    Dies(usize, usize),
    Recovers(usize, usize),
    Restarts(usize),
    /// A source counts anew.
    Anew(usize),
    CutOff(usize),
    Back(usize),
    /// What edges have between them knows nothing any more.
    Emptied,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0_u64..5).prop_map(Event::Passes),
        12 => (0_usize..3).prop_map(Event::Polls),
        1 => (0_usize..3).prop_map(Event::Picks),
        2 => (0_usize..3, 0_usize..3).prop_map(|(edge, source)| Event::Dies(edge, source)),
        2 => (0_usize..3, 0_usize..3).prop_map(|(edge, source)| Event::Recovers(edge, source)),
        1 => (0_usize..3).prop_map(Event::Restarts),
        1 => (0_usize..3).prop_map(Event::Anew),
        1 => (0_usize..3).prop_map(Event::CutOff),
        2 => (0_usize..3).prop_map(Event::Back),
        1 => Just(Event::Emptied),
    ];
    proptest::collection::vec(event, 1..120)
}

/// Whatever happens: numbers never step back, and a number is the same segment for ever; and on
/// all edges, if they could ask each other and had done so when it was published first.
async fn check(dated: bool, events: &[Event]) {
    let mut world = World::new(dated);
    for event in events {
        match *event {
            Event::Passes(seconds) => world.passes(seconds).await,
            Event::Polls(edge) => drop(world.polls(edge).await),
            Event::Picks(source) => {
                world.picked = source;
                world.map += 1;
            }
            Event::Dies(edge, source) => world.edges[edge].dead[source] = true,
            Event::Recovers(edge, source) => world.edges[edge].dead[source] = false,
            Event::Restarts(edge) => world.edges[edge].restarts(),
            Event::Anew(source) => world.sources[source].offset += 10_000,
            Event::CutOff(edge) => world.reachable(edge, false),
            Event::Back(edge) if !world.edges[edge].is_reachable() => world.reachable(edge, true),
            Event::Back(_) => {}
            Event::Emptied => world.emptied(),
        }
    }
    // When all is well again they all play the same.
    for edge in &mut world.edges {
        edge.dead = [false; 3];
    }
    for edge in 0..3 {
        if !world.edges[edge].is_reachable() {
            world.reachable(edge, true);
        }
    }
    for _ in 0..SETTLED + 3 {
        for edge in 0..3 {
            assert!(world.polls(edge).await);
        }
        world.passes(2).await;
    }
    for edge in 0..3 {
        world.polls(edge).await;
    }
    for edge in 1..3 {
        assert_eq!(world.last(0), world.last(edge));
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
