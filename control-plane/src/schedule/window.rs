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

/// What a session is by the code at the end of its id. One of several of a kind, as calendars of
/// anything have them, says so first: `race-2026-12-05`, `race-6f1a2b`.
pub(crate) fn kind(code: &str) -> &str {
    const KINDS: [&str; 3] = ["sprint-qualifying", "sprint", "race"];
    let is_mark = |rest: &str| {
        let mut parts = rest.split('-');
        parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let is = |kind: &&&str| {
        let rest = code.strip_prefix(**kind).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(is_mark)
    };
    KINDS.iter().find(is).copied().unwrap_or(code)
}

/// By the code at the end of a session's id.
pub(crate) fn of(code: &str) -> Window {
    let (before, nominal, after) = match kind(code) {
        "race" => (60, 120, 90),
        "sprint" => (15, 60, 20),
        "sprint-qualifying" => (15, 44, 30),
        _ => (15, 60, 30),
    };
    Window { before, nominal, after }
}

impl Window {
    /// Live from, end, live until; the end is the nominal one unless it is known.
    pub(crate) fn around(self, start: Timestamp, end: Option<Timestamp>) -> [Option<Timestamp>; 3] {
        let end = end.or_else(|| later(start, self.nominal));
        [self.before(start), end, end.and_then(|end| later(end, self.after))]
    }

    /// From when on its streams matter.
    pub(crate) fn before(self, start: Timestamp) -> Option<Timestamp> {
        later(start, -self.before)
    }
}

fn later(moment: Timestamp, minutes: i64) -> Option<Timestamp> {
    moment.checked_add(SignedDuration::from_mins(minutes)).ok()
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

/// Past its nominal end, and within the margin in which it may still go on.
pub(crate) fn in_margin(session: &Session, now: Timestamp) -> bool {
    status(session, now) == SessionStatus::Live && session.end.is_some_and(|end| now >= end)
}

/// Is it on, so that somebody should be able to watch it? In its margin that is told only by
/// something to watch: most sessions are over by then, and their streams end with them.
pub(crate) fn is_on(session: &Session, now: Timestamp, watchable: bool) -> bool {
    status(session, now) == SessionStatus::Live && (watchable || !in_margin(session, now))
}

pub(crate) fn end_of_day(day: Date) -> Timestamp {
    day.checked_add(1.day())
        .ok()
        .and_then(|next| next.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).ok())
        .map_or(Timestamp::MAX, |noon| noon.timestamp())
}

/// The schedule as it is to be read at `now`. `watchable`: something can be watched, which is
/// what tells a session that overruns from one that is over and still within its margin.
pub(crate) fn at(schedule: &Schedule, now: Timestamp, watchable: bool) -> Schedule {
    let mut schedule = schedule.clone();
    for session in schedule.meetings.iter_mut().flat_map(|meeting| &mut meeting.sessions) {
        session.overrun = watchable && in_margin(session, now);
        session.status = status(session, now);
    }
    schedule
}

/// Where something stands in the order of a schedule, with or without a time.
pub(crate) fn position(start: Option<Timestamp>, date: Date) -> Timestamp {
    let midnight = |day: Date| day.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).ok();
    start.or_else(|| midnight(date).map(|zoned| zoned.timestamp())).unwrap_or(Timestamp::MAX)
}

/// The session that is on, latest started, else the next one. Expects statuses of `now`.
pub(crate) fn current(schedule: &Schedule) -> Option<&Session> {
    let sessions = || schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
    let with = |status| sessions().filter(move |session| session.status == status);
    let place = |session: &&Session| position(session.start, session.date);
    with(SessionStatus::Live)
        .max_by_key(place)
        .or_else(|| with(SessionStatus::Upcoming).min_by_key(place))
}

#[cfg(test)]
mod tests;
