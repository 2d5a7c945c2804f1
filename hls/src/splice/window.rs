//! The window of a live playlist: how many of its newest segments are published.

use std::borrow::Borrow;
use std::time::Duration;

use memchr::memmem;

use super::segmented_playlist::Segment;
use crate::number;
use crate::playlist_timing::PlaylistTiming;
use crate::tag;

/// How much of a live playlist is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaylistWindow {
    /// All segments.
    Unlimited,
    /// The newest segments up to this duration, but never fewer than players need.
    MaxDuration(Duration),
    /// The same, without segments below this media sequence number, which can no longer be fetched.
    MaxDurationFrom(Duration, u64),
    /// Segments from this media sequence number on, so that removed segments do not come back when
    /// the playlist ends.
    FromNumber(u64),
}

/// Minimum window, both in target durations and in segments: a player starts that far from the end
/// (RFC 8216bis, 6.3.3).
const WINDOW_MIN_SEGMENTS: u64 = 3;

impl PlaylistWindow {
    /// Whether the window certainly holds the whole playlist with this timing. Most playlists are
    /// far shorter than the window and need not be parsed.
    pub fn can_hold(self, timing: &PlaylistTiming) -> bool {
        match self {
            Self::Unlimited => true,
            Self::MaxDuration(max) => {
                // Segments may exceed the target duration, so twice the nominal duration is
                // assumed.
                let upper_bound = timing.max_duration_secs() * 2.0;
                upper_bound > 0.0 && upper_bound <= max.as_secs_f64()
            }
            Self::MaxDurationFrom(..) | Self::FromNumber(_) => false,
        }
    }

    /// Whether the window holds the whole playlist `text`, by what its EXTINF tags say. A playlist
    /// of hours is read so in a small part of the time that it takes to parse it.
    pub fn holds_listed(self, text: &[u8], timing: &PlaylistTiming) -> bool {
        match self {
            Self::Unlimited => true,
            Self::MaxDuration(max) => {
                let listed = listed_durations(text);
                listed.len() as u64 >= timing.segment_count
                    && listed.iter().rev().sum::<f64>() <= max.as_secs_f64()
            }
            Self::MaxDurationFrom(..) | Self::FromNumber(_) => false,
        }
    }

    /// The segments inside the window. The window is measured from the newest segment, so the
    /// number of its first segment never decreases.
    pub(super) fn select<T: Borrow<Segment>>(self, segments: &[T], target_duration: u64) -> &[T] {
        let start = match self {
            Self::Unlimited => 0,
            Self::MaxDuration(max_duration) => {
                window_start_index(segments, max_duration, target_duration)
            }
            Self::MaxDurationFrom(max_duration, number) => {
                window_start_index(segments, max_duration, target_duration)
                    .max(start_of_number(segments, number))
            }
            Self::FromNumber(number) => start_of_number(segments, number),
        };
        segments.get(start..).unwrap_or_default()
    }
}

fn start_of_number<T: Borrow<Segment>>(segments: &[T], number: u64) -> usize {
    segments.partition_point(|segment| segment.borrow().number < number)
}

fn window_start_index<T: Borrow<Segment>>(
    segments: &[T],
    max_duration: Duration,
    target_duration: u64,
) -> usize {
    let (max_secs, min_secs) =
        (max_duration.as_secs_f64(), target_duration.saturating_mul(WINDOW_MIN_SEGMENTS) as f64);
    let mut seconds = 0.0;
    let last_excluded = segments.iter().enumerate().rposition(|(index, segment)| {
        let is_needed =
            seconds < min_secs || ((segments.len() - index) as u64) <= WINDOW_MIN_SEGMENTS;
        seconds += segment.borrow().duration;
        !is_needed && seconds > max_secs
    });
    last_excluded.map_or(0, |index| index + 1)
}

/// The duration of each segment in seconds, in the order of the playlist.
pub(crate) fn listed_durations(text: &[u8]) -> Vec<f64> {
    let value = |position: usize| text.split_at_checked(position + tag::INF.len());
    memmem::find_iter(text, tag::INF)
        .filter_map(|position| Some((position.checked_sub(1)?, value(position)?.1)))
        .filter(|(before, _)| text.get(*before).is_some_and(|byte| *byte <= b' '))
        .map(|(_, value)| number::parse_decimal(value).unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests;
