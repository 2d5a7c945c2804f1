//! What outlives a restart: scores, breakers, who played, and how long tokens live.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::UpstreamMap;
use tokio::time::Instant;

use super::order::Playing;
use super::sources::{SourceState, place};
use super::{Engine, Key};
use crate::history::{Archive, History, Past, PastPlaying, PastUpstream};
use crate::refresh::Lifetimes;
use crate::source::Source;

pub(crate) struct Memory {
    archive: Arc<Archive>,
    /// Of upstreams that have not been found again yet.
    upstreams: BTreeMap<Key, Past>,
    /// Who played. They are waited for only as long as a start takes.
    pub(super) playing: BTreeMap<pitwall_upstream_map::StreamId, Playing>,
    until: Instant,
    saved: Instant,
}

/// What is lost when the machine is.
const EVERY: Duration = Duration::from_secs(30);
/// How long after a start whoever played before may come back to its place.
const STARTING: Duration = Duration::from_mins(1);

impl Memory {
    pub(super) fn load(
        archive: Archive,
        sources: &[Source],
        now: Timestamp,
    ) -> (Self, BTreeMap<String, Lifetimes>) {
        let history = archive.load(now);
        let index = |name: &str| sources.iter().position(|source| source.name == name);
        let key =
            |stream, source: &str, ordinal| Some(Key { stream, source: index(source)?, ordinal });
        let upstreams = history
            .upstreams
            .into_iter()
            .filter_map(|one| Some((key(one.stream, &one.source, one.ordinal)?, one.past)));
        let playing = history.playing.into_iter().filter_map(|one| {
            let key = key(one.stream.clone(), &one.source, one.ordinal)?;
            let playing = Playing { pinned: one.pinned, ..played_before(key) };
            Some((one.stream, playing))
        });
        let memory = Self {
            archive: Arc::new(archive),
            upstreams: upstreams.collect(),
            playing: playing.collect(),
            until: Instant::now() + STARTING,
            saved: Instant::now(),
        };
        (memory, history.lifetimes)
    }

    /// Whoever played by the map that is there is waited for: the map is newer than what was
    /// remembered here, and edges go on by it meanwhile. To begin with another would move viewers
    /// away, and back again when the source that plays is found.
    pub(super) fn takes_over(&mut self, map: &UpstreamMap, sources: &[SourceState]) {
        if !self.starting() {
            self.playing.clear();
        }
        self.until = Instant::now() + STARTING;
        for stream in map.streams.values() {
            let Some(active) = stream.active() else { continue };
            let Some(source) = place(sources, &active.source) else { continue };
            let known = self.playing.remove(&stream.id).filter(|it| it.key.source == source);
            let key = Key { stream: stream.id.clone(), source, ordinal: 0 };
            let it = known.unwrap_or_else(|| played_before(key));
            self.playing.insert(stream.id.clone(), Playing { switched: stream.switched, ..it });
        }
    }

    pub(super) fn recall(&mut self, key: &Key) -> Option<Past> {
        self.upstreams.remove(key)
    }

    pub(super) fn starting(&self) -> bool {
        Instant::now() < self.until
    }
}

/// One that has had its place since before this process began.
fn played_before(key: Key) -> Playing {
    let now = Instant::now();
    Playing { key, since: now, settled_at: now, pinned: false, switched: 0 }
}

impl Engine {
    pub(super) fn remember_if_due(&mut self) {
        if self.memory.saved.elapsed() < EVERY {
            return;
        }
        self.memory.saved = Instant::now();
        let (archive, history) = (self.memory.archive.clone(), self.history());
        let now = self.clock.now();
        // A slow disk holds up nothing.
        self.jobs.spawn(async move {
            let saved = tokio::task::spawn_blocking(move || archive.save(&history, now)).await;
            if let Ok(Err(error)) = saved {
                tracing::warn!(%error, "history not saved");
            }
        });
    }

    /// At the end.
    pub(crate) fn remember(&self) {
        if let Err(error) = self.memory.archive.save(&self.history(), self.clock.now()) {
            tracing::warn!(%error, "history not saved");
        }
    }

    fn history(&self) -> History {
        let name = |key: &Key| self.sources.get(key.source).map(|one| one.source.name.clone());
        let known = self.contenders.iter().map(|(key, contender)| {
            (key, Past { record: contender.record, trips: contender.breaker.trips() })
        });
        let unseen = self.memory.upstreams.iter().map(|(key, past)| (key, *past));
        let upstreams = known.chain(unseen).filter_map(|(key, past)| {
            let (stream, ordinal) = (key.stream.clone(), key.ordinal);
            Some(PastUpstream { stream, source: name(key)?, ordinal, past })
        });
        let playing = self.playing.values().filter_map(|playing| {
            let (key, pinned) = (&playing.key, playing.pinned);
            let (stream, ordinal) = (key.stream.clone(), key.ordinal);
            Some(PastPlaying { stream, source: name(key)?, ordinal, pinned })
        });
        let lifetimes = self.sources.iter();
        let lifetimes = lifetimes.map(|one| (one.source.name.clone(), one.lifetimes.clone()));
        History {
            upstreams: upstreams.collect(),
            playing: playing.collect(),
            lifetimes: lifetimes.collect(),
        }
    }
}
