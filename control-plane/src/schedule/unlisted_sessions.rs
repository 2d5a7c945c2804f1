//! [`UnlistedSessions`]: sessions that were listed and are not any more. One that returns continues
//! its revision, as calendars ignore an entry whose SEQUENCE is lower than the one that they know
//! (RFC 5546, 2.1.5).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pitwall_upstream_map::documents::{Schedule, Session};
use serde::{Deserialize, Serialize};

use super::calendar::{days_between, utc_date};
use super::plausibility::is_around_year;

const UNLISTED_MAX_SESSIONS: usize = 4_000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct UnlistedSessions(BTreeMap<String, Session>);

impl UnlistedSessions {
    pub(crate) fn find(&self, id: &str) -> Option<&Session> {
        self.0.get(id)
    }

    /// Adds the sessions that were listed in `last` and are not in `next`, and removes those that
    /// are. Sessions of other years are forgotten, as providers do not list them.
    pub(crate) fn update(&mut self, last: &Schedule, next: &Schedule, now: Timestamp) {
        let listed: BTreeSet<&str> = sessions(next).map(|session| session.id.as_str()).collect();
        let gone = sessions(last).map(|session| (session.id.clone(), session.clone()));
        self.0.extend(gone);
        let today = utc_date(now);
        self.0.retain(|id, session| {
            !listed.contains(id.as_str()) && is_around_year(today.year(), session.last_day())
        });
        let excess = self.0.len().saturating_sub(UNLISTED_MAX_SESSIONS);
        if excess > 0 {
            let mut by_age: Vec<(i32, String)> = self
                .0
                .iter()
                .map(|(id, session)| (days_between(today, session.date), id.clone()))
                .collect();
            by_age.sort_unstable();
            by_age.iter().rev().take(excess).for_each(|(_, id)| drop(self.0.remove(id)));
        }
    }
}

fn sessions(schedule: &Schedule) -> impl Iterator<Item = &Session> {
    schedule.meetings.iter().flat_map(|meeting| &meeting.sessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(sessions: &[(&str, &str, u32)]) -> Schedule {
        let sessions: Vec<_> = sessions
            .iter()
            .map(|(id, date, revision)| {
                serde_json::json!({
                    "id": id, "code": id, "name": id, "meeting": "m", "start": null, "date": date,
                    "time_known": false, "end": null, "end_estimated": false, "live_from": null,
                    "live_until": null, "status": "upcoming", "source": "ics",
                    "revision": revision,
                })
            })
            .collect();
        let meeting = serde_json::json!({
            "id": "m", "name": "m", "round": null, "sessions": sessions,
            "circuit": {"id": "c", "name": "c", "locality": null, "country": null},
        });
        Schedule { meetings: vec![serde_json::from_value(meeting).unwrap()], ..Schedule::default() }
    }

    #[test]
    fn sessions_are_kept_while_they_are_not_listed() {
        let mut unlisted = UnlistedSessions::default();
        let [a, b] = [("a", "2026-05-03", 3), ("b", "2026-05-03", 0)];
        for (name, last, next, now, expected) in [
            ("nothing", vec![], vec![a, b], "2026-05-01T00:00:00Z", None),
            ("taken out", vec![a, b], vec![b], "2026-05-01T00:00:00Z", Some(3)),
            ("still out", vec![b], vec![b], "2026-06-01T00:00:00Z", Some(3)),
            ("back", vec![b], vec![a, b], "2026-06-01T00:00:00Z", None),
            ("taken out again", vec![a, b], vec![b], "2026-06-01T00:00:00Z", Some(3)),
            ("in another year", vec![b], vec![b], "2027-06-01T00:00:00Z", None),
        ] {
            unlisted.update(&schedule(&last), &schedule(&next), now.parse().unwrap());
            assert_eq!(unlisted.find("a").map(|session| session.revision), expected, "{name}");
        }
        let ids: Vec<String> = (0..UNLISTED_MAX_SESSIONS + 10).map(|n| n.to_string()).collect();
        let many: Vec<_> = ids.iter().map(|id| (id.as_str(), "2026-05-03", 0)).collect();
        let now = "2026-05-01T00:00:00Z".parse().unwrap();
        unlisted.update(&schedule(&many), &Schedule::default(), now);
        assert_eq!(unlisted.0.len(), UNLISTED_MAX_SESSIONS);
    }
}
