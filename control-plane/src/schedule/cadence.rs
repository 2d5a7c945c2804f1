//! Poll intervals of the providers: shorter the closer a session is, with a backoff after failures.

use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use pitwall_upstream_map::documents::{Meeting, Schedule};

use super::live_window;

const QUIET_POLL_INTERVAL: Duration = Duration::from_hours(6);
const RACE_WEEK_POLL_INTERVAL: Duration = Duration::from_hours(1);
const RACE_DAY_POLL_INTERVAL: Duration = Duration::from_mins(15);
/// How long before a session its start is still likely to be moved.
const SESSION_LEAD_TIME: SignedDuration = SignedDuration::from_hours(6);

const RETRY_FIRST_BACKOFF: Duration = Duration::from_mins(1);
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// The interval after a successful poll.
pub(crate) fn poll_interval(schedule: &Schedule, now: Timestamp) -> Duration {
    let close = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions).any(|session| {
        let from = session.start.and_then(|start| start.checked_sub(SESSION_LEAD_TIME).ok());
        from.is_some_and(|from| from <= now) && session.live_until.is_some_and(|until| now < until)
    });
    if close {
        RACE_DAY_POLL_INTERVAL
    } else if schedule.meetings.iter().any(|meeting| is_in_race_week(meeting, now)) {
        RACE_WEEK_POLL_INTERVAL
    } else {
        QUIET_POLL_INTERVAL
    }
}

/// The interval after `failures` failed polls in a row: doubled with each, but no longer than
/// [`poll_interval`], and no shorter than the provider's `retry_after` (up to `RETRY_AFTER_MAX`).
pub(crate) fn retry_backoff(
    failures: u32,
    retry_after: Option<Duration>,
    schedule: &Schedule,
    now: Timestamp,
) -> Duration {
    let backoff = RETRY_FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let at_least = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    backoff.min(poll_interval(schedule, now)).max(at_least)
}

/// Whether `now` is between the Thursday on or before the meeting's first session and the end of
/// all of them.
fn is_in_race_week(meeting: &Meeting, now: Timestamp) -> bool {
    let Some(first) = meeting.sessions.first() else { return false };
    let since_thursday = first.date.weekday().since(Weekday::Thursday);
    let thursday = first
        .date
        .checked_sub(i64::from(since_thursday).days())
        .ok()
        .and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    thursday.is_some_and(|thursday| thursday.timestamp() <= now)
        && meeting.sessions.iter().any(|one| now < live_window::session_over_at(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::live_window;

    fn weekend() -> Schedule {
        let session = |code: &str, start: &str| {
            let start: Timestamp = start.parse().unwrap();
            let [from, end, until] = live_window::live_window_of(code).bounds(start, None);
            serde_json::json!({
                "id": code, "code": code, "name": code, "meeting": "m", "start": start,
                "date": start.to_zoned(TimeZone::UTC).date(), "time_known": true, "end": end,
                "end_estimated": true, "live_from": from, "live_until": until,
                "status": "upcoming", "source": "jolpica", "revision": 0,
            })
        };
        let meetings = serde_json::json!([{
            "id": "m", "name": "m", "round": 1,
            "circuit": {"id": "c", "name": "c", "locality": null, "country": null},
            "sessions": [session("fp1", "2026-05-01T16:00:00Z"), session("race", "2026-05-03T17:00:00Z")],
        }]);
        Schedule { meetings: serde_json::from_value(meetings).unwrap(), ..Schedule::default() }
    }

    #[test]
    fn polls_are_more_frequent_close_to_a_session() {
        for (now, expected) in [
            ("2026-04-29T23:59:59Z", QUIET_POLL_INTERVAL),
            ("2026-04-30T00:00:00Z", RACE_WEEK_POLL_INTERVAL),
            ("2026-05-01T09:59:59Z", RACE_WEEK_POLL_INTERVAL),
            ("2026-05-01T10:00:00Z", RACE_DAY_POLL_INTERVAL),
            ("2026-05-02T12:00:00Z", RACE_WEEK_POLL_INTERVAL),
            ("2026-05-03T11:00:00Z", RACE_DAY_POLL_INTERVAL),
            ("2026-05-03T20:29:59Z", RACE_DAY_POLL_INTERVAL),
            ("2026-05-03T20:30:00Z", QUIET_POLL_INTERVAL),
        ] {
            assert_eq!(poll_interval(&weekend(), now.parse().unwrap()), expected, "{now}");
        }
    }

    #[test]
    fn failures_back_off_no_longer_than_the_cadence() {
        let quiet: Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
        let close: Timestamp = "2026-05-03T16:00:00Z".parse().unwrap();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (failures, retry_after, now, expected) in [
            (1, None, quiet, 60),
            (4, None, quiet, 480),
            (40, None, quiet, 6 * 3600),
            (40, None, close, 900),
            (1, seconds(600), close, 600),
            (1, seconds(10), quiet, 60),
        ] {
            let expected = Duration::from_secs(expected);
            assert_eq!(
                retry_backoff(failures, retry_after, &weekend(), now),
                expected,
                "{failures} {retry_after:?}"
            );
        }
    }
}
