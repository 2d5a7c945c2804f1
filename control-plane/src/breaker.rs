//! The circuit breaker of one upstream: closed while checks pass, open after too many failures,
//! half-open while probes decide. The breaker does no I/O: the engine records check results and
//! reads the delay until the next check.

use std::time::Duration;

use pitwall_upstream_map::Health;
use pitwall_upstream_map::documents::BreakerState;
use tokio::time::Instant;

use crate::check::CheckFailureKind;

#[derive(Clone, Debug)]
pub(crate) struct CircuitBreaker {
    state: State,
    /// Consecutive failed checks while closed.
    consecutive_failures: u32,
    /// How often the breaker has opened lately; each trip doubles the time that it stays open.
    trips: u32,
    /// When the breaker closed, recovered from its last failure, or opened.
    state_since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    /// Probed from `until` on.
    Open {
        until: Instant,
    },
    HalfOpen {
        passed_probes: u32,
    },
}

/// Consecutive failed checks that open the breaker.
const FAILURE_THRESHOLD: u32 = 3;
/// Consecutive passed probes that close the breaker.
const CLOSING_PROBES: u32 = 2;
/// A failure is rechecked at once, so that a failed source is out within one check interval.
const FAILURE_RECHECK_DELAY: Duration = Duration::from_secs(1);
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
const OPEN_INITIAL_DURATION: Duration = Duration::from_secs(5);
const OPEN_MAX_DURATION: Duration = Duration::from_secs(60);
/// For the only upstream of a stream that might still play.
const OPEN_MAX_DURATION_LAST_UPSTREAM: Duration = Duration::from_secs(10);
/// After this time closed without a failure, earlier trips are forgotten.
const TRIPS_RESET_AFTER: Duration = Duration::from_mins(5);

impl CircuitBreaker {
    pub(crate) fn new(trips: u32) -> Self {
        Self { state: State::Closed, consecutive_failures: 0, trips, state_since: Instant::now() }
    }

    pub(crate) fn record_success(&mut self) {
        match self.state {
            State::Closed => {
                if std::mem::take(&mut self.consecutive_failures) > 0 {
                    self.state_since = Instant::now();
                }
                if self.state_since.elapsed() >= TRIPS_RESET_AFTER {
                    self.trips = 0;
                }
            }
            State::Open { .. } => self.state = State::HalfOpen { passed_probes: 1 },
            State::HalfOpen { passed_probes } if passed_probes + 1 >= CLOSING_PROBES => {
                self.close()
            }
            State::HalfOpen { passed_probes } => {
                self.state = State::HalfOpen { passed_probes: passed_probes + 1 }
            }
        }
    }

    /// Records a new URL: the failures of the previous URL say nothing about it.
    pub(crate) fn reset_for_new_url(&mut self) {
        match self.state {
            State::Closed => self.record_success(),
            State::Open { .. } | State::HalfOpen { .. } => self.close(),
        }
    }

    pub(crate) fn record_failure(&mut self, kind: CheckFailureKind) {
        match (self.state, kind) {
            (State::Closed, CheckFailureKind::Late) => {
                // Lateness alone never opens the breaker.
                self.consecutive_failures =
                    (self.consecutive_failures + 1).min(FAILURE_THRESHOLD - 1);
            }
            (State::Closed, CheckFailureKind::Transient)
                if self.consecutive_failures + 1 < FAILURE_THRESHOLD =>
            {
                self.consecutive_failures += 1
            }
            (State::Closed | State::Open { .. } | State::HalfOpen { .. }, _) => self.open(),
        }
    }

    fn open(&mut self) {
        if self.state == State::Closed {
            self.state_since = Instant::now();
        }
        self.trips = self.trips.saturating_add(1);
        let duration = OPEN_INITIAL_DURATION
            .saturating_mul(1 << (self.trips - 1).min(8))
            .min(OPEN_MAX_DURATION);
        self.state = State::Open { until: Instant::now() + duration };
        self.consecutive_failures = 0;
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.consecutive_failures = 0;
        self.state_since = Instant::now();
    }

    pub(crate) fn health(&self) -> Health {
        match self.state {
            State::Closed if self.consecutive_failures == 0 => Health::Healthy,
            State::Closed | State::HalfOpen { .. } => Health::Degraded,
            State::Open { .. } => Health::Down,
        }
    }

    /// Is there exactly one failure, which no further check has confirmed?
    pub(crate) fn has_unconfirmed_failure(&self) -> bool {
        self.state == State::Closed && self.consecutive_failures == 1
    }

    /// The delay until the next check. `is_last_upstream`: no other upstream of the stream can
    /// play.
    pub(crate) fn next_check_delay(
        &self,
        regular_interval: Duration,
        is_last_upstream: bool,
    ) -> Duration {
        match self.state {
            State::Closed if self.consecutive_failures == 0 => regular_interval,
            State::Closed => {
                (FAILURE_RECHECK_DELAY * self.consecutive_failures).min(regular_interval)
            }
            State::HalfOpen { .. } => PROBE_INTERVAL.min(regular_interval),
            State::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                left.min(if is_last_upstream {
                    OPEN_MAX_DURATION_LAST_UPSTREAM
                } else {
                    OPEN_MAX_DURATION
                })
            }
        }
    }

    pub(crate) fn healthy_for(&self) -> Duration {
        match self.health() {
            Health::Healthy => self.state_since.elapsed(),
            Health::Degraded | Health::Down => Duration::ZERO,
        }
    }

    pub(crate) fn down_for(&self) -> Duration {
        match self.state {
            State::Closed => Duration::ZERO,
            State::Open { .. } | State::HalfOpen { .. } => self.state_since.elapsed(),
        }
    }

    pub(crate) fn trip_count(&self) -> u32 {
        self.trips
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script: `.` is a check that passes; failures are `s` (late), `p` (transient) and `d`
    /// (permanent); `n` is a new URL; `w` waits a minute.
    async fn health_and_delay_after(script: &str) -> (Health, u64) {
        let mut breaker = CircuitBreaker::new(0);
        for event in script.chars() {
            match event {
                '.' => breaker.record_success(),
                's' => breaker.record_failure(CheckFailureKind::Late),
                'p' => breaker.record_failure(CheckFailureKind::Transient),
                'd' => breaker.record_failure(CheckFailureKind::Permanent),
                'n' => breaker.reset_for_new_url(),
                _ => tokio::time::advance(Duration::from_mins(1)).await,
            }
        }
        (breaker.health(), breaker.next_check_delay(Duration::from_secs(10), false).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn health_and_delays() {
        use Health::{Degraded, Down, Healthy};
        for (script, health, delay) in [
            ("", Healthy, 10),
            ("p", Degraded, 1),
            ("pp", Degraded, 2),
            ("pp.", Healthy, 10),
            ("ppp", Down, 5),
            ("d", Down, 5),
            ("ssss", Degraded, 2),
            ("ssp", Down, 5),
            // Two passed probes close the breaker; a failed probe opens it for longer.
            ("d.", Degraded, 2),
            ("d..", Healthy, 10),
            ("d.p", Down, 10),
            ("dpp", Down, 20),
            ("dpppppp", Down, 60),
            ("dn", Healthy, 10),
            // Trips are counted for five minutes.
            ("d..d", Down, 10),
            ("d..wwwww.d", Down, 5),
        ] {
            assert_eq!(health_and_delay_after(script).await, (health, delay), "{script}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_upstream_is_probed_more_often() {
        let mut breaker = CircuitBreaker::new(6);
        breaker.record_failure(CheckFailureKind::Permanent);
        let delay = |is_last| breaker.next_check_delay(Duration::from_secs(10), is_last).as_secs();
        assert_eq!((delay(false), delay(true)), (60, 10));
    }
}
