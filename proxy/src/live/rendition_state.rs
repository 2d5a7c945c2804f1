//! What this edge has published of one rendition, and by which splice.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use pitwall_hls::splice::first_sequence_number;
use pitwall_hls::{SegmentedPlaylist, Splice};
use pitwall_upstream_map::store::{PeerNextNumber, SpliceDecision};
use tokio::time::Instant;

use super::source_progress::SourceProgress;
use super::source_switch::{
    CurrentGeneration, SourceSwitch, TailSegments, append_following_segments,
};
use crate::playlist::ServedPlaylist;

/// What this edge has published of one rendition, by which splice, and what other edges have
/// published.
#[derive(Default)]
pub(super) struct RenditionState {
    inner: Mutex<Inner>,
    pub(super) source_progress: SourceProgress,
    latest: ArcSwapOption<LatestPlaylist>,
}

/// The playlist that a poll has given last.
pub(super) struct LatestPlaylist {
    pub playlist: Arc<ServedPlaylist>,
    /// When the poll began.
    pub polled_at: Instant,
    pub fresh_until: Instant,
    /// What the poll went by.
    pub basis: SelectionVersion,
}

/// What a poll's choice of the upstream goes by: while it is the same, polls give the same playlist
/// until that is no longer fresh.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SelectionVersion {
    pub map_version: u64,
    /// [`StreamState::revision`](super::stream_state::StreamState::revision).
    pub revision: u64,
}

#[derive(Default)]
struct Inner {
    splice: Option<RenditionSplice>,
    last_published: Option<LastPublished>,
    /// The media sequence number after the highest that this edge has published.
    next_number: u64,
    /// The number below which the edges have agreed that numbers may be published.
    agreed_next_number: u64,
    discontinuity_sequence: u64,
    /// The last segments that other edges have published, as they reported them.
    peer_tail: PublishedTail,
    /// Numbers below this one may have been published, by the registry's last decision.
    registry_first_free: u64,
    /// This edge has published something else than what the edges have agreed on, and players have
    /// it.
    diverged: bool,
    /// Since when every poll has failed.
    failing_since: Option<Instant>,
    /// Since when new segments are withheld because they are not stored.
    withheld_since: Option<Instant>,
    /// How many segments in a row were not stored a target duration after they were announced.
    late_segments: u32,
    /// The next number that was known when this edge began with the rendition. Players may have
    /// everything below it, from this edge before it was restarted or from another one.
    resumes_at: Option<u64>,
    /// Below this number this edge has published by another splice than the one in force, before it
    /// was restarted.
    superseded_below: u64,
    /// Since when the source's playlists have ended below `resumes_at`.
    behind_since: Option<Instant>,
    /// Segments below this number can no longer be fetched, and have left the playlist.
    available_from: u64,
    /// The source whose playlist has `EXT-X-ENDLIST`, and since when.
    end_seen: Option<(String, Instant)>,
}

/// A rendition's splice in a source switch, and its record in the
/// [`SpliceRegistry`](pitwall_upstream_map::store::SpliceRegistry).
#[derive(Clone)]
pub(super) struct RenditionSplice {
    pub splice: Arc<Splice>,
    pub record: Arc<[u8]>,
    source_switch: Arc<SourceSwitch>,
}

impl RenditionSplice {
    /// Whether the splice belongs to the current source switch.
    pub(super) fn is_current(&self, current: &CurrentGeneration) -> bool {
        self.splice.generation == current.generation
            && current.source_switch.as_deref() == Some(&*self.source_switch)
    }
}

/// What has been published of a rendition, as far as this edge knows.
#[derive(Clone, Default)]
pub(super) struct PublishedTail {
    /// Numbers below this one are not free: they are published or may have been.
    pub first_free_number: u64,
    /// The last segments that other edges have published.
    pub segments: TailSegments,
    /// When they were published. `None`: not known, long ago.
    pub at: Option<Instant>,
}

/// What this edge has published last of a rendition.
#[derive(Clone)]
pub(super) struct LastPublished {
    pub text: Bytes,
    polled_at: Instant,
    /// When it last had a new segment.
    advanced_at: Instant,
}

/// How a fetched playlist continues the published one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaylistContinuity {
    /// It has new segments, or the same ones.
    Continuous,
    /// It ends before the published one, by no more than servers of one source differ.
    Behind,
    /// The source's sequence numbers have started again.
    Restarted,
    /// It was numbered by a splice that is no longer current.
    Superseded,
}

/// By how many segments the servers of one source may differ. A larger step back is a restart.
const SERVER_LAG_SEGMENTS_MAX: u64 = 3;
/// The newest segments stay in the playlist even if they cannot be fetched: some sources announce a
/// segment a moment before it exists.
const NEWEST_SEGMENTS: u64 = 6;
/// For how many target durations a source that is behind is waited for, where nothing can be
/// repeated meanwhile.
const BEHIND_TARGET_DURATIONS_MAX: u32 = 3;
/// More segments than this in a target duration are a jump of the numbers, and no progress.
const SEGMENTS_PER_TARGET_DURATION_MAX: f64 = 10.0;

impl Inner {
    /// The number below which players may have everything.
    fn first_unseen_number(&self) -> u64 {
        self.next_number.max(self.resumes_at.unwrap_or_default())
    }

    /// Whether a playlist that starts at `first` is further ahead of the published one than the
    /// time since the last poll explains.
    fn is_jump_ahead(&self, first: u64, target: Duration) -> bool {
        let Some(last) = &self.last_published else { return false };
        // At the splice point the numbers may have jumped, because other edges had published more.
        let splice_start = self
            .splice
            .as_ref()
            .map_or(0, |rendition_splice| rendition_splice.splice.from.published);
        let gap = first.saturating_sub(self.next_number.max(splice_start));
        let elapsed_targets =
            last.polled_at.elapsed().as_secs_f64() / target.as_secs_f64().max(0.1);
        gap > 0 && gap as f64 > SEGMENTS_PER_TARGET_DURATION_MAX * (elapsed_targets + 1.0)
    }
}

impl RenditionState {
    fn lock_inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what a poll has given, unless a later poll has ended before it.
    pub(super) fn set_latest(&self, latest: LatestPlaylist) {
        let current = self.latest.load();
        if current.as_ref().is_none_or(|it| it.playlist.fetched_at <= latest.playlist.fetched_at) {
            self.latest.store(Some(Arc::new(latest)));
        }
    }

    /// What the last poll has given.
    pub(super) fn latest_playlist(&self) -> Option<Arc<ServedPlaylist>> {
        Some(self.latest.load().as_ref()?.playlist.clone())
    }

    /// The latest playlist, if it is fresh and a poll on this basis would give it. One that was
    /// polled before `outdated_since` is not.
    pub(super) fn find_fresh_playlist(
        &self,
        basis: SelectionVersion,
        outdated_since: Option<Instant>,
    ) -> Option<Arc<ServedPlaylist>> {
        let latest = self.latest.load();
        let latest = latest.as_ref().filter(|latest| latest.basis == basis)?;
        let is_outdated = outdated_since.is_some_and(|since| latest.polled_at < since);
        (Instant::now() < latest.fresh_until && !is_outdated).then(|| latest.playlist.clone())
    }

    /// Since when another edge is known to have published more than this one. What this edge has
    /// polled before would step back for a player that polls both. A poll after it is as fresh as
    /// any, so that a source whose servers differ is asked once more for each number.
    pub(super) fn outdated_since(&self, peer_number: Option<PeerNextNumber>) -> Option<Instant> {
        let peer_number = peer_number?;
        let is_ahead = peer_number.next_number > self.lock_inner().next_number;
        is_ahead.then_some(peer_number.heard_at)
    }

    /// The latest playlist, if it may still be served while its upstream fails: for three target
    /// durations, so that a brief failure does not reach the player.
    pub(super) fn last_good_playlist(&self) -> Option<Arc<ServedPlaylist>> {
        let playlist = self.latest.load().as_ref()?.playlist.clone();
        (playlist.fetched_at.elapsed() < playlist.stale_if_error_lifetime()).then_some(playlist)
    }

    pub(super) fn splice(&self) -> Option<RenditionSplice> {
        self.lock_inner().splice.clone()
    }

    pub(super) fn has_diverged(&self) -> bool {
        self.lock_inner().diverged
    }

    pub(super) fn discontinuity_sequence(&self) -> u64 {
        self.lock_inner().discontinuity_sequence
    }

    /// The text that was published last, unless it was polled more than four target durations ago,
    /// which is too long to continue from.
    pub(super) fn last_published(&self, target: Duration) -> Option<Bytes> {
        let state = self.lock_inner();
        let last = state.last_published.as_ref()?;
        (last.polled_at.elapsed() < target * 4).then(|| last.text.clone())
    }

    /// How long ago this edge or another has published a new segment last; zero if none has.
    pub(super) fn published_ago(&self) -> Duration {
        let state = self.lock_inner();
        let own = state.last_published.as_ref().map(|last| last.advanced_at);
        own.max(state.peer_tail.at).map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// The media sequence number of the first segment of the last published playlist.
    pub(super) fn first_published_number(&self) -> Option<u64> {
        let text = self.lock_inner().last_published.as_ref()?.text.clone();
        Some(first_sequence_number(&text))
    }

    /// Records that a segment can no longer be fetched. Returns whether it leaves the playlist, and
    /// all older ones with it: what is announced has to be there.
    pub(super) fn mark_gone(&self, number: u64) -> bool {
        let mut state = self.lock_inner();
        let is_newest = number.saturating_add(NEWEST_SEGMENTS) >= state.next_number;
        let leaves = !is_newest && number >= state.available_from;
        if leaves {
            state.available_from = number.saturating_add(1);
        }
        leaves
    }

    /// The number below which segments can no longer be fetched.
    pub(super) fn available_from(&self) -> u64 {
        self.lock_inner().available_from
    }

    pub(super) fn published_tail(&self) -> PublishedTail {
        let state = self.lock_inner();
        let first_free_number = state
            .peer_tail
            .first_free_number
            .max(state.first_unseen_number())
            .max(state.registry_first_free);
        PublishedTail { first_free_number, ..state.peer_tail.clone() }
    }

    /// Takes over how far the other edges have published. The splice itself is taken over by
    /// [`adopt_splice`](Self::adopt_splice).
    pub(super) fn adopt_peer_tail(&self, decision: &SpliceDecision) {
        let mut state = self.lock_inner();
        state.peer_tail.first_free_number =
            state.peer_tail.first_free_number.max(decision.next_number);
        state.registry_first_free = decision.first_free_number();
        if state.last_published.is_none() && decision.known_next_number > 0 {
            state.resumes_at.get_or_insert(decision.known_next_number);
            state.superseded_below = state.superseded_below.max(decision.superseded_below);
        }
        // The local registry's tail is what this edge itself proposed, so it says nothing of other
        // edges.
        if decision.is_shared {
            state.peer_tail.segments =
                serde_json::from_slice(&decision.tail_record).unwrap_or_default();
            state.peer_tail.at = decision.tail_age.and_then(|age| Instant::now().checked_sub(age));
        }
    }

    /// Adopts the splice that the edges have agreed on, whoever proposed it. Segments that this
    /// edge has published stay as they were: where the splice contradicts them, the rendition is
    /// marked as diverged. `None` if the record cannot be read.
    pub(super) fn adopt_splice(
        &self,
        record: &[u8],
        source_switch: &Arc<SourceSwitch>,
    ) -> Option<RenditionSplice> {
        let mut splice: Splice = serde_json::from_slice(record).ok()?;
        let mut state = self.lock_inner();
        if let Some(rendition_splice) =
            state.splice.as_mut().filter(|rendition_splice| *rendition_splice.record == *record)
        {
            rendition_splice.source_switch = source_switch.clone();
            return Some(rendition_splice.clone());
        }
        let own_playlist = state
            .last_published
            .as_ref()
            .and_then(|last| SegmentedPlaylist::parse(&last.text).ok());
        if let Some(own_playlist) = own_playlist {
            let is_unseen = splice.tail.first().is_some_and(|first| {
                let before = first.discontinuity.saturating_sub(first.tags);
                first.number > own_playlist.next_number() && before >= state.discontinuity_sequence
            });
            if let Some(tail) =
                append_following_segments(&own_playlist.segments, &splice.tail, false)
            {
                splice.tail = tail;
            } else if own_playlist.next_number() == splice.from.published {
                splice.tail = own_playlist.segments;
            } else if !is_unseen {
                splice.tail.clear();
            }
        }
        let last = splice
            .tail
            .last()
            .map_or(0, |last| last.discontinuity)
            .max(state.discontinuity_sequence);
        let seen_by_other_splices = match &state.last_published {
            Some(_) => state.next_number,
            None => state.superseded_below,
        };
        state.diverged = seen_by_other_splices > 0
            && (splice.from.published < seen_by_other_splices || splice.from.discontinuity <= last);
        state.agreed_next_number = splice.from.published.max(state.agreed_next_number);
        let (splice, record) = (Arc::new(splice), record.into());
        let rendition_splice =
            RenditionSplice { splice, record, source_switch: source_switch.clone() };
        state.withheld_since = None;
        state.late_segments = 0;
        self.source_progress.reset();
        state.behind_since = None;
        state.splice = Some(rendition_splice.clone());
        Some(rendition_splice)
    }

    /// Marks the rendition as diverged, so that the next poll proposes a new splice.
    pub(super) fn mark_diverged(&self) {
        self.lock_inner().diverged = true;
    }

    /// How a playlist with the published numbers `numbers` continues the published one.
    pub(super) fn check_continuity(
        &self,
        rendition_splice: &RenditionSplice,
        numbers: &Range<u64>,
        target: Duration,
    ) -> PlaylistContinuity {
        let mut state = self.lock_inner();
        match &state.splice {
            Some(current) if current.record == rendition_splice.record => {}
            _ => return PlaylistContinuity::Superseded,
        }
        let seen_below = state.first_unseen_number();
        match () {
            () if numbers.end.saturating_add(SERVER_LAG_SEGMENTS_MAX) < seen_below => {
                PlaylistContinuity::Restarted
            }
            () if numbers.end < seen_below => {
                let behind_since = *state.behind_since.get_or_insert_with(Instant::now);
                let can_repeat = state.last_published.is_some();
                let limit = target * BEHIND_TARGET_DURATIONS_MAX;
                match !can_repeat && behind_since.elapsed() >= limit {
                    true => PlaylistContinuity::Restarted,
                    false => PlaylistContinuity::Behind,
                }
            }
            () if state.is_jump_ahead(numbers.start, target) => PlaylistContinuity::Restarted,
            () => PlaylistContinuity::Continuous,
        }
    }

    /// Whether the edges have yet to agree before all numbers below `next` may be published.
    pub(super) fn is_beyond_agreed(&self, next: u64) -> bool {
        next > self.lock_inner().agreed_next_number
    }

    pub(super) fn is_first_publication(&self) -> bool {
        self.lock_inner().last_published.is_none()
    }

    pub(super) fn record_agreed_number(&self, next: u64) {
        let mut state = self.lock_inner();
        state.agreed_next_number = state.agreed_next_number.max(next);
    }

    /// Records `text` as published. `parsed`: the same text, parsed, if it has new segments.
    pub(super) fn record_publication(
        &self,
        rendition_splice: &RenditionSplice,
        text: Bytes,
        next: u64,
        parsed: Option<&SegmentedPlaylist>,
    ) -> PlaylistContinuity {
        let mut state = self.lock_inner();
        if state.splice.as_ref().is_none_or(|current| current.record != rendition_splice.record) {
            return PlaylistContinuity::Superseded;
        }
        if next < state.first_unseen_number() {
            return PlaylistContinuity::Behind;
        }
        state.behind_since = None;
        let now = Instant::now();
        let advanced_at = match &state.last_published {
            Some(last) if next == state.next_number => last.advanced_at,
            _ => now,
        };
        if let Some(last) = parsed.and_then(|parsed| parsed.segments.last()) {
            state.discontinuity_sequence = last.discontinuity;
        }
        // Where nothing was published yet, the discontinuities before the splice point count as
        // published: the source switch has announced them.
        let announced_discontinuity = rendition_splice.splice.from.discontinuity.saturating_sub(1);
        state.discontinuity_sequence = state.discontinuity_sequence.max(announced_discontinuity);
        state.next_number = next;
        state.withheld_since = None;
        state.last_published = Some(LastPublished { text, polled_at: now, advanced_at });
        PlaylistContinuity::Continuous
    }

    /// Records a fetched playlist that ends before the published number `next`. One with new
    /// segments counts as polled once these are published.
    pub(super) fn record_poll(&self, next: u64) {
        let mut state = self.lock_inner();
        state.failing_since = None;
        let is_unchanged = next <= state.next_number;
        if let Some(last) = state.last_published.as_mut().filter(|_| is_unchanged) {
            last.polled_at = Instant::now();
        }
    }

    /// When the playlist of `source` was first seen to have ended; now, if it is seen for the first
    /// time.
    pub(super) fn record_end(&self, source: &str) -> Instant {
        let mut state = self.lock_inner();
        match &state.end_seen {
            Some((seen_source, at)) if seen_source == source => *at,
            _ => {
                let now = Instant::now();
                state.end_seen = Some((source.to_owned(), now));
                now
            }
        }
    }

    /// Records that the source's playlist goes on.
    pub(super) fn forget_end(&self) {
        self.lock_inner().end_seen = None;
    }

    /// Records that new segments are withheld. Returns for how long they have been.
    pub(super) fn record_withheld(&self) -> Duration {
        self.lock_inner().withheld_since.get_or_insert_with(Instant::now).elapsed()
    }

    /// Records whether the new segments were stored in time. Returns how many in a row were not.
    pub(super) fn record_segment_lateness(&self, is_late: bool) -> u32 {
        let mut state = self.lock_inner();
        state.late_segments = if is_late { state.late_segments.saturating_add(1) } else { 0 };
        state.late_segments
    }

    /// Records a failed poll that began at `started`. Returns for how long all polls have failed.
    pub(super) fn record_failed_poll(&self, started: Instant) -> Duration {
        self.lock_inner().failing_since.get_or_insert(started).elapsed()
    }

    /// Restarts the failing time, because another source is polled.
    pub(super) fn reset_failing_time(&self) {
        self.lock_inner().failing_since = None;
    }
}

#[cfg(test)]
mod tests;
