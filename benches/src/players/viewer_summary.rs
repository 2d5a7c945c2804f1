//! [`ViewerSummary`]: what one player saw.

use std::time::Duration;

/// What one player saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewerSummary {
    /// Index of its playlist in [`super::ViewerSimulation::playlists`].
    pub playlist: usize,
    /// From its arrival to its first media; `None`: it saw nothing.
    pub startup: Option<Duration>,
    pub played: Duration,
    pub stalled: Duration,
    pub stalls: u64,
    pub segments: u64,
    /// Segments that left the playlist before it took them.
    pub missed: u64,
    pub failures: u64,
    /// Bytes and duration of the media that it fetched.
    pub media_bytes: u64,
    pub media: Duration,
    /// Sum over its segments.
    pub first_byte_delay: Duration,
}

impl ViewerSummary {
    /// Stalled time as a share of the time since playback started, 0 to 1; 1 where it never
    /// started.
    pub fn stall_ratio(&self) -> f64 {
        if self.startup.is_none() {
            return 1.0;
        }
        let stalled = self.stalled.as_secs_f64();
        let total = stalled + self.played.as_secs_f64();
        if total > 0.0 { stalled / total } else { 0.0 }
    }

    /// The mean time from a segment's request to its first byte.
    pub fn mean_first_byte_delay(&self) -> Option<Duration> {
        let segments = u32::try_from(self.segments).unwrap_or(u32::MAX);
        (segments > 0).then(|| self.first_byte_delay / segments)
    }

    /// Bits of media a second of playing time.
    pub fn bitrate(&self) -> Option<f64> {
        let seconds = self.media.as_secs_f64();
        (seconds > 0.0).then(|| self.media_bytes as f64 * 8.0 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_viewer() {
        let seconds = Duration::from_secs;
        let nothing = ViewerSummary::default();
        assert_eq!((nothing.stall_ratio(), nothing.bitrate()), (1.0, None));
        assert_eq!(nothing.mean_first_byte_delay(), None);
        let viewer = ViewerSummary {
            startup: Some(seconds(1)),
            played: seconds(9),
            stalled: seconds(3),
            segments: 4,
            media_bytes: 1_000_000,
            media: seconds(8),
            first_byte_delay: seconds(2),
            ..nothing
        };
        assert_eq!((viewer.stall_ratio(), viewer.bitrate()), (0.25, Some(1e6)));
        assert_eq!(viewer.mean_first_byte_delay(), Some(Duration::from_millis(500)));
    }
}
