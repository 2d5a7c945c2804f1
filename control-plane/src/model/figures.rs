//! [`Figures`]: measurements of an upstream, as its stream's documents show them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pitwall_upstream_map::documents::ScorePart;

/// Every check measures anew, and hardly ever the same. So that a document changes only with
/// something worth knowing, the figures in it stay until one of them differs enough; those of all
/// streams are renewed together, so that lists of streams change as seldom as each stream does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// `None` before the first measurement.
    pub(crate) measured_at: Option<Timestamp>,
    pub(crate) score: f64,
    pub(crate) score_parts: Vec<ScorePart>,
    pub(crate) latency: Option<Duration>,
    /// Bits per second.
    pub(crate) throughput: Option<u64>,
    pub(crate) bit_rate: Option<u64>,
    pub(crate) lag: Option<SignedDuration>,
}

/// A smaller difference of scores, or of the parts of one, is not shown.
const SCORE_STEP: f64 = 0.05;
/// A difference of scores that is shown at once.
const URGENT_SCORE_STEP: f64 = 0.15;
/// A smaller difference of latencies is that of two packets.
const LATENCY_STEP_SECONDS: f64 = 0.05;
const LAG_STEP_SECONDS: f64 = 10.0;

impl Figures {
    /// Differ these figures so much from those that are shown that they are shown at once?
    pub(crate) fn should_replace_at_once(&self, shown: &Self) -> bool {
        shown.measured_at.is_none() || (self.score - shown.score).abs() >= URGENT_SCORE_STEP
    }

    /// Differ these figures enough from those that are shown?
    pub(crate) fn should_replace(&self, shown: &Self) -> bool {
        let seconds = |it: &Self| it.latency.map(|latency| latency.as_secs_f64());
        let lag = |it: &Self| it.lag.map(|lag| lag.as_secs_f64());
        let rate = |rate: Option<u64>| rate.map(|rate| rate as f64);
        let mut parts = self.score_parts.iter().zip(&shown.score_parts);
        self.should_replace_at_once(shown)
            || (self.score - shown.score).abs() >= SCORE_STEP
            || self.score_parts.len() != shown.score_parts.len()
            || parts.any(|(part, shown)| (part.value - shown.value).abs() >= SCORE_STEP)
            || differ_noticeably(seconds(self), seconds(shown), LATENCY_STEP_SECONDS, 2.0)
            || differ_noticeably(lag(self), lag(shown), LAG_STEP_SECONDS, 1.0)
            || differ_noticeably(rate(self.throughput), rate(shown.throughput), 0.0, 2.0)
            || differ_noticeably(rate(self.bit_rate), rate(shown.bit_rate), 0.0, 1.5)
    }
}

/// Differ two values by at least `step` and at least `factor`?
fn differ_noticeably(one: Option<f64>, other: Option<f64>, step: f64, factor: f64) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            let (low, high) = (one.min(other), one.max(other));
            high - low >= step && high > low && high >= low * factor
        }
        (one, other) => one.is_some() != other.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_show_when_they_differ_enough() {
        let figures = |score: f64, latency_ms: Option<u64>, throughput| Figures {
            measured_at: Some(Timestamp::UNIX_EPOCH),
            score,
            latency: latency_ms.map(Duration::from_millis),
            throughput,
            ..Figures::default()
        };
        let shown = figures(0.5, Some(40), Some(1_000_000));
        for (name, later, expected) in [
            ("the same", figures(0.5, Some(40), Some(1_000_000)), (false, false)),
            ("noise", figures(0.54, Some(80), Some(1_900_000)), (false, false)),
            ("another score", figures(0.56, Some(40), Some(1_000_000)), (true, false)),
            ("quite another score", figures(0.34, Some(40), Some(1_000_000)), (true, true)),
            ("much slower", figures(0.5, Some(140), Some(1_000_000)), (true, false)),
            ("half as fast", figures(0.5, Some(40), Some(500_000)), (true, false)),
            ("not known any more", figures(0.5, None, Some(1_000_000)), (true, false)),
        ] {
            assert_eq!(
                (later.should_replace(&shown), later.should_replace_at_once(&shown)),
                expected,
                "{name}"
            );
        }
        assert!(shown.should_replace_at_once(&Figures::default()), "the first ones");
    }
}
