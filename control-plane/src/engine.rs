//! The one queue that owns every extraction, check, retry and back-off.
//!
//! - [`start`]: what is due is started, what is watched first ([`queue`]).
//! - [`lead`]: of several control planes one does all this.
//! - [`work`]: what takes time: extracting and checking, done beside the queue.
//! - [`apply`]: what that brought to light.
//! - [`contender`]: one upstream in the running for a stream, from its first passed check on;
//!   [`pulse`]: its signs of life.
//! - [`sources`]: what is known of each source, and when it is asked again; [`trace`]: what its
//!   last run did.
//! - [`tick`]: what time alone changes, and what the edges tell.
//! - [`known`]: every stream that sources name, and outages; [`cause`]: what is wrong, in words.
//! - [`order`]: every stream's upstreams, best first; [`publishing`]: the map.
//! - [`command`]: what an operator wants; [`alarms`]: what an operator is told.
//! - [`memory`]: what outlives a restart.
//!
//! Make before break: what an extraction finds replaces what plays only after it passed a
//! check. What fails changes nothing but when it is tried again.

mod alarms;
mod apply;
pub(crate) mod cause;
pub(crate) mod command;
pub(crate) mod contender;
pub(crate) mod known;
mod lead;
mod memory;
pub(crate) mod order;
mod publishing;
mod pulse;
mod queue;
pub(crate) mod sources;
mod start;
mod tick;
pub(crate) mod trace;
pub(crate) mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::SessionStatus;
use pitwall_upstream_map::{Health, Store, StreamId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::alarms::Alarms;
use self::command::Command;
use self::contender::Contender;
use self::known::KnownStreams;
use self::lead::Inherited;
use self::memory::Memory;
use self::order::Playing;
pub(crate) use self::pulse::Pulse;
use self::sources::SourceState;
use self::work::{Event, Work};
use crate::clock::Clock;
use crate::history::Archive;
use crate::metrics::Metrics;
use crate::publish::Site;
use crate::rank::RankConfig;
use crate::refresh::Tempo;
use crate::schedule;
use crate::source::Source;
use crate::webhooks::Notifier;

pub(crate) struct Engine {
    work: Arc<dyn Work>,
    pub(crate) store: Arc<dyn Store>,
    clock: Clock,
    metrics: Metrics,
    schedule: watch::Receiver<schedule::State>,
    check_every: Duration,
    site: Site,
    rank: RankConfig,
    started_at: Timestamp,
    tempo: Tempo,
    sources: Vec<SourceState>,
    contenders: BTreeMap<Key, Contender>,
    known: KnownStreams,
    /// Who plays, as published last.
    playing: BTreeMap<StreamId, Playing>,
    /// Streams that somebody watches, and how many do.
    watched: BTreeMap<StreamId, usize>,
    memory: Memory,
    alarms: Alarms,
    notifier: Notifier,
    commands: (mpsc::Sender<Command>, mpsc::Receiver<Command>),
    jobs: JoinSet<()>,
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    version: u64,
    generation: u64,
    /// How many contenders the last tick found fit to be shown.
    listed: usize,
    /// Something changed since the last publication.
    dirty: bool,
    published: Option<Instant>,
    /// Why the last map was not published, as it was logged.
    unpublished: Option<String>,
    /// What was published before, until it is found again.
    inherited: Option<Inherited>,
    /// Of every session, as published.
    phases: Vec<(SessionStatus, bool)>,
}

/// A stream, the place of a source in the configuration, and which of its finds for that
/// stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) stream: StreamId,
    pub(crate) source: usize,
    pub(crate) ordinal: usize,
}

/// How often clocks are looked at: tokens that ended, sessions that began.
const TICK: Duration = Duration::from_secs(1);

pub(crate) struct Parts {
    pub(crate) work: Arc<dyn Work>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) schedule: watch::Receiver<schedule::State>,
    pub(crate) sources: Vec<Source>,
    pub(crate) check_every: Duration,
    pub(crate) site: Site,
    pub(crate) rank: RankConfig,
    pub(crate) archive: Archive,
    pub(crate) notifier: Notifier,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { work, store, clock, metrics, schedule, sources, check_every, .. } = parts;
        let Parts { site, rank, archive, notifier, .. } = parts;
        let (version, started_at) = (store.current().version, clock.now());
        let (memory, mut lifetimes) = Memory::load(archive, &sources, started_at);
        let state = |source: Source| {
            let learned = lifetimes.remove(&source.name).unwrap_or_default();
            metrics.configured(&source.name, started_at);
            SourceState::new(source, learned)
        };
        let known = KnownStreams::new(&sources);
        let sources = sources.into_iter().map(state).collect();
        let tempo = Tempo::of(&schedule.borrow().schedule, started_at);
        Self {
            work,
            store,
            clock,
            metrics,
            schedule,
            check_every,
            site,
            rank,
            started_at,
            tempo,
            sources,
            contenders: BTreeMap::new(),
            known,
            playing: BTreeMap::new(),
            watched: BTreeMap::new(),
            memory,
            alarms: Alarms::default(),
            notifier,
            commands: mpsc::channel(16),
            jobs: JoinSet::new(),
            events: mpsc::channel(256),
            version,
            generation: 0,
            listed: 0,
            dirty: true,
            published: None,
            unpublished: None,
            inherited: None,
            phases: Vec::new(),
        }
    }

    pub(crate) fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.0.clone()
    }

    /// Never returns; dropping it ends every job.
    pub(crate) async fn run(&mut self) {
        loop {
            self.tick();
            self.start_extractions();
            self.start_checks();
            self.publish_if_due().await;
            self.remember_if_due();
            self.look_out();
            self.wait().await;
        }
    }

    /// Until something happened, or is due.
    async fn wait(&mut self) {
        let until = self.next_wake();
        tokio::select! {
            event = self.events.1.recv() => {
                event.into_iter().for_each(|event| self.apply(event));
                while let Ok(event) = self.events.1.try_recv() {
                    self.apply(event);
                }
            }
            Some(command) = self.commands.1.recv() => self.obey(command).await,
            () = self.store.demand().told() => self.listen(),
            Ok(()) = self.schedule.changed() => self.dirty = true,
            Some(_) = self.jobs.join_next() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let runs = self.sources.iter().filter(|source| !source.running).map(|source| source.due);
        let checks = self.contenders.values().filter_map(Contender::due);
        // What is due already waits for something else to end, which wakes as well.
        let later = runs.chain(checks).filter(|due| *due > now);
        later.chain(self.next_publication()).fold(now + TICK, Instant::min)
    }

    /// Has its stream nothing else that can play?
    fn alone(&self, key: &Key) -> bool {
        let others = self.contenders.iter().filter(|(other, _)| other.stream == key.stream);
        others.filter(|(other, _)| *other != key).all(|(_, one)| one.health() == Health::Down)
    }
}

#[cfg(test)]
mod tests;
