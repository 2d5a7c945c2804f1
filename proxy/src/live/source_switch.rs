//! The record by which edges share a source switch: which source plays from here on, why, and how
//! renditions are numbered that no edge has polled yet.

use std::sync::Arc;
use std::time::Duration;

use pitwall_hls::splice::{NumberMapping, Segment};
use pitwall_hls::{SegmentedPlaylist, Splice};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The source switch with which a splice generation of a stream begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SourceSwitch {
    pub source: String,
    /// The source that the map ranked first. Another one than `source` means that an edge had found
    /// that one unusable.
    pub picked: String,
    /// The version of that map. An edge with an older map follows the switch until its map is
    /// newer.
    pub map: u64,
    #[serde(default)]
    pub reason: SwitchReason,
    /// Numbers of the first rendition that was spliced.
    #[serde(flatten)]
    pub from: NumberMapping,
    /// Largest target duration of all sources at the first switch, in seconds. RFC 8216bis, 6.2.1
    /// forbids to change it while a player reloads the playlist.
    pub target_duration: u64,
    /// Milliseconds since the switch, set when the target duration had to change. For so long players
    /// get 404 instead of a media playlist, so that each loads the multivariant playlist again.
    #[serde(default)]
    pub pause_ms: u64,
}

impl SourceSwitch {
    /// Whether the playlist's segments are no longer than the target duration that players have.
    /// The smaller one of the declared and the measured duration counts: segments that exceed their
    /// own target duration now and then are no reason to make players reload.
    pub(super) fn is_within_target_duration(&self, new: &SegmentedPlaylist) -> bool {
        let target_duration = new.min_target_duration().min(new.target_duration);
        self.target_duration == 0 || target_duration <= self.target_duration
    }
}

/// The source switch that the edges agreed on last.
#[derive(Clone, Default)]
pub(super) struct CurrentGeneration {
    pub generation: u64,
    pub source_switch: Option<Arc<SourceSwitch>>,
    pub shared: bool,
    /// A map that is newer than the switch has ranked this source first.
    pub confirmed_by_map: bool,
    /// When the generation began, by what the registry says of its age: the clocks of edges may
    /// differ. `None`: not known, long ago.
    pub began_at: Option<Instant>,
}

impl CurrentGeneration {
    pub(super) fn age(&self) -> Option<Duration> {
        self.began_at.map(|at| at.elapsed())
    }

    /// How much longer players are answered with 404, so that each loads the multivariant playlist
    /// again with a new target duration.
    pub(super) fn remaining_reload_time(&self) -> Duration {
        let pause = self.source_switch.as_ref().map_or(0, |source_switch| source_switch.pause_ms);
        let pause = Duration::from_millis(pause);
        self.age().map_or(Duration::ZERO, |age| pause.saturating_sub(age))
    }
}

/// Why another source plays, or the same one behind a new splice point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SwitchReason {
    /// The map ranks another source first.
    #[default]
    Map,
    /// The source could not be fetched.
    Failed,
    /// The source's playlist had no new segment for too long.
    Frozen,
    Ended,
    /// The source's media sequence numbers started again.
    Restarted,
    /// Edges that could not reach each other had decided differently.
    Split,
}

impl SwitchReason {
    pub const ALL: [Self; 6] =
        [Self::Map, Self::Failed, Self::Frozen, Self::Ended, Self::Restarted, Self::Split];

    pub fn label(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Failed => "failed",
            Self::Frozen => "frozen",
            Self::Ended => "ended",
            Self::Restarted => "restarted",
            Self::Split => "split",
        }
    }
}

/// The last published segments of a rendition, for edges that have not seen them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct TailSegments {
    pub segments: Vec<Segment>,
}

/// How many segments a proposal's tail has.
pub(super) const TAIL_SEGMENTS_MAX: u64 = 4;

impl TailSegments {
    pub(super) fn of(parsed: &SegmentedPlaylist) -> Self {
        let start = parsed.segments.len().saturating_sub(TAIL_SEGMENTS_MAX as usize);
        let segments = parsed.segments.get(start..).unwrap_or_default();
        Self { segments: segments.to_vec() }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.number.saturating_add(1))
    }

    pub(super) fn discontinuity_sequence(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.discontinuity)
    }
}

/// `own`, and the segments of `others` that follow it. Where the other edges have published other
/// segments under the same numbers, a discontinuity is put between, which may have to raise their
/// discontinuity sequence numbers: only if `renumber`. `None`: nothing follows.
pub(super) fn append_following_segments(
    own: &[Segment],
    others: &[Segment],
    renumber: bool,
) -> Option<Vec<Segment>> {
    let (last, first) = (own.last()?, others.first()?);
    if first.number > last.number.saturating_add(1) {
        return None;
    }
    // The URI is left out of the comparison, because its token may differ.
    let identity = |one: &Segment| (one.discontinuity, one.date, one.duration.to_bits());
    let peer_segment = others.iter().find(|one| one.number == last.number);
    let is_same = peer_segment.is_none_or(|peer_segment| identity(peer_segment) == identity(last));
    let mut following: Vec<Segment> =
        others.iter().filter(|one| one.number > last.number).cloned().collect();
    let follows = |next: &Segment| {
        is_same && next.discontinuity.saturating_sub(next.tags) == last.discontinuity
    };
    if let Some(first_following) =
        following.first_mut().filter(|first_following| !follows(first_following))
    {
        let next = last.discontinuity.saturating_add(1);
        let missing = next.saturating_sub(first_following.discontinuity);
        if missing > 0 && !renumber {
            return None;
        }
        let raised = first_following.discontinuity.saturating_add(missing);
        first_following.tags = raised.saturating_sub(last.discontinuity);
        following
            .iter_mut()
            .for_each(|one| one.discontinuity = one.discontinuity.saturating_add(missing));
    }
    Some(own.iter().cloned().chain(following).collect())
}

/// What a rendition's splice in a source switch is computed from.
pub(super) struct SplicePlan<'a> {
    pub generation: u64,
    pub source_switch: &'a SourceSwitch,
    /// The switch begins with this splice.
    pub begins_switch: bool,
    /// This edge has published something else than what the edges have agreed on.
    pub diverged: bool,
    /// The rendition's splice in the previous switch, and its last published playlist, both of this
    /// edge.
    pub previous_splice: Option<&'a Splice>,
    pub last_published: Option<SegmentedPlaylist>,
    /// The last segments that other edges have published.
    pub peer_tail: TailSegments,
    /// Numbers below this one are not free.
    pub first_free_number: u64,
    /// How long ago this edge or another has published a segment last.
    pub published_ago: Duration,
}

impl SplicePlan<'_> {
    /// The splice that begins with the source's playlist `new`.
    pub(super) fn into_splice(mut self, new: &SegmentedPlaylist) -> Splice {
        let source = self.source_switch.source.clone();
        let mut splice = match self.take_preceding_playlist() {
            Some(preceding) if preceding.next_number() < self.first_free_number => {
                // Another edge has published numbers whose segments are not known here: to continue
                // from the own segments would leave a gap in the numbers.
                let mut gap = SegmentedPlaylist::from_published(Vec::new());
                gap.first_number = self.first_free_number;
                Splice::plan_switch(self.previous_splice, &gap, self.published_ago, new, source)
            }
            Some(preceding) => Splice::plan_switch(
                self.previous_splice,
                &preceding,
                self.published_ago,
                new,
                source,
            ),
            None if self.source_switch.from == NumberMapping::default()
                && self.first_free_number == 0 =>
            {
                Splice::initial(source, self.source_switch.target_duration)
            }
            None => self.align_to_switch(new),
        };
        splice.generation = self.generation;
        let from = &mut splice.from;
        from.discontinuity = from.discontinuity.max(self.source_switch.from.discontinuity);
        splice.target_duration = self.source_switch.target_duration;
        // The numbers of a rendition that comes late may already be taken.
        from.published = from.published.max(self.first_free_number);
        splice
    }

    /// The playlist that the splice continues: the segments that this edge has published, and those
    /// that other edges have published since.
    fn take_preceding_playlist(&mut self) -> Option<SegmentedPlaylist> {
        let last_published = self.last_published.take();
        let peer_tail = std::mem::take(&mut self.peer_tail);
        let next = last_published.as_ref().map_or(0, SegmentedPlaylist::next_number);
        let segments = match last_published {
            Some(last_published) if self.diverged => {
                // The agreed segments, as far as they go. The numbers above were published by this
                // edge alone.
                append_following_segments(&peer_tail.segments, &last_published.segments, true)
                    .unwrap_or(peer_tail.segments)
            }
            Some(last_published)
                if peer_tail.next_number() <= next
                    || peer_tail.next_number() < self.first_free_number =>
            {
                return Some(last_published);
            }
            Some(last_published) => {
                let segments =
                    append_following_segments(&last_published.segments, &peer_tail.segments, false)
                        .unwrap_or(peer_tail.segments);
                // The playlist keeps its length: with more segments at its start, its first number
                // would step back for an edge that has published all of it.
                let start = segments
                    .len()
                    .saturating_sub(last_published.segments.len().max(TAIL_SEGMENTS_MAX as usize));
                segments.get(start..).unwrap_or_default().to_vec()
            }
            None => peer_tail.segments,
        };
        let has_predecessor =
            !segments.is_empty() || (self.begins_switch && self.first_free_number > 0);
        has_predecessor.then(|| SegmentedPlaylist::from_published(segments))
    }

    /// Numbers the rendition like the one that was spliced first, because players match renditions
    /// by their numbers when they change between them.
    fn align_to_switch(&self, new: &SegmentedPlaylist) -> Splice {
        let source_switch = self.source_switch;
        let first = new.segments.first();
        let upstream_discontinuity =
            first.map_or(source_switch.from.upstream_discontinuity, |first| first.discontinuity);
        let published = new.first_number.saturating_add(source_switch.from.published);
        let published = published.saturating_sub(source_switch.from.upstream);
        // Segments below the first free number are left out, so that the rest keeps its numbers.
        // Where the numbers are further ahead, the newest segment gets the first one that is free.
        let (taken, length) =
            (self.first_free_number.saturating_sub(published), new.segments.len() as u64);
        let skipped = if taken > length { length.saturating_sub(1) } else { taken };
        let discontinuities_since =
            upstream_discontinuity.saturating_sub(source_switch.from.upstream_discontinuity);
        Splice {
            generation: self.generation,
            source: source_switch.source.clone(),
            from: NumberMapping {
                upstream: new.first_number.saturating_add(skipped),
                published: published.saturating_add(skipped),
                upstream_discontinuity,
                discontinuity: source_switch
                    .from
                    .discontinuity
                    .saturating_add(discontinuities_since),
            },
            target_duration: source_switch.target_duration,
            window: 0,
            independent: new.has_independent_segments,
            version: new.version,
            tail: Vec::new(),
        }
    }
}
