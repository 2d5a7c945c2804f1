//! [`UpstreamStats`]: an upstream's moving averages, weighted by elapsed time, so that no single
//! sample decides the ranking, however often the upstream is checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::check::SegmentSample;

/// Moving averages of one upstream.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct UpstreamStats {
    /// Share of checks that passed, 0 to 1.
    success: f64,
    /// Seconds until the first bytes of a segment.
    latency: Option<f64>,
    /// Bits per second after the first bytes.
    throughput: Option<f64>,
    /// Share of playback reports that reported a stall, 0 to 1.
    #[serde(default)]
    stalls: f64,
    #[serde(skip)]
    last: LastUpdates,
}

/// When each average was last updated: the shorter the time since, the less the next sample weighs.
#[derive(Clone, Copy, Debug, Default)]
struct LastUpdates {
    check: Option<Instant>,
    sample: Option<Instant>,
    stalls: Option<Instant>,
}

/// One component of a score; `value` and `weight` are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ScoreComponent {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) weight: f64,
}

/// Time constant: after this time a moving average retains 1/e of an old value.
const AVERAGE_TIME_CONSTANT_SECONDS: f64 = 60.0;
const SAMPLE_MIN_WEIGHT: f64 = 0.05;
const SAMPLE_MAX_WEIGHT: f64 = 0.3;
/// The latency at which the score's latency component is one half.
const HALF_SCORE_LATENCY_SECONDS: f64 = 1.0;
/// Throughput of this many times the bit rate gives the full throughput component.
const FULL_SCORE_THROUGHPUT_RATIO: f64 = 2.0;
/// The value of a component that has not been measured.
const UNKNOWN_VALUE_SCORE: f64 = 0.5;

impl Default for UpstreamStats {
    fn default() -> Self {
        Self {
            success: UNKNOWN_VALUE_SCORE,
            latency: None,
            throughput: None,
            stalls: 0.0,
            last: LastUpdates::default(),
        }
    }
}

impl UpstreamStats {
    pub(crate) fn record_passed_check(&mut self, sample: &SegmentSample) {
        let weight = take_weight_since_last(&mut self.last.check);
        self.success += weight * (1.0 - self.success);
        // A sample that several checks share is counted once.
        if self.last.sample.is_none_or(|last| sample.taken_at > last) {
            let weight = weight_between(self.last.sample.replace(sample.taken_at), sample.taken_at);
            update_average(&mut self.latency, sample.latency.as_secs_f64(), weight);
            if let Some(throughput) = sample.throughput {
                update_average(&mut self.throughput, throughput as f64, weight);
            }
        }
    }

    pub(crate) fn record_failed_check(&mut self) {
        self.success -= take_weight_since_last(&mut self.last.check) * self.success;
    }

    /// Records that `share` (0 to 1) of the players' reports reported a stall.
    pub(crate) fn record_stalls(&mut self, share: f64) {
        let weight = take_weight_since_last(&mut self.last.stalls);
        self.stalls += weight * (share.clamp(0.0, 1.0) - self.stalls);
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        self.latency.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    pub(crate) fn throughput(&self) -> Option<u64> {
        self.throughput.map(|rate| rate as u64)
    }

    /// The components of the score: mostly reliability, a little speed. The weight of stalls is
    /// below the default margin of a switch, so that players' reports alone never move viewers.
    pub(crate) fn score_components(&self, bit_rate: Option<u64>) -> [ScoreComponent; 4] {
        let speed = self.latency.map_or(UNKNOWN_VALUE_SCORE, |latency| {
            HALF_SCORE_LATENCY_SECONDS / (HALF_SCORE_LATENCY_SECONDS + latency)
        });
        let headroom = match (self.throughput, bit_rate) {
            (Some(throughput), Some(needed)) if needed > 0 => {
                (throughput / (needed as f64 * FULL_SCORE_THROUGHPUT_RATIO)).min(1.0)
            }
            _ => UNKNOWN_VALUE_SCORE,
        };
        [
            ScoreComponent { name: "success", value: self.success, weight: 0.6 },
            ScoreComponent { name: "latency", value: speed, weight: 0.15 },
            ScoreComponent { name: "throughput", value: headroom, weight: 0.15 },
            ScoreComponent { name: "stalls", value: 1.0 - self.stalls, weight: 0.1 },
        ]
    }

    /// The weighted sum of the components, 0 to 1.
    #[cfg(test)]
    pub(crate) fn score(&self, bit_rate: Option<u64>) -> f64 {
        self.score_components(bit_rate)
            .iter()
            .map(|component| component.value * component.weight)
            .sum()
    }

    /// Are all values in range? A persisted file may contain anything.
    pub(crate) fn is_plausible(&self) -> bool {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let amount = |value: Option<f64>| value.is_none_or(|it| it.is_finite() && it >= 0.0);
        share(self.success) && share(self.stalls) && amount(self.latency) && amount(self.throughput)
    }
}

fn take_weight_since_last(last: &mut Option<Instant>) -> f64 {
    let now = Instant::now();
    weight_between(last.replace(now), now)
}

/// The weight of a sample at `now`; the first sample has the maximum weight.
fn weight_between(last: Option<Instant>, now: Instant) -> f64 {
    let Some(last) = last else { return SAMPLE_MAX_WEIGHT };
    let elapsed = now.saturating_duration_since(last).as_secs_f64();
    (1.0 - (-elapsed / AVERAGE_TIME_CONSTANT_SECONDS).exp())
        .clamp(SAMPLE_MIN_WEIGHT, SAMPLE_MAX_WEIGHT)
}

fn update_average(average: &mut Option<f64>, sample: f64, weight: f64) {
    *average = Some(average.map_or(sample, |last| last + weight * (sample - last)));
}

/// What an upstream known from an earlier run starts with.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct UpstreamHistory {
    pub(crate) record: UpstreamStats,
    /// Trips of its circuit breaker.
    pub(crate) trips: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::CheckFindings;

    fn sample(latency: u64, throughput: Option<u64>) -> SegmentSample {
        let latency = Duration::from_millis(latency);
        SegmentSample { latency, throughput, ..CheckFindings::of(Vec::new(), 0).sample }
    }

    /// The stats after ten minutes with a check every `seconds`, of which every third fails if
    /// `flaky`.
    async fn simulated_stats(seconds: u64, latency: u64, flaky: bool) -> UpstreamStats {
        let mut stats = UpstreamStats::default();
        for round in 0..600 / seconds {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            match round % 3 {
                0 if flaky => stats.record_failed_check(),
                _ => stats.record_passed_check(&sample(latency, None)),
            }
        }
        stats
    }

    #[tokio::test(start_paused = true)]
    async fn records() {
        let flaky = simulated_stats(10, 20, true).await;
        let often = simulated_stats(1, 20, true).await;
        let steady = simulated_stats(10, 400, false).await;
        assert!(steady.score(None) > flaky.score(None) + 0.05, "reliability beats speed");
        let difference = often.score(None) - flaky.score(None);
        assert!(difference.abs() < 0.05, "{difference}: how often it is looked at is no merit");
        let mut slow = steady;
        tokio::time::advance(Duration::from_secs(10)).await;
        slow.record_passed_check(&sample(5_000, None));
        assert!(steady.score(None) - slow.score(None) < 0.05, "one slow sample is no verdict");
        let mut dead = steady;
        for _ in 0..50 {
            tokio::time::advance(Duration::from_secs(10)).await;
            dead.record_failed_check();
        }
        assert!(dead.score(None) < 0.45, "{}", dead.score(None));
    }

    #[tokio::test(start_paused = true)]
    async fn headroom() {
        let mut stats = UpstreamStats::default();
        stats.record_passed_check(&sample(100, Some(6_000_000)));
        let headroom = |bit_rate| stats.score_components(bit_rate)[2].value;
        for (bit_rate, expected) in
            [(None, 0.5), (Some(1_000_000), 1.0), (Some(3_000_000), 1.0), (Some(6_000_000), 0.5)]
        {
            assert_eq!(headroom(bit_rate), expected, "{bit_rate:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stalls_alone_do_not_move_viewers() {
        let calm = simulated_stats(10, 100, false).await;
        let mut stalling = calm;
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(10)).await;
            stalling.record_stalls(1.0);
        }
        let lost = calm.score(None) - stalling.score(None);
        assert!((0.09..0.15).contains(&lost), "{lost}");
    }

    #[test]
    fn implausible_stats_are_detected() {
        for (text, sane) in [
            (r#"{"success":0.9,"latency":0.1,"throughput":null,"stalls":0}"#, true),
            (r#"{"success":0.9,"latency":null,"throughput":null}"#, true),
            (r#"{"success":9,"latency":0.1,"throughput":null,"stalls":0}"#, false),
            (r#"{"success":0.9,"latency":-1,"throughput":null,"stalls":0}"#, false),
        ] {
            let stats: UpstreamStats = serde_json::from_str(text).unwrap();
            assert_eq!(stats.is_plausible(), sane, "{text}");
        }
    }
}
