//! How long an object stays fresh. Objects are stored by URL, and an encoder that restarts names
//! its segments as before: a segment that has left the window of its live playlist is stale.
//! Segments of a playlist that has ended stay for as long as the cache has room.
//!
//! The lifetime comes from the playlist; its segments are recognised by their common directory.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use pitwall_hls::PlaylistTiming;

use crate::upstream::target::UpstreamTarget;

/// Lifetime of an object whose playlist is not known.
const FRESHNESS_LIFETIME_DEFAULT: Duration = Duration::from_secs(60);

/// Minimum lifetime: players that are behind request segments that have just left the window.
const FRESHNESS_LIFETIME_MIN: Duration = Duration::from_secs(10);
const FRESHNESS_LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// Limit of remembered directories; more than the renditions that one edge serves.
const DIRECTORIES_MAX: u64 = 16_384;

/// Freshness lifetimes by directory of segment URLs.
pub struct FreshnessByDirectory {
    by_directory: Cache<u64, Duration>,
    /// Randomly keyed, so that no origin can choose two directories with the same hash.
    hasher: RandomState,
}

impl Default for FreshnessByDirectory {
    fn default() -> Self {
        let cache =
            Cache::builder().max_capacity(DIRECTORIES_MAX).eviction_policy(EvictionPolicy::lru());
        Self { by_directory: cache.build(), hasher: RandomState::new() }
    }
}

impl FreshnessByDirectory {
    /// Records the lifetime for the directory of `segment`, which belongs to a playlist with this
    /// timing.
    pub fn record_playlist(&self, profile: &str, segment: &str, timing: &PlaylistTiming) {
        let (directory, lifetime) =
            (self.directory_key(profile, segment), freshness_lifetime(timing));
        if self.by_directory.get(&directory) != Some(lifetime) {
            self.by_directory.insert(directory, lifetime);
        }
    }

    /// How long an object of this target stays fresh.
    pub fn lifetime_for(&self, target: &UpstreamTarget) -> Duration {
        let directory = self.directory_key(&target.profile.id, target.url.as_str());
        self.by_directory.get(&directory).unwrap_or(FRESHNESS_LIFETIME_DEFAULT)
    }

    fn directory_key(&self, profile: &str, url: &str) -> u64 {
        self.hasher.hash_one((profile, directory_of_url(url)))
    }
}

fn freshness_lifetime(timing: &PlaylistTiming) -> Duration {
    if timing.has_end_list {
        return FRESHNESS_LIFETIME_MAX;
    }
    let targets = timing.target_duration.unwrap_or_default() * 3.0;
    let window = Duration::try_from_secs_f64(timing.max_duration_secs() + targets)
        .unwrap_or(FRESHNESS_LIFETIME_MAX);
    window.clamp(FRESHNESS_LIFETIME_MIN, FRESHNESS_LIFETIME_MAX)
}

fn directory_of_url(url: &str) -> &str {
    let path = url.split_once('?').map_or(url, |(path, _)| path);
    path.rsplit_once('/').map_or(path, |(directory, _)| directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        let timing = |target: f64, segments, end_list| PlaylistTiming {
            target_duration: Some(target),
            part_target: None,
            has_end_list: end_list,
            segment_count: segments,
        };
        for (timing, seconds) in [
            (timing(6.0, 5, false), 48),
            (timing(1.0, 3, false), 10),
            (timing(6.0, 3_000, false), 18_018),
            (timing(1e300, 9, false), 24 * 3600),
            (timing(6.0, 5, true), 24 * 3600),
        ] {
            assert_eq!(freshness_lifetime(&timing).as_secs(), seconds, "{timing:?}");
        }
    }

    #[test]
    fn a_playlist_sets_the_lifetime_of_its_directory() {
        let lifetimes = FreshnessByDirectory::default();
        let ended = PlaylistTiming { has_end_list: true, ..PlaylistTiming::default() };
        lifetimes.record_playlist("a", "http://h/v/1.ts?token=1", &ended);
        for (profile, url, known) in [
            ("a", "http://h/v/2.ts?token=a/b", true),
            ("b", "http://h/v/1.ts", false),
            ("a", "http://h/w/1.ts", false),
            ("a", "http://i/v/1.ts", false),
        ] {
            let directory = lifetimes.directory_key(profile, url);
            assert_eq!(lifetimes.by_directory.get(&directory).is_some(), known, "{profile} {url}");
        }
    }
}
