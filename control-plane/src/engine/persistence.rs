//! State that survives a restart: scores, circuit breakers, active upstreams and token lifetimes.
//!
//! A switch or pin by an operator is stored in three places: the map in the store, the leader's
//! memory and `history.json`. The switch takes effect when a map that carries it is published, and
//! has that map's version. A new leader goes by the newest: a map is complete for all switches up to its own
//! version, also for those that have ended; a remembered switch counts only if its version is above
//! the map's, which is then older than the switch (the store was emptied, or its last map never
//! reached this disk).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::{Stream, StreamId, UpstreamMap};
use tokio::time::Instant;

use super::Engine;
use crate::extract::ConfiguredSource;
use crate::history::{ActiveUpstreamEntry, History, HistoryStore, UpstreamHistoryEntry};
use crate::model::UpstreamKey;
use crate::model::ranking::ActiveUpstream;
use crate::model::source_state::{SourceState, source_index};
use crate::model::upstream_stats::UpstreamHistory;
use crate::refresh::TokenLifetimes;

pub(crate) struct RestoredState {
    history_store: Arc<HistoryStore>,
    /// History of upstreams that have not been found again yet.
    unseen_upstreams: BTreeMap<UpstreamKey, UpstreamHistory>,
    /// The upstreams that were active before, each waited for only during
    /// [`STARTUP_GRACE_PERIOD`].
    pub(super) previously_active: BTreeMap<StreamId, ActiveUpstream>,
    pub(super) startup_ends_at: Instant,
    last_saved_at: Instant,
}

/// History newer than this is lost when the machine crashes.
const HISTORY_SAVE_INTERVAL: Duration = Duration::from_secs(30);
const HISTORY_SAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long after a start a previously active upstream may become active again without ranking.
const STARTUP_GRACE_PERIOD: Duration = Duration::from_mins(1);

impl RestoredState {
    pub(super) fn load(
        history_store: HistoryStore,
        sources: &[Arc<ConfiguredSource>],
        now: Timestamp,
    ) -> (Self, BTreeMap<String, TokenLifetimes>) {
        let history = history_store.load(now);
        let index = |name: &str| sources.iter().position(|source| source.name == name);
        let key = |stream, source: &str, ordinal| {
            Some(UpstreamKey { stream, source: index(source)?, ordinal })
        };
        let upstreams = history
            .upstreams
            .into_iter()
            .filter_map(|one| Some((key(one.stream, &one.source, one.ordinal)?, one.past)));
        let active = history.playing.into_iter().filter_map(|one| {
            let key = key(one.stream.clone(), &one.source, one.ordinal)?;
            let (pinned, switch_version) = (one.pinned, one.switched);
            let active = ActiveUpstream { pinned, switch_version, ..restored_active_upstream(key) };
            Some((one.stream, active))
        });
        let state = Self {
            history_store: Arc::new(history_store),
            unseen_upstreams: upstreams.collect(),
            previously_active: active.collect(),
            startup_ends_at: Instant::now() + STARTUP_GRACE_PERIOD,
            last_saved_at: Instant::now(),
        };
        (state, history.lifetimes)
    }

    /// Waits for the upstream that each stream of the map has active or pinned, as edges meanwhile
    /// play it: with another one viewers would be moved away, and back when the active source is
    /// found. `before`: the active upstreams when this control plane last led.
    pub(super) fn expect_upstreams_of_map(
        &mut self,
        map: &UpstreamMap,
        sources: &[SourceState],
        before: BTreeMap<StreamId, ActiveUpstream>,
    ) {
        let starting = self.is_starting_up();
        self.startup_ends_at = Instant::now() + STARTUP_GRACE_PERIOD;
        let mut remembered = std::mem::take(&mut self.previously_active);
        remembered.extend(before);
        for stream in map.streams.values() {
            let Some((source, pinned, switch_version)) = active_source_in_map(stream, sources)
            else {
                continue;
            };
            let remembered = remembered.remove(&stream.id);
            let active = match remembered {
                Some(newer) if newer.switch_version > map.version => newer,
                Some(same) if same.key.source == source => {
                    ActiveUpstream { pinned, switch_version, ..same }
                }
                _ => {
                    let key = UpstreamKey { stream: stream.id.clone(), source, ordinal: 0 };
                    ActiveUpstream { pinned, switch_version, ..restored_active_upstream(key) }
                }
            };
            self.previously_active.insert(stream.id.clone(), active);
        }
        // Streams that the map does not have.
        for (stream, active) in remembered {
            let newer = active.switch_version > map.version || map.version == 0;
            if newer || starting {
                let pinned = active.pinned && newer;
                self.previously_active.insert(stream, ActiveUpstream { pinned, ..active });
            }
        }
    }

    /// Removes and returns the previously active upstreams that match `predicate`; they need not be
    /// waited for.
    pub(super) fn take_previously_active(
        &mut self,
        predicate: impl Fn(&ActiveUpstream) -> bool,
    ) -> BTreeMap<StreamId, ActiveUpstream> {
        self.previously_active.extract_if(.., |_, active| predicate(active)).collect()
    }

    pub(super) fn newest_switch_version(&self) -> u64 {
        self.previously_active.values().map(|active| active.switch_version).max().unwrap_or(0)
    }

    /// An operator has chosen another upstream.
    pub(super) fn forget_active_upstream(&mut self, stream: &StreamId) {
        self.previously_active.remove(stream);
    }

    /// The pinned upstream of a stream that has not been found again yet.
    pub(super) fn awaited_pin(&self, stream: &StreamId) -> Option<&ActiveUpstream> {
        self.previously_active.get(stream).filter(|active| active.pinned && self.is_starting_up())
    }

    pub(super) fn take_upstream_history(&mut self, key: &UpstreamKey) -> Option<UpstreamHistory> {
        self.unseen_upstreams.remove(key)
    }

    /// The source is no longer configured.
    pub(super) fn forget_source(&mut self, source: usize) {
        self.unseen_upstreams.retain(|key, _| key.source != source);
        self.previously_active.retain(|_, active| active.key.source != source);
    }

    pub(super) fn is_starting_up(&self) -> bool {
        Instant::now() < self.startup_ends_at
    }
}

/// The active upstream of a stream by the map: source index, whether an operator pinned it, and the
/// version of an operator's switch. A pin precedes the best upstream.
fn active_source_in_map(stream: &Stream, sources: &[SourceState]) -> Option<(usize, bool, u64)> {
    let pin = stream.pin.as_ref();
    let pinned = pin.and_then(|pin| Some((source_index(sources, &pin.source)?, true, pin.version)));
    pinned.or_else(|| {
        Some((source_index(sources, &stream.active_upstream()?.source)?, false, stream.switched))
    })
}

/// An upstream that has been active since before this process began.
fn restored_active_upstream(key: UpstreamKey) -> ActiveUpstream {
    let now = Instant::now();
    ActiveUpstream { key, active_since: now, settled_at: now, pinned: false, switch_version: 0 }
}

impl Engine {
    pub(super) fn save_history_if_due(&mut self) {
        if self.persisted.last_saved_at.elapsed() < HISTORY_SAVE_INTERVAL {
            return;
        }
        // Saved in a task, so that a slow disk does not block the engine.
        let saving = self.save_history();
        self.jobs.spawn(saving);
    }

    /// Saves the history before `then`; a disk that hangs is not waited for.
    pub(super) fn save_history_then(&mut self, then: impl FnOnce() + Send + 'static) {
        let saving = tokio::spawn(self.save_history());
        self.jobs.spawn(async move {
            if tokio::time::timeout(HISTORY_SAVE_TIMEOUT, saving).await.is_err() {
                tracing::warn!(
                    "the history is not saved yet: the disk of [state] dir is slow; check it"
                );
            }
            then();
        });
    }

    pub(super) fn save_history(&mut self) -> impl Future<Output = ()> + Send + use<> {
        self.persisted.last_saved_at = Instant::now();
        let history_store = self.persisted.history_store.clone();
        let revision = history_store.begin_revision(self.collect_history(), self.clock.now());
        async move {
            let saved = tokio::task::spawn_blocking(move || history_store.save(&revision)).await;
            if let Ok(Err(error)) = saved {
                tracing::warn!(%error, "the history was not saved; check [state] dir");
            }
        }
    }

    /// For shutdown.
    pub(crate) fn save_history_blocking(&self) {
        let history_store = &self.persisted.history_store;
        let revision = history_store.begin_revision(self.collect_history(), self.clock.now());
        if let Err(error) = history_store.save(&revision) {
            tracing::warn!(%error, "the history was not saved; check [state] dir");
        }
    }

    fn collect_history(&self) -> History {
        let name =
            |key: &UpstreamKey| self.sources.get(key.source).map(|one| one.source.name.clone());
        let known = self.upstreams.iter().map(|(key, upstream)| {
            (key, UpstreamHistory { record: upstream.stats, trips: upstream.breaker.trip_count() })
        });
        let unseen = self.persisted.unseen_upstreams.iter().map(|(key, history)| (key, *history));
        let upstreams = known.chain(unseen).filter_map(|(key, history)| {
            let (stream, ordinal) = (key.stream.clone(), key.ordinal);
            Some(UpstreamHistoryEntry { stream, source: name(key)?, ordinal, past: history })
        });
        let awaited =
            self.persisted.previously_active.values().filter(|_| self.persisted.is_starting_up());
        let awaited = awaited.filter(|one| !self.active_upstreams.contains_key(&one.key.stream));
        let active = self.active_upstreams.values().chain(awaited).filter_map(|active| {
            let ActiveUpstream { key, pinned, switch_version: switched, .. } = active;
            let (stream, ordinal) = (key.stream.clone(), key.ordinal);
            let (pinned, switched) = (*pinned, *switched);
            Some(ActiveUpstreamEntry { stream, source: name(key)?, ordinal, pinned, switched })
        });
        let lifetimes = self.sources.iter().filter(|state| state.is_configured());
        let lifetimes = lifetimes.map(|one| (one.source.name.clone(), one.lifetimes.clone()));
        History {
            upstreams: upstreams.collect(),
            playing: active.collect(),
            lifetimes: lifetimes.collect(),
        }
    }
}
