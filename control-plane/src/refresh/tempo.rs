//! How eagerly sources are asked: fast while a session is on, and for whoever watches.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pitwall_upstream_map::documents::{Schedule, SessionStatus};

use crate::schedule::window;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tempo {
    /// As configured.
    Fast,
    /// Nothing is on: intervals are longer. Tokens are renewed all the same, for what is
    /// listed plays.
    Slow,
}

/// Before a live window begins everything is asked once more, so that the first viewer finds
/// streams whose tokens are young.
const PRE_WARM: SignedDuration = SignedDuration::from_mins(10);
const SLOWER: u32 = 6;
const SLOWEST: Duration = Duration::from_hours(1);

impl Tempo {
    /// Without a schedule there is no telling when nothing is on.
    pub(crate) fn of(schedule: &Schedule, now: Timestamp) -> Self {
        let mut sessions = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        let soon = now.checked_add(PRE_WARM).unwrap_or(now);
        let on = |at| move |session| window::status(session, at) == SessionStatus::Live;
        let (is_on, will_be) = (on(now), on(soon));
        match schedule.meetings.is_empty() || sessions.any(|one| is_on(one) || will_be(one)) {
            true => Self::Fast,
            false => Self::Slow,
        }
    }

    pub(crate) fn every(self, configured: Duration) -> Duration {
        match self {
            Self::Fast => configured,
            Self::Slow => (configured * SLOWER).min(SLOWEST).max(configured),
        }
    }

    /// Between attempts at a source that fails.
    pub(crate) fn longest_retry(self) -> Duration {
        match self {
            Self::Fast => Duration::from_mins(1),
            Self::Slow => Duration::from_mins(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A race whose streams matter from 16:00 to 20:30.
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
    fn tempos() {
        for (now, expected) in [
            ("2026-05-03T12:00:00Z", Tempo::Slow),
            ("2026-05-03T15:49:59Z", Tempo::Slow),
            ("2026-05-03T15:50:00Z", Tempo::Fast),
            ("2026-05-03T17:00:00Z", Tempo::Fast),
            ("2026-05-03T20:29:59Z", Tempo::Fast),
            ("2026-05-03T20:30:00Z", Tempo::Slow),
        ] {
            let now = now.parse().unwrap();
            assert_eq!(Tempo::of(&schedule(), now), expected, "{now}");
            assert_eq!(Tempo::of(&Schedule::default(), now), Tempo::Fast, "no schedule at {now}");
        }
    }

    #[test]
    fn intervals() {
        for (seconds, slow) in [(30, 180), (300, 1800), (1800, 3600), (7200, 7200)] {
            let every = Duration::from_secs(seconds);
            assert_eq!(Tempo::Fast.every(every), every);
            assert_eq!(Tempo::Slow.every(every), Duration::from_secs(slow), "{seconds}");
        }
    }
}
