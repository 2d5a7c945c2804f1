//! Ranks the upstreams of a stream. Pure functions.
//!
//! - [`config`]: `[rank]`, the operator's preferences.
//! - [`explain`]: the ranking as text and numbers.
//!
//! Health decides first, then priority, then the score, then the order in the configuration. The
//! active upstream stays active unless another one is clearly better for long enough.

pub(crate) mod config;
pub(crate) mod explain;

use std::cmp::Reverse;
use std::time::Duration;

use pitwall_upstream_map::Health;

pub use self::config::RankConfig;
use crate::model::ranking::SelectionReason;

/// What the ranking needs to know about one upstream of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RankInput {
    pub(crate) health: Health,
    /// The only failure is not confirmed yet, so viewers are not moved for it.
    pub(crate) has_unconfirmed_failure: bool,
    pub(crate) priority: i32,
    pub(crate) score: f64,
    /// Index of the upstream's source in the configuration.
    pub(crate) config_position: usize,
    /// Is this the stream's active upstream?
    pub(crate) is_active: bool,
    /// Time since the last failure.
    pub(crate) healthy_for: Duration,
}

/// How long and in what way the active upstream has been active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Incumbency {
    /// Time since viewers were last moved.
    pub(crate) active_for: Duration,
    /// Pinned by an operator, until the upstream is down.
    pub(crate) is_pinned: bool,
    /// False just after the stream appeared, when the results of its sources arrive one after
    /// another.
    pub(crate) is_settled: bool,
}

/// Indices into the inputs, best first, and why the first one is first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RankOrder {
    pub(crate) indices: Vec<usize>,
    pub(crate) reason: SelectionReason,
}

/// Scores that round to the same multiple are equal: the order in the configuration decides.
const SCORE_RESOLUTION: f64 = 0.05;

pub(crate) fn rank_upstreams(
    inputs: &[RankInput],
    incumbency: Incumbency,
    config: &RankConfig,
) -> RankOrder {
    let mut indices: Vec<usize> = (0..inputs.len()).collect();
    let sort_key = |input: &RankInput| {
        let steps = (input.score / SCORE_RESOLUTION).round() as i64;
        (health_class(input.health), Reverse(input.priority), Reverse(steps), input.config_position)
    };
    indices.sort_by_key(|&index| inputs.get(index).map(sort_key));
    let best = indices.first().and_then(|&index| inputs.get(index));
    let current = inputs.iter().position(|input| input.is_active);
    let retained = || retention_reason(inputs.get(current?)?, best?, incumbency, config);
    let reason = retained();
    if let (Some(current), Some(_)) = (current, reason) {
        indices.retain(|&index| index != current);
        indices.insert(0, current);
    }
    RankOrder { indices, reason: reason.unwrap_or(SelectionReason::Best) }
}

/// Why the active upstream stays active; `None` when it does not.
fn retention_reason(
    current: &RankInput,
    best: &RankInput,
    incumbency: Incumbency,
    config: &RankConfig,
) -> Option<SelectionReason> {
    match () {
        () if current.health == Health::Down => None,
        () if incumbency.is_pinned => Some(SelectionReason::Pinned),
        () if best.is_active => Some(SelectionReason::Best),
        () if health_class(current.health) > health_class(best.health) => {
            current.has_unconfirmed_failure.then_some(SelectionReason::UnconfirmedFailure)
        }
        () if best.priority > current.priority && !incumbency.is_settled => None,
        () if best.priority > current.priority => {
            let left = config.fail_back.0.checked_sub(best.healthy_for)?;
            (!left.is_zero()).then_some(SelectionReason::FailBackPending { left })
        }
        () => {
            let ahead = best.score - current.score;
            let left = config.hold.0.saturating_sub(incumbency.active_for);
            match () {
                () if ahead < config.margin.0 => Some(SelectionReason::WithinMargin),
                () if incumbency.is_settled && !left.is_zero() => {
                    Some(SelectionReason::HoldDown { left })
                }
                () => None,
            }
        }
    }
}

fn health_class(health: Health) -> u8 {
    match health {
        Health::Healthy => 0,
        Health::Degraded => 1,
        Health::Down => 2,
    }
}

#[cfg(test)]
mod tests;
