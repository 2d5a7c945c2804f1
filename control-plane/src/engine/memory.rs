//! What outlives a restart: scores, breakers, who played, and how long tokens live.
//!
//! An operator's word, a switch or a pin, is in three places: in the map that the store has, in the
//! memory of whoever leads, and in `history.json`. It is in force as soon as a map that says so is
//! published, and carries that map's version. Whoever begins to lead goes by the newest: a map
//! knows every word up to its own version, also that one has ended since; what was remembered here
//! counts where its version is above the map's, which is then one from before the word (the store
//! was emptied, or its last map never reached this disk).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::{Stream, StreamId, UpstreamMap};
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
    pub(super) playing: BTreeMap<StreamId, Playing>,
    until: Instant,
    saved: Instant,
}

/// What is lost when the machine is.
const EVERY: Duration = Duration::from_secs(30);
const LONGEST_SAVE: Duration = Duration::from_secs(1);
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
            let (pinned, switched) = (one.pinned, one.switched);
            let playing = Playing { pinned, switched, ..played_before(key) };
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

    /// Whoever played by the map that is there is waited for, and whom an operator pinned by it:
    /// edges go on by it meanwhile. To begin with another would move viewers away, and back again
    /// when the source that plays is found. `before`: who played when this control plane led last.
    pub(super) fn takes_over(
        &mut self,
        map: &UpstreamMap,
        sources: &[SourceState],
        before: BTreeMap<StreamId, Playing>,
    ) {
        let starting = self.starting();
        self.until = Instant::now() + STARTING;
        let mut known = std::mem::take(&mut self.playing);
        known.extend(before);
        for stream in map.streams.values() {
            let Some((source, pinned, switched)) = plays_by(stream, sources) else { continue };
            let known = known.remove(&stream.id);
            let playing = match known {
                Some(newer) if newer.switched > map.version => newer,
                Some(same) if same.key.source == source => Playing { pinned, switched, ..same },
                _ => {
                    let key = Key { stream: stream.id.clone(), source, ordinal: 0 };
                    Playing { pinned, switched, ..played_before(key) }
                }
            };
            self.playing.insert(stream.id.clone(), playing);
        }
        // Of what the map does not tell.
        for (stream, playing) in known {
            let newer = playing.switched > map.version || map.version == 0;
            if newer || starting {
                let pinned = playing.pinned && newer;
                self.playing.insert(stream, Playing { pinned, ..playing });
            }
        }
    }

    /// Those of whom that is so need not be waited for.
    pub(super) fn take(&mut self, is: impl Fn(&Playing) -> bool) -> BTreeMap<StreamId, Playing> {
        self.playing.extract_if(.., |_, playing| is(playing)).collect()
    }

    pub(super) fn newest_word(&self) -> u64 {
        self.playing.values().map(|playing| playing.switched).max().unwrap_or(0)
    }

    /// An operator wants somebody else now.
    pub(super) fn forget(&mut self, stream: &StreamId) {
        self.playing.remove(stream);
    }

    /// Whom an operator wants and who is not back yet.
    pub(super) fn awaited(&self, stream: &StreamId) -> Option<&Playing> {
        self.playing.get(stream).filter(|playing| playing.pinned && self.starting())
    }

    pub(super) fn recall(&mut self, key: &Key) -> Option<Past> {
        self.upstreams.remove(key)
    }

    pub(super) fn starting(&self) -> bool {
        Instant::now() < self.until
    }
}

/// Who plays a stream by a map: whom an operator pinned, or else whoever is best; with the version
/// of an operator's word.
fn plays_by(stream: &Stream, sources: &[SourceState]) -> Option<(usize, bool, u64)> {
    let pin = stream.pin.as_ref();
    let pinned = pin.and_then(|pin| Some((place(sources, &pin.source)?, true, pin.version)));
    pinned.or_else(|| Some((place(sources, &stream.active()?.source)?, false, stream.switched)))
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
        // A slow disk holds up nothing.
        let saving = self.save();
        self.jobs.spawn(saving);
    }

    /// Before an operator is told that something was done; a disk that hangs is not waited for.
    pub(super) async fn remember_now(&mut self) {
        let saving = tokio::spawn(self.save());
        if tokio::time::timeout(LONGEST_SAVE, saving).await.is_err() {
            tracing::warn!("history not saved yet: the disk of [state] dir is slow");
        }
    }

    fn save(&mut self) -> impl Future<Output = ()> + Send + use<> {
        self.memory.saved = Instant::now();
        let (archive, history) = (self.memory.archive.clone(), self.history());
        let now = self.clock.now();
        async move {
            let saved = tokio::task::spawn_blocking(move || archive.save(&history, now)).await;
            if let Ok(Err(error)) = saved {
                tracing::warn!(%error, "history not saved");
            }
        }
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
        let awaited = self.memory.playing.values().filter(|_| self.memory.starting());
        let awaited = awaited.filter(|one| !self.playing.contains_key(&one.key.stream));
        let playing = self.playing.values().chain(awaited).filter_map(|playing| {
            let Playing { key, pinned, switched, .. } = playing;
            let (stream, ordinal) = (key.stream.clone(), key.ordinal);
            let (pinned, switched) = (*pinned, *switched);
            Some(PastPlaying { stream, source: name(key)?, ordinal, pinned, switched })
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
