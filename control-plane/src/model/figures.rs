//! [`Figures`]: measurements of an upstream, as its stream's documents show them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pitwall_upstream_map::documents::ScorePart;
use tokio::time::Instant;

/// Every check measures anew, and hardly ever the same. So that a document changes only with
/// something worth knowing, the figures in it stay until one of them differs enough.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) measured_at: Timestamp,
    /// The same moment; `None` before the first measurement.
    pub(crate) taken_at: Option<Instant>,
    pub(crate) score: f64,
    pub(crate) score_parts: Vec<ScorePart>,
    pub(crate) latency: Option<Duration>,
    /// Bits per second.
    pub(crate) throughput: Option<u64>,
    pub(crate) bit_rate: Option<u64>,
    pub(crate) lag: Option<SignedDuration>,
}

/// The difference of scores that shows at once; the same of a part of the score shows when others do.
const SCORE_STEP: f64 = 0.05;
/// Other figures show at most this often.
const SHOWN_MIN_DURATION: Duration = Duration::from_secs(30);
/// A smaller difference of latencies is that of two packets.
const LATENCY_STEP_SECONDS: f64 = 0.05;
const LAG_STEP_SECONDS: f64 = 10.0;

impl Figures {
    /// Differ these figures enough from those that are shown?
    pub(crate) fn supersede(&self, shown: &Self) -> bool {
        let Some(shown_since) = shown.taken_at else { return true };
        let is_due = self.taken_at.is_some_and(|now| now - shown_since >= SHOWN_MIN_DURATION);
        let seconds = |it: &Self| it.latency.map(|latency| latency.as_secs_f64());
        let lag = |it: &Self| it.lag.map(|lag| lag.as_secs_f64());
        let rate = |rate: Option<u64>| rate.map(|rate| rate as f64);
        let mut parts = self.score_parts.iter().zip(&shown.score_parts);
        (self.score - shown.score).abs() >= SCORE_STEP
            || self.score_parts.len() != shown.score_parts.len()
            || is_due
                && (parts.any(|(part, shown)| (part.value - shown.value).abs() >= SCORE_STEP)
                    || is_far(seconds(self), seconds(shown), LATENCY_STEP_SECONDS, 2.0)
                    || is_far(lag(self), lag(shown), LAG_STEP_SECONDS, 1.0)
                    || is_far(rate(self.throughput), rate(shown.throughput), 0.0, 2.0)
                    || is_far(rate(self.bit_rate), rate(shown.bit_rate), 0.0, 1.5))
    }
}

/// Differ two values by at least `step` and at least `factor`?
fn is_far(one: Option<f64>, other: Option<f64>, step: f64, factor: f64) -> bool {
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
        let start = Instant::now();
        let figures = |seconds: u64, score: f64, latency_ms: Option<u64>, throughput| Figures {
            taken_at: Some(start + Duration::from_secs(seconds)),
            score,
            latency: latency_ms.map(Duration::from_millis),
            throughput,
            ..Figures::default()
        };
        let shown = figures(0, 0.5, Some(40), Some(1_000_000));
        for (name, later, expected) in [
            ("the same", figures(60, 0.5, Some(40), Some(1_000_000)), false),
            ("noise", figures(60, 0.54, Some(80), Some(1_900_000)), false),
            ("another score at once", figures(1, 0.56, Some(40), Some(1_000_000)), true),
            ("much slower", figures(60, 0.5, Some(140), Some(1_000_000)), true),
            ("much slower, too soon", figures(20, 0.5, Some(140), Some(1_000_000)), false),
            ("half as fast", figures(60, 0.5, Some(40), Some(500_000)), true),
            ("not known any more", figures(60, 0.5, None, Some(1_000_000)), true),
        ] {
            assert_eq!(later.supersede(&shown), expected, "{name}");
        }
        assert!(shown.supersede(&Figures::default()), "the first ones");
    }
}
