//! The engine against a scripted outside world, with time paused.

mod alarms;
mod commands;
mod demand;
mod faulty;
mod going_bad;
mod leading;
mod learning;
mod ranking;
mod renewal;
mod sessions;
mod world;

use std::path::Path;

use pitwall_upstream_map::documents::{
    Explanation, ExtractorState, ExtractorStatus, Extractors, PublicStream, Schedule, Streams,
};
use pitwall_upstream_map::{Health, MemoryStore};
use prometheus::Registry;

use self::faulty::Faulty;
use self::world::{Run, World};
use super::*;
use crate::check::CheckError;
use crate::webhooks::notice::Notice;

const START: &str = "2026-05-03T17:00:00Z";
const ONE: &[&str] = &["World feed"];

/// Scripts by source, in the order of the configuration.
type Scripts<'a> = &'a [(&'a str, &'a [Run])];

/// How a bench differs from the usual.
#[derive(Default)]
struct Setup<'a> {
    /// Keys of `[[source]]`, by source.
    settings: &'a [(&'a str, &'a str)],
    /// Keys of `[rank]`.
    rank: &'a str,
    schedule: Schedule,
    /// Where it remembers.
    state: Option<&'a Path>,
    /// What another control plane has published to.
    store: Option<Arc<MemoryStore>>,
}

struct Bench {
    world: Arc<World>,
    store: Arc<MemoryStore>,
    /// In front of it.
    faulty: Arc<Faulty>,
    registry: Registry,
    notices: mpsc::Receiver<Arc<Notice>>,
    commands: mpsc::Sender<Command>,
    _schedule: watch::Sender<schedule::State>,
    _state: tempfile::TempDir,
    engine: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(scripts: Scripts<'_>) -> Self {
        Self::with(scripts, &Setup::default())
    }

    fn with(scripts: Scripts<'_>, setup: &Setup<'_>) -> Self {
        let clock = Clock::paused_at(START.parse().unwrap());
        let world = Arc::new(World::new(scripts, clock.clone()));
        let source = |(name, _): &(&str, &[Run])| {
            let settings = setup.settings.iter().find(|(source, _)| source == name);
            let settings = settings.map_or("", |(_, settings)| settings);
            let text = format!(
                "[[source]]\nname='{name}'\nkind='m3u'\nurl='https://x.example/'\n{settings}"
            );
            Source::parse_file(&text).unwrap().remove(0)
        };
        let store = setup.store.clone().unwrap_or_else(MemoryStore::new);
        let faulty = Arc::new(Faulty::of(store.clone()));
        let registry = Registry::new();
        let state = schedule::State { schedule: setup.schedule.clone(), ..Default::default() };
        let (sender, schedule) = watch::channel(state);
        let (notifier, notices) = Notifier::listening();
        let state = tempfile::tempdir().unwrap();
        let directory = setup.state.unwrap_or(state.path());
        let mut engine = Engine::new(Parts {
            work: world.clone(),
            store: faulty.clone(),
            clock,
            metrics: Metrics::register(&registry).unwrap(),
            schedule,
            sources: scripts.iter().map(source).collect(),
            check_every: Duration::from_secs(15),
            site: Site::new("https://edge.test/".parse().unwrap()),
            rank: toml::from_str(setup.rank).unwrap(),
            archive: Archive::new(directory.to_owned()),
            notifier,
        });
        let commands = engine.commands();
        let engine = tokio::spawn(async move { engine.run_while_leading().await });
        let (_schedule, _state) = (sender, state);
        Self { world, store, faulty, registry, notices, commands, _schedule, _state, engine }
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
        map.streams.values().map(|stream| line(stream)).collect()
    }

    fn extractor(&self, index: usize) -> ExtractorStatus {
        let map = self.store.current();
        let text = map.documents.extractors.json().unwrap();
        serde_json::from_str::<Extractors>(text).unwrap().extractors.remove(index)
    }

    fn explanation(&self, stream: &str) -> Explanation {
        let map = self.store.current();
        serde_json::from_str(map.documents.explain[stream].json().unwrap()).unwrap()
    }

    fn generation(&self, stream: &str, source: &str) -> u64 {
        let map = self.store.current();
        let upstreams = &map.streams[stream].upstreams;
        upstreams.iter().find(|one| one.source == source).unwrap().generation
    }

    /// A figure of the metrics by its name and the values of its labels.
    fn figure(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name)?;
        let metric = family.get_metric().iter().find(|metric| {
            let values: Vec<_> = metric.get_label().iter().map(|label| label.value()).collect();
            labels.iter().all(|label| values.contains(label))
        })?;
        Some(metric.get_gauge().get_value() + metric.get_counter().get_value())
    }

    /// What an operator was told since the last time.
    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.notices.try_recv().ok()).map(|one| one.text.clone()).collect()
    }

    /// Ends it, as a signal does.
    async fn stop(self) {
        self.engine.abort();
        let _ = self.engine.await;
    }
}
