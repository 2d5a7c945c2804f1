//! The breaker of one upstream: closed while it plays, open when it failed too often, half
//! open while it has to prove itself. Pure: whoever checks tells it and asks when to check
//! next.

use std::time::Duration;

use pitwall_upstream_map::Health;
use pitwall_upstream_map::documents::BreakerState;
use tokio::time::Instant;

use crate::check::Fault;

#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    state: State,
    /// Failed checks in a row, while closed.
    failures: u32,
    /// How often it opened lately: each time it stays open longer.
    trips: u32,
    /// Since when it is closed without a failure, or open.
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    /// Probed when the time has come.
    Open {
        until: Instant,
    },
    HalfOpen {
        passed: u32,
    },
}

/// Failed checks in a row that open it.
const TOLERATED: u32 = 3;
/// Probes in a row that close it.
const NEEDED: u32 = 2;
/// A failure is looked into at once: a source that went bad is out within a check interval.
const SOON: Duration = Duration::from_secs(1);
const BETWEEN_PROBES: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Of the last hope of a stream.
const LONGEST_PAUSE_ALONE: Duration = Duration::from_secs(10);
/// Closed for so long, earlier trips are forgotten.
const FORGIVEN: Duration = Duration::from_mins(5);

impl Breaker {
    pub(crate) fn new(trips: u32) -> Self {
        Self { state: State::Closed, failures: 0, trips, since: Instant::now() }
    }

    pub(crate) fn passed(&mut self) {
        match self.state {
            State::Closed => {
                if std::mem::take(&mut self.failures) > 0 {
                    self.since = Instant::now();
                }
                if self.since.elapsed() >= FORGIVEN {
                    self.trips = 0;
                }
            }
            State::Open { .. } => self.state = State::HalfOpen { passed: 1 },
            State::HalfOpen { passed } if passed + 1 >= NEEDED => self.close(),
            State::HalfOpen { passed } => self.state = State::HalfOpen { passed: passed + 1 },
        }
    }

    /// A new URL starts anew: what failed was another one.
    pub(crate) fn renewed(&mut self) {
        match self.state {
            State::Closed => self.passed(),
            State::Open { .. } | State::HalfOpen { .. } => self.close(),
        }
    }

    pub(crate) fn failed(&mut self, fault: Fault) {
        match (self.state, fault) {
            (State::Closed, Fault::Suspect) => {
                // Late is not gone: that takes more than being late.
                self.failures = (self.failures + 1).min(TOLERATED - 1);
            }
            (State::Closed, Fault::Passing) if self.failures + 1 < TOLERATED => self.failures += 1,
            (State::Closed | State::Open { .. } | State::HalfOpen { .. }, _) => self.open(),
        }
    }

    fn open(&mut self) {
        if self.state == State::Closed {
            self.since = Instant::now();
        }
        self.trips = self.trips.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(1 << (self.trips - 1).min(8)).min(LONGEST_PAUSE);
        self.state = State::Open { until: Instant::now() + pause };
        self.failures = 0;
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.failures = 0;
        self.since = Instant::now();
    }

    pub(crate) fn health(&self) -> Health {
        match self.state {
            State::Closed if self.failures == 0 => Health::Healthy,
            State::Closed | State::HalfOpen { .. } => Health::Degraded,
            State::Open { .. } => Health::Down,
        }
    }

    /// One failure that nothing has confirmed yet.
    pub(crate) fn blip(&self) -> bool {
        self.state == State::Closed && self.failures == 1
    }

    /// Until the next check. `alone`: the stream has nothing else to play.
    pub(crate) fn wait(&self, regular: Duration, alone: bool) -> Duration {
        match self.state {
            State::Closed if self.failures == 0 => regular,
            State::Closed => (SOON * self.failures).min(regular),
            State::HalfOpen { .. } => BETWEEN_PROBES.min(regular),
            State::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                left.min(if alone { LONGEST_PAUSE_ALONE } else { LONGEST_PAUSE })
            }
        }
    }

    pub(crate) fn healthy_for(&self) -> Duration {
        match self.health() {
            Health::Healthy => self.since.elapsed(),
            Health::Degraded | Health::Down => Duration::ZERO,
        }
    }

    pub(crate) fn down_for(&self) -> Duration {
        match self.state {
            State::Closed => Duration::ZERO,
            State::Open { .. } | State::HalfOpen { .. } => self.since.elapsed(),
        }
    }

    pub(crate) fn trips(&self) -> u32 {
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

    /// `.` a check that passes, the rest failures: `s`uspect, `p`assing, `d`efinite; `n` a new
    /// URL; `w` waits a minute.
    async fn after(script: &str) -> (Health, u64) {
        let mut breaker = Breaker::new(0);
        for event in script.chars() {
            match event {
                '.' => breaker.passed(),
                's' => breaker.failed(Fault::Suspect),
                'p' => breaker.failed(Fault::Passing),
                'd' => breaker.failed(Fault::Definite),
                'n' => breaker.renewed(),
                _ => tokio::time::advance(Duration::from_mins(1)).await,
            }
        }
        (breaker.health(), breaker.wait(Duration::from_secs(10), false).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn states_and_waits() {
        use Health::{Degraded, Down, Healthy};
        for (script, health, wait) in [
            ("", Healthy, 10),
            ("p", Degraded, 1),
            ("pp", Degraded, 2),
            ("pp.", Healthy, 10),
            ("ppp", Down, 5),
            ("d", Down, 5),
            ("ssss", Degraded, 2),
            ("ssp", Down, 5),
            // Two probes close it, a failed one opens it for longer.
            ("d.", Degraded, 2),
            ("d..", Healthy, 10),
            ("d.p", Down, 10),
            ("dpp", Down, 20),
            ("dpppppp", Down, 60),
            ("dn", Healthy, 10),
            // Trips are remembered for a while.
            ("d..d", Down, 10),
            ("d..wwwww.d", Down, 5),
        ] {
            assert_eq!(after(script).await, (health, wait), "{script}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_hope_is_probed_more_often() {
        let mut breaker = Breaker::new(6);
        breaker.failed(Fault::Definite);
        let wait = |alone| breaker.wait(Duration::from_secs(10), alone).as_secs();
        assert_eq!((wait(false), wait(true)), (60, 10));
    }
}
