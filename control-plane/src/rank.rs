//! Which upstream of a stream plays. Pure.
//!
//! - [`record`]: what an upstream has shown: the score.
//! - [`rules`]: `[rank]`, what the operator prefers.
//! - [`explain`]: the same in words and numbers.
//!
//! Health decides first, then priority, then the score, then the place in the configuration.
//! Who plays stays, unless another is clearly better for long enough.

pub(crate) mod explain;
pub(crate) mod record;
pub(crate) mod rules;

use std::cmp::Reverse;
use std::time::Duration;

use pitwall_upstream_map::Health;

pub(crate) use self::record::Record;
pub use self::rules::RankConfig;

/// What is known of one upstream when it is compared with others of the same stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) health: Health,
    /// Its only failure is not confirmed yet: no reason to move viewers.
    pub(crate) blip: bool,
    pub(crate) priority: i32,
    pub(crate) score: f64,
    /// Place of its source in the configuration.
    pub(crate) order: usize,
    /// It plays now.
    pub(crate) current: bool,
    /// Without a failure.
    pub(crate) healthy_for: Duration,
}

/// Who plays now, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tenure {
    /// Since viewers were moved last.
    pub(crate) lasts: Duration,
    /// By an operator, until it is down.
    pub(crate) pinned: bool,
    /// The stream did not come up just now, when its sources arrive one after another.
    pub(crate) settled: bool,
}

/// Indices, best first, and why the first one is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) indices: Vec<usize>,
    pub(crate) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Why {
    Best,
    /// An operator wants it.
    Pinned,
    /// Its only failure is not confirmed.
    Blip,
    /// Another is ahead, but by less than it takes.
    Margin {
        ahead: f64,
    },
    /// Another is ahead, but viewers were moved just now.
    Held {
        left: Duration,
    },
    /// One of higher priority is back, but not for long enough.
    FailBack {
        left: Duration,
    },
}

/// Scores closer than this are the same: the order of the configuration decides.
const STEP: f64 = 0.05;

pub(crate) fn order(standings: &[Standing], tenure: Tenure, config: &RankConfig) -> Order {
    let mut indices: Vec<usize> = (0..standings.len()).collect();
    let key = |standing: &Standing| {
        let steps = (standing.score / STEP).round() as i64;
        (class(standing.health), Reverse(standing.priority), Reverse(steps), standing.order)
    };
    indices.sort_by_key(|&index| standings.get(index).map(key));
    let best = indices.first().and_then(|&index| standings.get(index));
    let current = standings.iter().position(|standing| standing.current);
    let reason = || stays(standings.get(current?)?, best?, tenure, config);
    let why = reason();
    if let (Some(current), Some(_)) = (current, why) {
        indices.retain(|&index| index != current);
        indices.insert(0, current);
    }
    Order { indices, why: why.unwrap_or(Why::Best) }
}

/// Why the one that plays stays, if it does.
fn stays(current: &Standing, best: &Standing, tenure: Tenure, config: &RankConfig) -> Option<Why> {
    match () {
        () if current.health == Health::Down => None,
        () if tenure.pinned => Some(Why::Pinned),
        () if best.current => Some(Why::Best),
        () if class(current.health) > class(best.health) => current.blip.then_some(Why::Blip),
        () if best.priority > current.priority && !tenure.settled => None,
        () if best.priority > current.priority => {
            let left = config.fail_back.0.checked_sub(best.healthy_for)?;
            (!left.is_zero()).then_some(Why::FailBack { left })
        }
        () => {
            let ahead = best.score - current.score;
            let left = config.hold.0.saturating_sub(tenure.lasts);
            match () {
                () if ahead < config.margin.0 => Some(Why::Margin { ahead }),
                () if tenure.settled && !left.is_zero() => Some(Why::Held { left }),
                () => None,
            }
        }
    }
}

fn class(health: Health) -> u8 {
    match health {
        Health::Healthy => 0,
        Health::Degraded => 1,
        Health::Down => 2,
    }
}

#[cfg(test)]
mod tests;
