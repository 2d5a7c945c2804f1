//! One continuous media playlist across source switches: published segments stay as they are, and
//! segments of the new source continue their numbering.
//!
//! - [`segmented_playlist`]: a playlist parsed into segments, each with all tags that apply to it.
//! - [`alignment`]: the segment with which the next source begins.
//! - [`window`]: how much of the playlist is published.
//! - [`rendering`]: segments printed as a playlist again.
//!
//! A [`Splice`] is the complete record of a source switch: every edge that has the record and a
//! playlist of the source renders the same playlist. Media sequence numbers only grow, and a
//! segment keeps its number, discontinuity sequence number, key and map for as long as it is
//! published.
//!
//! The playlists that this module reads have been rewritten already, with each link made for the
//! number under which its segment is published ([`Splice::published_number`]).

mod alignment;
mod rendering;
mod segmented_playlist;
mod window;

pub use self::rendering::{
    cut_live_playlist, first_sequence_number, has_discontinuity, has_discontinuity_sequence,
    override_playlist_tags, required_target_duration,
};
pub use self::segmented_playlist::{ParseError, Segment, SegmentedPlaylist};
pub use self::window::PlaylistWindow;
pub(crate) use self::window::listed_durations;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The segment from which on a source is published, and how its segments are numbered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Splice {
    /// Splice generation: the number of source switches so far; 1 is the switch to the first
    /// source.
    pub generation: u64,
    /// Identifier of the source that is published.
    pub source: String,
    /// Numbers of the first published segment, at the source and as published.
    #[serde(flatten)]
    pub from: NumberMapping,
    /// Largest target duration of all sources so far, in seconds. RFC 8216bis, 6.2.1 forbids to
    /// change it while a player reloads the playlist.
    pub target_duration: u64,
    /// Minimum number of segments that are published.
    pub window: usize,
    /// Whether every source so far declares `EXT-X-INDEPENDENT-SEGMENTS`.
    pub independent: bool,
    /// Largest `EXT-X-VERSION` of all sources so far.
    pub version: u64,
    /// Segments of earlier sources that may still be inside the window.
    pub tail: Vec<Segment>,
}

/// Numbers of a source's first published segment, at the source and as published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberMapping {
    /// Media sequence number in the source's playlist.
    pub upstream: u64,
    /// Media sequence number as published.
    pub published: u64,
    /// Discontinuity sequence number in the source's playlist.
    pub upstream_discontinuity: u64,
    /// Discontinuity sequence number as published.
    pub discontinuity: u64,
}

/// How many discontinuities may stand in front of the first segment of a splice, and of those that
/// a record has. Each is a line, so that a source which counts billions of them would fill the memory.
const SPLICE_DISCONTINUITIES_MAX: u64 = 1000;

/// The source's numbers went backwards or too far ahead, so its playlist can no longer be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source's numbers do not follow: it is at {newest}, and {published} is published")]
pub struct SequenceRegression {
    /// Media sequence number of the source's newest segment.
    pub newest: u64,
    pub published: u64,
}

impl Splice {
    /// The record of the first source before any switch: its playlist is published as it comes.
    pub fn initial(source: String, target_duration: u64) -> Self {
        Self {
            generation: 1,
            source,
            from: NumberMapping::default(),
            target_duration,
            window: 0,
            independent: true,
            version: 1,
            tail: Vec::new(),
        }
    }

    pub fn is_initial(&self) -> bool {
        self.from == NumberMapping::default()
    }

    /// Maps a media sequence number of the source to the published one; `None` for segments before
    /// the splice point, which are not published, and where no number could follow.
    pub fn published_number(&self, upstream: u64) -> Option<u64> {
        let number = upstream.checked_sub(self.from.upstream)?.checked_add(self.from.published)?;
        (number < u64::MAX).then_some(number)
    }

    /// Published number of the segment that follows a playlist whose next number is `upstream`. The
    /// playlist may end before the splice point; `None` if it ends so far before it that its
    /// numbers must have gone backwards.
    pub fn next_published_number(&self, upstream: u64) -> Option<u64> {
        let missing = self.from.upstream.saturating_sub(upstream);
        let since = upstream.saturating_sub(self.from.upstream);
        (missing <= alignment::LOOKAHEAD_MAX_SEGMENTS as u64)
            .then(|| self.from.published.saturating_add(since))
    }

    /// Maps a published media sequence number to the source's; `None` for segments of earlier
    /// sources.
    pub fn upstream_number(&self, published: u64) -> Option<u64> {
        published.checked_sub(self.from.published)?.checked_add(self.from.upstream)
    }

    /// Returns the published segments: what is left of earlier sources, then the segments of this
    /// source's playlist, renumbered.
    ///
    /// # Errors
    /// [`SequenceRegression`] if the source's media sequence numbers went backwards or cannot be
    /// published, or if there are too many discontinuities.
    pub fn visible_segments<'a>(
        &'a self,
        playlist: &'a SegmentedPlaylist,
    ) -> Result<Vec<Cow<'a, Segment>>, SequenceRegression> {
        let current: Vec<Cow<'_, Segment>> = playlist
            .segments
            .iter()
            .filter_map(|segment| self.to_published_segment(segment).map(Cow::Owned))
            .collect();
        let is_behind = self.next_published_number(playlist.next_number()).is_none();
        let has_number = |last: &Segment| {
            last.number < self.from.upstream || self.published_number(last.number).is_some()
        };
        let are_exhausted = playlist.segments.last().is_some_and(|last| !has_number(last))
            || self.tail.last().is_some_and(|last| last.number == u64::MAX);
        let are_too_many = self
            .tail
            .iter()
            .chain(current.first().map(AsRef::as_ref))
            .any(|segment| segment.tags > SPLICE_DISCONTINUITIES_MAX);
        if is_behind || are_exhausted || are_too_many {
            return Err(SequenceRegression {
                newest: playlist.next_number().saturating_sub(1),
                published: self.from.upstream.saturating_sub(1),
            });
        }
        let window = self.window.max(current.len());
        // Media sequence numbers have no gaps, so the segments of earlier sources are dropped if
        // this source's playlist no longer starts at the splice point.
        let follows = current.first().is_none_or(|first| first.number == self.from.published);
        let tail_length = if follows { window - current.len() } else { 0 };
        let tail = self.tail.get(self.tail.len().saturating_sub(tail_length)..).unwrap_or_default();
        Ok(tail.iter().map(Segment::without_parts).chain(current).collect())
    }

    /// Keeps the discontinuity sequence numbers of segments that were published, whatever the playlist
    /// says of them now; true where it said something else. Without an EXT-X-DISCONTINUITY-SEQUENCE
    /// they would step back with each tag that leaves the playlist; and some sources count a tag too
    /// early or never. `published`: segments as they were published.
    pub fn renumber_discontinuities(
        &self,
        playlist: &mut SegmentedPlaylist,
        published: &[Segment],
    ) -> bool {
        // Before any switch a source that counts begins with any number.
        let has_splice_point = !(self.is_initial() && playlist.has_discontinuity_sequence);
        let splice_point =
            has_splice_point.then_some((self.from.published, self.from.discontinuity));
        let known = published.iter().map(|segment| (segment.number, segment.discontinuity));
        let known: BTreeMap<u64, u64> = splice_point.into_iter().chain(known).collect();
        let known_segment = playlist.segments.iter().rev().find_map(|segment| {
            let number = self.published_number(segment.number)?;
            Some((segment.discontinuity, *known.get(&number)?))
        });
        // Where no segment is known, the first one follows the last that is, unless the source counts.
        let follows_known = || {
            let first =
                playlist.segments.first().filter(|_| !playlist.has_discontinuity_sequence)?;
            let number = self.published_number(first.number)?;
            let (_, last) = known.range(..number).next_back()?;
            Some((first.discontinuity_sequence_before(), *last))
        };
        let Some((counted, discontinuity)) = known_segment.or_else(follows_known) else {
            return false;
        };
        let at_source = self.from.upstream_discontinuity.saturating_add(discontinuity);
        let at_source = at_source.saturating_sub(self.from.discontinuity);
        // A source that puts a discontinuity in front of what it has published already counts on from
        // its first segment, so that the numbers are those that the tags tell.
        let first = playlist.segments.first().map_or(0, Segment::discontinuity_sequence_before);
        let at_source = at_source.max(counted.saturating_sub(first));
        for segment in &mut playlist.segments {
            segment.discontinuity =
                segment.discontinuity.saturating_add(at_source).saturating_sub(counted);
        }
        at_source != counted
    }

    fn to_published_segment(&self, segment: &Segment) -> Option<Segment> {
        let number = self.published_number(segment.number)?;
        let discontinuities_since =
            segment.discontinuity.checked_sub(self.from.upstream_discontinuity)?;
        let mut published = segment.clone();
        published.number = number;
        published.discontinuity = self.from.discontinuity.saturating_add(discontinuities_since);
        if number == self.from.published {
            // The first segment carries the `EXT-X-DISCONTINUITY` of the splice, and those of its
            // own that the source added after the splice was made. Other renditions may have
            // counted more before.
            published.tags =
                published.discontinuity.saturating_sub(self.discontinuity_sequence_before());
        }
        Some(published)
    }

    /// Discontinuity sequence number before the splice point.
    fn discontinuity_sequence_before(&self) -> u64 {
        let before = self.tail.last().map(|last| last.discontinuity);
        before.unwrap_or(self.from.discontinuity.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests;
