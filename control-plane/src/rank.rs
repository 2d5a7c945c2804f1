//! Which upstream of a stream plays. Pure.

use std::cmp::Reverse;
use std::time::Duration;

use pitwall_upstream_map::Health;

/// What is known of one upstream when it is compared with others of the same stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) health: Health,
    pub(crate) score: f64,
    /// Place of its source in the configuration.
    pub(crate) order: usize,
    /// It plays now.
    pub(crate) current: bool,
}

/// What an upstream has shown over time: a moving average, so that neither one good nor one
/// bad sample decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    success: f64,
    latency: Option<f64>,
}

/// How much a new sample weighs.
const WEIGHT: f64 = 0.2;
/// How much better another must be before viewers are moved to it.
const MARGIN: f64 = 0.15;
/// Scores closer than this are the same: the order of the configuration decides.
const STEP: f64 = 0.05;
/// A latency that halves that part of the score.
const SLOW: f64 = 1.0;

impl Default for Record {
    /// Nothing is known, which is worth half.
    fn default() -> Self {
        Self { success: 0.5, latency: None }
    }
}

impl Record {
    pub(crate) fn passed(&mut self, latency: Duration) {
        self.success += WEIGHT * (1.0 - self.success);
        let sample = latency.as_secs_f64();
        self.latency = Some(self.latency.map_or(sample, |last| last + WEIGHT * (sample - last)));
    }

    pub(crate) fn failed(&mut self) {
        self.success -= WEIGHT * self.success;
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        self.latency.map(Duration::from_secs_f64)
    }

    /// 0 to 1: mostly reliability, a little speed.
    pub(crate) fn score(&self) -> f64 {
        let speed = self.latency.map_or(0.5, |latency| SLOW / (SLOW + latency));
        0.8 * self.success + 0.2 * speed
    }
}

/// Indices into `standings`, best first.
pub(crate) fn order(standings: &[Standing]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..standings.len()).collect();
    let key = |standing: &Standing| {
        let steps = (standing.score / STEP).round() as i64;
        (class(standing.health), Reverse(steps), standing.order)
    };
    order.sort_by_key(|&index| standings.get(index).map(key));
    let best = order.first().and_then(|&index| standings.get(index)).copied();
    let current = standings.iter().position(|standing| standing.current);
    if let (Some(best), Some(current)) = (best, current)
        && standings.get(current).is_some_and(|current| keeps(current, &best))
    {
        order.retain(|&index| index != current);
        order.insert(0, current);
    }
    order
}

/// Does the one that plays stay, though `best` is ahead of it?
fn keeps(current: &Standing, best: &Standing) -> bool {
    current.health != Health::Down
        && class(current.health) <= class(best.health)
        && best.score - current.score < MARGIN
}

fn class(health: Health) -> u8 {
    match health {
        Health::Healthy => 0,
        Health::Degraded => 1,
        Health::Down => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        use Health::{Degraded, Down, Healthy};
        type Given = (Health, f64, bool);
        let standing = |(health, score, current): Given, order: usize| Standing {
            health,
            score,
            order,
            current,
        };
        let cases: [(&str, &[Given], &[usize]); 9] = [
            ("nothing", &[], &[]),
            ("config order", &[(Healthy, 0.8, false), (Healthy, 0.8, false)], &[0, 1]),
            ("near ties", &[(Healthy, 0.79, false), (Healthy, 0.81, false)], &[0, 1]),
            ("score", &[(Healthy, 0.5, false), (Healthy, 0.9, false)], &[1, 0]),
            (
                "health first",
                &[(Down, 1.0, false), (Degraded, 0.9, false), (Healthy, 0.1, false)],
                &[2, 1, 0],
            ),
            ("current stays", &[(Healthy, 0.9, false), (Healthy, 0.8, true)], &[1, 0]),
            ("a clear margin", &[(Healthy, 0.9, false), (Healthy, 0.7, true)], &[0, 1]),
            ("current is down", &[(Degraded, 0.1, false), (Down, 0.9, true)], &[0, 1]),
            ("current is degraded", &[(Healthy, 0.1, false), (Degraded, 0.9, true)], &[0, 1]),
        ];
        for (name, given, expected) in cases {
            let standings: Vec<_> =
                given.iter().enumerate().map(|(order, given)| standing(*given, order)).collect();
            assert_eq!(order(&standings), expected, "{name}");
        }
    }

    #[test]
    fn records() {
        let mut steady = Record::default();
        let mut flaky = Record::default();
        for round in 0..20 {
            steady.passed(Duration::from_millis(400));
            if round % 3 == 0 { flaky.failed() } else { flaky.passed(Duration::from_millis(20)) }
        }
        assert!(steady.score() > flaky.score(), "reliability counts for more than speed");
        let before = steady.score();
        steady.passed(Duration::from_secs(5));
        assert!(before - steady.score() < 0.1, "one slow sample is no verdict");
        assert!((0.0..=1.0).contains(&steady.score()));
        let mut dead = Record::default();
        (0..50).for_each(|_| dead.failed());
        assert!((0.0..0.2).contains(&dead.score()));
    }
}
