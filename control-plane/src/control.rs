//! [`ControlPlane`]: the schedule and the engine, wired together.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pitwall_fetch::Fetcher;
use pitwall_upstream_map::Store;

use crate::clock::Clock;
use crate::commands::{AdminToken, Commands};
use crate::engine::work::Network;
use crate::engine::{Engine, Parts};
use crate::extract::{ExtractConfig, Runner};
use crate::history::Archive;
use crate::metrics::Metrics;
use crate::publish::Site;
use crate::rank::RankConfig;
use crate::schedule::{self, OverrideError, Poller, ScheduleConfig};
use crate::source::Source;
use crate::webhooks::{self, WebhookConfig, WebhookError, Webhooks};

pub struct Config {
    pub schedule: ScheduleConfig,
    /// Their names are different from each other.
    pub sources: Vec<Source>,
    pub extract: ExtractConfig,
    /// Where `schedule.json` and `history.json` are kept.
    pub state_dir: PathBuf,
    /// What plays is checked at least so often; what was not is not listed.
    pub check_every: Duration,
    /// Where viewers find the edge.
    pub site: Site,
    pub rank: RankConfig,
    pub webhooks: Vec<WebhookConfig>,
}

impl Config {
    pub const CHECK_EVERY: Duration = Duration::from_secs(15);
}

/// Finds, checks, ranks and publishes until it is told to stop.
pub struct ControlPlane {
    engine: Engine,
    fetcher: Arc<Fetcher>,
    webhooks: Webhooks,
    schedule: Poller,
}

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
    /// Reads the snapshot of the schedule, so that the first map has it. Fetches nothing.
    pub fn new(
        config: Config,
        fetcher: Arc<Fetcher>,
        store: Arc<dyn Store>,
        registry: &prometheus::Registry,
    ) -> Result<Self, SetupError> {
        let clock = Clock::system();
        let Config { schedule, sources, extract, state_dir, check_every, site, .. } = config;
        let (rank, webhooks) = (config.rank, config.webhooks);
        let runner = Arc::new(Runner::new(fetcher.clone(), &extract));
        for source in &sources {
            if let Some(missing) = runner.missing(source) {
                tracing::error!(source = source.name, kind = source.kind(), "{missing}");
            }
        }
        let archive = Archive::new(state_dir.clone());
        let schedule = Poller::new(
            &schedule,
            state_dir,
            fetcher.clone(),
            clock.clone(),
            schedule::Metrics::register(registry)?,
        )?;
        let (notifier, webhooks) = webhooks::configure(webhooks, &fetcher, &clock, registry)?;
        let engine = Engine::new(Parts {
            work: Arc::new(Network::new(runner, fetcher.clone())),
            store,
            clock,
            metrics: Metrics::register(registry)?,
            schedule: schedule.subscribe(),
            sources,
            check_every,
            site,
            rank,
            archive,
            notifier,
        });
        Ok(Self { engine, fetcher, webhooks, schedule })
    }

    /// What takes an operator's commands for this control plane while it runs.
    pub fn commands(&self, token: Option<AdminToken>) -> Commands {
        let store = self.engine.store.clone();
        Commands::new(self.engine.commands(), token, store, self.fetcher.clone())
    }

    /// Publishes the first map at once, then keeps it true until `shutdown` completes; only while
    /// the store lets this one lead. What was published stays in the store.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let engine = Box::pin(self.engine.run_while_leading());
        let schedule = Box::pin(self.schedule.run());
        let webhooks = Box::pin(self.webhooks.run());
        let everything = async { tokio::join!(engine, schedule, webhooks) };
        tokio::select! {
            () = shutdown => tracing::info!("control plane stopped"),
            _ = everything => {}
        }
        self.engine.remember();
    }
}

#[cfg(test)]
mod tests;
