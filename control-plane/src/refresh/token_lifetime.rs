//! [`TokenLifetimes`]: lifetimes of a source's tokens, learned from their rejections.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most recent lifetimes, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TokenLifetimes(VecDeque<u64>);

const LIFETIMES_MAX_COUNT: usize = 5;
/// A URL rejected sooner was rejected for another reason than its age.
const LIFETIME_MIN_SECONDS: u64 = 5;
const LIFETIME_MAX_SECONDS: u64 = 7 * 24 * 60 * 60;

impl TokenLifetimes {
    /// Records the time from a URL's first passed check to its last, when the URL was then rejected
    /// and a new URL passed.
    pub(crate) fn record_lifetime(&mut self, lifetime: Duration) {
        let seconds = lifetime.as_secs();
        if !(LIFETIME_MIN_SECONDS..LIFETIME_MAX_SECONDS).contains(&seconds) {
            return;
        }
        self.0.push_back(seconds);
        while self.0.len() > LIFETIMES_MAX_COUNT {
            self.0.pop_front();
        }
    }

    /// The shortest recorded lifetime: renewing early costs a request, renewing late interrupts
    /// viewers.
    pub(crate) fn shortest_lifetime(&self) -> Option<Duration> {
        self.0.iter().min().copied().map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_of_the_last_few() {
        for (recorded, expected) in [
            (&[][..], None),
            (&[3], None),
            (&[300], Some(300)),
            (&[300, 290, 310], Some(290)),
            (&[100, 300, 300, 300, 300, 300], Some(300)),
            (&[300, 1_000_000], Some(300)),
        ] {
            let mut lifetimes = TokenLifetimes::default();
            recorded
                .iter()
                .for_each(|seconds| lifetimes.record_lifetime(Duration::from_secs(*seconds)));
            assert_eq!(
                lifetimes.shortest_lifetime(),
                expected.map(Duration::from_secs),
                "{recorded:?}"
            );
        }
    }
}
