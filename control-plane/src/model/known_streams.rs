//! Every stream that a source names, whether it plays or not, and the outages of those that do not.
//!
//! A source names the feeds of its configuration for ever, and what it has found for as long as
//! [`SourceState::is_still_known`] says. A find that has never passed a check is no stream yet
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
use crate::source::Source;

#[derive(Default)]
pub(crate) struct KnownStreams {
    /// The streams that the configuration names, in its order, with their feed and source index.
    configured: Vec<(StreamId, String, usize)>,
    streams: BTreeMap<StreamId, KnownStream>,
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
pub(crate) type NamingSources<'a> = BTreeMap<usize, (usize, Option<&'a str>)>;

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

/// A shorter outage, such as a token renewed a moment late, is not reported, and neither is a
/// shorter recovery.
const OUTAGE_ALERT_DELAY: Duration = Duration::from_secs(10);
const RECOVERY_ALERT_DELAY: Duration = Duration::from_secs(10);

impl KnownStreams {
    pub(crate) fn new(sources: &[Source]) -> Self {
        let feeds = sources.iter().enumerate().flat_map(|(source, one)| {
            let named = one.configured_feeds().into_iter();
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

    /// The streams that the configuration names; their number is bounded, which metric labels need.
    pub(crate) fn configured_streams(&self) -> BTreeSet<&StreamId> {
        self.configured.iter().map(|(stream, ..)| stream).collect()
    }

    /// The sources that name a stream by their configuration, or by a find that has not passed a
    /// check.
    pub(crate) fn naming_sources(&self, stream: &StreamId) -> NamingSources<'_> {
        let configured = self.configured.iter().enumerate().filter(|(_, one)| one.0 == *stream);
        let mut named: NamingSources<'_> =
            configured.map(|(position, (_, _, source))| (*source, (position, None))).collect();
        let finds = self.streams.get(stream).into_iter().flat_map(|known| &known.unverified_finds);
        named.extend(
            finds.map(|(source, find)| (*source, (find.position, find.rejection.as_deref()))),
        );
        named
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
            if finds.is_empty() && !self.configured.iter().any(|(one, ..)| one == id) {
                continue;
            }
            let (feed, outage) = (stream.feed.clone(), stream.outage);
            let is_down = outage.is_some() && stream.active().is_none();
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
    }

    /// Records that a source found the stream and that the find passed its check.
    pub(crate) fn clear_rejected_find(&mut self, key: &UpstreamKey) {
        if let Some(known) = self.streams.get_mut(&key.stream) {
            known.unverified_finds.remove(&key.source);
        }
    }

    /// Updates streams and outages; returns whether anything changed.
    pub(crate) fn update(
        &mut self,
        upstreams: &BTreeMap<UpstreamKey, TrackedUpstream>,
        sources: &[SourceState],
        now: Timestamp,
    ) -> bool {
        let mut changed = false;
        // For each stream with upstreams, whether at least one is not down.
        let mut playing: BTreeMap<&StreamId, bool> = BTreeMap::new();
        for (key, upstream) in upstreams {
            *playing.entry(&key.stream).or_default() |= upstream.health() != Health::Down;
            let known = self.streams.entry(key.stream.clone()).or_insert_with(|| {
                changed = true;
                KnownStream::new(upstream.candidate.feed.clone())
            });
            if key.ordinal == 0 && known.feed != upstream.candidate.feed {
                known.feed.clone_from(&upstream.candidate.feed);
            }
        }
        let has_run = |source: &usize| sources.get(*source).is_some_and(SourceState::has_run);
        let configured: BTreeSet<_> = self.configured.iter().map(|(stream, ..)| stream).collect();
        let not_run = self.configured.iter().filter(|(.., source)| !has_run(source));
        let not_run: BTreeSet<_> = not_run.map(|(stream, ..)| stream).collect();
        for (stream, feed, _) in &self.configured {
            if !not_run.contains(stream) && !self.streams.contains_key(stream) {
                self.streams.insert(stream.clone(), KnownStream::new(feed.clone()));
                changed = true;
            }
        }
        self.streams.retain(|stream, known| {
            known.unverified_finds.retain(|source, find| {
                sources.get(*source).is_some_and(|source| {
                    let is_superseded =
                        find.is_inherited && source.has_complete_run_since(find.found_at);
                    !is_superseded && source.is_still_known(find.found_at)
                })
            });
            let is_named = !known.unverified_finds.is_empty() || configured.contains(stream);
            if !is_named && !playing.contains_key(stream) {
                tracing::info!(%stream, "the stream is removed: no source names it any more");
                changed = true;
                return false;
            }
            // An outage can be known only when all sources of the stream have run.
            let all_have_run =
                !not_run.contains(stream) && known.unverified_finds.keys().all(has_run);
            match playing.get(stream) {
                Some(playing) => changed |= known.update_outage(*playing, now),
                None if all_have_run => changed |= known.update_outage(false, now),
                None => {}
            }
            true
        });
        changed
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

    fn update_outage(&mut self, is_playing: bool, now: Timestamp) -> bool {
        if self.is_down != is_playing {
            return false;
        }
        self.is_down = !is_playing;
        self.state_since = Instant::now();
        if self.is_down {
            self.outage.get_or_insert(Outage { since: now, told: false });
        }
        true
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
