//! `[source.check]`: what an operator requires of a source's streams beyond that they play.

use serde::Deserialize;

use crate::settings::HumanDuration;

/// `[source.check]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckRules {
    /// Bits per second that a video must have; 0 requires none.
    pub min_bitrate: u64,
    /// How far the newest segment may be behind the clock, where playlists have
    /// EXT-X-PROGRAM-DATE-TIME.
    pub max_lag: Option<HumanDuration>,
    /// The source is meant to repeat its segments, which is otherwise a reason to play anything else.
    pub loops: bool,
}

impl Default for CheckRules {
    fn default() -> Self {
        Self { min_bitrate: 16_000, max_lag: None, loops: false }
    }
}
