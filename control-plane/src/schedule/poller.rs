//! [`SchedulePoller`]: polls the providers and the override file, merges their snapshots into the
//! schedule, and saves it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_fetch::Fetcher;
use pitwall_upstream_map::StateDirectory;
use pitwall_upstream_map::documents::Schedule;
use tokio::sync::watch;
use tokio::time::Instant;

use super::metrics::ScheduleMetrics;
use super::overrides::{OverrideError, OverrideFile, Overrides};
use super::provider::{Provider, ProviderFault};
use super::provider_snapshot::ProviderSnapshot;
use super::provider_state::ProviderState;
use super::schedule_file::{StoredProvider, StoredSchedule, StoredScheduleFile};
use super::unlisted_sessions::UnlistedSessions;
use super::{ScheduleConfig, ScheduleState, build_providers, merge};
use crate::clock::Clock;

/// How often the override file is checked for changes.
const OVERRIDE_FILE_POLL_INTERVAL: Duration = Duration::from_secs(10);

pub(crate) struct SchedulePoller {
    providers: Vec<ProviderState>,
    fetcher: Arc<Fetcher>,
    schedule_file: StoredScheduleFile,
    clock: Clock,
    metrics: ScheduleMetrics,
    state: watch::Sender<ScheduleState>,
    override_file: Option<OverrideFile>,
    overrides: Overrides,
    override_error: Option<OverrideError>,
    unlisted: UnlistedSessions,
    /// `[schedule]` as configured; `None` where providers are given, in tests.
    config: Option<watch::Receiver<ScheduleConfig>>,
}

impl SchedulePoller {
    /// Loads the stored schedule, which subscribers see at once; polls no provider before
    /// [`run`](Self::run).
    ///
    /// # Errors
    /// The override file cannot be read, or one of its keys is wrong.
    pub(crate) fn new(
        mut config: watch::Receiver<ScheduleConfig>,
        directory: StateDirectory,
        fetcher: Arc<Fetcher>,
        clock: Clock,
        metrics: ScheduleMetrics,
    ) -> Result<Self, OverrideError> {
        let current = config.borrow_and_update().clone();
        let override_file = current.override_file.clone().map(OverrideFile::new);
        let providers = build_providers(&current);
        let poller =
            Self::with_providers(providers, override_file, directory, fetcher, clock, metrics)?;
        Ok(Self { config: Some(config), ..poller })
    }

    fn with_providers(
        providers: Vec<Box<dyn Provider>>,
        mut override_file: Option<OverrideFile>,
        directory: StateDirectory,
        fetcher: Arc<Fetcher>,
        clock: Clock,
        metrics: ScheduleMetrics,
    ) -> Result<Self, OverrideError> {
        let overrides = override_file
            .as_mut()
            .and_then(OverrideFile::poll_changes)
            .transpose()?
            .unwrap_or_default();
        let schedule_file = StoredScheduleFile::new(directory);
        let mut saved = schedule_file.load().unwrap_or_default();
        let provider_states = restore_providers(providers, &mut saved, clock.now());
        let state = watch::Sender::new(ScheduleState {
            schedule: saved.schedule,
            ..ScheduleState::default()
        });
        let mut poller = Self {
            providers: provider_states,
            fetcher,
            schedule_file,
            clock,
            metrics,
            state,
            override_file,
            overrides,
            override_error: None,
            unlisted: saved.unlisted,
            config: None,
        };
        poller.merge_schedule();
        poller.schedule_first_polls();
        Ok(poller)
    }

    fn schedule_first_polls(&mut self) {
        let (schedule, now) = (self.state.borrow().schedule.clone(), self.clock.now());
        for provider_state in &mut self.providers {
            provider_state.next_poll =
                Instant::now() + provider_state.first_interval(&schedule, now);
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<ScheduleState> {
        self.state.subscribe()
    }

    /// Polls until the future is dropped; never returns.
    pub(crate) async fn run(mut self) {
        // Without a provider, nothing else saves what the override file lists.
        if !self.providers.is_empty() || self.override_file.is_some() {
            self.save_schedule().await;
        }
        let mut config = self.config.take();
        loop {
            let next_wake = self.next_wake();
            let next_config = async {
                let changed = match &mut config {
                    Some(config) => config.changed().await.ok().map(|()| config.borrow().clone()),
                    None => None,
                };
                // Nobody can change the configuration any more.
                let Some(config) = changed else { return std::future::pending().await };
                config
            };
            tokio::select! {
                config = next_config => self.reconfigure(&config).await,
                () = tokio::time::sleep_until(next_wake) => {}
            }
            self.reload_overrides().await;
            self.poll_due_providers().await;
        }
    }

    /// Goes on with other providers and another override file. A provider that stays, at the same
    /// origin, keeps what it has told.
    async fn reconfigure(&mut self, config: &ScheduleConfig) {
        let mut stored = self.to_stored_schedule();
        let providers = build_providers(config);
        self.providers = restore_providers(providers, &mut stored, self.clock.now());
        self.unlisted = stored.unlisted;
        self.state.send_modify(|state| state.schedule = stored.schedule);
        self.overrides = Overrides::default();
        self.override_error = None;
        self.override_file = config.override_file.clone().map(OverrideFile::new);
        if self.override_file.is_some() {
            // Reads, merges and saves.
            self.reload_overrides().await;
        } else {
            self.merge_schedule();
            self.save_schedule().await;
        }
        self.schedule_first_polls();
    }

    fn next_wake(&self) -> Instant {
        let latest = Instant::now() + Duration::from_hours(24);
        let file_poll =
            self.override_file.as_ref().map(|_| Instant::now() + OVERRIDE_FILE_POLL_INTERVAL);
        self.providers
            .iter()
            .map(|provider_state| provider_state.next_poll)
            .chain(file_poll)
            .fold(latest, Instant::min)
    }

    /// Applies the override file if it has changed; a file with a mistake leaves the last good
    /// overrides in force.
    async fn reload_overrides(&mut self) {
        let Some(mut file) = self.override_file.take() else { return };
        // Reading from a volume that hangs blocks the blocking pool's thread, not the runtime's.
        let read = tokio::task::spawn_blocking(move || {
            let changes = file.poll_changes();
            (file, changes)
        });
        let Ok((file, changes)) = read.await else { return };
        self.override_file = Some(file);
        let Some(changes) = changes else { return };
        match changes {
            Ok(overrides) => {
                tracing::info!(overrides = overrides.len(), "schedule overrides read");
                self.overrides = overrides;
                self.override_error = None;
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    "schedule overrides not read; the last good ones stay: correct the file"
                );
                self.override_error = Some(error);
            }
        }
        self.merge_schedule();
        self.save_schedule().await;
    }

    /// Polls the providers whose next poll is due, then merges and saves the schedule.
    async fn poll_due_providers(&mut self) {
        let started_at = Instant::now();
        let now = self.clock.now();
        let due: Vec<usize> = (0..)
            .zip(&self.providers)
            .filter(|(_, provider_state)| provider_state.next_poll <= started_at)
            .map(|(index, _)| index)
            .collect();
        if due.is_empty() {
            return;
        }
        let fetcher = &self.fetcher;
        let polled = due.iter().filter_map(|&index| Some((index, self.providers.get(index)?)));
        let fetches = polled.map(|(index, provider_state)| async move {
            (index, provider_state.fetch_response(fetcher, now).await)
        });
        let responses = futures::future::join_all(fetches).await;
        let now = self.clock.now();
        let mut outcomes = Vec::new();
        for (index, response) in responses {
            let Some(provider_state) = self.providers.get_mut(index) else { continue };
            let last_error = provider_state.error.take();
            let outcome = provider_state.apply_response(response, now);
            let provider = provider_state.provider.name();
            match &outcome {
                Ok(()) => {
                    self.metrics.record_success(provider, now);
                    tracing::info!(provider, "schedule read");
                    if let Some(error) =
                        provider_state.error.as_ref().filter(|_| provider_state.error != last_error)
                    {
                        tracing::warn!(provider, %error, "schedule read, but some of its items were rejected");
                    }
                }
                Err(error) => {
                    self.metrics.record_failure(provider, error.fault);
                    match error.fault {
                        ProviderFault::Locked => {
                            tracing::debug!(provider, %error, "schedule not read")
                        }
                        _ => tracing::warn!(provider, %error, "schedule not read"),
                    }
                }
            }
            outcomes.push((index, outcome));
        }
        self.merge_schedule();
        let schedule = self.state.borrow().schedule.clone();
        for (index, outcome) in outcomes {
            if let Some(provider_state) = self.providers.get_mut(index) {
                provider_state.next_poll =
                    Instant::now() + provider_state.next_interval(&outcome, &schedule, now);
            }
        }
        self.save_schedule().await;
    }

    /// Merges the providers' snapshots and the overrides into a new schedule, and publishes it to
    /// the subscribers.
    fn merge_schedule(&mut self) {
        let now = self.clock.now();
        let snapshots: Vec<&ProviderSnapshot> = self
            .providers
            .iter()
            .filter_map(|provider_state| provider_state.snapshot.as_ref())
            .collect();
        let last = self.state.borrow().schedule.clone();
        let mut schedule =
            merge::merge_snapshots(&snapshots, &self.overrides, &last, &self.unlisted, now);
        self.unlisted.update(&last, &schedule, now);
        schedule.stale_since = self.stale_since(&snapshots, now);
        let state = ScheduleState {
            disagreements: merge::count_disagreements(&schedule, now),
            error: self.describe_errors(),
            providers: self.providers.iter().map(ProviderState::status).collect(),
            schedule,
        };
        self.metrics.record_merge(state.schedule.stale_since.is_some(), state.disagreements);
        self.metrics.record_overrides(self.overrides.len(), self.override_error.is_none());
        self.state.send_replace(state);
    }

    fn stale_since(&self, snapshots: &[&ProviderSnapshot], now: Timestamp) -> Option<Timestamp> {
        if snapshots.is_empty() {
            return self
                .providers
                .iter()
                .filter_map(|provider_state| provider_state.stale_since)
                .min();
        }
        let failing = |name: &str| {
            self.providers
                .iter()
                .find(|provider_state| provider_state.provider.name() == name)?
                .stale_since
        };
        merge::unconfirmed_since(snapshots, failing, now)
    }

    /// The errors of all providers and of the override file, for the public status document.
    fn describe_errors(&self) -> Option<String> {
        let provider_errors = self.providers.iter().filter_map(|provider_state| {
            Some(format!("{}: {}", provider_state.provider.name(), provider_state.error.as_ref()?))
        });
        // The status document is public: it shows the file's name without its directory.
        let describe = |error: &OverrideError| {
            let file_name = error.location.rsplit('/').next().unwrap_or_default();
            format!("{file_name}: {}", error.message)
        };
        let file_error = self.override_error.iter().map(describe);
        let all: Vec<String> = provider_errors.chain(file_error).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn to_stored_schedule(&self) -> StoredSchedule {
        StoredSchedule {
            schedule: self.state.borrow().schedule.clone(),
            unlisted: self.unlisted.clone(),
            opinions: self.providers.iter().filter_map(ProviderState::to_stored).collect(),
        }
    }

    /// Writes the schedule file. A disk that is full or read-only is only logged: the schedule in
    /// memory stays in use.
    async fn save_schedule(&self) {
        let saved = self.to_stored_schedule();
        let schedule_file = self.schedule_file.clone();
        let result = tokio::task::spawn_blocking(move || schedule_file.save(&saved)).await;
        if let Err(error) = result.map_err(std::io::Error::other).and_then(|result| result) {
            tracing::warn!(
                %error,
                "schedule file not written: check the disk, or a restart serves an older schedule"
            );
        }
    }
}

/// The states of providers, with what was stored of each. A stored schedule to which none of them
/// contributed is not served, but its revisions continue.
fn restore_providers(
    providers: Vec<Box<dyn Provider>>,
    stored: &mut StoredSchedule,
    now: Timestamp,
) -> Vec<ProviderState> {
    let states = providers.into_iter().map(|provider| {
        let opinion = take_stored_provider(&mut stored.opinions, &*provider);
        ProviderState::new(provider, opinion)
    });
    let states: Vec<_> = states.collect();
    if states.iter().all(|one| one.snapshot.is_none()) {
        let before = std::mem::take(&mut stored.schedule);
        stored.unlisted.update(&before, &Schedule::default(), now);
    }
    states
}

/// Removes and returns the stored snapshot of a provider, if it was read from the same origin.
fn take_stored_provider(
    stored: &mut Vec<StoredProvider>,
    provider: &dyn Provider,
) -> Option<StoredProvider> {
    let is_same = |one: &StoredProvider| {
        one.opinion.provider == provider.name() && one.opinion.origin == provider.location()
    };
    let index = stored.iter().position(is_same)?;
    Some(stored.swap_remove(index))
}

#[cfg(test)]
mod tests;
