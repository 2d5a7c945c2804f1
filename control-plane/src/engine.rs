//! The engine: the one queue of every extraction, check, retry and backoff. What it knows is the
//! [`model`](crate::model).
//!
//! - [`job_start`]: starts due jobs, those of watched streams first ([`job_queue`],
//!   [`due_times`]).
//! - [`leadership`]: only the control plane that holds the lease works.
//! - [`jobs`]: extractions and checks, run in tasks beside the queue.
//! - [`event_handling`]: applies the results of jobs.
//! - [`tick`]: changes that come with time, and feedback from the edges.
//! - [`stream_review`]: what events have touched is ranked ([`ranking`]) and drafted, with the
//!   documents that belong to no stream ([`documents`]); [`publishing`]: the map.
//! - [`command_handling`]: carries out an operator's commands; [`alerts`]: alerts to the operator.
//! - [`persistence`]: state that survives a restart; [`reconfiguration`]: other settings while it
//!   runs.
//!
//! Make before break: a newly extracted candidate replaces an upstream's URL only after it passed a
//! check. A failed extraction changes nothing but the time of the next one.

mod alerts;
mod command_handling;
mod documents;
mod due_times;
mod event_handling;
mod job_queue;
mod job_start;
pub(crate) mod jobs;
mod leadership;
mod persistence;
mod publishing;
mod ranking;
mod reconfiguration;
mod stream_review;
mod tick;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::{Health, Store, StreamId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::alerts::AlertState;
use self::job_queue::JobQueue;
use self::jobs::{EngineEvent, JobExecutor};
use self::leadership::InheritedUpstreams;
use self::persistence::RestoredState;
use self::publishing::PublicationState;
use self::stream_review::{ReviewQueue, StreamCounts};
use crate::clock::Clock;
use crate::extract::ConfiguredSource;
use crate::history::HistoryStore;
use crate::metrics::Metrics;
use crate::model::UpstreamKey;
use crate::model::command::Command;
use crate::model::known_streams::KnownStreams;
pub(crate) use crate::model::liveness::LivenessDetector;
use crate::model::ranking::ActiveUpstream;
use crate::model::source_state::SourceState;
use crate::model::upstream_table::UpstreamTable;
use crate::publish::PublicUrl;
use crate::rank::RankConfig;
use crate::refresh::PollCadence;
use crate::schedule;
use crate::webhooks::{Notifier, Webhook};

pub(crate) struct Engine {
    executor: Arc<dyn JobExecutor>,
    pub(crate) store: Arc<dyn Store>,
    clock: Clock,
    metrics: Metrics,
    schedule: watch::Receiver<schedule::ScheduleState>,
    settings: watch::Receiver<Arc<EngineSettings>>,
    check_interval: Duration,
    public_url: PublicUrl,
    rank_config: RankConfig,
    started_at: Timestamp,
    cadence: PollCadence,
    /// A source keeps its index as long as the process runs, also where it is removed from the
    /// configuration; its place there is [`SourceState::position`].
    sources: Vec<SourceState>,
    failing_sources: BTreeSet<usize>,
    upstreams: UpstreamTable,
    known_streams: KnownStreams,
    counts: StreamCounts,
    /// The active upstream of each stream, as last published.
    active_upstreams: BTreeMap<StreamId, ActiveUpstream>,
    /// Number of viewers of each watched stream.
    viewers: BTreeMap<StreamId, usize>,
    persisted: RestoredState,
    alert_state: AlertState,
    notifier: Notifier,
    command_channel: (mpsc::Sender<Command>, mpsc::Receiver<Command>),
    runs: JobQueue<usize>,
    checks: JobQueue<UpstreamKey>,
    jobs: JoinSet<()>,
    event_channel: (mpsc::Sender<EngineEvent>, mpsc::Receiver<EngineEvent>),
    reviews: ReviewQueue,
    publication: PublicationState,
    last_generation: u64,
    last_tick_at: Option<Instant>,
    /// The upstreams that the previous leader published, until they are found again.
    inherited_upstreams: Option<InheritedUpstreams>,
}

/// How often expired tokens and started sessions are looked for.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// The part of the configuration that the engine follows while it runs.
pub(crate) struct EngineSettings {
    /// Their names are unique.
    pub(crate) sources: Vec<Arc<ConfiguredSource>>,
    pub(crate) rank: RankConfig,
    pub(crate) webhooks: Vec<Webhook>,
}

pub(crate) struct EngineDependencies {
    pub(crate) executor: Arc<dyn JobExecutor>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) schedule: watch::Receiver<schedule::ScheduleState>,
    pub(crate) settings: watch::Receiver<Arc<EngineSettings>>,
    pub(crate) check_interval: Duration,
    pub(crate) public_url: PublicUrl,
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
            mut settings,
            check_interval,
            public_url,
            history_store,
            mut notifier,
        } = dependencies;
        let started_at = clock.now();
        let current = settings.borrow_and_update().clone();
        let EngineSettings { sources, rank, webhooks } = &*current;
        let (persisted, mut lifetimes) = RestoredState::load(history_store, sources, started_at);
        let state = |(position, source): (usize, &Arc<ConfiguredSource>)| {
            let learned = lifetimes.remove(&source.name).unwrap_or_default();
            metrics.register_source(&source.name, started_at);
            SourceState::new(source.clone(), position, learned)
        };
        let sources: Vec<_> = sources.iter().enumerate().map(state).collect();
        let mut known_streams = KnownStreams::default();
        known_streams.replace_configured_streams(&sources);
        known_streams.configured().for_each(|stream| metrics.register_stream(stream));
        notifier.set_webhooks(webhooks);
        let cadence = PollCadence::of(&schedule.borrow().schedule, started_at);
        let mut engine = Self {
            executor,
            store,
            clock,
            metrics,
            schedule,
            settings,
            check_interval,
            public_url,
            rank_config: rank.clone(),
            started_at,
            cadence,
            sources,
            failing_sources: BTreeSet::new(),
            upstreams: UpstreamTable::default(),
            known_streams,
            counts: StreamCounts::default(),
            active_upstreams: BTreeMap::new(),
            viewers: BTreeMap::new(),
            persisted,
            alert_state: AlertState::default(),
            notifier,
            command_channel: mpsc::channel(16),
            runs: JobQueue::new(job_start::EXTRACTION_LIMITS),
            checks: JobQueue::new(job_start::CHECK_LIMITS),
            jobs: JoinSet::new(),
            event_channel: mpsc::channel(256),
            reviews: ReviewQueue::default(),
            publication: PublicationState::default(),
            last_generation: 0,
            last_tick_at: None,
            inherited_upstreams: None,
        };
        (0..engine.sources.len()).for_each(|source| engine.schedule_run(source));
        engine
    }

    pub(crate) fn command_sender(&self) -> mpsc::Sender<Command> {
        self.command_channel.0.clone()
    }

    /// Never returns; dropping the future leaves running jobs to their end.
    pub(crate) async fn run(&mut self) {
        loop {
            self.tick_if_due();
            self.start_due_extractions();
            self.start_due_rechecks();
            self.review_touched();
            self.refuse_overdue_switches();
            self.publish_if_due();
            self.save_history_if_due();
            self.handle_next_event().await;
        }
    }

    /// Waits for an event, or until the next job, review or publication is due.
    async fn handle_next_event(&mut self) {
        let until = self.next_wake();
        tokio::select! {
            event = self.event_channel.1.recv() => {
                event.into_iter().for_each(|event| self.apply_event(event));
                while let Ok(event) = self.event_channel.1.try_recv() {
                    self.apply_event(event);
                }
            }
            Some(command) = self.command_channel.1.recv() => self.apply_command(command),
            () = self.store.feedback().wait_for_feedback() => self.drain_feedback(),
            Ok(()) = self.settings.changed() => self.apply_settings(),
            Ok(()) = self.schedule.changed() => self.publication.is_schedule_outdated = true,
            Some(_) = self.jobs.join_next() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let tick = self.last_tick_at.map_or(now, |last| last + TICK_INTERVAL);
        let (runs, checks) = (self.runs.next_after(now), self.checks.next_after(now));
        let reviews = self.reviews.due.next_after(now);
        let times = [runs, checks, reviews, self.publication.next_due_at()];
        times.into_iter().flatten().fold(tick, Instant::min)
    }

    /// Are all other upstreams of this upstream's stream down?
    fn is_last_playable(&self, key: &UpstreamKey) -> bool {
        let mut others = self.upstreams.of_stream(&key.stream).filter(|(other, _)| *other != key);
        others.all(|(_, one)| one.health() == Health::Down)
    }
}

#[cfg(test)]
mod tests;
