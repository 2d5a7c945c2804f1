//! [`LiveWindow`]: when a session is live, and its status at a given time.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use pitwall_upstream_map::documents::{Schedule, Session, SessionStatus};

/// The window around a session in which its streams are live: `before_minutes` before its start
/// until `after_minutes` after its end, which is `nominal_minutes` after the start unless it is
/// known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveWindow {
    before_minutes: i64,
    nominal_minutes: i64,
    after_minutes: i64,
}

/// The kind of a session, by its code. The code of one of several sessions of a kind, as general
/// calendars have them, begins with the kind: `race-2026-12-05`, `race-6f1a2b`.
pub(crate) fn session_kind(code: &str) -> &str {
    const KINDS: [&str; 3] = ["sprint-qualifying", "sprint", "race"];
    let is_suffix = |rest: &str| {
        let mut parts = rest.split('-');
        parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let has_kind = |kind: &&&str| {
        let rest = code.strip_prefix(**kind).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(is_suffix)
    };
    KINDS.iter().find(has_kind).copied().unwrap_or(code)
}

/// The live window of a session with this code.
pub(crate) fn live_window_of(code: &str) -> LiveWindow {
    let (before_minutes, nominal_minutes, after_minutes) = match session_kind(code) {
        "race" => (60, 120, 90),
        "sprint" => (15, 60, 20),
        "sprint-qualifying" => (15, 44, 30),
        _ => (15, 60, 30),
    };
    LiveWindow { before_minutes, nominal_minutes, after_minutes }
}

impl LiveWindow {
    /// The times `[live_from, end, live_until]` of a session; the end is the nominal one unless it
    /// is known.
    pub(crate) fn bounds(self, start: Timestamp, end: Option<Timestamp>) -> [Option<Timestamp>; 3] {
        let end = end.or_else(|| add_minutes(start, self.nominal_minutes));
        [self.live_from(start), end, end.and_then(|end| add_minutes(end, self.after_minutes))]
    }

    /// The begin of the window.
    pub(crate) fn live_from(self, start: Timestamp) -> Option<Timestamp> {
        add_minutes(start, -self.before_minutes)
    }
}

fn add_minutes(time: Timestamp, minutes: i64) -> Option<Timestamp> {
    time.checked_add(SignedDuration::from_mins(minutes)).ok()
}

/// The status of a session at `now`; a cancelled session stays cancelled.
pub(crate) fn status_at(session: &Session, now: Timestamp) -> SessionStatus {
    if session.status == SessionStatus::Cancelled {
        return SessionStatus::Cancelled;
    }
    let from = session.live_from.or(session.start);
    match from {
        _ if now >= session_over_at(session) => SessionStatus::Past,
        Some(from) if now >= from => SessionStatus::Live,
        _ => SessionStatus::Upcoming,
    }
}

/// When a session is over. The date of a session without a start is in an unknown time zone: the
/// session is over when its last day is over everywhere.
pub(crate) fn session_over_at(session: &Session) -> Timestamp {
    session.live_until.or(session.end).unwrap_or_else(|| end_of_day(session.last_day()))
}

/// Whether `now` is after the session's end and within the margin in which it may overrun.
pub(crate) fn is_in_overrun_margin(session: &Session, now: Timestamp) -> bool {
    status_at(session, now) == SessionStatus::Live && session.end.is_some_and(|end| now >= end)
}

/// Whether the session is on the air, so that a stream of it should be watchable. In its margin it
/// is on the air only if a stream is `watchable`: most sessions are over by then, and their streams
/// end with them.
pub(crate) fn is_on_air(session: &Session, now: Timestamp, watchable: bool) -> bool {
    status_at(session, now) == SessionStatus::Live
        && (watchable || !is_in_overrun_margin(session, now))
}

/// The end of a date in every time zone: noon UTC of the next day.
pub(crate) fn end_of_day(day: Date) -> Timestamp {
    day.checked_add(1.day())
        .ok()
        .and_then(|next| next.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).ok())
        .map_or(Timestamp::MAX, |noon| noon.timestamp())
}

/// The schedule with the statuses of `now`. Whether a stream is `watchable` tells a session that
/// overruns from one that is over and still within its margin.
pub(crate) fn schedule_at(schedule: &Schedule, now: Timestamp, watchable: bool) -> Schedule {
    let mut schedule = schedule.clone();
    for session in schedule.meetings.iter_mut().flat_map(|meeting| &mut meeting.sessions) {
        session.overrun = watchable && is_in_overrun_margin(session, now);
        session.status = status_at(session, now);
    }
    schedule
}

/// The key by which sessions are sorted: the start, or midnight UTC of the date without one.
pub(crate) fn sort_time(start: Option<Timestamp>, date: Date) -> Timestamp {
    let midnight = |day: Date| day.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).ok();
    start.or_else(|| midnight(date).map(|zoned| zoned.timestamp())).unwrap_or(Timestamp::MAX)
}

/// The live session that started last, or the next upcoming one. The statuses must be those of the
/// current time: see [`schedule_at`].
pub(crate) fn live_or_next_session(schedule: &Schedule) -> Option<&Session> {
    let sessions = || schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
    let with = |status| sessions().filter(move |session| session.status == status);
    let sort_key = |session: &&Session| sort_time(session.start, session.date);
    with(SessionStatus::Live)
        .max_by_key(sort_key)
        .or_else(|| with(SessionStatus::Upcoming).min_by_key(sort_key))
}

#[cfg(test)]
mod tests;
