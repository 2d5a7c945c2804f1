//! Size limits of playlists.

/// Limits beyond which a playlist is rejected, because an upstream is not trusted to send short
/// ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaylistLimits {
    /// Size of the whole decoded playlist in bytes; a 1.8 MB VOD playlist is legal.
    pub max_bytes: usize,
    /// Number of lines, blank lines included.
    pub max_lines: usize,
    /// Length of a line in bytes; also limits a URI after substitution, and all variables together.
    pub max_line_bytes: usize,
}

impl Default for PlaylistLimits {
    fn default() -> Self {
        Self { max_bytes: 2 << 20, max_lines: 20_000, max_line_bytes: 8 << 10 }
    }
}

impl PlaylistLimits {
    /// No limits, for callers that read a few lines and never fail.
    pub(crate) const UNLIMITED: Self =
        Self { max_bytes: usize::MAX, max_lines: usize::MAX, max_line_bytes: usize::MAX };

    /// Limit on the output in bytes. A short relative URI under a long base grows a hundredfold,
    /// twenty thousand times over; honest playlists grow three- or fourfold.
    pub(crate) fn max_output_bytes(&self) -> usize {
        self.max_bytes.saturating_mul(16)
    }
}
