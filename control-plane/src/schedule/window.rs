//! When a session is live, and what that makes it at a given moment.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use pitwall_upstream_map::documents::{Schedule, Session, SessionStatus};

/// Minutes around a session's start in which its streams matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    before: i64,
    nominal: i64,
    after: i64,
}

/// By the code at the end of a session's id.
pub(crate) fn of(code: &str) -> Window {
    let (before, nominal, after) = match code {
        "race" => (60, 120, 90),
        "sprint" => (15, 60, 20),
        "sprint-qualifying" => (15, 44, 30),
        _ => (15, 60, 30),
    };
    Window { before, nominal, after }
}

impl Window {
    /// Live from, estimated end, live until.
    pub(crate) fn around(self, start: Timestamp) -> [Option<Timestamp>; 3] {
        [-self.before, self.nominal, self.nominal + self.after]
            .map(|minutes| start.checked_add(SignedDuration::from_mins(minutes)).ok())
    }
}

/// What a session is at `now`. Cancelled stays cancelled.
pub(crate) fn status(session: &Session, now: Timestamp) -> SessionStatus {
    if session.status == SessionStatus::Cancelled {
        return SessionStatus::Cancelled;
    }
    // Of a session without a time only the day is known, and not in which time zone: it is
    // over when that day is over everywhere.
    let from = session.live_from.or(session.start);
    let until = session.live_until.or(session.end).unwrap_or_else(|| end_of_day(session.date));
    match from {
        _ if now >= until => SessionStatus::Past,
        Some(from) if now >= from => SessionStatus::Live,
        _ => SessionStatus::Upcoming,
    }
}

fn end_of_day(day: Date) -> Timestamp {
    day.checked_add(1.day())
        .ok()
        .and_then(|next| next.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).ok())
        .map_or(Timestamp::MAX, |noon| noon.timestamp())
}

/// The schedule as it is to be read at `now`.
pub(crate) fn at(schedule: &Schedule, now: Timestamp) -> Schedule {
    let mut schedule = schedule.clone();
    for session in schedule.meetings.iter_mut().flat_map(|meeting| &mut meeting.sessions) {
        session.status = status(session, now);
    }
    schedule
}

/// Where a session stands in the order of its schedule, with or without a time.
pub(crate) fn position(session: &Session) -> Timestamp {
    let midnight = |day: Date| day.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).ok();
    session
        .start
        .or_else(|| midnight(session.date).map(|zoned| zoned.timestamp()))
        .unwrap_or(Timestamp::MAX)
}

/// The session that is on, latest started, else the next one. Expects statuses of `now`.
pub(crate) fn current(schedule: &Schedule) -> Option<&Session> {
    let sessions = || schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
    let with = |status| sessions().filter(move |session| session.status == status);
    with(SessionStatus::Live)
        .max_by_key(|session| position(session))
        .or_else(|| with(SessionStatus::Upcoming).min_by_key(|session| position(session)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(code: &str, start: Option<&str>, day: &str) -> Session {
        let start: Option<Timestamp> = start.map(|text| text.parse().unwrap());
        let [live_from, end, live_until] = start.map_or([None; 3], |start| of(code).around(start));
        Session {
            id: code.into(),
            code: code.into(),
            name: code.into(),
            meeting: "m".into(),
            start,
            date: day.parse().unwrap(),
            time_known: start.is_some(),
            end,
            end_estimated: true,
            live_from,
            live_until,
            status: SessionStatus::Upcoming,
            source: "jolpica".into(),
            revision: 0,
        }
    }

    #[test]
    fn windows() {
        use SessionStatus::{Live, Past, Upcoming};
        for (code, now, expected) in [
            ("race", "2026-05-03T15:59:59Z", Upcoming),
            ("race", "2026-05-03T16:00:00Z", Live),
            ("race", "2026-05-03T19:01:00Z", Live),
            ("race", "2026-05-03T20:29:59Z", Live),
            ("race", "2026-05-03T20:30:00Z", Past),
            ("sprint", "2026-05-03T16:44:59Z", Upcoming),
            ("sprint", "2026-05-03T16:45:00Z", Live),
            ("sprint", "2026-05-03T18:19:59Z", Live),
            ("sprint", "2026-05-03T18:20:00Z", Past),
            ("sprint-qualifying", "2026-05-03T18:13:59Z", Live),
            ("sprint-qualifying", "2026-05-03T18:14:00Z", Past),
            ("qualifying", "2026-05-03T18:29:59Z", Live),
            ("fp1", "2026-05-03T16:45:00Z", Live),
            ("fp1", "2026-05-03T18:30:00Z", Past),
        ] {
            let session = session(code, Some("2026-05-03T17:00:00Z"), "2026-05-03");
            assert_eq!(status(&session, now.parse().unwrap()), expected, "{code} at {now}");
        }
    }

    #[test]
    fn without_a_time_a_session_is_upcoming_until_its_day_is_over_everywhere() {
        let session = session("race", None, "2026-05-03");
        for (now, expected) in [
            ("2026-05-03T12:00:00Z", SessionStatus::Upcoming),
            ("2026-05-04T11:59:59Z", SessionStatus::Upcoming),
            ("2026-05-04T12:00:00Z", SessionStatus::Past),
        ] {
            assert_eq!(status(&session, now.parse().unwrap()), expected, "{now}");
        }
    }

    #[test]
    fn cancelled_stays_cancelled() {
        let mut session = session("race", Some("2026-05-03T17:00:00Z"), "2026-05-03");
        session.status = SessionStatus::Cancelled;
        let now = "2026-05-03T17:30:00Z".parse().unwrap();
        assert_eq!(status(&session, now), SessionStatus::Cancelled);
    }
}
