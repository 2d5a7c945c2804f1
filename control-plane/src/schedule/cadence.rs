//! When to ask the provider again.

use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use pitwall_upstream_map::documents::{Meeting, Schedule};

use super::window;

const QUIET: Duration = Duration::from_hours(6);
const RACE_WEEK: Duration = Duration::from_hours(1);
const RACE_DAY: Duration = Duration::from_mins(15);
/// How long before a session its start is likely to be moved.
const CLOSE: SignedDuration = SignedDuration::from_hours(6);

const FIRST_RETRY: Duration = Duration::from_mins(1);
const LONGEST_WISH: Duration = Duration::from_hours(24);

/// After a success.
pub(crate) fn next(schedule: &Schedule, now: Timestamp) -> Duration {
    let close = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions).any(|session| {
        let from = session.start.and_then(|start| start.checked_sub(CLOSE).ok());
        from.is_some_and(|from| from <= now) && session.live_until.is_some_and(|until| now < until)
    });
    if close {
        RACE_DAY
    } else if schedule.meetings.iter().any(|meeting| in_race_week(meeting, now)) {
        RACE_WEEK
    } else {
        QUIET
    }
}

/// After so many failures in a row.
pub(crate) fn retry(
    failures: u32,
    wish: Option<Duration>,
    schedule: &Schedule,
    now: Timestamp,
) -> Duration {
    let back_off = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16));
    back_off.min(next(schedule, now)).max(wish.unwrap_or_default().min(LONGEST_WISH))
}

/// From the Thursday before (or of) its first session until its last is over.
fn in_race_week(meeting: &Meeting, now: Timestamp) -> bool {
    let (Some(first), Some(last)) = (meeting.sessions.first(), meeting.sessions.last()) else {
        return false;
    };
    let since_thursday = first.date.weekday().since(Weekday::Thursday);
    let thursday = first
        .date
        .checked_sub(i64::from(since_thursday).days())
        .ok()
        .and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    let over = last.live_until.unwrap_or_else(|| window::position(last.start, last.date));
    thursday.is_some_and(|thursday| thursday.timestamp() <= now) && now < over
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::window;

    fn weekend() -> Schedule {
        let session = |code: &str, start: &str| {
            let start: Timestamp = start.parse().unwrap();
            let [from, end, until] = window::of(code).around(start, None);
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
    fn the_closer_the_more_often() {
        for (now, expected) in [
            ("2026-04-29T23:59:59Z", QUIET),
            ("2026-04-30T00:00:00Z", RACE_WEEK),
            ("2026-05-01T09:59:59Z", RACE_WEEK),
            ("2026-05-01T10:00:00Z", RACE_DAY),
            ("2026-05-02T12:00:00Z", RACE_WEEK),
            ("2026-05-03T11:00:00Z", RACE_DAY),
            ("2026-05-03T20:29:59Z", RACE_DAY),
            ("2026-05-03T20:30:00Z", QUIET),
        ] {
            assert_eq!(next(&weekend(), now.parse().unwrap()), expected, "{now}");
        }
    }

    #[test]
    fn failures_back_off_no_longer_than_the_cadence() {
        let quiet: Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
        let close: Timestamp = "2026-05-03T16:00:00Z".parse().unwrap();
        let wish = |seconds| Some(Duration::from_secs(seconds));
        for (failures, wish, now, expected) in [
            (1, None, quiet, 60),
            (4, None, quiet, 480),
            (40, None, quiet, 6 * 3600),
            (40, None, close, 900),
            (1, wish(600), close, 600),
            (1, wish(10), quiet, 60),
        ] {
            let expected = Duration::from_secs(expected);
            assert_eq!(retry(failures, wish, &weekend(), now), expected, "{failures} {wish:?}");
        }
    }
}
