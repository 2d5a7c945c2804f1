//! `[source.check]`: what is demanded of a source's streams, beyond that they play.

use serde::Deserialize;

use crate::settings::HumanDuration;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckRules {
    /// Bits a second below which a picture shows nothing: a black or still slate.
    pub min_bitrate: u64,
    /// How far the newest segment may be behind the clock, where playlists have dates.
    pub max_lag: Option<HumanDuration>,
    /// The same segments over and over are what this source is meant to show.
    pub loops: bool,
}

impl Default for CheckRules {
    fn default() -> Self {
        Self { min_bitrate: 16_000, max_lag: None, loops: false }
    }
}
