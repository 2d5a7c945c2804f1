//! [`ControlPlane`]: the schedule and the engine, wired together.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use pitwall_fetch::Fetcher;
use pitwall_upstream_map::{StateDirectory, Store};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::commands::{AdminToken, CommandDependencies, CommandServer, ReloadRequestSender};
use crate::config_files::{EditableFiles, OverrideFileEditor, SourceFileLocations, SourceFiles};
use crate::engine::jobs::NetworkExecutor;
use crate::engine::{Engine, EngineDependencies, EngineSettings};
use crate::extract::ConfiguredSource;
use crate::extract::{ExtractConfig, ExtractionRunner};
use crate::history::HistoryStore;
use crate::metrics::Metrics;
use crate::publish::PublicUrl;
use crate::rank::RankConfig;
use crate::schedule::{self, OverrideError, ScheduleConfig, SchedulePoller};
use crate::trial::TrialRuns;
use crate::webhooks::{self, DeliveryTasks, NotificationTester, Notifier, Webhook};

/// What a [`ControlPlane`] is made from.
pub struct ControlPlaneConfig {
    pub settings: ControlPlaneSettings,
    pub extract: ExtractConfig,
    /// Directory of `schedule.json` and `history.json`.
    pub state_dir: StateDirectory,
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
    pub source_files: SourceFileLocations,
    /// Whether commands may change files.
    pub edit_files: bool,
    /// `None`: every command is refused.
    pub admin_token: Option<AdminToken>,
}

impl ControlPlaneConfig {
    pub const DEFAULT_CHECK_INTERVAL: Duration = Duration::from_secs(15);
}

/// Extracts, checks, ranks and publishes until [`run`](Self::run) is shut down.
pub struct ControlPlane {
    engine: Engine,
    webhooks: DeliveryTasks,
    schedule: SchedulePoller,
    settings_handle: SettingsHandle,
    /// For commands, and not that of the engine.
    command_runner: Arc<ExtractionRunner>,
    fetcher: Arc<Fetcher>,
}

/// Gives a running control plane other [`ControlPlaneSettings`]. Each part of it subscribes to what
/// it needs.
#[derive(Clone)]
pub struct SettingsHandle {
    engine: watch::Sender<Arc<EngineSettings>>,
    schedule: watch::Sender<ScheduleConfig>,
    files: watch::Sender<Arc<EditableFiles>>,
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

/// What each part of a control plane gets of its settings.
struct SettingsParts {
    engine: Arc<EngineSettings>,
    schedule: ScheduleConfig,
    files: Arc<EditableFiles>,
    admin_token: Option<AdminToken>,
}

impl ControlPlaneSettings {
    fn into_parts(self) -> SettingsParts {
        let Self { schedule, sources, rank, webhooks, source_files, edit_files, admin_token } =
            self;
        let sources = sources.into_iter().map(Arc::new).collect();
        let files = EditableFiles {
            sources: source_files,
            overrides: schedule.override_file.clone(),
            is_editable: edit_files,
        };
        SettingsParts {
            engine: Arc::new(EngineSettings { sources, rank, webhooks }),
            schedule,
            files: Arc::new(files),
            admin_token,
        }
    }
}

impl SettingsHandle {
    fn new(settings: ControlPlaneSettings, runner: Arc<ExtractionRunner>) -> Self {
        let SettingsParts { engine, schedule, files, admin_token } = settings.into_parts();
        let handle = Self {
            engine: watch::Sender::new(engine),
            schedule: watch::Sender::new(schedule),
            files: watch::Sender::new(files),
            admin_token: watch::Sender::new(admin_token),
            runner,
        };
        handle.log_missing_programs(|_| true);
        handle
    }

    /// Replaces the settings. A source whose definition stays the same goes on undisturbed; one
    /// that changed runs again while what it plays goes on; one that is gone stops playing.
    pub fn apply(&self, settings: ControlPlaneSettings) {
        let SettingsParts { engine, schedule, files, admin_token } = settings.into_parts();
        self.admin_token.send_replace(admin_token);
        self.files.send_replace(files);
        self.schedule.send_if_modified(|current| {
            let is_changed = *current != schedule;
            *current = schedule;
            is_changed
        });
        let before = self.engine.send_replace(engine);
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
        let command_runner = Arc::new(ExtractionRunner::new(fetcher.clone(), &extract));
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
        Ok(Self { engine, webhooks, schedule, settings_handle, command_runner, fetcher })
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
    pub fn command_server(&self, reload_requests: ReloadRequestSender) -> CommandServer {
        let store = self.engine.store.clone();
        let (clock, files) = (Clock::system(), &self.settings_handle.files);
        let (runner, fetcher) = (&self.command_runner, &self.fetcher);
        let settings = self.settings_handle.engine.subscribe();
        let webhooks = Box::new(move || settings.borrow().webhooks.clone());
        let tools = CommandDependencies {
            sources: SourceFiles::new(files.subscribe(), runner.clone()),
            overrides: OverrideFileEditor::new(files.subscribe()),
            trials: Arc::new(TrialRuns::new(runner.clone(), fetcher.clone(), clock.clone())),
            notification_test: NotificationTester::new(webhooks, fetcher.clone()),
            reload_requests,
        };
        let token = self.admin_token();
        CommandServer::new(self.engine.command_sender(), tools, token, clock, store)
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
