//! Timing of a media playlist, collected while it is rewritten.

/// Timing tags and segment count of a media playlist.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlaylistTiming {
    /// `EXT-X-TARGETDURATION` in seconds, or the length of the newest segments where these are
    /// longer.
    pub target_duration: Option<f64>,
    /// `PART-TARGET` in seconds.
    pub part_target: Option<f64>,
    /// `EXT-X-ENDLIST`: no segments will be added.
    pub has_end_list: bool,
    pub segment_count: u64,
}

impl PlaylistTiming {
    /// Some packagers state less than their segments last. Who believed it would take the source for
    /// one that stands still before each of its segments. `durations` are those of the newest ones.
    pub(crate) fn allow_for_segments(&mut self, durations: [f64; 2]) {
        let longest = durations.into_iter().fold(0.0, f64::max);
        // Up to the next half second is within the target (RFC 8216bis, 4.4.3.1).
        self.target_duration = self
            .target_duration
            .map(|target| if longest.round() > target { longest } else { target });
    }

    /// Upper bound of the playlist's duration in seconds: target duration times segment count.
    pub fn max_duration_secs(&self) -> f64 {
        self.target_duration.unwrap_or_default() * self.segment_count as f64
    }
}
