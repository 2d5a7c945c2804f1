//! Alignment: choice of the segment with which the next source begins.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::segmented_playlist::{Segment, SegmentedPlaylist};
use super::{NumberMapping, Splice};

/// Program date-times further apart than this are taken to come from unrelated clocks.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_secs(120);

/// How many segments a playlist may end before the splice point; one that ends earlier counts anew.
pub(super) const LOOKAHEAD_MAX_SEGMENTS: usize = 64;

/// How many target durations after the last published segment the next one may come: a player has
/// about three in its buffer.
const WAIT_MAX_TARGET_DURATIONS: f64 = 3.0;

impl Splice {
    /// Plans the switch from the playlist `published` last to the playlist `new` of another source.
    /// The new source begins with the segment that follows the last published one by program
    /// date-time where both have dates and that is soon there, else with its newest segment: what it
    /// is late by is seen again.
    ///
    /// `previous` is the record of the switch before; `published_ago`: how long ago the last segment
    /// was published.
    pub fn plan_switch(
        previous: Option<&Self>,
        published: &SegmentedPlaylist,
        published_ago: Duration,
        new: &SegmentedPlaylist,
        source: String,
    ) -> Self {
        let last = published.segments.last();
        let target_duration = published.target_duration.max(new.target_duration);
        let wait_max = WAIT_MAX_TARGET_DURATIONS * target_duration as f64;
        let start = find_first_segment(last, &new.segments, wait_max - published_ago.as_secs_f64());
        let first = new.segments.get(start);
        let last_discontinuity = new.segments.last().map_or(0, |segment| segment.discontinuity);
        Self {
            generation: previous.map_or(1, |previous| previous.generation.saturating_add(1)),
            source,
            from: NumberMapping {
                upstream: new.first_number.saturating_add(start as u64),
                published: published.next_number(),
                upstream_discontinuity: first
                    .map_or(last_discontinuity, |first| first.discontinuity),
                discontinuity: last.map_or(1, |last| last.discontinuity.saturating_add(1)),
            },
            target_duration,
            window: published.segments.len().max(previous.map_or(0, |previous| previous.window)),
            independent: published.has_independent_segments && new.has_independent_segments,
            version: published.version.max(new.version),
            tail: published.segments.clone(),
        }
    }
}

/// Index of the first segment of `new` to publish; an index past the end means a segment to come.
fn find_first_segment(last: Option<&Segment>, new: &[Segment], wait_max_seconds: f64) -> usize {
    // No gap: players have nothing of the source to begin with there.
    let newest = new.iter().rposition(|segment| !segment.is_gap());
    let newest = newest.unwrap_or(new.len().saturating_sub(1));
    let Some(end) = last.and_then(Segment::end_time) else { return newest };
    let dates: Option<Vec<_>> =
        new.iter().map(|segment| Some((segment.date?, segment.duration))).collect();
    let Some(dates) = dates.filter(|dates| !dates.is_empty()) else { return newest };
    let is_far = |index: usize| {
        dates.get(index).is_none_or(|(date, _)| date.duration_since(end).abs() > CLOCK_SKEW_MAX)
    };
    if is_far(0) && is_far(newest) {
        return newest;
    }
    // A segment follows if at least half of it lies after the published end: the error is then at
    // most half a segment, repeated or left out.
    let follows = |date: Timestamp, duration: f64| {
        let half = SignedDuration::try_from_secs_f64(duration / 2.0).unwrap_or_default();
        date.checked_add(half).is_ok_and(|middle| middle >= end)
    };
    if let Some(index) = dates.iter().position(|(date, duration)| follows(*date, *duration)) {
        return index;
    }
    // No segment follows yet. Segments to come are assumed to be as long as the last one, and the
    // first of them that will follow is taken.
    let Some((mut date, duration)) = dates.last().copied() else { return newest };
    let segment_duration = SignedDuration::try_from_secs_f64(duration).unwrap_or_default();
    let wait_max_segments = (wait_max_seconds / duration.max(0.1)) as usize;
    for ahead in 0..wait_max_segments.clamp(1, LOOKAHEAD_MAX_SEGMENTS) {
        let Ok(next) = date.checked_add(segment_duration) else { break };
        if follows(next, duration) {
            return new.len() + ahead;
        }
        date = next;
    }
    newest
}
