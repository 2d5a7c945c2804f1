//! [`LeftOutEntry`]: an entry that cannot be a stream, and why.

use std::collections::BTreeMap;
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

/// A text such as `3 left out: 2 not HLS (.ts), 1 under DRM`; `None` if nothing is left out.
pub(in crate::extract::m3u) fn describe_left_out<'a>(
    entries: impl Iterator<Item = &'a LeftOutEntry>,
) -> Option<String> {
    let mut counts: BTreeMap<LeftOutReason, usize> = BTreeMap::new();
    for entry in entries {
        *counts.entry(entry.reason).or_default() += 1;
    }
    let total: usize = counts.values().sum();
    let reasons: Vec<String> =
        counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    (total > 0).then(|| format!("{total} left out: {}", reasons.join(", ")))
}
