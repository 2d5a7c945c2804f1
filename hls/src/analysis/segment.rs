//! A segment, with everything that applies to it.

use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    pub sequence: u64,
    pub url: String,
    /// Seconds; 0 if the playlist does not say.
    pub duration: f64,
    pub title: Option<String>,
    /// Length and offset; an offset left out is worked out.
    pub byte_range: Option<(u64, u64)>,
    pub discontinuity: bool,
    /// As written, on this very segment.
    pub program_date_time: Option<String>,
    pub map: Option<Arc<Map>>,
    pub key: Option<Arc<Key>>,
    pub gap: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Map {
    pub url: String,
    pub byte_range: Option<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub method: String,
    /// As written if it is of a scheme that is never fetched, such as skd:.
    pub url: Option<String>,
    /// `None`: the media sequence number is the IV.
    pub iv: Option<u128>,
    /// `None` means `identity`.
    pub format: Option<String>,
}

impl Key {
    /// A player needs no DRM module for it.
    pub(super) fn is_identity(&self) -> bool {
        self.format.as_deref().is_none_or(|format| format.eq_ignore_ascii_case("identity"))
    }
}
