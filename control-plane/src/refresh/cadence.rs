//! [`PollCadence`]: how often sources are polled.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pitwall_upstream_map::documents::{Schedule, SessionStatus};

use crate::schedule::live_window;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollCadence {
    /// The configured interval; used while a session is live or about to be.
    Fast,
    /// No session is near: intervals are longer. Tokens are renewed all the same, as listed streams
    /// must play.
    Slow,
}

/// How long before a live window the cadence becomes fast, so that the first viewer finds streams
/// with young tokens.
const PREWARM_LEAD_TIME: SignedDuration = SignedDuration::from_mins(10);
const SLOW_INTERVAL_FACTOR: u32 = 6;
const SLOW_INTERVAL_MAX: Duration = Duration::from_hours(1);

impl PollCadence {
    /// The cadence at `now`; [`Fast`](Self::Fast) without a schedule, as it cannot be known when no
    /// session is live.
    pub(crate) fn of(schedule: &Schedule, now: Timestamp) -> Self {
        let mut sessions = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        let soon = now.checked_add(PREWARM_LEAD_TIME).unwrap_or(now);
        let is_live_at =
            |at| move |session| live_window::status_at(session, at) == SessionStatus::Live;
        let (is_live_now, is_live_soon) = (is_live_at(now), is_live_at(soon));
        match schedule.meetings.is_empty()
            || sessions.any(|one| is_live_now(one) || is_live_soon(one))
        {
            true => Self::Fast,
            false => Self::Slow,
        }
    }

    pub(crate) fn run_interval(self, configured: Duration) -> Duration {
        match self {
            Self::Fast => configured,
            Self::Slow => {
                (configured * SLOW_INTERVAL_FACTOR).min(SLOW_INTERVAL_MAX).max(configured)
            }
        }
    }

    /// Upper bound of the delay between attempts at a source that fails.
    pub(crate) fn retry_max_delay(self) -> Duration {
        match self {
            Self::Fast => Duration::from_mins(1),
            Self::Slow => Duration::from_mins(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A race whose live window is 16:00 to 20:30.
    fn schedule() -> Schedule {
        let schedule = serde_json::json!({
            "season": "2026", "fetched_at": null, "stale_since": null, "source": null,
            "meetings": [{
                "id": "m", "name": "m", "round": 1,
                "circuit": {"id": "c", "name": "c", "locality": null, "country": null},
                "sessions": [{
                    "id": "m:race", "code": "race", "name": "Race", "meeting": "m",
                    "start": "2026-05-03T17:00:00Z", "date": "2026-05-03", "time_known": true,
                    "end": "2026-05-03T19:00:00Z", "end_estimated": true,
                    "live_from": "2026-05-03T16:00:00Z", "live_until": "2026-05-03T20:30:00Z",
                    "status": "upcoming", "source": "jolpica", "revision": 0,
                }],
            }],
        });
        serde_json::from_value(schedule).unwrap()
    }

    #[test]
    fn cadence_around_a_session() {
        for (now, expected) in [
            ("2026-05-03T12:00:00Z", PollCadence::Slow),
            ("2026-05-03T15:49:59Z", PollCadence::Slow),
            ("2026-05-03T15:50:00Z", PollCadence::Fast),
            ("2026-05-03T17:00:00Z", PollCadence::Fast),
            ("2026-05-03T20:29:59Z", PollCadence::Fast),
            ("2026-05-03T20:30:00Z", PollCadence::Slow),
        ] {
            let now = now.parse().unwrap();
            assert_eq!(PollCadence::of(&schedule(), now), expected, "{now}");
            assert_eq!(
                PollCadence::of(&Schedule::default(), now),
                PollCadence::Fast,
                "no schedule at {now}"
            );
        }
    }

    #[test]
    fn intervals() {
        for (seconds, slow) in [(30, 180), (300, 1800), (1800, 3600), (7200, 7200)] {
            let every = Duration::from_secs(seconds);
            assert_eq!(PollCadence::Fast.run_interval(every), every);
            assert_eq!(
                PollCadence::Slow.run_interval(every),
                Duration::from_secs(slow),
                "{seconds}"
            );
        }
    }
}
