//! Delays until the next extraction of a source. Pure functions.
//!
//! - [`cadence`]: fast around sessions, slow otherwise.
//! - [`token_lifetime`]: lifetimes of tokens that do not state their expiry.

pub(crate) mod cadence;
pub(crate) mod token_lifetime;

use std::time::Duration;

use jiff::Timestamp;

pub(crate) use self::cadence::PollCadence;
pub(crate) use self::token_lifetime::TokenLifetimes;

const RETRY_FIRST_BACKOFF: Duration = Duration::from_secs(2);
/// Lower bound of the delay, so that short-lived tokens do not flood the source with requests.
const REFRESH_MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Time that an extraction and a check of its result take at least.
const RENEWAL_MIN_LEAD_TIME: Duration = Duration::from_secs(4);

/// The delay after a successful extraction: `every`, or less when a token expires at `expires_at`.
/// `jitter` (0 to 1) makes a renewal a little earlier, never later, so that tokens of one age are
/// not all renewed at the same moment.
pub(crate) fn next_run_delay(
    now: Timestamp,
    every: Duration,
    expires_at: Option<Timestamp>,
    jitter: f64,
) -> Duration {
    let renewal = expires_at.map_or(Duration::MAX, |expires_at| {
        let left = Duration::try_from(expires_at.duration_since(now)).unwrap_or_default();
        let lead = (left / 4).max(RENEWAL_MIN_LEAD_TIME);
        left.saturating_sub(lead + (lead / 4).mul_f64(jitter.clamp(0.0, 1.0)))
    });
    renewal.min(every).max(REFRESH_MIN_INTERVAL)
}

/// The delay after `failures` consecutive failures: exponential, at most `max_delay`; `jitter` (0
/// to 1) shortens it by up to a quarter.
pub(crate) fn retry_backoff(failures: u32, max_delay: Duration, jitter: f64) -> Duration {
    let doubled = RETRY_FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let delay = doubled.min(max_delay);
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
            let delay = next_run_delay(now, minutes_5, expires_at, jitter);
            assert_eq!(delay, Duration::from_millis(expected), "{ttl:?} {jitter}");
        }
    }

    #[test]
    fn failures_back_off() {
        let minute = Duration::from_mins(1);
        for (failures, jitter, expected) in
            [(1, 0.0, 2_000), (2, 0.0, 4_000), (5, 0.0, 32_000), (6, 0.0, 60_000), (1, 1.0, 1_500)]
        {
            let expected = Duration::from_millis(expected);
            assert_eq!(retry_backoff(failures, minute, jitter), expected, "{failures}");
        }
        assert_eq!(retry_backoff(u32::MAX, minute, 0.0), minute);
    }
}
