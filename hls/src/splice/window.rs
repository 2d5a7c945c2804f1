//! The window of a live playlist: how many of its newest segments are published.

use std::time::Duration;

use super::segmented_playlist::Segment;
use crate::playlist_timing::PlaylistTiming;

/// How much of a live playlist is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaylistWindow {
    /// All segments.
    Unlimited,
    /// The newest segments up to this duration, but never fewer than players need.
    MaxDuration(Duration),
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
            Self::FromNumber(_) => false,
        }
    }

    /// The segments inside the window. The window is measured from the newest segment, so the
    /// number of its first segment never decreases.
    pub(super) fn select(self, segments: &[Segment], target_duration: u64) -> &[Segment] {
        let start = match self {
            Self::Unlimited => 0,
            Self::MaxDuration(max_duration) => {
                newest_start(segments, max_duration, target_duration)
            }
            Self::FromNumber(number) => segments.partition_point(|segment| segment.number < number),
        };
        segments.get(start..).unwrap_or_default()
    }
}

fn newest_start(segments: &[Segment], max_duration: Duration, target_duration: u64) -> usize {
    let (max_secs, min_secs) =
        (max_duration.as_secs_f64(), target_duration.saturating_mul(WINDOW_MIN_SEGMENTS) as f64);
    let mut seconds = 0.0;
    let last_excluded = segments.iter().enumerate().rposition(|(index, segment)| {
        let is_needed =
            seconds < min_secs || ((segments.len() - index) as u64) <= WINDOW_MIN_SEGMENTS;
        seconds += segment.duration;
        !is_needed && seconds > max_secs
    });
    last_excluded.map_or(0, |index| index + 1)
}

#[cfg(test)]
mod tests;
