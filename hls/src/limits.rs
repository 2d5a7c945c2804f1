//! How much playlist is too much.

/// An upstream is not trusted to be short. Over any of these a playlist is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of the whole playlist, decoded. A 1.8 MB VOD playlist is legal.
    pub bytes: usize,
    /// Blank ones count.
    pub lines: usize,
    /// Bytes in one line; also bounds a URI after substitution, and all variables together.
    pub line: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 2 << 20, lines: 20_000, line: 8 << 10 }
    }
}

impl Limits {
    /// For a reader that looks at a few lines and never fails.
    pub(crate) const NONE: Self = Self { bytes: usize::MAX, lines: usize::MAX, line: usize::MAX };

    /// A short relative URI under a long base grows a hundredfold, twenty thousand times over.
    /// Honest playlists grow three- or fourfold.
    pub(crate) fn grown(&self) -> usize {
        self.bytes.saturating_mul(16)
    }
}
