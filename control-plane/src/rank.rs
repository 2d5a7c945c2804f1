//! Ranks the upstreams of a stream. Pure functions.
//!
//! - [`config`]: `[rank]`, the operator's preferences.
//! - [`explain`]: the ranking as text and numbers.
//!
//! Health decides first, then priority, then the score, then the order in the configuration. The
//! active upstream stays active unless another one is clearly better for long enough. If it fails,
//! an upstream counts for more behind which players go on as they were.

pub(crate) mod config;
pub(crate) mod explain;

use std::cmp::Reverse;
use std::time::Duration;

use pitwall_upstream_map::Health;

pub use self::config::RankConfig;
use crate::model::continuity::Continuity;
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
    /// What players make of a splice from the active upstream to this one.
    pub(crate) continuity: Continuity,
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
    let by_score = sort_indices(inputs, |input| input.score);
    let best = by_score.first().and_then(|&index| inputs.get(index));
    let current = inputs.iter().position(|input| input.is_active);
    let retained = || retention_reason(inputs.get(current?)?, best?, incumbency, config);
    let reason = retained();
    let is_left_for_score = reason.is_none()
        && current.and_then(|index| inputs.get(index)).zip(best).is_some_and(|(current, best)| {
            health_class(current.health) == health_class(best.health)
        });
    // What comes behind the active upstream, or replaces one that has failed, is what viewers are
    // moved to without need of their own: the fewer players notice, the better.
    let mut indices = match is_left_for_score {
        true => by_score,
        false => sort_indices(inputs, |input| match input.continuity {
            Continuity::OtherContainer => input.score - config.margin.0,
            Continuity::OtherInitSection => input.score,
            Continuity::Same => input.score + config.margin.0,
        }),
    };
    if let (Some(current), Some(_)) = (current, reason) {
        indices.retain(|&index| index != current);
        indices.insert(0, current);
    }
    RankOrder { indices, reason: reason.unwrap_or(SelectionReason::Best) }
}

/// Indices into the inputs, best first, by their health, priority, score and place.
fn sort_indices(inputs: &[RankInput], score: impl Fn(&RankInput) -> f64) -> Vec<usize> {
    let sort_key = |input: &RankInput| {
        let steps = (score(input) / SCORE_RESOLUTION).round() as i64;
        (health_class(input.health), Reverse(input.priority), Reverse(steps), input.config_position)
    };
    let mut indices: Vec<usize> = (0..inputs.len()).collect();
    indices.sort_by_key(|&index| inputs.get(index).map(sort_key));
    indices
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
