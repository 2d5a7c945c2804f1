//! The engine against a scripted outside world, with time paused.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use pitwall_upstream_map::MemoryStore;
use pitwall_upstream_map::documents::{ExtractorState, Extractors, PublicStream, Streams};
use prometheus::Registry;
use url::Url;

use super::*;
use crate::check::{CheckError, Checked};
use crate::extract::{Candidate, ExtractError, Found};

const START: &str = "2026-05-03T17:00:00Z";

/// Each source plays its script; the last entry repeats.
#[derive(Default)]
struct World {
    runs: Mutex<BTreeMap<String, Vec<Duration>>>,
    scripts: Mutex<BTreeMap<String, VecDeque<Run>>>,
    /// Hosts whose playlists fail their checks, and how.
    broken: Mutex<BTreeMap<String, CheckError>>,
    /// Playlists stop moving.
    frozen: Mutex<bool>,
    began: Option<Instant>,
    clock: Option<Clock>,
}

#[derive(Clone)]
enum Run {
    /// Feeds, each at this host, with a token that lives so many seconds.
    Finds(&'static [&'static str], &'static str, Option<u64>),
    Fails,
    Panics,
}

impl World {
    fn elapsed(&self) -> Duration {
        self.began.unwrap().elapsed()
    }

    fn breaks(&self, host: &str, error: CheckError) {
        self.broken.lock().unwrap().insert(host.to_owned(), error);
    }

    fn mends(&self, host: &str) {
        self.broken.lock().unwrap().remove(host);
    }

    /// When each run of a source began.
    fn runs(&self, source: &str) -> Vec<f64> {
        let runs = self.runs.lock().unwrap();
        runs.get(source).into_iter().flatten().map(Duration::as_secs_f64).collect()
    }

    fn verdict(&self, candidate: &Candidate) -> Result<Checked, CheckError> {
        let host = candidate.playlist.host_str().unwrap();
        if let Some(error) = self.broken.lock().unwrap().get(host) {
            return Err(error.clone());
        }
        let frozen = *self.frozen.lock().unwrap();
        let sequence = if frozen { 7 } else { 100 + self.elapsed().as_secs() };
        let rendition = serde_json::json!({
            "id": "v", "role": "video", "playlist": candidate.playlist, "container": "mpeg-ts",
            "label": "Live",
        });
        Ok(Checked::of(vec![serde_json::from_value(rendition).unwrap()], sequence))
    }
}

#[async_trait]
impl Work for World {
    async fn extract(&self, source: &Source) -> Found {
        let number = {
            let mut runs = self.runs.lock().unwrap();
            let runs = runs.entry(source.name.clone()).or_default();
            runs.push(self.elapsed());
            runs.len()
        };
        let run = {
            let mut scripts = self.scripts.lock().unwrap();
            let script = scripts.get_mut(&source.name).unwrap();
            if script.len() > 1 { script.pop_front().unwrap() } else { script[0].clone() }
        };
        let now = self.clock.as_ref().unwrap().now();
        match run {
            Run::Finds(feeds, host, ttl) => {
                let candidate = |feed: &&str| Candidate {
                    position: 0,
                    feed: (*feed).to_owned(),
                    label: None,
                    playlist: Url::parse(&match ttl {
                        Some(_) => format!("https://{host}/live.m3u8?token={number}"),
                        None => format!("https://{host}/live.m3u8"),
                    })
                    .unwrap(),
                    headers: Vec::new(),
                    expires_at: ttl.map(|ttl| now + Duration::from_secs(ttl)),
                };
                Found { candidates: feeds.iter().map(candidate).collect(), ..Found::default() }
            }
            Run::Fails => Found::failed(ExtractError::new("step 1 (get)", "refused", true)),
            Run::Panics => panic!("a bug in an extractor"),
        }
    }

    async fn check(&self, _: &Source, candidate: &Candidate) -> Result<Checked, CheckError> {
        self.verdict(candidate)
    }

    async fn recheck(
        &self,
        _: &Source,
        candidate: &Candidate,
        _: &Checked,
    ) -> Result<Checked, CheckError> {
        self.verdict(candidate)
    }
}

struct Bench {
    world: Arc<World>,
    store: Arc<MemoryStore>,
    _engine: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(scripts: &[(&str, &[Run])]) -> Self {
        let clock = Clock::paused_at(START.parse().unwrap());
        let world = Arc::new(World {
            scripts: Mutex::new(
                scripts
                    .iter()
                    .map(|(name, runs)| ((*name).to_owned(), runs.iter().cloned().collect()))
                    .collect(),
            ),
            began: Some(Instant::now()),
            clock: Some(clock.clone()),
            ..World::default()
        });
        let source = |(name, _): &(&str, &[Run])| {
            let text = format!(
                "[[source]]\nname='{name}'\nkind='static'\nfeed='f'\nurl='https://x.example/'"
            );
            Source::parse_file(&text).unwrap().remove(0)
        };
        let store = MemoryStore::new();
        let (_, schedule) = watch::channel(schedule::State::default());
        let engine = Engine::new(Parts {
            work: world.clone(),
            store: store.clone(),
            clock,
            metrics: Metrics::register(&Registry::new()).unwrap(),
            schedule,
            sources: scripts.iter().map(source).collect(),
            check_every: Duration::from_secs(15),
            site: Site::new(Url::parse("https://edge.test/").unwrap()),
        });
        Self { world, store, _engine: tokio::spawn(engine.run()) }
    }

    /// Lets `seconds` pass, in which the engine does what is due.
    async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    fn streams(&self) -> Vec<PublicStream> {
        let map = self.store.current();
        let streams: Streams = serde_json::from_str(map.documents.streams.json().unwrap()).unwrap();
        streams.streams
    }

    /// `feed@source:health` of what plays, and the token it plays with.
    fn plays(&self) -> Vec<String> {
        let map = self.store.current();
        let line = |stream: &pitwall_upstream_map::Stream| {
            let health = stream.upstreams[0].health;
            let query = stream.upstreams[0].playlist.query().unwrap_or("-").to_owned();
            format!("{}@{}:{health:?} {query}", stream.id, stream.upstreams[0].source)
        };
        map.streams.values().map(line).collect()
    }

    fn extractor(&self, index: usize) -> pitwall_upstream_map::documents::ExtractorStatus {
        let map = self.store.current();
        let text = map.documents.extractors.json().unwrap();
        serde_json::from_str::<Extractors>(text).unwrap().extractors.remove(index)
    }
}

const ONE: &[&str] = &["World feed"];

#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_before_they_end() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", Some(300))])]);
    bench.pass(1).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy token=1"]);
    let first = bench.store.current().streams["world-feed"].upstreams[0].generation;
    // Ninety minutes without a break.
    for _ in 0..5400 / 5 {
        bench.pass(5).await;
        let map = bench.store.current();
        let upstream = &map.streams["world-feed"].upstreams[0];
        let now = bench.world.clock.as_ref().unwrap().now();
        assert!(upstream.expires_at.unwrap() > now, "at {now}");
        assert_eq!(upstream.health, Health::Healthy, "at {now}");
    }
    let runs = bench.world.runs("a");
    assert!((23..=27).contains(&runs.len()), "{} runs", runs.len());
    for pair in runs.windows(2) {
        let apart = pair[1] - pair[0];
        assert!((206.0..=226.0).contains(&apart), "{apart} s apart: 225 less a little jitter");
    }
    assert!(bench.store.current().streams["world-feed"].upstreams[0].generation > first);
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_url_is_no_new_generation() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
    bench.pass(1).await;
    let before = bench.store.current().streams["world-feed"].upstreams[0].generation;
    bench.pass(700).await;
    assert_eq!(bench.world.runs("a").len(), 3, "every five minutes");
    assert_eq!(bench.store.current().streams["world-feed"].upstreams[0].generation, before);
}

#[tokio::test(start_paused = true)]
async fn failures_keep_what_plays_and_back_off() {
    let bench = Bench::start(&[(
        "a",
        &[Run::Finds(ONE, "a.example", Some(100)), Run::Fails, Run::Panics, Run::Fails],
    )]);
    bench.pass(99).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy token=1"], "nothing is wiped");
    let status = bench.extractor(0);
    assert_eq!(status.state, ExtractorState::Failing);
    assert_eq!(status.error.unwrap().step, "step 1 (get)");
    assert!(status.last_success_at.is_some());
    bench.pass(3).await;
    assert_eq!(bench.plays(), ["world-feed@a:Degraded token=1"], "its token has ended");
    bench.pass(300).await;
    let runs = bench.world.runs("a");
    let gaps: Vec<_> = runs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, longest) in gaps[1..].iter().zip([2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
        assert!((0.74 * longest..=1.01 * longest).contains(gap), "{gap} of {longest}: {gaps:?}");
    }
    // Evidence wins over the clock: while it plays it is only degraded.
    bench.world.breaks("a.example", CheckError::new("the playlist was answered with 503"));
    bench.pass(20).await;
    assert_eq!(bench.streams()[0].health, Health::Down);
}

#[tokio::test(start_paused = true)]
async fn a_new_url_that_fails_its_check_replaces_nothing() {
    let finds = |host| Run::Finds(ONE, host, Some(100));
    let (good, bad) = (finds("good.example"), finds("bad.example"));
    let script = [good.clone(), bad.clone(), bad.clone(), bad.clone(), bad, good];
    let bench = Bench::start(&[("a", &script)]);
    bench.world.breaks("bad.example", CheckError::definite("the playlist has ended"));
    bench.pass(76).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy token=1"]);
    assert_eq!(bench.extractor(0).error.unwrap().message, "World feed: the playlist has ended");
    bench.pass(31).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy token=6"]);
    assert_eq!(bench.extractor(0).state, ExtractorState::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_dead_source_gives_way_and_a_token_that_died_early_is_renewed() {
    let a = Run::Finds(&["World feed", "Pit lane"], "a.example", Some(3600));
    let bench = Bench::start(&[("a", &[a]), ("b", &[Run::Finds(ONE, "b.example", None)])]);
    bench.pass(1).await;
    assert_eq!(bench.plays(), ["pit-lane@a:Healthy token=1", "world-feed@a:Healthy token=1"]);
    bench.world.breaks("a.example", CheckError::definite("the playlist was answered with 403"));
    bench.pass(16).await;
    assert_eq!(bench.plays(), ["pit-lane@a:Down token=1", "world-feed@b:Healthy -"]);
    assert!(bench.world.runs("a").len() > 1, "asked again at once, not in five minutes");
    let world_feed = &bench.streams()[0];
    assert_eq!(world_feed.id.as_str(), "world-feed", "what plays is listed first");
    assert_eq!(world_feed.health, Health::Healthy);
    assert!(world_feed.sources[0].active && !world_feed.sources[1].active);
    assert_eq!(world_feed.sources[1].error.as_deref(), Some("the playlist was answered with 403"));
    // Shown as down for a while, then not at all.
    bench.pass(75).await;
    let ids: Vec<_> = bench.streams().iter().map(|stream| stream.id.to_string()).collect();
    assert_eq!(ids, ["world-feed"]);
    assert_eq!(bench.streams()[0].sources.len(), 1);
    bench.world.mends("a.example");
    bench.pass(61).await;
    assert_eq!(bench.streams().len(), 2, "it comes back by itself");
}

#[tokio::test(start_paused = true)]
async fn what_never_worked_is_not_listed() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
    bench.world.breaks("a.example", CheckError::new("the playlist has no segments"));
    bench.pass(120).await;
    assert!(bench.streams().is_empty());
    assert_eq!(bench.extractor(0).state, ExtractorState::Failing);
    bench.world.mends("a.example");
    bench.pass(61).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"]);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_playlist_is_excluded_for_as_long_as_it_stands_still() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", Some(300))])]);
    bench.pass(10).await;
    *bench.world.frozen.lock().unwrap() = true;
    bench.pass(60).await;
    assert_eq!(bench.streams()[0].health, Health::Down);
    bench.pass(60).await;
    assert!(bench.streams().is_empty());
    bench.pass(300).await;
    assert!(bench.streams().is_empty(), "another token does not make it move");
    *bench.world.frozen.lock().unwrap() = false;
    bench.pass(20).await;
    assert_eq!(bench.streams()[0].health, Health::Healthy);
}
