//! How long an object may be given again. Objects are named by URL, and an encoder that starts
//! anew names its segments as before: what has left a live playlist's window is forgotten. What a
//! finished playlist names stays for as long as there is room.
//!
//! A playlist tells of its segments; they live in one directory, by which they are known here.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use pitwall_hls::Tempo;

use crate::target::Target;

/// Of what no playlist has told.
const UNKNOWN: Duration = Duration::from_secs(60);

/// Players that are behind ask for what has just left the window.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// More renditions than one edge serves.
const DIRECTORIES: u64 = 16_384;

pub struct Lifetimes {
    known: Cache<u64, Duration>,
    /// Nobody outside can choose two directories that look the same.
    hasher: RandomState,
}

impl Default for Lifetimes {
    fn default() -> Self {
        let known =
            Cache::builder().max_capacity(DIRECTORIES).eviction_policy(EvictionPolicy::lru());
        Self { known: known.build(), hasher: RandomState::new() }
    }
}

impl Lifetimes {
    /// `segment` is one of a playlist that moves like this.
    pub fn tell(&self, profile: &str, segment: &str, tempo: &Tempo) {
        let (place, lifetime) = (self.place(profile, segment), lifetime(tempo));
        if self.known.get(&place) != Some(lifetime) {
            self.known.insert(place, lifetime);
        }
    }

    pub fn of(&self, target: &Target) -> Duration {
        let place = self.place(&target.profile, target.url.as_str());
        self.known.get(&place).unwrap_or(UNKNOWN)
    }

    fn place(&self, profile: &str, url: &str) -> u64 {
        self.hasher.hash_one((profile, directory(url)))
    }
}

fn lifetime(tempo: &Tempo) -> Duration {
    if tempo.end_list {
        return LONGEST;
    }
    let targets = tempo.target_duration.unwrap_or_default() * 3.0;
    let window = Duration::try_from_secs_f64(tempo.window() + targets).unwrap_or(LONGEST);
    window.clamp(SHORTEST, LONGEST)
}

fn directory(url: &str) -> &str {
    let path = url.split_once('?').map_or(url, |(path, _)| path);
    path.rsplit_once('/').map_or(path, |(directory, _)| directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        let tempo = |target: f64, segments, end_list| Tempo {
            target_duration: Some(target),
            part_target: None,
            end_list,
            segments,
        };
        for (tempo, seconds) in [
            (tempo(6.0, 5, false), 48),
            (tempo(1.0, 3, false), 10),
            (tempo(6.0, 3_000, false), 18_018),
            (tempo(1e300, 9, false), 24 * 3600),
            (tempo(6.0, 5, true), 24 * 3600),
        ] {
            assert_eq!(lifetime(&tempo).as_secs(), seconds, "{tempo:?}");
        }
    }

    #[test]
    fn a_directory_is_known_by_its_playlist() {
        let lifetimes = Lifetimes::default();
        let ended = Tempo { end_list: true, ..Tempo::default() };
        lifetimes.tell("a", "http://h/v/1.ts?token=1", &ended);
        for (profile, url, known) in [
            ("a", "http://h/v/2.ts?token=a/b", true),
            ("b", "http://h/v/1.ts", false),
            ("a", "http://h/w/1.ts", false),
            ("a", "http://i/v/1.ts", false),
        ] {
            let place = lifetimes.place(profile, url);
            assert_eq!(lifetimes.known.get(&place).is_some(), known, "{profile} {url}");
        }
    }
}
