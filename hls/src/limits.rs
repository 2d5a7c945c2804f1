//! Size limits of playlists.

/// Limits beyond which a playlist is rejected, because an upstream is not trusted to send short
/// ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaylistLimits {
    /// Size of the whole decoded playlist in bytes. Live playlists of some services list all that
    /// can be rewound, with a kilobyte of signature in each URI.
    pub max_bytes: usize,
    /// Number of lines, blank lines included.
    pub max_lines: usize,
    /// Length of a line in bytes; also limits an absolute URL, of which a link could otherwise be
    /// longer than it may, and all variables together.
    pub max_line_bytes: usize,
    /// Length in bytes of a link that replaces a URI: a longer one would be refused when a player
    /// requests it. A sealed URL is a third longer than the URL.
    pub max_link_bytes: usize,
}

const OUTPUT_MAX_BYTES: usize = 64 << 20;

impl Default for PlaylistLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl PlaylistLimits {
    pub const DEFAULT: Self = Self {
        max_bytes: 16 << 20,
        max_lines: 100_000,
        max_line_bytes: 8 << 10,
        max_link_bytes: 12 << 10,
    };

    /// No limits, for callers that read a few lines and never fail.
    pub(crate) const UNLIMITED: Self = Self {
        max_bytes: usize::MAX,
        max_lines: usize::MAX,
        max_line_bytes: usize::MAX,
        max_link_bytes: usize::MAX,
    };

    /// Limit on the output in bytes. A short relative URI under a long base grows a hundredfold, as
    /// often as there are lines; honest playlists grow three- or fourfold.
    pub(crate) fn max_output_bytes(&self) -> usize {
        self.max_bytes.saturating_mul(16).min(OUTPUT_MAX_BYTES)
    }
}
