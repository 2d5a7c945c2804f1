//! What is carried from the last good schedule into the next one.

use std::collections::HashMap;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{Meeting, Schedule, Session, SessionStatus};

use super::{Calendar, window};

/// The next last-good schedule: a sane calendar, with the history of the one before.
pub(crate) fn merge(last: &Schedule, calendar: Calendar, source: &str, now: Timestamp) -> Schedule {
    let Calendar { season, mut meetings } = calendar;
    if last.season.as_ref() == Some(&season) {
        let known: HashMap<&str, &Session> = last
            .meetings
            .iter()
            .flat_map(|meeting| &meeting.sessions)
            .map(|session| (session.id.as_str(), session))
            .collect();
        for session in meetings.iter_mut().flat_map(|meeting| &mut meeting.sessions) {
            if let Some(known) = known.get(session.id.as_str()) {
                session.revision = known.revision + u32::from(known.start != session.start);
            }
        }
        let dropped = cancelled(last, &meetings, now);
        meetings.extend(dropped);
    }
    meetings.sort_by_key(|meeting| meeting.sessions.first().map(window::position));
    Schedule {
        season: Some(season),
        fetched_at: Some(now),
        stale_since: None,
        source: Some(source.to_owned()),
        meetings,
    }
}

/// The provider drops cancelled rounds without a word: a meeting that was still to come and
/// vanishes is cancelled. One whose race day another meeting took over was only renamed.
fn cancelled(last: &Schedule, fresh: &[Meeting], now: Timestamp) -> Vec<Meeting> {
    let race_day = |meeting: &Meeting| meeting.sessions.last().map(|session| session.date);
    let vanished = last.meetings.iter().filter(|meeting| {
        let listed = fresh
            .iter()
            .any(|other| other.id == meeting.id || race_day(other) == race_day(meeting));
        let to_come = meeting.sessions.iter().any(|session| {
            let status = window::status(session, now);
            matches!(status, SessionStatus::Upcoming | SessionStatus::Cancelled)
        });
        !listed && to_come
    });
    let cancel = |meeting: &Meeting| {
        let mut meeting = meeting.clone();
        for session in &mut meeting.sessions {
            if window::status(session, now) == SessionStatus::Upcoming {
                session.status = SessionStatus::Cancelled;
            }
        }
        meeting
    };
    vanished.map(cancel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(meeting: &str, start: &str) -> Session {
        let start: Timestamp = start.parse().unwrap();
        let [live_from, end, live_until] = window::of("race").around(start);
        Session {
            id: format!("{meeting}:race"),
            code: "race".into(),
            name: "Race".into(),
            meeting: meeting.into(),
            start: Some(start),
            date: start.to_zoned(jiff::tz::TimeZone::UTC).date(),
            time_known: true,
            end,
            end_estimated: true,
            live_from,
            live_until,
            status: SessionStatus::Upcoming,
            source: "jolpica".into(),
            revision: 0,
        }
    }

    fn calendar(season: &str, races: &[(&str, &str)]) -> Calendar {
        let meeting = |(id, start): &(&str, &str)| Meeting {
            id: (*id).into(),
            name: (*id).into(),
            round: None,
            circuit: pitwall_upstream_map::documents::Circuit {
                id: "c".into(),
                name: "c".into(),
                locality: None,
                country: None,
            },
            sessions: vec![session(id, start)],
        };
        Calendar { season: season.into(), meetings: races.iter().map(meeting).collect() }
    }

    #[test]
    fn what_is_carried_over() {
        let now: Timestamp = "2026-04-15T00:00:00Z".parse().unwrap();
        let (a, b, c) = ("2026-03-08T04:00:00Z", "2026-04-12T15:00:00Z", "2026-04-19T17:00:00Z");
        let before = calendar("2026", &[("a", a), ("b", b), ("c", c)]);
        let last = merge(&Schedule::default(), before, "jolpica", now);
        for (name, season, races, expected) in [
            ("unchanged", "2026", vec![("a", a), ("b", b), ("c", c)], "a+0 b+0 c+0"),
            (
                "moved",
                "2026",
                vec![("a", a), ("b", b), ("c", "2026-04-19T14:00:00Z")],
                "a+0 b+0 c+1",
            ),
            ("dropped, still to come", "2026", vec![("a", a), ("b", b)], "a+0 b+0 c+0 cancelled"),
            ("dropped, over", "2026", vec![("a", a), ("c", c)], "a+0 c+0"),
            ("renamed", "2026", vec![("a", a), ("b", b), ("z", c)], "a+0 b+0 z+0"),
            ("another season", "2027", vec![("n", "2027-03-08T04:00:00Z")], "n+0"),
        ] {
            let next = merge(&last, calendar(season, &races), "jolpica", now);
            let got: Vec<_> = next
                .meetings
                .iter()
                .map(|meeting| {
                    let session = &meeting.sessions[0];
                    let cancelled = session.status == SessionStatus::Cancelled;
                    let cancelled = if cancelled { " cancelled" } else { "" };
                    format!("{}+{}{cancelled}", meeting.id, session.revision)
                })
                .collect();
            assert_eq!(got.join(" "), expected, "{name}");
        }
        // What was cancelled stays listed, also past its date, until it is back.
        let dropped = calendar("2026", &[("a", a), ("b", b)]);
        let cancelled = merge(&last, dropped.clone(), "jolpica", now);
        let later = "2026-05-01T00:00:00Z".parse().unwrap();
        assert_eq!(merge(&cancelled, dropped, "jolpica", later).meetings.len(), 3);
        let back = calendar("2026", &[("a", a), ("b", b), ("c", c)]);
        let back = merge(&cancelled, back, "jolpica", now);
        assert_eq!(back.meetings[2].sessions[0].status, SessionStatus::Upcoming);
    }
}
