//! [`ControlPlane`]: the schedule and the engine, wired together.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pitwall_fetch::Fetcher;
use pitwall_upstream_map::Store;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::commands::{AdminToken, CommandServer};
use crate::engine::jobs::NetworkExecutor;
use crate::engine::{Engine, EngineDependencies, EngineSettings};
use crate::extract::ConfiguredSource;
use crate::extract::{ExtractConfig, ExtractionRunner};
use crate::history::HistoryStore;
use crate::metrics::Metrics;
use crate::publish::PublicUrl;
use crate::rank::RankConfig;
use crate::schedule::{self, OverrideError, ScheduleConfig, SchedulePoller};
use crate::webhooks::{self, Notifier, Webhook, WebhookDeliveries};

/// What a [`ControlPlane`] is made from.
pub struct ControlPlaneConfig {
    pub settings: ControlPlaneSettings,
    pub extract: ExtractConfig,
    /// Directory of `schedule.json` and `history.json`.
    pub state_dir: PathBuf,
    /// Longest time between two checks of an upstream; an upstream in doubt is listed only if it
    /// passed a check within this time.
    pub check_interval: Duration,
    /// The edge's public URL, for links in published documents.
    pub public_url: PublicUrl,
}

/// The part of the configuration that may change while a control plane runs.
pub struct ControlPlaneSettings {
    pub schedule: ScheduleConfig,
    /// Source names are unique.
    pub sources: Vec<ConfiguredSource>,
    pub rank: RankConfig,
    pub webhooks: Vec<Webhook>,
    /// `None`: every command is refused.
    pub admin_token: Option<AdminToken>,
}

impl ControlPlaneConfig {
    pub const DEFAULT_CHECK_INTERVAL: Duration = Duration::from_secs(15);
}

/// Extracts, checks, ranks and publishes until [`run`](Self::run) is shut down.
pub struct ControlPlane {
    engine: Engine,
    webhooks: WebhookDeliveries,
    schedule: SchedulePoller,
    settings_handle: SettingsHandle,
}

/// Gives a running control plane other [`ControlPlaneSettings`]. Each part of it subscribes to what
/// it needs.
#[derive(Clone)]
pub struct SettingsHandle {
    engine: watch::Sender<Arc<EngineSettings>>,
    schedule: watch::Sender<ScheduleConfig>,
    admin_token: watch::Sender<Option<AdminToken>>,
    runner: Arc<ExtractionRunner>,
}

/// Why a [`ControlPlane`] cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("a metric cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Override(#[from] OverrideError),
}

impl SettingsHandle {
    fn new(settings: ControlPlaneSettings, runner: Arc<ExtractionRunner>) -> Self {
        let ControlPlaneSettings { schedule, sources, rank, webhooks, admin_token } = settings;
        let sources = sources.into_iter().map(Arc::new).collect();
        let handle = Self {
            engine: watch::Sender::new(Arc::new(EngineSettings { sources, rank, webhooks })),
            schedule: watch::Sender::new(schedule),
            admin_token: watch::Sender::new(admin_token),
            runner,
        };
        handle.log_missing_programs(|_| true);
        handle
    }

    /// Replaces the settings. A source whose definition stays the same goes on undisturbed; one
    /// that changed runs again while what it plays goes on; one that is gone stops playing.
    pub fn apply(&self, settings: ControlPlaneSettings) {
        let ControlPlaneSettings { schedule, sources, rank, webhooks, admin_token } = settings;
        self.admin_token.send_replace(admin_token);
        self.schedule.send_if_modified(|current| {
            let is_changed = *current != schedule;
            *current = schedule;
            is_changed
        });
        let sources: Vec<_> = sources.into_iter().map(Arc::new).collect();
        let before = self.engine.send_replace(Arc::new(EngineSettings { sources, rank, webhooks }));
        self.log_missing_programs(|source| {
            !before.sources.iter().any(|one| one.has_same_definition(source))
        });
    }

    fn log_missing_programs(&self, is_new: impl Fn(&ConfiguredSource) -> bool) {
        let settings = self.engine.borrow().clone();
        for source in settings.sources.iter().filter(|source| is_new(source)) {
            if let Some(missing) = self.runner.explain_missing(source) {
                tracing::error!(source = source.name, kind = source.kind, "{missing}");
            }
        }
    }
}

impl ControlPlane {
    /// Loads the persisted schedule, so that the first map already contains it. Fetches nothing.
    ///
    /// # Errors
    /// When a metric cannot be registered, or the override file is invalid.
    pub fn new(
        config: ControlPlaneConfig,
        fetcher: Arc<Fetcher>,
        store: Arc<dyn Store>,
        registry: &prometheus::Registry,
    ) -> Result<Self, SetupError> {
        let clock = Clock::system();
        let ControlPlaneConfig { settings, extract, state_dir, check_interval, public_url } =
            config;
        let runner = Arc::new(ExtractionRunner::new(fetcher.clone(), &extract));
        let settings_handle = SettingsHandle::new(settings, runner.clone());
        let history_store = HistoryStore::new(state_dir.clone());
        let schedule = SchedulePoller::new(
            settings_handle.schedule.subscribe(),
            state_dir,
            fetcher.clone(),
            clock.clone(),
            schedule::ScheduleMetrics::register(registry)?,
        )?;
        let alert_counter = webhooks::register_alert_counter(registry)?;
        let (notifier, webhooks) = Notifier::new(fetcher.clone(), clock.clone(), alert_counter);
        let engine = Engine::new(EngineDependencies {
            executor: Arc::new(NetworkExecutor::new(runner, fetcher.clone())),
            store,
            clock,
            metrics: Metrics::register(registry)?,
            schedule: schedule.subscribe(),
            settings: settings_handle.engine.subscribe(),
            check_interval,
            public_url,
            history_store,
            notifier,
        });
        Ok(Self { engine, webhooks, schedule, settings_handle })
    }

    /// For other settings while the control plane runs.
    pub fn settings_handle(&self) -> SettingsHandle {
        self.settings_handle.clone()
    }

    /// The admin token in force.
    pub fn admin_token(&self) -> watch::Receiver<Option<AdminToken>> {
        self.settings_handle.admin_token.subscribe()
    }

    /// The server of operator commands to this control plane.
    pub fn command_server(&self) -> CommandServer {
        let store = self.engine.store.clone();
        CommandServer::new(self.engine.command_sender(), self.admin_token(), Clock::system(), store)
    }

    /// Publishes the first map at once and then keeps the map current until `shutdown` completes,
    /// whenever the store grants this control plane the lease. The published map stays in the
    /// store.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let engine = Box::pin(self.engine.run_while_leading());
        let schedule = Box::pin(self.schedule.run());
        let webhooks = Box::pin(self.webhooks.run());
        let tasks = async { tokio::join!(engine, schedule, webhooks) };
        tokio::select! {
            () = shutdown => tracing::info!("control plane stopped"),
            _ = tasks => {}
        }
        self.engine.save_history_blocking();
    }
}

#[cfg(test)]
mod tests;
