//! The loop that keeps the schedule: load, ask, judge, merge, save, wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_fetch::Fetcher;
use tokio::sync::watch;
use tokio::time::Instant;

use super::desk::Desk;
use super::metrics::Metrics;
use super::opinion::Opinion;
use super::overrides::{OverrideError, OverrideFile, Overrides};
use super::provider::{Fault, Provider};
use super::snapshot::{Kept, Saved, Snapshot};
use super::{ScheduleConfig, State, merge, providers};
use crate::clock::Clock;

/// How often the override file is looked at.
const LOOK: Duration = Duration::from_secs(10);

pub(crate) struct Poller {
    desks: Vec<Desk>,
    fetcher: Arc<Fetcher>,
    snapshot: Snapshot,
    clock: Clock,
    metrics: Metrics,
    state: watch::Sender<State>,
    file: Option<OverrideFile>,
    overrides: Overrides,
    override_error: Option<OverrideError>,
}

impl Poller {
    /// Serves the snapshot at once; asks nobody before [`run`](Self::run).
    pub(crate) fn new(
        config: &ScheduleConfig,
        directory: PathBuf,
        fetcher: Arc<Fetcher>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, OverrideError> {
        let file = config.override_file.clone().map(OverrideFile::new);
        Self::over(providers(config), file, directory, fetcher, clock, metrics)
    }

    fn over(
        providers: Vec<Box<dyn Provider>>,
        mut file: Option<OverrideFile>,
        directory: PathBuf,
        fetcher: Arc<Fetcher>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, OverrideError> {
        let overrides = file.as_mut().and_then(OverrideFile::look).transpose()?.unwrap_or_default();
        let snapshot = Snapshot::new(directory);
        // What an edge without a schedule was told once is not told again.
        let mut saved = Saved::default();
        if !providers.is_empty() {
            saved = snapshot.load().unwrap_or_default();
        }
        let mut desks = Vec::new();
        for provider in providers {
            let kept = take_kept(&mut saved.opinions, &*provider);
            desks.push(Desk::new(provider, kept));
        }
        // Revisions go on from where they were, unless all of it was told by somebody else.
        if desks.iter().all(|desk| desk.opinion.is_none()) {
            saved = Saved::default();
        }
        let state = watch::Sender::new(State { schedule: saved.schedule, ..State::default() });
        let mut poller = Self {
            desks,
            fetcher,
            snapshot,
            clock,
            metrics,
            state,
            file,
            overrides,
            override_error: None,
        };
        poller.merge();
        let (schedule, now) = (poller.state.borrow().schedule.clone(), poller.clock.now());
        for desk in &mut poller.desks {
            desk.due = Instant::now() + desk.first(&schedule, now);
        }
        Ok(poller)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Never returns; dropping it is how it ends.
    pub(crate) async fn run(mut self) {
        if self.desks.is_empty() && self.file.is_none() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep_until(self.next_wake()).await;
            self.look().await;
            self.poll().await;
        }
    }

    fn next_wake(&self) -> Instant {
        let far = Instant::now() + Duration::from_hours(24);
        let look = self.file.as_ref().map(|_| Instant::now() + LOOK);
        self.desks.iter().map(|desk| desk.due).chain(look).fold(far, Instant::min)
    }

    /// Takes a changed override file, if it is fine.
    async fn look(&mut self) {
        let Some(mut file) = self.file.take() else { return };
        // On a volume that hangs, only this waits.
        let looked = tokio::task::spawn_blocking(move || {
            let news = file.look();
            (file, news)
        });
        let Ok((file, news)) = looked.await else { return };
        self.file = Some(file);
        let Some(news) = news else { return };
        match news {
            Ok(overrides) => {
                tracing::info!(overrides = overrides.len(), "schedule overrides read");
                self.overrides = overrides;
                self.override_error = None;
            }
            Err(error) => {
                tracing::warn!(%error, "schedule overrides not read; the last ones stay");
                self.override_error = Some(error);
            }
        }
        self.merge();
    }

    /// Asks whoever is due.
    async fn poll(&mut self) {
        let asked_at = Instant::now();
        let now = self.clock.now();
        let due: Vec<usize> = (0..)
            .zip(&self.desks)
            .filter(|(_, desk)| desk.due <= asked_at)
            .map(|(at, _)| at)
            .collect();
        if due.is_empty() {
            return;
        }
        let fetcher = &self.fetcher;
        let asked = due.iter().filter_map(|&at| Some((at, self.desks.get(at)?)));
        let asked = asked.map(|(at, desk)| async move { (at, desk.ask(fetcher, now).await) });
        let answers = futures::future::join_all(asked).await;
        let now = self.clock.now();
        let mut outcomes = Vec::new();
        for (at, answer) in answers {
            let Some(desk) = self.desks.get_mut(at) else { continue };
            let known = desk.error.take();
            let outcome = desk.take(answer, now);
            let provider = desk.provider.name();
            match &outcome {
                Ok(()) => {
                    self.metrics.read(provider, now);
                    tracing::info!(provider, "schedule read");
                    if let Some(error) = desk.error.as_ref().filter(|_| desk.error != known) {
                        tracing::warn!(provider, %error, "schedule read but for some of it");
                    }
                }
                Err(error) => {
                    self.metrics.not_read(provider, error.fault);
                    match error.fault {
                        Fault::Locked => tracing::debug!(provider, %error, "schedule not read"),
                        _ => tracing::warn!(provider, %error, "schedule not read"),
                    }
                }
            }
            outcomes.push((at, outcome));
        }
        self.merge();
        let schedule = self.state.borrow().schedule.clone();
        for (at, outcome) in outcomes {
            if let Some(desk) = self.desks.get_mut(at) {
                desk.due = Instant::now() + desk.wait(&outcome, &schedule, now);
            }
        }
        self.save().await;
    }

    /// The schedule that follows from what everybody said last.
    fn merge(&mut self) {
        let now = self.clock.now();
        let opinions: Vec<&Opinion> =
            self.desks.iter().filter_map(|desk| desk.opinion.as_ref()).collect();
        let last = self.state.borrow().schedule.clone();
        let mut schedule = merge::merge(&opinions, &self.overrides, &last, now);
        schedule.stale_since = self.stale_since(&opinions, now);
        let state = State {
            disagreements: merge::disagreements(&schedule, now),
            error: self.error(),
            providers: self.desks.iter().map(Desk::status).collect(),
            schedule,
        };
        self.metrics.merged(state.schedule.stale_since.is_some(), state.disagreements);
        self.metrics.overridden(self.overrides.len(), self.override_error.is_none());
        self.state.send_replace(state);
    }

    fn stale_since(&self, opinions: &[&Opinion], now: Timestamp) -> Option<Timestamp> {
        if opinions.is_empty() {
            return self.desks.iter().filter_map(|desk| desk.stale_since).min();
        }
        let failing =
            |name: &str| self.desks.iter().find(|desk| desk.provider.name() == name)?.stale_since;
        merge::unconfirmed(opinions, failing, now)
    }

    /// Everything that is wrong, for status.
    fn error(&self) -> Option<String> {
        let desks = self
            .desks
            .iter()
            .filter_map(|desk| Some(format!("{}: {}", desk.provider.name(), desk.error.as_ref()?)));
        // Status is public: it names the file, not where it is.
        let name = |error: &OverrideError| {
            let place = error.place.rsplit('/').next().unwrap_or_default();
            format!("{place}: {}", error.message)
        };
        let file = self.override_error.iter().map(name);
        let all: Vec<String> = desks.chain(file).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// A disk that is full or read-only costs the snapshot, never the schedule.
    async fn save(&self) {
        let saved = Saved {
            schedule: self.state.borrow().schedule.clone(),
            opinions: self.desks.iter().filter_map(Desk::kept).collect(),
        };
        let snapshot = self.snapshot.clone();
        let saved = tokio::task::spawn_blocking(move || snapshot.save(&saved)).await;
        if let Err(error) = saved.map_err(std::io::Error::other).and_then(|saved| saved) {
            tracing::warn!(%error, "schedule snapshot not written");
        }
    }
}

fn take_kept(kept: &mut Vec<Kept>, provider: &dyn Provider) -> Option<Kept> {
    let is = |one: &Kept| {
        one.opinion.provider == provider.name() && one.opinion.origin == provider.origin()
    };
    let at = kept.iter().position(is)?;
    Some(kept.swap_remove(at))
}

#[cfg(test)]
mod tests;
