//! The simulated playback buffer of one player.

use std::time::Duration;

/// Computes, from the times at which media arrives, how long playback ran and stalled. Playback
/// starts with the first media, and resumes with the first media after a stall. Times are since the
/// start of the player.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaybackBuffer {
    now: Duration,
    state: BufferState,
    pub played: Duration,
    pub stalled: Duration,
    pub stalls: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum BufferState {
    #[default]
    Empty,
    /// With so much media buffered.
    Playing(Duration),
    Stalled,
}

impl PlaybackBuffer {
    /// Simulates playback until `now`; an earlier time than the last one changes nothing.
    pub fn advance_to(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.now);
        self.now = self.now.max(now);
        match self.state {
            BufferState::Empty => {}
            BufferState::Playing(ahead) if passed <= ahead => {
                self.played += passed;
                self.state = BufferState::Playing(ahead - passed);
            }
            BufferState::Playing(ahead) => {
                self.played += ahead;
                self.stalled += passed - ahead;
                self.stalls += 1;
                self.state = BufferState::Stalled;
            }
            BufferState::Stalled => self.stalled += passed,
        }
    }

    /// Appends media of that duration, which arrived at `now`.
    pub fn append_media(&mut self, now: Duration, media: Duration) {
        self.advance_to(now);
        self.state = BufferState::Playing(self.buffered_duration() + media);
    }

    /// Duration of the buffered media that has not played yet.
    pub fn buffered_duration(&self) -> Duration {
        match self.state {
            BufferState::Playing(ahead) => ahead,
            BufferState::Empty | BufferState::Stalled => Duration::ZERO,
        }
    }

    /// Whether any media has arrived.
    pub fn has_started(&self) -> bool {
        self.state != BufferState::Empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends 2 s of media at each of `arrivals`, then plays until `end`; all times in
    /// milliseconds.
    fn check(arrivals: &[u64], end: u64, played: u64, stalled: u64, stalls: u64) {
        let mut buffer = PlaybackBuffer::default();
        for at in arrivals {
            buffer.append_media(Duration::from_millis(*at), Duration::from_secs(2));
        }
        buffer.advance_to(Duration::from_millis(end));
        let actual = (buffer.played.as_millis(), buffer.stalled.as_millis(), buffer.stalls);
        assert_eq!(actual, (played.into(), stalled.into(), stalls), "{arrivals:?} until {end}");
    }

    #[test]
    fn playback_stalls_when_the_buffer_is_empty() {
        check(&[], 5_000, 0, 0, 0);
        // The time before the first media is no stall.
        check(&[3_000], 4_000, 1_000, 0, 0);
        check(&[0, 2_000, 4_000], 6_000, 6_000, 0, 0);
        check(&[0, 2_500], 4_500, 4_000, 500, 1);
        check(&[0, 2_500, 5_000], 6_000, 5_000, 1_000, 2);
        // A stall is counted once, however long it lasts.
        check(&[0], 10_000, 2_000, 8_000, 1);
        check(&[0, 100, 200], 7_000, 6_000, 1_000, 1);
    }

    #[test]
    fn a_time_that_goes_back_is_ignored() {
        let mut buffer = PlaybackBuffer::default();
        buffer.append_media(Duration::from_secs(5), Duration::from_secs(2));
        buffer.advance_to(Duration::from_secs(1));
        assert_eq!(buffer.buffered_duration(), Duration::from_secs(2));
        assert!(buffer.has_started());
    }
}
