//! The engine: the one queue of every extraction, check, retry and backoff. What it knows is the
//! [`model`](crate::model).
//!
//! - [`job_start`]: starts due jobs, those of watched streams first ([`job_selection`]).
//! - [`leadership`]: only the control plane that holds the lease works.
//! - [`jobs`]: extractions and checks, run in tasks beside the queue.
//! - [`event_handling`]: applies the results of jobs.
//! - [`tick`]: changes that come with time, and feedback from the edges.
//! - [`stream_review`]: which streams play now; [`ranking`]: the upstreams of every stream, best
//!   first; [`publishing`]: the map.
//! - [`command_handling`]: carries out an operator's commands; [`alerts`]: alerts to the operator.
//! - [`persistence`]: state that survives a restart.
//!
//! Make before break: a newly extracted candidate replaces an upstream's URL only after it passed a
//! check. A failed extraction changes nothing but the time of the next one.

mod alerts;
mod command_handling;
mod event_handling;
mod job_selection;
mod job_start;
pub(crate) mod jobs;
mod leadership;
mod persistence;
mod publishing;
mod ranking;
mod stream_review;
mod tick;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::SessionStatus;
use pitwall_upstream_map::{Health, Store, StreamId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::alerts::AlertState;
use self::jobs::{EngineEvent, JobExecutor};
use self::leadership::InheritedUpstreams;
use self::persistence::PersistedState;
use crate::clock::Clock;
use crate::history::HistoryStore;
use crate::metrics::Metrics;
use crate::model::UpstreamKey;
use crate::model::command::Command;
use crate::model::known_streams::KnownStreams;
pub(crate) use crate::model::liveness::LivenessDetector;
use crate::model::ranking::ActiveUpstream;
use crate::model::source_state::SourceState;
use crate::model::tracked_upstream::TrackedUpstream;
use crate::publish::PublicUrl;
use crate::rank::RankConfig;
use crate::refresh::PollCadence;
use crate::schedule;
use crate::source::Source;
use crate::webhooks::Notifier;

pub(crate) struct Engine {
    executor: Arc<dyn JobExecutor>,
    pub(crate) store: Arc<dyn Store>,
    clock: Clock,
    metrics: Metrics,
    schedule: watch::Receiver<schedule::ScheduleState>,
    check_interval: Duration,
    public_url: PublicUrl,
    rank_config: RankConfig,
    started_at: Timestamp,
    cadence: PollCadence,
    sources: Vec<SourceState>,
    upstreams: BTreeMap<UpstreamKey, TrackedUpstream>,
    known_streams: KnownStreams,
    /// The active upstream of each stream, as last published.
    active_upstreams: BTreeMap<StreamId, ActiveUpstream>,
    /// Number of viewers of each watched stream.
    viewers: BTreeMap<StreamId, usize>,
    persisted: PersistedState,
    alert_state: AlertState,
    notifier: Notifier,
    command_channel: (mpsc::Sender<Command>, mpsc::Receiver<Command>),
    jobs: JoinSet<()>,
    event_channel: (mpsc::Sender<EngineEvent>, mpsc::Receiver<EngineEvent>),
    last_version: u64,
    last_generation: u64,
    /// Number of upstreams that the last tick found fit to be listed.
    listed_count: usize,
    /// Something has changed since the last publication.
    needs_publication: bool,
    last_published_at: Option<Instant>,
    /// Why the last map was not published, as logged.
    last_publish_error: Option<String>,
    /// The upstreams that the previous leader published, until they are found again.
    inherited_upstreams: Option<InheritedUpstreams>,
    /// Phase of every session, as last published.
    published_session_phases: Vec<(SessionStatus, bool)>,
}

/// How often expired tokens and started sessions are looked for.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct EngineDependencies {
    pub(crate) executor: Arc<dyn JobExecutor>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) schedule: watch::Receiver<schedule::ScheduleState>,
    pub(crate) sources: Vec<Source>,
    pub(crate) check_interval: Duration,
    pub(crate) public_url: PublicUrl,
    pub(crate) rank_config: RankConfig,
    pub(crate) history_store: HistoryStore,
    pub(crate) notifier: Notifier,
}

impl Engine {
    pub(crate) fn new(dependencies: EngineDependencies) -> Self {
        let EngineDependencies {
            executor,
            store,
            clock,
            metrics,
            schedule,
            sources,
            check_interval,
            public_url,
            rank_config,
            history_store,
            notifier,
        } = dependencies;
        let (last_version, started_at) = (store.map().version, clock.now());
        let (persisted, mut lifetimes) = PersistedState::load(history_store, &sources, started_at);
        let state = |source: Source| {
            let learned = lifetimes.remove(&source.name).unwrap_or_default();
            metrics.register_source(&source.name, started_at);
            SourceState::new(source, learned)
        };
        let known_streams = KnownStreams::new(&sources);
        let sources = sources.into_iter().map(state).collect();
        let cadence = PollCadence::of(&schedule.borrow().schedule, started_at);
        Self {
            executor,
            store,
            clock,
            metrics,
            schedule,
            check_interval,
            public_url,
            rank_config,
            started_at,
            cadence,
            sources,
            upstreams: BTreeMap::new(),
            known_streams,
            active_upstreams: BTreeMap::new(),
            viewers: BTreeMap::new(),
            persisted,
            alert_state: AlertState::default(),
            notifier,
            command_channel: mpsc::channel(16),
            jobs: JoinSet::new(),
            event_channel: mpsc::channel(256),
            last_version,
            last_generation: 0,
            listed_count: 0,
            needs_publication: true,
            last_published_at: None,
            last_publish_error: None,
            inherited_upstreams: None,
            published_session_phases: Vec::new(),
        }
    }

    pub(crate) fn command_sender(&self) -> mpsc::Sender<Command> {
        self.command_channel.0.clone()
    }

    /// Never returns; dropping the future ends every job.
    pub(crate) async fn run(&mut self) {
        loop {
            self.tick();
            self.start_due_extractions();
            self.start_due_checks();
            self.publish_if_due().await;
            self.save_history_if_due();
            self.send_due_alerts();
            self.wait_for_event().await;
        }
    }

    /// Waits for an event, or until the next job or publication is due.
    async fn wait_for_event(&mut self) {
        let until = self.next_wake();
        tokio::select! {
            event = self.event_channel.1.recv() => {
                event.into_iter().for_each(|event| self.apply_event(event));
                while let Ok(event) = self.event_channel.1.try_recv() {
                    self.apply_event(event);
                }
            }
            Some(command) = self.command_channel.1.recv() => self.apply_command(command).await,
            () = self.store.feedback().wait_for_feedback() => self.drain_feedback(),
            Ok(()) = self.schedule.changed() => self.needs_publication = true,
            Some(_) = self.jobs.join_next() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let runs =
            self.sources.iter().filter(|source| !source.is_running).map(|source| source.due_at);
        let checks = self.upstreams.values().filter_map(TrackedUpstream::check_due_at);
        // Jobs that are already due wait for another job to end, which wakes the engine as well.
        let later = runs.chain(checks).filter(|due| *due > now);
        later.chain(self.next_publication_at()).fold(now + TICK_INTERVAL, Instant::min)
    }

    /// Are all other upstreams of this upstream's stream down?
    fn is_last_playable(&self, key: &UpstreamKey) -> bool {
        let others = self.upstreams.iter().filter(|(other, _)| other.stream == key.stream);
        others.filter(|(other, _)| *other != key).all(|(_, one)| one.health() == Health::Down)
    }
}

#[cfg(test)]
mod tests;
