//! Timing of a media playlist, collected while it is rewritten.

/// Timing tags and segment count of a media playlist.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlaylistTiming {
    /// `EXT-X-TARGETDURATION` in seconds.
    pub target_duration: Option<f64>,
    /// `PART-TARGET` in seconds.
    pub part_target: Option<f64>,
    /// `EXT-X-ENDLIST`: no segments will be added.
    pub has_end_list: bool,
    pub segment_count: u64,
}

impl PlaylistTiming {
    /// Upper bound of the playlist's duration in seconds: target duration times segment count.
    pub fn max_duration_secs(&self) -> f64 {
        self.target_duration.unwrap_or_default() * self.segment_count as f64
    }
}
