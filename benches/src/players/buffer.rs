//! The clock of one player's buffer.

use std::time::Duration;

/// Told when media arrives, it knows what played and what stood still. Playing begins with the
/// first media, and goes on with the first after a stall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    now: Duration,
    state: State,
    pub played: Duration,
    pub stalled: Duration,
    pub stalls: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Empty,
    /// With so much media ahead.
    Playing(Duration),
    Stalled,
}

impl Buffer {
    /// Lets it play until `now`.
    pub fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.now);
        self.now = self.now.max(now);
        match self.state {
            State::Empty => {}
            State::Playing(ahead) if passed <= ahead => {
                self.played += passed;
                self.state = State::Playing(ahead - passed);
            }
            State::Playing(ahead) => {
                self.played += ahead;
                self.stalled += passed - ahead;
                self.stalls += 1;
                self.state = State::Stalled;
            }
            State::Stalled => self.stalled += passed,
        }
    }

    /// Media came.
    pub fn push(&mut self, now: Duration, media: Duration) {
        self.advance(now);
        self.state = State::Playing(self.ahead() + media);
    }

    /// Media that has come and has not played yet.
    pub fn ahead(&self) -> Duration {
        match self.state {
            State::Playing(ahead) => ahead,
            State::Empty | State::Stalled => Duration::ZERO,
        }
    }

    pub fn has_started(&self) -> bool {
        self.state != State::Empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arrivals in milliseconds, each of 2 s of media; then the end.
    fn check(arrivals: &[u64], end: u64, played: u64, stalled: u64, stalls: u64) {
        let mut buffer = Buffer::default();
        for at in arrivals {
            buffer.push(Duration::from_millis(*at), Duration::from_secs(2));
        }
        buffer.advance(Duration::from_millis(end));
        let seen = (buffer.played.as_millis(), buffer.stalled.as_millis(), buffer.stalls);
        assert_eq!(seen, (played.into(), stalled.into(), stalls), "{arrivals:?} until {end}");
    }

    #[test]
    fn what_plays_and_what_stalls() {
        check(&[], 5_000, 0, 0, 0);
        // Waiting for the first is no stall.
        check(&[3_000], 4_000, 1_000, 0, 0);
        check(&[0, 2_000, 4_000], 6_000, 6_000, 0, 0);
        check(&[0, 2_500], 4_500, 4_000, 500, 1);
        check(&[0, 2_500, 5_000], 6_000, 5_000, 1_000, 2);
        // A stall that lasts is one.
        check(&[0], 10_000, 2_000, 8_000, 1);
        check(&[0, 100, 200], 7_000, 6_000, 1_000, 1);
    }

    #[test]
    fn a_clock_that_goes_back_is_not_followed() {
        let mut buffer = Buffer::default();
        buffer.push(Duration::from_secs(5), Duration::from_secs(2));
        buffer.advance(Duration::from_secs(1));
        assert_eq!(buffer.ahead(), Duration::from_secs(2));
        assert!(buffer.has_started());
    }
}
