//! Payloads that are refused whole: a calendar that is wrong in one place is not trusted in
//! another, and the last good one is at hand.

use std::collections::{HashMap, HashSet};

use jiff::ToSpan as _;
use jiff::civil::Date;
use pitwall_upstream_map::documents::{Meeting, Session};

use super::Calendar;

/// The longest weekend there is begins three days before its race; one more for dates that
/// are local to the track.
const LONGEST_WEEKEND_DAYS: i64 = 4;

/// A season need not end with the year.
const WINTER_DAYS: i64 = 62;

/// Says what is insane about a calendar.
pub(crate) fn check(calendar: &Calendar) -> Result<(), String> {
    // An empty season is how outages look; it never means that all races are off.
    if calendar.meetings.is_empty() {
        return Err("no races".to_owned());
    }
    let mut ids = HashSet::new();
    let mut instants = HashMap::new();
    for meeting in &calendar.meetings {
        if !ids.insert(&meeting.id) {
            return Err(format!("{} is listed twice", meeting.id));
        }
        weekend(meeting, &calendar.season)?;
        for session in &meeting.sessions {
            let Some(start) = session.start else { continue };
            if let Some(other) = instants.insert(start, &session.id) {
                return Err(format!("{other} and {} start together", session.id));
            }
        }
    }
    Ok(())
}

fn weekend(meeting: &Meeting, season: &str) -> Result<(), String> {
    let races: Vec<_> = meeting.sessions.iter().filter(|session| session.code == "race").collect();
    let [race] = races.as_slice() else {
        return Err(format!("{} has {} races", meeting.id, races.len()));
    };
    if season.parse().is_ok_and(|year| !around(year, race.date)) {
        return Err(format!("{} is not in {season}", race.id));
    }
    for session in meeting.sessions.iter().filter(|session| session.code != "race") {
        if !before(session, race) {
            return Err(format!("{} is not before the race", session.id));
        }
        if earliest(race.date).is_some_and(|first| session.date < first) {
            return Err(format!("{} is not in the weekend of its race", session.id));
        }
    }
    Ok(())
}

/// In the year of the season, or in the winter on either side of it.
fn around(year: i16, date: Date) -> bool {
    let day = |month, day| Date::new(year, month, day).ok();
    let from = day(1, 1).and_then(|first| first.checked_sub(WINTER_DAYS.days()).ok());
    let to = day(12, 31).and_then(|last| last.checked_add(WINTER_DAYS.days()).ok());
    from.is_none_or(|from| from <= date) && to.is_none_or(|to| date <= to)
}

fn before(session: &Session, race: &Session) -> bool {
    match (session.start, race.start) {
        (Some(start), Some(race)) => start < race,
        _ => session.date <= race.date,
    }
}

fn earliest(race: Date) -> Option<Date> {
    race.checked_sub(LONGEST_WEEKEND_DAYS.days()).ok()
}
