//! Payloads that are refused whole: a calendar that is wrong in one place is not trusted in
//! another, and the last good one is at hand.

use std::collections::{HashMap, HashSet};

use jiff::civil::Date;

use super::calendar::{Calendar, Listed, Slot, days};

/// The longest weekend there is begins three days before its race; one more for dates that
/// are local to the track.
const LONGEST_WEEKEND_DAYS: i64 = 4;

/// A season need not end with the year.
pub(crate) const WINTER_DAYS: i64 = 62;

/// Says what is insane about a calendar.
pub(crate) fn check(calendar: &Calendar) -> Result<(), String> {
    // An empty season is how outages look; it never means that all races are off.
    if calendar.season.is_some() && calendar.meetings.is_empty() {
        return Err("no races".to_owned());
    }
    let mut ids = HashSet::new();
    let mut instants = HashMap::new();
    for meeting in &calendar.meetings {
        if !ids.insert(&meeting.id) {
            return Err(format!("{} is listed twice", meeting.id));
        }
        codes(meeting)?;
        // Of anything else there may be two at once.
        if !meeting.series {
            continue;
        }
        weekend(meeting, calendar.season.as_deref())?;
        for slot in meeting.slots.iter().filter(|slot| !slot.cancelled) {
            let Some(start) = slot.start else { continue };
            let id = (&meeting.id, &slot.code);
            if let Some((other, code)) = instants.insert(start, id) {
                return Err(format!("{other}:{code} and {}:{} start together", id.0, id.1));
            }
        }
    }
    Ok(())
}

fn codes(meeting: &Listed) -> Result<(), String> {
    let mut codes = HashSet::new();
    for slot in &meeting.slots {
        if !codes.insert(&slot.code) {
            return Err(format!("{}:{} is listed twice", meeting.id, slot.code));
        }
        if slot.end.zip(slot.start).is_some_and(|(end, start)| end <= start) {
            return Err(format!("{}:{} ends before it begins", meeting.id, slot.code));
        }
    }
    Ok(())
}

fn weekend(meeting: &Listed, season: Option<&str>) -> Result<(), String> {
    let year = season.and_then(|season| season.parse().ok());
    for slot in &meeting.slots {
        if year.is_some_and(|year| !around(year, slot.date)) {
            return Err(format!("{}:{} is not in {}", meeting.id, slot.code, year.unwrap_or(0)));
        }
    }
    // Testing has none.
    let Some(race) = meeting.race() else { return Ok(()) };
    for slot in meeting.slots.iter().filter(|slot| slot.code != "race") {
        if !before(slot, race) {
            return Err(format!("{}:{} is not before the race", meeting.id, slot.code));
        }
        if slot.date < days(race.date, -LONGEST_WEEKEND_DAYS) {
            return Err(format!("{}:{} is not in the weekend of its race", meeting.id, slot.code));
        }
    }
    Ok(())
}

/// In the year of the season, or in the winter on either side of it.
pub(crate) fn around(year: i16, date: Date) -> bool {
    let day = |month, day| Date::new(year, month, day).ok();
    let from = day(1, 1).map(|first| days(first, -WINTER_DAYS));
    let to = day(12, 31).map(|last| days(last, WINTER_DAYS));
    from.is_none_or(|from| from <= date) && to.is_none_or(|to| date <= to)
}

fn before(slot: &Slot, race: &Slot) -> bool {
    match (slot.start, race.start) {
        (Some(start), Some(race)) => start < race,
        _ => slot.date <= race.date,
    }
}
