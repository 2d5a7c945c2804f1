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
            let now = Instant::now();
            let (since, came, pinned) = (now, now, one.pinned);
            Some((one.stream, Playing { key, since, came, pinned, switched: 0 }))
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

    /// Whom an operator moved viewers to is waited for, as who played before a restart: the map
    /// that is there knows more of it than was remembered here.
    pub(super) fn takes_over(&mut self, map: &UpstreamMap, sources: &[SourceState]) {
        if !self.starting() {
            self.playing.clear();
        }
        let now = Instant::now();
        self.until = now + STARTING;
        for stream in map.streams.values().filter(|stream| stream.switched > 0) {
            let Some(first) = stream.upstreams.first() else { continue };
            let Some(source) = place(sources, &first.source) else { continue };
            let known = self.playing.remove(&stream.id).filter(|it| it.key.source == source);
            let key = Key { stream: stream.id.clone(), source, ordinal: 0 };
            let it = Playing { key, since: now, came: now, pinned: false, switched: 0 };
            let it = Playing { switched: stream.switched, ..known.unwrap_or(it) };
            self.playing.insert(stream.id.clone(), it);
        }
    }

    pub(super) fn recall(&mut self, key: &Key) -> Option<Past> {
        self.upstreams.remove(key)
    }

    pub(super) fn starting(&self) -> bool {
        Instant::now() < self.until
    }
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
