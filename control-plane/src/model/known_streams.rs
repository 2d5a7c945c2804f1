//! Every stream that a source names, whether it plays or not, and the outages of those that do not.
//!
//! A source names the feeds of its configuration for ever, and what it has found for as long as
//! [`SourceState::is_find_still_known`] says. A find that has never passed a check is no stream yet
//! unless the configuration names it, as lists are full of dead entries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::{Health, Outage, StreamId, UpstreamMap};
use tokio::time::Instant;

use super::UpstreamKey;
use super::alert::AlertEvent;
use super::source_state::{self, SourceState};
use super::tracked_upstream::TrackedUpstream;

#[derive(Default)]
pub(crate) struct KnownStreams {
    /// The streams that the configuration names.
    configured: BTreeMap<StreamId, ConfiguredStream>,
    streams: BTreeMap<StreamId, KnownStream>,
    /// By source index: the streams that the source names.
    by_source: BTreeMap<usize, BTreeSet<StreamId>>,
}

struct ConfiguredStream {
    feed: String,
    /// By source index: the position among all feeds of the configuration.
    sources: BTreeMap<usize, usize>,
}

/// What a review of a stream came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamExistence {
    Yes,
    /// Whether it is one is not known yet, as a source that should have it has not been asked.
    NotYet,
    /// No source names it any more.
    No,
}

pub(crate) struct KnownStream {
    /// The name of the feed, as shown to viewers.
    pub(crate) feed: String,
    pub(crate) outage: Option<Outage>,
    /// By source index: finds that have not passed a check.
    unverified_finds: BTreeMap<usize, UnverifiedFind>,
    is_down: bool,
    /// Since when the stream is up or down without interruption.
    state_since: Instant,
}

/// By source index: the position of a stream among the feeds or finds of the source, and why its
/// find was rejected.
pub(crate) type SourcesNamingStream<'a> = BTreeMap<usize, (usize, Option<&'a str>)>;

/// A find that has not passed a check.
struct UnverifiedFind {
    found_at: Instant,
    /// Taken from the previous leader's map; a complete run of its source supersedes it.
    is_inherited: bool,
    /// Position among the source's finds.
    position: usize,
    /// Why the find failed its check.
    rejection: Option<String>,
}

impl UnverifiedFind {
    fn is_current(&self, source: usize, sources: &[SourceState]) -> bool {
        sources.get(source).is_some_and(|source| {
            let is_superseded = self.is_inherited && source.has_complete_run_since(self.found_at);
            source.is_configured() && !is_superseded && source.is_find_still_known(self.found_at)
        })
    }
}

/// A shorter outage, such as a token renewed a moment late, is not reported, and neither is a
/// shorter recovery.
const OUTAGE_ALERT_DELAY: Duration = Duration::from_secs(10);
const RECOVERY_ALERT_DELAY: Duration = Duration::from_secs(10);

impl KnownStreams {
    /// Takes over which streams the configuration names. Gives those that it no longer names.
    pub(crate) fn replace_configured_streams(&mut self, sources: &[SourceState]) -> Vec<StreamId> {
        let before = std::mem::take(&mut self.configured);
        self.by_source.clear();
        let places = sources.iter().enumerate();
        let mut places: Vec<_> =
            places.filter_map(|(index, state)| Some((state.position?, index, state))).collect();
        places.sort_unstable_by_key(|(position, ..)| *position);
        let feeds = places.into_iter().flat_map(|(_, index, state)| {
            let named = state.source.configured_feeds.iter();
            named.filter_map(move |feed| Some((StreamId::of_feed(feed)?, feed, index)))
        });
        for (position, (stream, feed, source)) in feeds.enumerate() {
            self.by_source.entry(source).or_default().insert(stream.clone());
            let configured = self.configured.entry(stream);
            let configured = configured.or_insert_with(|| ConfiguredStream {
                feed: feed.clone(),
                sources: BTreeMap::new(),
            });
            configured.sources.insert(source, position);
        }
        for (stream, known) in &self.streams {
            for source in known.unverified_finds.keys() {
                self.by_source.entry(*source).or_default().insert(stream.clone());
            }
        }
        before.into_keys().filter(|stream| !self.configured.contains_key(stream)).collect()
    }

    pub(crate) fn get(&self, stream: &StreamId) -> Option<&KnownStream> {
        self.streams.get(stream)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&StreamId, &KnownStream)> {
        self.streams.iter()
    }

    /// The streams that the configuration names.
    pub(crate) fn configured(&self) -> impl Iterator<Item = &StreamId> {
        self.configured.keys()
    }

    /// Does the configuration name the stream? The number of such streams is bounded, which metric
    /// labels need.
    pub(crate) fn is_configured(&self, stream: &StreamId) -> bool {
        self.configured.contains_key(stream)
    }

    /// The sources that name a stream by their configuration, or by a find that has not passed a
    /// check.
    pub(crate) fn naming_sources(&self, stream: &StreamId) -> SourcesNamingStream<'_> {
        let configured = self.configured.get(stream).into_iter().flat_map(|one| &one.sources);
        let mut named: SourcesNamingStream<'_> =
            configured.map(|(source, position)| (*source, (*position, None))).collect();
        let finds = self.streams.get(stream).into_iter().flat_map(|known| &known.unverified_finds);
        named.extend(
            finds.map(|(source, find)| (*source, (find.position, find.rejection.as_deref()))),
        );
        named
    }

    /// The streams that a source names by its configuration or by such a find.
    pub(crate) fn named_by(&self, source: usize) -> impl Iterator<Item = &StreamId> {
        self.by_source.get(&source).into_iter().flatten()
    }

    /// Takes over the streams of the previous leader's map until their sources have run.
    pub(crate) fn inherit(&mut self, map: &UpstreamMap, sources: &[SourceState]) {
        let now = Instant::now();
        self.streams.clear();
        for (id, stream) in &map.streams {
            let finds = stream.upstreams.iter().filter_map(|one| {
                let source = source_state::source_index(sources, &one.source)?;
                Some((
                    source,
                    UnverifiedFind {
                        found_at: now,
                        is_inherited: true,
                        position: usize::MAX,
                        rejection: None,
                    },
                ))
            });
            let finds: BTreeMap<_, _> = finds.collect();
            if finds.is_empty() && !self.is_configured(id) {
                continue;
            }
            for source in finds.keys() {
                self.by_source.entry(*source).or_default().insert(id.clone());
            }
            let (feed, outage) = (stream.feed.clone(), stream.outage);
            let is_down = outage.is_some() && stream.active_upstream().is_none();
            let known =
                KnownStream { feed, outage, unverified_finds: finds, is_down, state_since: now };
            self.streams.insert(id.clone(), known);
        }
    }

    /// Records that a source found the stream and that the find failed its check.
    pub(crate) fn record_rejected_find(
        &mut self,
        key: &UpstreamKey,
        position: usize,
        reason: String,
    ) {
        let Some(known) = self.streams.get_mut(&key.stream) else { return };
        let find = UnverifiedFind {
            found_at: Instant::now(),
            is_inherited: false,
            position,
            rejection: Some(reason),
        };
        known.unverified_finds.insert(key.source, find);
        self.by_source.entry(key.source).or_default().insert(key.stream.clone());
    }

    /// Records that a source found the stream and that the find passed its check.
    pub(crate) fn clear_rejected_find(&mut self, key: &UpstreamKey) {
        if let Some(known) = self.streams.get_mut(&key.stream) {
            known.unverified_finds.remove(&key.source);
        }
        self.forget_naming(&key.stream, key.source);
    }

    /// The source no longer names the stream, unless the configuration does.
    fn forget_naming(&mut self, stream: &StreamId, source: usize) {
        let configured = self.configured.get(stream);
        if !configured.is_some_and(|one| one.sources.contains_key(&source))
            && let Some(streams) = self.by_source.get_mut(&source)
        {
            streams.remove(stream);
        }
    }

    /// Streams of which a find no longer counts.
    pub(crate) fn streams_with_outdated_finds(&self, sources: &[SourceState]) -> Vec<StreamId> {
        let has_outdated = |known: &KnownStream| {
            known.unverified_finds.iter().any(|(source, find)| !find.is_current(*source, sources))
        };
        let outdated = self.streams.iter().filter(|(_, known)| has_outdated(known));
        outdated.map(|(stream, _)| stream.clone()).collect()
    }

    /// Updates what is known of a stream and its outage. `upstreams`: those of the stream.
    pub(crate) fn review<'a>(
        &mut self,
        stream: &StreamId,
        upstreams: impl Iterator<Item = (&'a UpstreamKey, &'a TrackedUpstream)>,
        sources: &[SourceState],
        now: Timestamp,
    ) -> StreamExistence {
        let has_run = |source: &usize| sources.get(*source).is_some_and(SourceState::has_run);
        let configured = self.configured.get(stream);
        let mut all_have_run = configured.is_none_or(|one| one.sources.keys().all(has_run));
        // Whether an upstream is not down; `None` without any.
        let mut is_playing = None;
        let mut feed = None;
        for (key, upstream) in upstreams {
            let is_up = upstream.health() != Health::Down;
            is_playing = Some(is_up || is_playing.unwrap_or(false));
            if key.ordinal == 0 || feed.is_none() {
                feed = Some(&upstream.candidate.feed);
            }
        }
        if !self.streams.contains_key(stream) {
            let configured = configured.filter(|_| all_have_run).map(|one| &one.feed);
            let Some(feed) = feed.or(configured) else {
                return if self.is_configured(stream) {
                    StreamExistence::NotYet
                } else {
                    StreamExistence::No
                };
            };
            self.streams.insert(stream.clone(), KnownStream::new(feed.clone()));
        }
        let Some(known) = self.streams.get_mut(stream) else { return StreamExistence::NotYet };
        if let Some(feed) = feed.filter(|feed| known.feed != **feed) {
            known.feed.clone_from(feed);
        }
        let finds = &mut known.unverified_finds;
        let outdated = finds.extract_if(.., |source, find| !find.is_current(*source, sources));
        let outdated: Vec<usize> = outdated.map(|(source, _)| source).collect();
        // An outage can be known only when all sources of the stream have run.
        all_have_run &= finds.keys().all(has_run);
        let is_named = !finds.is_empty() || configured.is_some();
        if let Some(is_playing) = is_playing.or_else(|| all_have_run.then_some(false)) {
            known.set_playing(is_playing, now);
        }
        for source in outdated {
            self.forget_naming(stream, source);
        }
        if is_named || is_playing.is_some() {
            return StreamExistence::Yes;
        }
        tracing::info!(%stream, "the stream is removed: no source names it any more");
        self.streams.remove(stream);
        StreamExistence::No
    }

    /// Streams whose outage has lasted long enough to be reported, or has ended.
    pub(crate) fn streams_with_due_alert(&self) -> Vec<StreamId> {
        let due = self.streams.iter().filter(|(_, known)| known.has_due_alert());
        due.map(|(stream, _)| stream.clone()).collect()
    }

    /// Marks the due alert of a stream as reported and returns it. `active_source`: the source that
    /// plays the stream; `reason`: why none does.
    pub(crate) fn take_due_alert(
        &mut self,
        stream: StreamId,
        active_source: Option<String>,
        reason: String,
    ) -> Option<AlertEvent> {
        let known = self.streams.get_mut(&stream)?;
        let Outage { since, told } = known.outage?;
        let name = known.feed.clone();
        if known.is_down {
            known.outage = Some(Outage { since, told: true });
            return Some(AlertEvent::StreamDark { stream, name, since, reason });
        }
        known.outage = None;
        told.then_some(AlertEvent::StreamBack { stream, name, source: active_source, since })
    }
}

impl KnownStream {
    fn new(feed: String) -> Self {
        let since = Instant::now();
        Self {
            feed,
            outage: None,
            unverified_finds: BTreeMap::new(),
            is_down: false,
            state_since: since,
        }
    }

    fn set_playing(&mut self, is_playing: bool, now: Timestamp) {
        if self.is_down != is_playing {
            return;
        }
        self.is_down = !is_playing;
        self.state_since = Instant::now();
        if self.is_down {
            self.outage.get_or_insert(Outage { since: now, told: false });
        }
    }

    /// Has the outage an event to report, or is it over and to be forgotten?
    fn has_due_alert(&self) -> bool {
        let Some(outage) = self.outage else { return false };
        match self.is_down {
            true => !outage.told && self.state_since.elapsed() >= OUTAGE_ALERT_DELAY,
            false => self.state_since.elapsed() >= RECOVERY_ALERT_DELAY,
        }
    }

    /// Since when all upstreams of the stream are down.
    pub(crate) fn down_since(&self) -> Option<Timestamp> {
        self.outage.filter(|_| self.is_down).map(|outage| outage.since)
    }
}
