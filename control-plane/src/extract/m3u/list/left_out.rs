//! [`LeftOutEntry`]: an entry that cannot be a stream, and why.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::extract::m3u) struct LeftOutEntry {
    pub(in crate::extract::m3u) name: String,
    pub(in crate::extract::m3u) group: String,
    pub(in crate::extract::m3u) reason: LeftOutReason,
}

/// Why an entry is left out, in words that show nothing of its URL: public documents say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::extract::m3u) enum LeftOutReason {
    /// The URL, or a tag, is that of a format with this extension.
    OtherFormat(&'static str),
    OtherProtocol,
    Drm,
    /// Malformed or too long.
    UnusableUrl,
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherFormat(extension) => write!(f, "not HLS ({extension})"),
            Self::OtherProtocol => f.write_str("not over HTTP"),
            Self::Drm => f.write_str("under DRM"),
            Self::UnusableUrl => f.write_str("with a URL that cannot be fetched"),
        }
    }
}
