//! How much of a live playlist is shown: the newest of it.

use std::time::Duration;

use super::cut::Segment;
use crate::tempo::Tempo;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// All there is.
    Whole,
    /// So much at most, but never less than players need.
    Newest(Duration),
    /// From this number on: what has left does not come back when a playlist ends.
    From(u64),
}

/// In target durations, or in segments: a player begins so far from the end.
const NEEDED: u64 = 3;

impl Window {
    /// Is certainly nothing left out of a playlist that moves like this? Most are far shorter and
    /// need not be taken apart.
    pub fn holds(self, tempo: &Tempo) -> bool {
        match self {
            Self::Whole => true,
            Self::Newest(longest) => {
                // Segments may be longer than they should be.
                let most = tempo.window() * 2.0;
                most > 0.0 && most <= longest.as_secs_f64()
            }
            Self::From(_) => false,
        }
    }

    /// What is shown of these. As the newest decide, its first one never steps back.
    pub(super) fn of(self, segments: &[Segment], target_duration: u64) -> &[Segment] {
        let start = match self {
            Self::Whole => 0,
            Self::Newest(longest) => newest(segments, longest, target_duration),
            Self::From(number) => segments.partition_point(|segment| segment.number < number),
        };
        segments.get(start..).unwrap_or_default()
    }
}

fn newest(segments: &[Segment], longest: Duration, target_duration: u64) -> usize {
    let (longest, needed) = (longest.as_secs_f64(), target_duration.saturating_mul(NEEDED) as f64);
    let mut seconds = 0.0;
    let left_out = segments.iter().enumerate().rposition(|(index, segment)| {
        let is_needed = seconds < needed || ((segments.len() - index) as u64) <= NEEDED;
        seconds += segment.duration;
        !is_needed && seconds > longest
    });
    left_out.map_or(0, |index| index + 1)
}

#[cfg(test)]
mod tests;
