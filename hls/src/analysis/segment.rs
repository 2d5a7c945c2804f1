//! Segments with all tags that apply to them.

use std::sync::Arc;

/// A media segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Media sequence number.
    pub sequence: u64,
    pub url: String,
    /// Seconds; 0 if the playlist has no EXTINF for the segment.
    pub duration: f64,
    pub title: Option<String>,
    /// Length and offset in bytes; a missing offset is computed.
    pub byte_range: Option<(u64, u64)>,
    pub has_discontinuity: bool,
    /// EXT-X-PROGRAM-DATE-TIME of this segment itself, as written.
    pub program_date_time: Option<String>,
    pub map: Option<Arc<Map>>,
    pub key: Option<Arc<Key>>,
    pub is_gap: bool,
}

/// An EXT-X-MAP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Map {
    pub url: String,
    pub byte_range: Option<(u64, u64)>,
}

/// An EXT-X-KEY.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub method: String,
    /// Absolute URL; as written if its scheme is never fetched, such as `skd:`.
    pub url: Option<String>,
    /// Initialisation vector; `None` means the media sequence number (RFC 8216bis, 5.2).
    pub iv: Option<u128>,
    /// KEYFORMAT; `None` means `identity`.
    pub format: Option<String>,
}
