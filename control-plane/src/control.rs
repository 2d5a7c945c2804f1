//! [`ControlPlane`]: the schedule and the engine, wired together.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pitwall_fetch::Fetcher;
use pitwall_upstream_map::Store;

use crate::clock::Clock;
use crate::commands::{AdminToken, CommandServer, OperatorTools};
use crate::config_files::{EditableOverrides, SourceFileLocations, SourceFiles};
use crate::engine::jobs::NetworkExecutor;
use crate::engine::{Engine, EngineDependencies};
use crate::extract::ConfiguredSource;
use crate::extract::{ExtractConfig, ExtractionRunner};
use crate::history::HistoryStore;
use crate::metrics::Metrics;
use crate::publish::PublicUrl;
use crate::rank::RankConfig;
use crate::schedule::{self, OverrideError, ScheduleConfig, SchedulePoller};
use crate::trial::TrialRuns;
use crate::webhooks::{self, WebhookConfig, WebhookDeliveries, WebhookError};

/// What a [`ControlPlane`] is made from.
pub struct ControlPlaneConfig {
    pub schedule: ScheduleConfig,
    /// Source names are unique.
    pub sources: Vec<ConfiguredSource>,
    pub extract: ExtractConfig,
    /// Directory of `schedule.json` and `history.json`.
    pub state_dir: PathBuf,
    /// Longest time between two checks of an upstream; an upstream in doubt is listed only if it
    /// passed a check within this time.
    pub check_interval: Duration,
    /// The edge's public URL, for links in published documents.
    pub public_url: PublicUrl,
    pub rank: RankConfig,
    pub webhooks: Vec<WebhookConfig>,
    pub source_files: SourceFileLocations,
    /// Whether commands may change files.
    pub edit_files: bool,
}

impl ControlPlaneConfig {
    pub const DEFAULT_CHECK_INTERVAL: Duration = Duration::from_secs(15);
}

/// Extracts, checks, ranks and publishes until [`run`](Self::run) is shut down.
pub struct ControlPlane {
    engine: Engine,
    webhooks: WebhookDeliveries,
    schedule: SchedulePoller,
    command_tools: CommandTools,
}

/// What [`OperatorTools`] are made from.
struct CommandTools {
    source_files: SourceFileLocations,
    override_file: Option<PathBuf>,
    edit_files: bool,
    /// Not that of the engine.
    runner: Arc<ExtractionRunner>,
    fetcher: Arc<Fetcher>,
}

/// Why a [`ControlPlane`] cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("a metric cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Override(#[from] OverrideError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
}

impl ControlPlane {
    /// Loads the persisted schedule, so that the first map already contains it. Fetches nothing.
    ///
    /// # Errors
    /// When a metric cannot be registered, or the override file or a webhook is invalid.
    pub fn new(
        config: ControlPlaneConfig,
        fetcher: Arc<Fetcher>,
        store: Arc<dyn Store>,
        registry: &prometheus::Registry,
    ) -> Result<Self, SetupError> {
        let clock = Clock::system();
        let ControlPlaneConfig {
            schedule,
            sources,
            extract,
            state_dir,
            check_interval,
            public_url,
            rank,
            webhooks,
            source_files,
            edit_files,
        } = config;
        let command_tools = CommandTools {
            source_files,
            override_file: schedule.override_file.clone(),
            edit_files,
            runner: Arc::new(ExtractionRunner::new(fetcher.clone(), &extract)),
            fetcher: fetcher.clone(),
        };
        let runner = Arc::new(ExtractionRunner::new(fetcher.clone(), &extract));
        for source in &sources {
            if let Some(missing) = runner.explain_missing(source) {
                tracing::error!(source = source.name, kind = source.kind, "{missing}");
            }
        }
        let history_store = HistoryStore::new(state_dir.clone());
        let schedule = SchedulePoller::new(
            &schedule,
            state_dir,
            fetcher.clone(),
            clock.clone(),
            schedule::ScheduleMetrics::register(registry)?,
        )?;
        let alert_counter = webhooks::register_alert_counter(registry)?;
        let (notifier, webhooks) = webhooks::configure(webhooks, &fetcher, &clock, alert_counter)?;
        let engine = Engine::new(EngineDependencies {
            executor: Arc::new(NetworkExecutor::new(runner, fetcher.clone())),
            store,
            clock,
            metrics: Metrics::register(registry)?,
            schedule: schedule.subscribe(),
            sources,
            check_interval,
            public_url,
            rank_config: rank,
            history_store,
            notifier,
        });
        Ok(Self { engine, webhooks, schedule, command_tools })
    }

    /// The server of operator commands to this control plane.
    pub fn command_server(&self, token: Option<AdminToken>) -> CommandServer {
        let store = self.engine.store.clone();
        let CommandTools { source_files, override_file, edit_files, runner, fetcher } =
            &self.command_tools;
        let clock = Clock::system();
        let tools = OperatorTools {
            sources: SourceFiles::new(source_files.clone(), *edit_files, runner.clone()),
            overrides: EditableOverrides::new(override_file.clone(), *edit_files),
            trials: Arc::new(TrialRuns::new(runner.clone(), fetcher.clone(), clock.clone())),
            notification_test: self.webhooks.notification_test(),
        };
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
