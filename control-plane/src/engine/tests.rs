//! Tests of the engine with a scripted executor and paused time.

mod alerts;
mod commands;
mod demand;
mod faulty_store;
mod leadership;
mod learning;
mod publication;
mod ranking;
mod reconfiguration;
mod renewal;
mod scripted_executor;
mod sessions;
mod upstream_failures;

use std::path::Path;

use pitwall_upstream_map::documents::{
    Activity, Explanation, ExtractorActivity, ExtractorState, ExtractorStatus, PublicStream,
    Schedule,
};
use pitwall_upstream_map::{Health, MemoryStore, Stream};
use prometheus::Registry;

use self::faulty_store::FaultyStore;
use self::scripted_executor::{ScriptedExecutor, ScriptedRun};
use super::*;
use crate::check::CheckError;
use crate::model::alert::Alert;

const START_TIME: &str = "2026-05-03T17:00:00Z";
const WORLD_FEED_ONLY: &[&str] = &["World feed"];

/// Scripts by source, in the order of the configuration.
type Scripts<'a> = &'a [(&'a str, &'a [ScriptedRun])];

/// How a harness differs from the default.
#[derive(Default)]
struct HarnessOptions<'a> {
    /// Keys of `[[source]]`, by source.
    settings: &'a [(&'a str, &'a str)],
    /// Keys of `[rank]`.
    rank: &'a str,
    schedule: Schedule,
    /// Directory of the persisted history.
    state_dir: Option<&'a Path>,
    /// A store to which another control plane has published.
    store: Option<Arc<MemoryStore>>,
}

struct EngineHarness {
    executor: Arc<ScriptedExecutor>,
    store: Arc<MemoryStore>,
    /// Wraps `store`; the engine uses it.
    faulty_store: Arc<FaultyStore>,
    registry: Registry,
    alerts: mpsc::Receiver<Arc<Alert>>,
    commands: mpsc::Sender<Command>,
    settings: watch::Sender<Arc<EngineSettings>>,
    _schedule: watch::Sender<schedule::ScheduleState>,
    _state: tempfile::TempDir,
    engine: tokio::task::JoinHandle<()>,
}

impl EngineHarness {
    fn start(scripts: Scripts<'_>) -> Self {
        Self::start_with(scripts, &HarnessOptions::default())
    }

    fn start_with(scripts: Scripts<'_>, options: &HarnessOptions<'_>) -> Self {
        let clock = Clock::paused_at(START_TIME.parse().unwrap());
        let executor = Arc::new(ScriptedExecutor::new(scripts, clock.clone()));
        let source = |(name, _): &(&str, &[ScriptedRun])| {
            let settings = options.settings.iter().find(|(source, _)| source == name);
            let settings = settings.map_or("", |(_, settings)| settings);
            let text = format!(
                "[[source]]\nname='{name}'\nkind='m3u'\nurl='https://x.example/'\n{settings}"
            );
            ConfiguredSource::parse_file(&text).unwrap().remove(0)
        };
        let store = options.store.clone().unwrap_or_else(MemoryStore::new);
        let faulty_store = Arc::new(FaultyStore::of(store.clone()));
        let registry = Registry::new();
        let state =
            schedule::ScheduleState { schedule: options.schedule.clone(), ..Default::default() };
        let (sender, schedule) = watch::channel(state);
        let (notifier, webhook, alerts) = Notifier::with_receiver();
        let state = tempfile::tempdir().unwrap();
        let directory = options.state_dir.unwrap_or(state.path());
        let settings = watch::Sender::new(Arc::new(EngineSettings {
            sources: scripts.iter().map(source).map(Arc::new).collect(),
            rank: toml::from_str(options.rank).unwrap(),
            webhooks: vec![webhook],
        }));
        let mut engine = Engine::new(EngineDependencies {
            executor: executor.clone(),
            store: faulty_store.clone(),
            clock,
            metrics: Metrics::register(&registry).unwrap(),
            schedule,
            settings: settings.subscribe(),
            check_interval: Duration::from_secs(15),
            public_url: PublicUrl::new("https://edge.test/".parse().unwrap()),
            history_store: HistoryStore::new(directory.to_owned()),
            notifier,
        });
        let commands = engine.command_sender();
        let engine = tokio::spawn(async move { engine.run_while_leading().await });
        let (_schedule, _state) = (sender, state);
        Self {
            executor,
            store,
            faulty_store,
            registry,
            alerts,
            commands,
            settings,
            _schedule,
            _state,
            engine,
        }
    }

    /// Lets `seconds` pass, in which the engine works.
    async fn advance(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    fn streams(&self) -> Vec<PublicStream> {
        let map = self.store.map();
        let public = |stream: &Stream| serde_json::from_str(stream.public.as_str().unwrap());
        let streams = map.streams_in_order().into_iter();
        streams.map(|stream| public(stream).unwrap()).collect()
    }

    /// `feed@source:health query` of each stream's active upstream.
    fn active_upstreams(&self) -> Vec<String> {
        let map = self.store.map();
        let describe = |stream: &pitwall_upstream_map::Stream| {
            let health = stream.upstreams[0].health;
            let query = stream.upstreams[0].playlist.query().unwrap_or("-").to_owned();
            format!("{}@{}:{health:?} {query}", stream.id, stream.upstreams[0].source)
        };
        map.streams.values().map(|stream| describe(stream)).collect()
    }

    fn extractor_status(&self, index: usize) -> ExtractorStatus {
        let map = self.store.map();
        let mut extractors = map.documents.extractors.values();
        let extractor = extractors.find(|extractor| extractor.position == index).unwrap();
        serde_json::from_str(extractor.status.as_str().unwrap()).unwrap()
    }

    fn activity(&self) -> Activity {
        let map = self.store.map();
        serde_json::from_str(map.documents.activity.as_str().unwrap()).unwrap()
    }

    fn extractor_activity(&self, source: &str) -> ExtractorActivity {
        self.activity().extractors.remove(source).unwrap()
    }

    fn explanation(&self, stream: &str) -> Explanation {
        let map = self.store.map();
        serde_json::from_str(map.streams[stream].explanation.as_str().unwrap()).unwrap()
    }

    fn generation(&self, stream: &str, source: &str) -> u64 {
        let map = self.store.map();
        let upstreams = &map.streams[stream].upstreams;
        upstreams.iter().find(|one| one.source == source).unwrap().generation
    }

    /// The value of a metric by its name and label values.
    fn metric_value(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name)?;
        let metric = family.get_metric().iter().find(|metric| {
            let values: Vec<_> = metric.get_label().iter().map(|label| label.value()).collect();
            labels.iter().all(|label| values.contains(label))
        })?;
        Some(metric.get_gauge().get_value() + metric.get_counter().get_value())
    }

    /// The texts of the alerts since the last call.
    fn take_alert_texts(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.alerts.try_recv().ok()).map(|one| one.text.clone()).collect()
    }

    /// Stops the engine, as a signal does.
    async fn stop(self) {
        self.engine.abort();
        let _ = self.engine.await;
    }
}
