//! How long the tokens of a source live, learned from when they were refused.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The last few lifetimes seen, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lifetimes(VecDeque<u64>);

const REMEMBERED: usize = 5;
/// What is refused sooner was refused for another reason.
const SHORTEST: u64 = 5;
const LONGEST: u64 = 7 * 24 * 60 * 60;

impl Lifetimes {
    /// A URL played for so long, then it was refused, and a new one played.
    pub(crate) fn learn(&mut self, lived: Duration) {
        let seconds = lived.as_secs();
        if !(SHORTEST..LONGEST).contains(&seconds) {
            return;
        }
        self.0.push_back(seconds);
        while self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// The shortest: renewing early costs little, renewing late costs a viewer.
    pub(crate) fn expected(&self) -> Option<Duration> {
        self.0.iter().min().copied().map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_of_the_last_few() {
        for (lived, expected) in [
            (&[][..], None),
            (&[3], None),
            (&[300], Some(300)),
            (&[300, 290, 310], Some(290)),
            (&[100, 300, 300, 300, 300, 300], Some(300)),
            (&[300, 1_000_000], Some(300)),
        ] {
            let mut lifetimes = Lifetimes::default();
            lived.iter().for_each(|seconds| lifetimes.learn(Duration::from_secs(*seconds)));
            assert_eq!(lifetimes.expected(), expected.map(Duration::from_secs), "{lived:?}");
        }
    }
}
