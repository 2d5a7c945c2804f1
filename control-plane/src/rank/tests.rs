use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Healthy for an hour, priority 0, first in the configuration.
fn rank_input(health: Health, score: f64) -> RankInput {
    let healthy_for = Duration::from_hours(1);
    RankInput {
        health,
        has_unconfirmed_failure: false,
        priority: 0,
        score,
        config_position: 0,
        is_active: false,
        healthy_for,
        continuity: Continuity::Same,
    }
}

fn active_input(input: RankInput) -> RankInput {
    RankInput { is_active: true, ..input }
}

fn assert_order(
    name: &str,
    inputs: &[RankInput],
    incumbency: Incumbency,
    indices: &[usize],
    reason: SelectionReason,
) {
    let inputs: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(order, input)| RankInput { config_position: order, ..*input })
        .collect();
    let order = rank_upstreams(&inputs, incumbency, &RankConfig::default());
    assert_eq!((order.indices.as_slice(), order.reason), (indices, reason), "{name}");
}

#[test]
fn upstreams_are_ordered() {
    use Health::{Degraded, Down, Healthy};
    let long =
        Incumbency { active_for: Duration::from_hours(1), is_pinned: false, is_settled: true };
    let just = Incumbency { active_for: 20 * SECOND, ..long };
    let pinned = Incumbency { is_pinned: true, ..just };
    let healthy = |score| rank_input(Healthy, score);
    let degraded = |score| rank_input(Degraded, score);
    let down = |score| rank_input(Down, score);
    let first = |input| RankInput { priority: 10, ..input };
    let back = |input| RankInput { healthy_for: 100 * SECOND, ..input };
    let failed_once = |input| RankInput { has_unconfirmed_failure: true, ..input };

    assert_order("nothing", &[], long, &[], SelectionReason::Best);
    assert_order(
        "configuration",
        &[healthy(0.8), healthy(0.8)],
        long,
        &[0, 1],
        SelectionReason::Best,
    );
    assert_order(
        "near ties",
        &[healthy(0.79), healthy(0.81)],
        long,
        &[0, 1],
        SelectionReason::Best,
    );
    assert_order("score", &[healthy(0.5), healthy(0.9)], long, &[1, 0], SelectionReason::Best);
    assert_order(
        "priority",
        &[healthy(0.9), first(healthy(0.2))],
        long,
        &[1, 0],
        SelectionReason::Best,
    );
    assert_order(
        "health",
        &[down(1.0), degraded(0.9), healthy(0.1)],
        long,
        &[2, 1, 0],
        SelectionReason::Best,
    );
    assert_order(
        "health before priority",
        &[first(degraded(1.0)), healthy(0.1)],
        long,
        &[1, 0],
        SelectionReason::Best,
    );

    let other_init =
        |score| RankInput { continuity: Continuity::OtherInitSection, ..healthy(score) };
    let other_container =
        |score| RankInput { continuity: Continuity::OtherContainer, ..healthy(score) };
    for (name, last, expected) in [
        ("what is next", active_input(healthy(0.85)), [3, 2, 1, 0]),
        ("what replaces one that died", active_input(down(0.8)), [2, 1, 0, 3]),
    ] {
        let inputs = [other_container(0.8), other_init(0.8), healthy(0.75), last];
        assert_order(name, &inputs, long, &expected, SelectionReason::Best);
    }
    let inputs = [other_init(0.8), healthy(0.6), active_input(down(0.8))];
    assert_order("a much better one", &inputs, long, &[0, 1, 2], SelectionReason::Best);
    let inputs = [other_init(0.9), healthy(0.8), active_input(healthy(0.6))];
    assert_order(
        "viewers are moved to a better one",
        &inputs,
        long,
        &[0, 1, 2],
        SelectionReason::Best,
    );

    let pair = [healthy(0.875), active_input(healthy(0.75))];
    assert_order("hysteresis", &pair, long, &[1, 0], SelectionReason::WithinMargin);
    let pair = [healthy(0.9), active_input(healthy(0.7))];
    assert_order("a clear margin", &pair, long, &[0, 1], SelectionReason::Best);
    assert_order(
        "hold-down",
        &pair,
        just,
        &[1, 0],
        SelectionReason::HoldDown { left: 40 * SECOND },
    );
    let new = Incumbency { is_settled: false, ..just };
    assert_order("it comes up", &pair, new, &[0, 1], SelectionReason::Best);
    assert_order("pinned", &pair, pinned, &[1, 0], SelectionReason::Pinned);
    assert_order(
        "pinned but down",
        &[degraded(0.1), active_input(down(0.9))],
        pinned,
        &[0, 1],
        SelectionReason::Best,
    );

    assert_order(
        "it died",
        &[degraded(0.1), active_input(down(0.9))],
        just,
        &[0, 1],
        SelectionReason::Best,
    );
    assert_order(
        "it weakens",
        &[healthy(0.1), active_input(degraded(0.9))],
        just,
        &[0, 1],
        SelectionReason::Best,
    );
    let pair = [healthy(0.1), active_input(failed_once(degraded(0.9)))];
    assert_order("it failed once", &pair, just, &[1, 0], SelectionReason::UnconfirmedFailure);

    let pair = [back(first(healthy(0.9))), active_input(healthy(0.5))];
    assert_order(
        "fail-back waits",
        &pair,
        long,
        &[1, 0],
        SelectionReason::FailBackPending { left: 200 * SECOND },
    );
    assert_order("no fail-back while it comes up", &pair, new, &[0, 1], SelectionReason::Best);
    let pair = [first(healthy(0.5)), active_input(healthy(0.9))];
    assert_order("fail-back", &pair, just, &[0, 1], SelectionReason::Best);
}
