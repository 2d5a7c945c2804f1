//! The loop that keeps the schedule: load, ask, judge, merge, save, wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pitwall_fetch::Fetcher;
use tokio::sync::watch;

use super::snapshot::Snapshot;
use super::{Calendar, Provider, ProviderError, ScheduleConfig, State};
use super::{cadence, merge, providers, sanity};
use crate::clock::Clock;

pub(crate) struct Poller {
    providers: Vec<Box<dyn Provider>>,
    fetcher: Arc<Fetcher>,
    snapshot: Snapshot,
    clock: Clock,
    state: watch::Sender<State>,
    failures: u32,
}

impl Poller {
    /// Serves the snapshot at once; asks nobody before [`run`](Self::run).
    pub(crate) fn new(
        config: &ScheduleConfig,
        directory: PathBuf,
        fetcher: Arc<Fetcher>,
        clock: Clock,
    ) -> Self {
        let providers = providers(config);
        let origins: Vec<_> = providers.iter().map(|provider| provider.origin()).collect();
        let snapshot = Snapshot::new(directory, origins.join(", "));
        let schedule = if providers.is_empty() { None } else { snapshot.load() };
        let state = State { schedule: schedule.unwrap_or_default(), error: None };
        let state = watch::Sender::new(state);
        Self { providers, fetcher, snapshot, clock, state, failures: 0 }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Never returns; dropping it is how it ends.
    pub(crate) async fn run(mut self) {
        if self.providers.is_empty() {
            return std::future::pending().await;
        }
        tokio::time::sleep(self.first()).await;
        loop {
            let wait = self.poll().await;
            tokio::time::sleep(wait).await;
        }
    }

    /// A snapshot that is still young is as good as a fetch.
    fn first(&self) -> Duration {
        let now = self.clock.now();
        let schedule = &self.state.borrow().schedule;
        let Some(fetched_at) = schedule.fetched_at else { return Duration::ZERO };
        let age = Duration::try_from(now.duration_since(fetched_at)).unwrap_or(Duration::MAX);
        cadence::next(schedule, now).saturating_sub(age)
    }

    /// Asks once; answers how long to wait.
    async fn poll(&mut self) -> Duration {
        match self.ask().await {
            Ok((source, calendar)) => self.accept(source, calendar).await,
            Err(error) => self.refuse(&error),
        }
    }

    async fn ask(&self) -> Result<(&'static str, Calendar), ProviderError> {
        let mut last = ProviderError::new("no provider is configured");
        for provider in &self.providers {
            let sane =
                provider.fetch(&self.fetcher).await.and_then(|calendar| {
                    match sanity::check(&calendar) {
                        Ok(()) => Ok(calendar),
                        Err(why) => Err(ProviderError::new(format!("refused: {why}"))),
                    }
                });
            match sane {
                Ok(calendar) => return Ok((provider.name(), calendar)),
                Err(error) => {
                    tracing::warn!(provider = provider.name(), %error, "schedule not read");
                    last = error;
                }
            }
        }
        Err(last)
    }

    async fn accept(&mut self, source: &'static str, calendar: Calendar) -> Duration {
        self.failures = 0;
        let now = self.clock.now();
        let schedule = merge::merge(&self.state.borrow().schedule, calendar, source, now);
        tracing::info!(source, meetings = schedule.meetings.len(), "schedule read");
        let wait = cadence::next(&schedule, now);
        self.save(schedule.clone()).await;
        self.state.send_replace(State { schedule, error: None });
        wait
    }

    /// A disk that is full or read-only costs the snapshot, never the schedule.
    async fn save(&self, schedule: pitwall_upstream_map::documents::Schedule) {
        let snapshot = self.snapshot.clone();
        let saved = tokio::task::spawn_blocking(move || snapshot.save(&schedule)).await;
        if let Err(error) = saved.map_err(std::io::Error::other).and_then(|saved| saved) {
            tracing::warn!(%error, "schedule snapshot not written");
        }
    }

    /// The last good schedule stays, and says since when it has not been confirmed.
    fn refuse(&mut self, error: &ProviderError) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let now = self.clock.now();
        self.state.send_modify(|state| {
            state.error = Some(error.to_string());
            state.schedule.stale_since.get_or_insert(now);
        });
        cadence::retry(self.failures, error.retry_after, &self.state.borrow().schedule, now)
    }
}

#[cfg(test)]
mod tests;
