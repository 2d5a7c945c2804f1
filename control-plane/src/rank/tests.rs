use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Healthy for an hour, of priority 0, in the order of the configuration.
fn standing(health: Health, score: f64) -> Standing {
    let healthy_for = Duration::from_hours(1);
    Standing { health, blip: false, priority: 0, score, order: 0, current: false, healthy_for }
}

fn current(standing: Standing) -> Standing {
    Standing { current: true, ..standing }
}

fn check(name: &str, given: &[Standing], tenure: Tenure, indices: &[usize], why: Why) {
    let given: Vec<_> =
        given.iter().enumerate().map(|(order, standing)| Standing { order, ..*standing }).collect();
    let order = order(&given, tenure, &RankConfig::default());
    assert_eq!((order.indices.as_slice(), order.why), (indices, why), "{name}");
}

#[test]
fn orders() {
    use Health::{Degraded, Down, Healthy};
    let long = Tenure { lasts: Duration::from_hours(1), pinned: false, settled: true };
    let just = Tenure { lasts: 20 * SECOND, ..long };
    let pinned = Tenure { pinned: true, ..just };
    let healthy = |score| standing(Healthy, score);
    let degraded = |score| standing(Degraded, score);
    let down = |score| standing(Down, score);
    let first = |standing| Standing { priority: 10, ..standing };
    let back = |standing| Standing { healthy_for: 100 * SECOND, ..standing };
    let blip = |standing| Standing { blip: true, ..standing };

    check("nothing", &[], long, &[], Why::Best);
    check("configuration", &[healthy(0.8), healthy(0.8)], long, &[0, 1], Why::Best);
    check("near ties", &[healthy(0.79), healthy(0.81)], long, &[0, 1], Why::Best);
    check("score", &[healthy(0.5), healthy(0.9)], long, &[1, 0], Why::Best);
    check("priority", &[healthy(0.9), first(healthy(0.2))], long, &[1, 0], Why::Best);
    check("health", &[down(1.0), degraded(0.9), healthy(0.1)], long, &[2, 1, 0], Why::Best);
    check(
        "health before priority",
        &[first(degraded(1.0)), healthy(0.1)],
        long,
        &[1, 0],
        Why::Best,
    );

    let ahead = |by: f64| Why::Margin { ahead: by };
    let pair = [healthy(0.875), current(healthy(0.75))];
    check("hysteresis", &pair, long, &[1, 0], ahead(0.125));
    let pair = [healthy(0.9), current(healthy(0.7))];
    check("a clear margin", &pair, long, &[0, 1], Why::Best);
    check("hold-down", &pair, just, &[1, 0], Why::Held { left: 40 * SECOND });
    let new = Tenure { settled: false, ..just };
    check("it comes up", &pair, new, &[0, 1], Why::Best);
    check("pinned", &pair, pinned, &[1, 0], Why::Pinned);
    check("pinned but down", &[degraded(0.1), current(down(0.9))], pinned, &[0, 1], Why::Best);

    check("it died", &[degraded(0.1), current(down(0.9))], just, &[0, 1], Why::Best);
    check("it weakens", &[healthy(0.1), current(degraded(0.9))], just, &[0, 1], Why::Best);
    let pair = [healthy(0.1), current(blip(degraded(0.9)))];
    check("it failed once", &pair, just, &[1, 0], Why::Blip);

    let pair = [back(first(healthy(0.9))), current(healthy(0.5))];
    check("fail-back waits", &pair, long, &[1, 0], Why::FailBack { left: 200 * SECOND });
    check("no fail-back while it comes up", &pair, new, &[0, 1], Why::Best);
    let pair = [first(healthy(0.5)), current(healthy(0.9))];
    check("fail-back", &pair, just, &[0, 1], Why::Best);
}
