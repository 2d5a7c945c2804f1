//! When a source is asked again. Pure: the engine waits, this says how long.
//!
//! - [`tempo`]: fast around sessions and for viewers, slow otherwise.
//! - [`lifetime`]: how long tokens live that do not say so.

pub(crate) mod lifetime;
pub(crate) mod tempo;

use std::time::Duration;

use jiff::Timestamp;

pub(crate) use self::lifetime::Lifetimes;
pub(crate) use self::tempo::Tempo;

const FIRST_RETRY: Duration = Duration::from_secs(2);
/// However short-lived the tokens: the source is not hammered.
const SHORTEST: Duration = Duration::from_secs(1);
/// An extraction and a check take this long, or longer.
const LEAD: Duration = Duration::from_secs(4);

/// After a success. `jitter` (0 to 1) moves a refresh a little forward, never back, so that
/// tokens of one age are not all renewed in one moment.
pub(crate) fn next(
    now: Timestamp,
    every: Duration,
    expires_at: Option<Timestamp>,
    jitter: f64,
) -> Duration {
    let renewal = expires_at.map_or(Duration::MAX, |expires_at| {
        let left = Duration::try_from(expires_at.duration_since(now)).unwrap_or_default();
        let lead = (left / 4).max(LEAD);
        left.saturating_sub(lead + (lead / 4).mul_f64(jitter.clamp(0.0, 1.0)))
    });
    renewal.min(every).max(SHORTEST)
}

/// After so many failures in a row, at most `longest`. `jitter` makes it up to a quarter
/// shorter.
pub(crate) fn back_off(failures: u32, longest: Duration, jitter: f64) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let delay = doubled.min(longest);
    delay - (delay / 4).mul_f64(jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_land_before_expiry() {
        let now: Timestamp = "2026-05-03T17:00:00Z".parse().unwrap();
        let minutes_5 = Duration::from_mins(5);
        for (ttl, jitter, expected) in [
            (None, 0.0, 300_000),
            (Some(3600), 0.0, 300_000),
            (Some(300), 0.0, 225_000),
            (Some(300), 1.0, 206_250),
            (Some(25), 0.0, 18_750),
            (Some(10), 0.0, 6_000),
            (Some(3), 0.0, 1_000),
            (Some(-60), 0.5, 1_000),
        ] {
            let expires_at = ttl.map(|ttl| now + jiff::SignedDuration::from_secs(ttl));
            let wait = next(now, minutes_5, expires_at, jitter);
            assert_eq!(wait, Duration::from_millis(expected), "{ttl:?} {jitter}");
        }
    }

    #[test]
    fn failures_back_off() {
        let minute = Duration::from_mins(1);
        for (failures, jitter, expected) in
            [(1, 0.0, 2_000), (2, 0.0, 4_000), (5, 0.0, 32_000), (6, 0.0, 60_000), (1, 1.0, 1_500)]
        {
            let expected = Duration::from_millis(expected);
            assert_eq!(back_off(failures, minute, jitter), expected, "{failures}");
        }
        assert_eq!(back_off(u32::MAX, minute, 0.0), minute);
    }
}
