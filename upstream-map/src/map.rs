//! [`UpstreamMap`]: all streams, the profiles of requests to their upstreams, and the public
//! documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::documents::SharedDocuments;
use crate::stream::{RequestProfile, RequestProfileId, Stream, StreamId};

/// All streams and public documents at one moment. A map is never changed, only replaced by one
/// with a higher version.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct UpstreamMap {
    pub version: u64,
    /// Streams; an unchanged stream is shared with the previous map, because each change copies the
    /// map.
    pub streams: BTreeMap<StreamId, Arc<Stream>>,
    /// Request profiles of upstreams. Links name a profile, not its headers, so that a link stays
    /// valid when headers change.
    pub profiles: BTreeMap<RequestProfileId, Arc<RequestProfile>>,
    pub documents: SharedDocuments,
}

impl UpstreamMap {
    /// Removes upstreams and profiles of sources that are no longer configured, after a start with
    /// another configuration.
    pub fn retain_sources(&mut self, is_source: impl Fn(&str) -> bool) {
        let is_of_source = |profile: &str| is_source(profile.split('/').next().unwrap_or_default());
        self.profiles.retain(|id, _| is_of_source(&id.0));
        // A stream that no source has found yet has no upstream to lose and stays.
        self.streams.retain(|_, stream| {
            if stream.upstreams.iter().any(|upstream| !is_source(&upstream.source)) {
                Arc::make_mut(stream).upstreams.retain(|upstream| is_source(&upstream.source));
                return !stream.upstreams.is_empty();
            }
            true
        });
    }

    /// The streams as lists show them: in the order of the configuration, then in the order in which
    /// sources list them, and of one position in the order of their ids.
    pub fn streams_in_order(&self) -> Vec<&Stream> {
        let mut streams: Vec<&Stream> = self.streams.values().map(|stream| &**stream).collect();
        // The sort is stable.
        streams.sort_by_key(|stream| stream.position);
        streams
    }

    /// Version after `last`: Unix milliseconds, so that versions still grow after a store lost its
    /// data, but always above `last`, also if the clock steps back.
    pub fn next_version(last: u64, now: Timestamp) -> u64 {
        (last + 1).max(u64::try_from(now.as_millisecond()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_the_clock_but_never_step_back_with_it() {
        let now = Timestamp::from_millisecond(1_000).unwrap();
        for (last, expected) in [(0, 1_000), (999, 1_000), (1_000, 1_001), (5_000, 5_001)] {
            assert_eq!(UpstreamMap::next_version(last, now), expected, "after {last}");
        }
    }
}
