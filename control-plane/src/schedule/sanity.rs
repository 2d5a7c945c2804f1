//! What cannot be true in an answer. An item that contradicts itself or another one is rejected and
//! costs nothing else: what the provider said of it before is at hand. An answer of which most
//! cannot be true is refused whole, so that garbage never takes the place of a good season.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;

use super::calendar::{Answer, Calendar, Listed, RejectedItem, Slot, days};
use super::window;

/// The longest weekend there is begins three days before its race; one more for dates that
/// are local to the track.
const LONGEST_WEEKEND_DAYS: i64 = 4;

/// A season need not end with the year.
pub(crate) const WINTER_DAYS: i64 = 62;

/// What is left of an answer when all that cannot be true has been rejected.
///
/// # Errors
///
/// Why nothing of it can be trusted.
pub(crate) fn sift(answer: Answer) -> Result<Answer, String> {
    let Answer { calendar: Calendar { season, meetings }, rejected } = answer;
    let count = |meetings: &[Listed]| meetings.iter().map(|one| one.slots.len()).sum::<usize>();
    let (listed, read) = (count(&meetings), rejected.len());
    let year = season.as_deref().and_then(|season| season.parse().ok());
    let mut sieve = Sieve { year, ids: HashSet::new(), starts: HashMap::new(), rejected };
    let meetings: Vec<_> = meetings.into_iter().filter_map(|one| sieve.meeting(one)).collect();
    let rejected = sieve.rejected;
    let lost = listed - count(&meetings);
    // What else a calendar of anything holds stands alone. Of a championship, an empty season is
    // how outages look; it never means that all races are off.
    if season.is_some() && (meetings.is_empty() || lost * 2 > listed) {
        let first = rejected.get(read).or(rejected.first());
        return Err(match (first, lost) {
            (None, _) => "no races".to_owned(),
            (Some(first), 0) => first.message.clone(),
            (Some(first), _) => {
                format!("{lost} of {listed} sessions cannot be true: {}", first.message)
            }
        });
    }
    Ok(Answer { calendar: Calendar { season, meetings }, rejected })
}

struct Sieve {
    year: Option<i16>,
    ids: HashSet<String>,
    /// Which session of the championship starts when.
    starts: HashMap<Timestamp, String>,
    rejected: Vec<RejectedItem>,
}

impl Sieve {
    fn meeting(&mut self, mut meeting: Listed) -> Option<Listed> {
        if self.ids.contains(&meeting.id) {
            self.rejected.push(RejectedItem::meeting(&meeting.id, "it is listed twice"));
            return None;
        }
        let mut codes = HashSet::new();
        for mut slot in std::mem::take(&mut meeting.slots) {
            // Of anything else there may be some in any year.
            let year = self.year.filter(|year| meeting.series && !around(*year, slot.date));
            let reject = |why: &str| RejectedItem::session(&meeting.id, &slot.code, why);
            if !codes.insert(slot.code.clone()) {
                self.rejected.push(reject("it is listed twice"));
                continue;
            }
            if let Some(year) = year {
                self.rejected.push(reject(&format!("it is not in {year}")));
                continue;
            }
            if slot.end.zip(slot.start).is_some_and(|(end, start)| end <= start) {
                self.rejected.push(reject("it ends before it begins, so its end is left out"));
                slot.end = None;
            }
            meeting.slots.push(slot);
        }
        // Of anything else there may be two at once.
        if meeting.series {
            if !self.weekend(&mut meeting) {
                return None;
            }
            self.starts(&mut meeting);
        }
        if meeting.slots.is_empty() {
            return None;
        }
        self.ids.insert(meeting.id.clone());
        Some(meeting)
    }

    /// Where a session is not before the race, the race may be what is wrong: then nothing of the
    /// weekend is believed. A session that is far from all others is wrong by itself.
    fn weekend(&mut self, meeting: &mut Listed) -> bool {
        let Some((code, why, alone)) = contradiction(meeting) else { return true };
        if alone {
            self.rejected.push(RejectedItem::session(&meeting.id, &code, why));
            meeting.slots.retain(|slot| slot.code != code);
        } else {
            let why = format!("{code}: {why}, so nothing of the meeting is believed");
            self.rejected.push(RejectedItem::meeting(&meeting.id, why));
        }
        alone
    }

    fn starts(&mut self, meeting: &mut Listed) {
        for slot in std::mem::take(&mut meeting.slots) {
            if let Some(start) = slot.start.filter(|_| !slot.cancelled) {
                match self.starts.entry(start) {
                    Entry::Occupied(other) => {
                        let why = format!("{} starts at the same time", other.get());
                        self.rejected.push(RejectedItem::session(&meeting.id, &slot.code, why));
                        continue;
                    }
                    Entry::Vacant(free) => free.insert(format!("{}:{}", meeting.id, slot.code)),
                };
            }
            meeting.slots.push(slot);
        }
    }
}

/// The session that contradicts the race of its weekend, why, and whether it does so alone.
fn contradiction(meeting: &Listed) -> Option<(String, &'static str, bool)> {
    // Testing has none.
    let race = meeting.race()?;
    let others = || meeting.slots.iter().filter(|slot| window::kind(&slot.code) != "race");
    if let Some(slot) = others().find(|slot| !before(slot, race)) {
        return Some((slot.code.clone(), "it is not before the race", false));
    }
    let first = days(race.date, -LONGEST_WEEKEND_DAYS);
    let mut far = others().filter(|slot| slot.date < first);
    let slot = far.next()?;
    let alone = far.next().is_none() && others().count() > 2;
    Some((slot.code.clone(), "it is not in the weekend of its race", alone))
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

/// All that is insane about a calendar.
#[cfg(test)]
pub(crate) fn complaints(calendar: &Calendar) -> Vec<String> {
    match sift(Answer { calendar: calendar.clone(), rejected: Vec::new() }) {
        Ok(answer) => answer.rejected.into_iter().map(|one| one.message).collect(),
        Err(whole) => vec![whole],
    }
}
