//! Every stream that a source names, whether it plays or not, and the outages of those that do
//! not.
//!
//! A source names the feeds of its configuration for ever, and what it has found for as long as
//! [`SourceState::still_names`] says so. A find that has never passed a check is no stream yet,
//! unless the configuration names it: lists are full of dead entries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::{Health, Outage, StreamId, UpstreamMap};
use tokio::time::Instant;

use super::contender::Contender;
use super::sources::{self, SourceState};
use super::{Engine, Key};
use crate::source::Source;
use crate::webhooks::notice::What;

#[derive(Default)]
pub(crate) struct KnownStreams {
    /// By the configuration, in its order: which source names which stream.
    configured: Vec<(StreamId, String, usize)>,
    streams: BTreeMap<StreamId, KnownStream>,
}

pub(crate) struct KnownStream {
    /// The name people know it by.
    pub(crate) feed: String,
    pub(crate) outage: Option<Outage>,
    /// By source: finds of it that have not passed a check.
    finds: BTreeMap<usize, Find>,
    is_down: bool,
    /// Since when it is up or down without a break.
    since: Instant,
}

/// By source: the place of a stream among what it names, and why what it found of it was refused.
pub(crate) type NamedBy<'a> = BTreeMap<usize, (usize, Option<&'a str>)>;

struct Find {
    at: Instant,
    /// By the leader before: its source has to confirm it.
    inherited: bool,
    /// Its place among what its source found.
    position: usize,
    /// Why it did not pass.
    refused: Option<String>,
}

/// A stream whose token is renewed a moment too late is no news, nor is one that plays for a
/// moment.
const OUTAGE_CONFIRMED: Duration = Duration::from_secs(10);
const RECOVERY_CONFIRMED: Duration = Duration::from_secs(10);

impl KnownStreams {
    pub(super) fn new(sources: &[Source]) -> Self {
        let feeds = sources.iter().enumerate().flat_map(|(source, one)| {
            let named = one.feeds().into_iter();
            named.filter_map(move |feed| Some((StreamId::of_feed(&feed)?, feed, source)))
        });
        Self { configured: feeds.collect(), streams: BTreeMap::new() }
    }

    pub(crate) fn get(&self, stream: &StreamId) -> Option<&KnownStream> {
        self.streams.get(stream)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&StreamId, &KnownStream)> {
        self.streams.iter()
    }

    /// Those that the configuration names: their number is bounded.
    pub(crate) fn configured(&self) -> BTreeSet<&StreamId> {
        self.configured.iter().map(|(stream, ..)| stream).collect()
    }

    /// The sources that name a stream by their configuration, or without one that passed.
    pub(crate) fn named_by(&self, stream: &StreamId) -> NamedBy<'_> {
        let configured = self.configured.iter().enumerate().filter(|(_, one)| one.0 == *stream);
        let mut named: NamedBy<'_> =
            configured.map(|(position, (_, _, source))| (*source, (position, None))).collect();
        let finds = self.streams.get(stream).into_iter().flat_map(|known| &known.finds);
        named.extend(
            finds.map(|(source, find)| (*source, (find.position, find.refused.as_deref()))),
        );
        named
    }

    /// What the leader before knew: its streams stay known until their sources tell.
    pub(super) fn inherit(&mut self, map: &UpstreamMap, sources: &[SourceState]) {
        let now = Instant::now();
        self.streams.clear();
        for (id, stream) in &map.streams {
            let places = stream.upstreams.iter().filter_map(|one| {
                let source = sources::place(sources, &one.source)?;
                Some((
                    source,
                    Find { at: now, inherited: true, position: usize::MAX, refused: None },
                ))
            });
            let finds: BTreeMap<_, _> = places.collect();
            if finds.is_empty() && !self.configured.iter().any(|(one, ..)| one == id) {
                continue;
            }
            let (feed, outage) = (stream.feed.clone(), stream.outage);
            let is_down = outage.is_some() && stream.active().is_none();
            let known = KnownStream { feed, outage, finds, is_down, since: now };
            self.streams.insert(id.clone(), known);
        }
    }

    /// A source has found it, and it did not pass its check.
    pub(super) fn refused(&mut self, key: &Key, position: usize, why: String) {
        let Some(known) = self.streams.get_mut(&key.stream) else { return };
        let find = Find { at: Instant::now(), inherited: false, position, refused: Some(why) };
        known.finds.insert(key.source, find);
    }

    /// A source has found it, and it passed.
    pub(super) fn passed(&mut self, key: &Key) {
        if let Some(known) = self.streams.get_mut(&key.stream) {
            known.finds.remove(&key.source);
        }
    }

    /// Looks at what plays now. Answers whether something is different.
    fn review(
        &mut self,
        contenders: &BTreeMap<Key, Contender>,
        sources: &[SourceState],
        now: Timestamp,
    ) -> bool {
        let mut changed = false;
        // Of each stream that has upstreams, whether one of them plays.
        let mut plays: BTreeMap<&StreamId, bool> = BTreeMap::new();
        for (key, contender) in contenders {
            *plays.entry(&key.stream).or_default() |= contender.health() != Health::Down;
            let known = self.streams.entry(key.stream.clone()).or_insert_with(|| {
                changed = true;
                KnownStream::new(contender.candidate.feed.clone())
            });
            if key.ordinal == 0 && known.feed != contender.candidate.feed {
                known.feed.clone_from(&contender.candidate.feed);
            }
        }
        let is_asked = |source: &usize| sources.get(*source).is_some_and(SourceState::has_run);
        let configured: BTreeSet<_> = self.configured.iter().map(|(stream, ..)| stream).collect();
        let unasked = self.configured.iter().filter(|(.., source)| !is_asked(source));
        let unasked: BTreeSet<_> = unasked.map(|(stream, ..)| stream).collect();
        for (stream, feed, _) in &self.configured {
            if !unasked.contains(stream) && !self.streams.contains_key(stream) {
                self.streams.insert(stream.clone(), KnownStream::new(feed.clone()));
                changed = true;
            }
        }
        self.streams.retain(|stream, known| {
            known.finds.retain(|source, find| {
                sources.get(*source).is_some_and(|source| {
                    let overruled = find.inherited && source.has_listed_since(find.at);
                    !overruled && source.still_names(find.at)
                })
            });
            let is_named = !known.finds.is_empty() || configured.contains(stream);
            if !is_named && !plays.contains_key(stream) {
                tracing::info!(%stream, "no source names this stream any more");
                changed = true;
                return false;
            }
            // Before all its sources have been asked nobody can say that nothing plays it.
            let asked = !unasked.contains(stream) && known.finds.keys().all(is_asked);
            match plays.get(stream) {
                Some(plays) => changed |= known.see(*plays, now),
                None if asked => changed |= known.see(false, now),
                None => {}
            }
            true
        });
        changed
    }

    /// Streams whose outage has lasted and is not told yet, and those whose outage is over.
    pub(super) fn due(&self) -> Vec<StreamId> {
        let due = self.streams.iter().filter(|(_, known)| known.is_due());
        due.map(|(stream, _)| stream.clone()).collect()
    }

    /// Takes note that what is due of a stream is told, and says what that is. `plays`: the source
    /// that plays it; `why`: why none does.
    pub(super) fn tell(
        &mut self,
        stream: StreamId,
        plays: Option<String>,
        why: String,
    ) -> Option<What> {
        let known = self.streams.get_mut(&stream)?;
        let Outage { since, told } = known.outage?;
        let name = known.feed.clone();
        if known.is_down {
            known.outage = Some(Outage { since, told: true });
            return Some(What::StreamDark { stream, name, since, reason: why });
        }
        known.outage = None;
        told.then_some(What::StreamBack { stream, name, source: plays, since })
    }
}

impl KnownStream {
    fn new(feed: String) -> Self {
        let since = Instant::now();
        Self { feed, outage: None, finds: BTreeMap::new(), is_down: false, since }
    }

    fn see(&mut self, plays: bool, now: Timestamp) -> bool {
        if self.is_down != plays {
            return false;
        }
        self.is_down = !plays;
        self.since = Instant::now();
        if self.is_down {
            self.outage.get_or_insert(Outage { since: now, told: false });
        }
        true
    }

    /// Is there something of its outage that the operator is to be told, or to be forgotten?
    fn is_due(&self) -> bool {
        let Some(outage) = self.outage else { return false };
        match self.is_down {
            true => !outage.told && self.since.elapsed() >= OUTAGE_CONFIRMED,
            false => self.since.elapsed() >= RECOVERY_CONFIRMED,
        }
    }

    /// Since when nothing of it plays.
    pub(crate) fn down_since(&self) -> Option<Timestamp> {
        self.outage.filter(|_| self.is_down).map(|outage| outage.since)
    }
}

impl Engine {
    /// What is known of every stream by now. Answers whether something is different.
    pub(super) fn review(&mut self) -> bool {
        let now = self.clock.now();
        self.known.review(&self.contenders, &self.sources, now)
    }
}
