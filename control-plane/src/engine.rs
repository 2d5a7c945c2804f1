//! The one queue that owns every extraction, check, retry and back-off.
//!
//! - [`work`]: what takes time: extracting and checking, done beside the queue.
//! - [`contender`]: one upstream in the running for a stream, from its first passed check on.
//! - [`sources`]: what is known of each source, and when it is asked again.
//!
//! Make before break: what an extraction finds replaces what plays only after it passed a
//! check. What fails changes nothing but when it is tried again.

pub(crate) mod contender;
pub(crate) mod sources;
pub(crate) mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::{Health, Store, StoreError, StreamId, UpstreamMap};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::contender::Contender;
use self::sources::SourceState;
use self::work::{Event, Work};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::publish::{self, Picture, Site};
use crate::rank::{self, Standing};
use crate::schedule;
use crate::source::Source;

pub(crate) struct Engine {
    work: Arc<dyn Work>,
    store: Arc<dyn Store>,
    clock: Clock,
    metrics: Metrics,
    schedule: watch::Receiver<schedule::State>,
    check_every: Duration,
    site: Site,
    started_at: Timestamp,
    sources: Vec<SourceState>,
    contenders: BTreeMap<Key, Contender>,
    /// Who plays, as published last.
    current: BTreeMap<StreamId, Key>,
    jobs: JoinSet<()>,
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    version: u64,
    generation: u64,
    /// How many contenders the last tick found fit to be shown.
    listed: usize,
    /// Something changed since the last publication.
    dirty: bool,
    published: Option<Instant>,
    /// Of every session, as published.
    statuses: Vec<pitwall_upstream_map::documents::SessionStatus>,
}

/// A stream, the place of a source in the configuration, and which of its finds for that
/// stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) stream: StreamId,
    pub(crate) source: usize,
    pub(crate) ordinal: usize,
}

/// Changes that come together are published together.
const COALESCE: Duration = Duration::from_millis(200);
/// How often clocks are looked at: tokens that ended, sessions that began.
const TICK: Duration = Duration::from_secs(1);
/// How long an upstream that is down, and that its source does not find any more, is tried.
const FORGOTTEN: Duration = Duration::from_mins(10);

pub(crate) struct Parts {
    pub(crate) work: Arc<dyn Work>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) schedule: watch::Receiver<schedule::State>,
    pub(crate) sources: Vec<Source>,
    pub(crate) check_every: Duration,
    pub(crate) site: Site,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { work, store, clock, metrics, schedule, sources, check_every, site } = parts;
        let version = store.current().version;
        let started_at = clock.now();
        Self {
            work,
            store,
            clock,
            metrics,
            schedule,
            check_every,
            site,
            started_at,
            sources: sources.into_iter().map(SourceState::new).collect(),
            contenders: BTreeMap::new(),
            current: BTreeMap::new(),
            jobs: JoinSet::new(),
            events: mpsc::channel(256),
            version,
            generation: 0,
            listed: 0,
            dirty: true,
            published: None,
            statuses: Vec::new(),
        }
    }

    /// Never returns; dropping it ends every job.
    pub(crate) async fn run(mut self) {
        loop {
            self.tick();
            self.start_extractions();
            self.start_checks();
            self.publish_if_due().await;
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
            Ok(()) = self.schedule.changed() => self.dirty = true,
            Some(_) = self.jobs.join_next() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    fn next_wake(&self) -> Instant {
        let runs = self.sources.iter().filter(|source| !source.running).map(|source| source.due);
        let checks = self.contenders.values().filter_map(Contender::due);
        let publication = self.published.filter(|_| self.dirty).map(|last| last + COALESCE);
        let tick = Instant::now() + TICK;
        runs.chain(checks).chain(publication).fold(tick, Instant::min)
    }

    fn start_extractions(&mut self) {
        let now = Instant::now();
        for (index, state) in self.sources.iter_mut().enumerate() {
            if !state.running && state.due <= now {
                state.running = true;
                let (work, source) = (self.work.clone(), state.source.clone());
                self.jobs.spawn(work::extract(work, index, source, self.events.0.clone()));
            }
        }
    }

    fn start_checks(&mut self) {
        let now = Instant::now();
        for (key, contender) in &mut self.contenders {
            let Some(state) = self.sources.get(key.source) else { continue };
            if contender.due().is_some_and(|due| due <= now) {
                contender.checking = true;
                let job = work::Recheck {
                    key: key.clone(),
                    generation: contender.generation,
                    source: state.source.clone(),
                    candidate: contender.candidate.clone(),
                    last: contender.checked.clone(),
                };
                self.jobs.spawn(work::recheck(self.work.clone(), job, self.events.0.clone()));
            }
        }
    }

    fn apply(&mut self, event: Event) {
        self.dirty = true;
        let now = self.clock.now();
        match event {
            Event::Passed { key, candidate, checked } => {
                self.generation = UpstreamMap::next_version(self.generation, now);
                let generation = self.generation;
                let next_check = Instant::now() + self.check_every;
                match self.contenders.get_mut(&key) {
                    Some(known) => known.replace(candidate, checked, generation, now),
                    None => {
                        let contender = Contender::new(candidate, checked, generation, now);
                        self.contenders.entry(key.clone()).or_insert(contender);
                    }
                }
                if let Some(contender) = self.contenders.get_mut(&key) {
                    contender.next_check = next_check;
                }
            }
            Event::Ran { source, report } => {
                if let Some(state) = self.sources.get_mut(source) {
                    state.ran(report, now, rand::random());
                    self.metrics.ran(state);
                }
            }
            Event::Rechecked { key, generation, result } => {
                let Some(contender) = self.contenders.get_mut(&key) else { return };
                contender.checking = false;
                contender.next_check = Instant::now() + self.check_every;
                // A verdict on its predecessor.
                if contender.generation != generation {
                    return;
                }
                let was = contender.health;
                let fresh = UpstreamMap::next_version(self.generation, now);
                if contender.rechecked(result, fresh, now) {
                    self.generation = fresh;
                }
                contender.next_check = Instant::now() + contender.patience(self.check_every);
                // A token that died early is renewed now, not when it was meant to end.
                if was == Health::Healthy
                    && contender.health != Health::Healthy
                    && let Some(state) = self.sources.get_mut(key.source)
                {
                    state.hurry();
                }
            }
        }
    }

    /// What time alone changes.
    fn tick(&mut self) {
        let now = self.clock.now();
        for contender in self.contenders.values_mut() {
            self.dirty |= contender.expire(now);
        }
        let before = self.contenders.len();
        self.contenders.retain(|_, contender| {
            contender.down_for() < FORGOTTEN || contender.found.elapsed() < FORGOTTEN
        });
        self.dirty |= self.contenders.len() != before;
        let listed = self.contenders.values().filter(|contender| contender.listed()).count();
        self.dirty |= listed != std::mem::replace(&mut self.listed, listed);
        let schedule = self.schedule.borrow();
        self.dirty |= publish::statuses(&schedule.schedule, now) != self.statuses;
        self.metrics.schedule(&schedule.schedule, now);
    }

    async fn publish_if_due(&mut self) {
        let due = self.published.is_none_or(|last| last.elapsed() >= COALESCE);
        if !(self.dirty && due) {
            return;
        }
        self.published = Some(Instant::now());
        let now = self.clock.now();
        let last = self.version.max(self.store.current().version);
        let version = UpstreamMap::next_version(last, now);
        let schedule = self.schedule.borrow_and_update().clone();
        let ranked = self.ranked();
        let picture = Picture {
            version,
            now,
            started_at: self.started_at,
            sources: &self.sources,
            streams: &ranked,
            schedule: &schedule,
            site: &self.site,
        };
        let map = match publish::build(&picture) {
            Ok(map) => map,
            Err(error) => {
                tracing::error!(%error, "a document cannot be written");
                return;
            }
        };
        let current = ranked.iter().filter_map(|(stream, order)| {
            let (key, _) = order.iter().find(|(_, one)| one.health != Health::Down)?;
            Some((stream.clone(), (*key).clone()))
        });
        let current = current.collect();
        self.metrics.published(version, &ranked, &self.sources);
        match self.store.publish(map).await {
            Ok(()) => {
                self.version = version;
                self.current = current;
                self.statuses = publish::statuses(&schedule.schedule, now);
                self.dirty = false;
            }
            // Somebody else's version: the next attempt goes past it.
            Err(StoreError::Outdated { current, .. }) => self.version = current,
            Err(error) => tracing::warn!(%error, "map not published; trying again"),
        }
    }

    /// Every stream with its upstreams, best first.
    fn ranked(&self) -> BTreeMap<StreamId, Vec<(&Key, &Contender)>> {
        let mut streams: BTreeMap<StreamId, Vec<(&Key, &Contender)>> = BTreeMap::new();
        for (key, contender) in self.contenders.iter().filter(|(_, one)| one.listed()) {
            streams.entry(key.stream.clone()).or_default().push((key, contender));
        }
        for (stream, upstreams) in &mut streams {
            let current = self.current.get(stream);
            let standing = |(order, (key, contender)): (usize, &(&Key, &Contender))| Standing {
                health: contender.health,
                score: contender.record.score(),
                order,
                current: current == Some(*key),
            };
            let standings: Vec<_> = upstreams.iter().enumerate().map(standing).collect();
            let order = rank::order(&standings);
            *upstreams = order.iter().filter_map(|&index| upstreams.get(index).copied()).collect();
        }
        streams
    }
}

#[cfg(test)]
mod tests;
