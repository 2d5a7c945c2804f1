//! What an upstream has shown over time: moving averages, so that neither one good nor one bad
//! sample decides, however often it is looked at.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::check::Sample;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Share of checks that passed.
    success: f64,
    /// Seconds to the first bytes of a segment.
    latency: Option<f64>,
    /// Bits a second after them.
    throughput: Option<f64>,
    /// Share of players' words that said they ran dry.
    #[serde(default)]
    stalls: f64,
    #[serde(skip)]
    last: Last,
}

/// When each average was moved last: what comes often weighs little each time.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    check: Option<Instant>,
    sample: Option<Instant>,
    stalls: Option<Instant>,
}

/// One part of a score: `value` is 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) weight: f64,
}

/// In this time a moving average forgets all but a third.
const MEMORY: f64 = 60.0;
const LIGHTEST: f64 = 0.05;
const HEAVIEST: f64 = 0.3;
/// A latency that halves that part of the score.
const SLOW: f64 = 1.0;
/// Throughput of so many times the bit rate is as good as any.
const PLENTY: f64 = 2.0;
/// What is not known is worth half.
const UNKNOWN: f64 = 0.5;

impl Default for Record {
    fn default() -> Self {
        Self {
            success: UNKNOWN,
            latency: None,
            throughput: None,
            stalls: 0.0,
            last: Last::default(),
        }
    }
}

impl Record {
    pub(crate) fn passed(&mut self, sample: &Sample) {
        let weight = weight(&mut self.last.check);
        self.success += weight * (1.0 - self.success);
        // A sample that is looked at again is no new one.
        if self.last.sample.is_none_or(|last| sample.taken > last) {
            let weight = weight_since(self.last.sample.replace(sample.taken), sample.taken);
            average(&mut self.latency, sample.latency.as_secs_f64(), weight);
            if let Some(throughput) = sample.throughput {
                average(&mut self.throughput, throughput as f64, weight);
            }
        }
    }

    pub(crate) fn failed(&mut self) {
        self.success -= weight(&mut self.last.check) * self.success;
    }

    /// Players' words: `share` of them, 0 to 1, said that they ran dry.
    pub(crate) fn stalled(&mut self, share: f64) {
        let weight = weight(&mut self.last.stalls);
        self.stalls += weight * (share.clamp(0.0, 1.0) - self.stalls);
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        self.latency.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    pub(crate) fn throughput(&self) -> Option<u64> {
        self.throughput.map(|rate| rate as u64)
    }

    /// Mostly reliability, a little speed. Players' words weigh less than the margin that it
    /// takes to move viewers: alone they never do.
    pub(crate) fn parts(&self, bit_rate: Option<u64>) -> [Part; 4] {
        let speed = self.latency.map_or(UNKNOWN, |latency| SLOW / (SLOW + latency));
        let headroom = match (self.throughput, bit_rate) {
            (Some(throughput), Some(needed)) if needed > 0 => {
                (throughput / (needed as f64 * PLENTY)).min(1.0)
            }
            _ => UNKNOWN,
        };
        [
            Part { name: "success", value: self.success, weight: 0.6 },
            Part { name: "latency", value: speed, weight: 0.15 },
            Part { name: "throughput", value: headroom, weight: 0.15 },
            Part { name: "stalls", value: 1.0 - self.stalls, weight: 0.1 },
        ]
    }

    /// 0 to 1.
    #[cfg(test)]
    pub(crate) fn score(&self, bit_rate: Option<u64>) -> f64 {
        self.parts(bit_rate).iter().map(|part| part.value * part.weight).sum()
    }

    /// What is read from a file may be anything.
    pub(crate) fn sane(&self) -> bool {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let amount = |value: Option<f64>| value.is_none_or(|it| it.is_finite() && it >= 0.0);
        share(self.success) && share(self.stalls) && amount(self.latency) && amount(self.throughput)
    }
}

fn weight(last: &mut Option<Instant>) -> f64 {
    let now = Instant::now();
    weight_since(last.replace(now), now)
}

/// The first sample weighs most.
fn weight_since(last: Option<Instant>, now: Instant) -> f64 {
    let Some(last) = last else { return HEAVIEST };
    let elapsed = now.saturating_duration_since(last).as_secs_f64();
    (1.0 - (-elapsed / MEMORY).exp()).clamp(LIGHTEST, HEAVIEST)
}

fn average(average: &mut Option<f64>, sample: f64, weight: f64) {
    *average = Some(average.map_or(sample, |last| last + weight * (sample - last)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Checked;

    fn sample(latency: u64, throughput: Option<u64>) -> Sample {
        let latency = Duration::from_millis(latency);
        Sample { latency, throughput, ..Checked::of(Vec::new(), 0).sample }
    }

    /// A check every `seconds` for ten minutes, of which each third fails if it is `flaky`.
    async fn history(seconds: u64, latency: u64, flaky: bool) -> Record {
        let mut record = Record::default();
        for round in 0..600 / seconds {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            match round % 3 {
                0 if flaky => record.failed(),
                _ => record.passed(&sample(latency, None)),
            }
        }
        record
    }

    #[tokio::test(start_paused = true)]
    async fn records() {
        let flaky = history(10, 20, true).await;
        let often = history(1, 20, true).await;
        let steady = history(10, 400, false).await;
        assert!(steady.score(None) > flaky.score(None) + 0.05, "reliability beats speed");
        let difference = often.score(None) - flaky.score(None);
        assert!(difference.abs() < 0.05, "{difference}: how often it is looked at is no merit");
        let mut slow = steady;
        tokio::time::advance(Duration::from_secs(10)).await;
        slow.passed(&sample(5_000, None));
        assert!(steady.score(None) - slow.score(None) < 0.05, "one slow sample is no verdict");
        let mut dead = steady;
        for _ in 0..50 {
            tokio::time::advance(Duration::from_secs(10)).await;
            dead.failed();
        }
        assert!(dead.score(None) < 0.45, "{}", dead.score(None));
    }

    #[tokio::test(start_paused = true)]
    async fn headroom() {
        let mut record = Record::default();
        record.passed(&sample(100, Some(6_000_000)));
        let of = |bit_rate| record.parts(bit_rate)[2].value;
        for (bit_rate, expected) in
            [(None, 0.5), (Some(1_000_000), 1.0), (Some(3_000_000), 1.0), (Some(6_000_000), 0.5)]
        {
            assert_eq!(of(bit_rate), expected, "{bit_rate:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stalls_alone_move_nobody() {
        let calm = history(10, 100, false).await;
        let mut stalling = calm;
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(10)).await;
            stalling.stalled(1.0);
        }
        let lost = calm.score(None) - stalling.score(None);
        assert!((0.09..0.15).contains(&lost), "{lost}");
    }

    #[test]
    fn what_a_file_says_is_judged() {
        for (text, sane) in [
            (r#"{"success":0.9,"latency":0.1,"throughput":null,"stalls":0}"#, true),
            (r#"{"success":0.9,"latency":null,"throughput":null}"#, true),
            (r#"{"success":9,"latency":0.1,"throughput":null,"stalls":0}"#, false),
            (r#"{"success":0.9,"latency":-1,"throughput":null,"stalls":0}"#, false),
        ] {
            let record: Record = serde_json::from_str(text).unwrap();
            assert_eq!(record.sane(), sane, "{text}");
        }
    }
}
