//! What one source said before, laid under what it says now: when it changed its mind, what it
//! dropped without a word, and what of it cannot be read now.

use jiff::Timestamp;

use super::calendar::{Calendar, Listed, RejectedItem, Slot, day_of};
use super::sanity::around;

/// So many meetings that are gone at once are a broken answer, not bad news.
const FEW: usize = 3;

/// Says why a calendar cannot follow on the last one.
pub(crate) fn check(last: &Calendar, fresh: &Calendar, now: Timestamp) -> Result<(), String> {
    if last.season != fresh.season {
        return Ok(());
    }
    // Of the championship: titles of other events, which are all they are known by, change.
    let races = last.meetings.iter().filter(|one| one.series);
    let to_come: Vec<_> = races.filter(|one| one.to_come(now)).collect();
    let gone = to_come.iter().filter(|old| successor(last, &fresh.meetings, old).is_none()).count();
    if gone > FEW && gone * 2 > to_come.len() {
        return Err(format!("{gone} of {} meetings to come are gone at once", to_come.len()));
    }
    Ok(())
}

/// The fresh calendar with the history of the one before. `drops_cancelled`: what is not listed
/// any more is off. What may be among the `rejected` is listed, and stays as it was.
pub(crate) fn carry(
    last: &Calendar,
    mut fresh: Calendar,
    rejected: &[RejectedItem],
    drops_cancelled: bool,
    now: Timestamp,
) -> Calendar {
    if last.season != fresh.season {
        return fresh;
    }
    let mut dropped = Vec::new();
    for old in &last.meetings {
        match successor(last, &fresh.meetings, old) {
            Some(at) => {
                if let Some(new) = fresh.meetings.get_mut(at) {
                    inherit(old, new, rejected, drops_cancelled, now);
                }
            }
            None if rejected.iter().any(|one| one.hides_meeting(&old.id)) => {
                dropped.push(old.clone());
            }
            None if old.cancelled() && remembered(last, old, now) => dropped.push(old.clone()),
            // What is on and not listed any more was only taken off the list of what is to come.
            None if drops_cancelled && !old.over(now) => {
                let slots = old.slots.iter().map(|slot| cancel(slot, now)).collect();
                dropped.push(Listed { slots, ..old.clone() });
            }
            None => {}
        }
    }
    fresh.meetings.extend(dropped);
    fresh
}

/// A season's for as long as it lasts; a calendar without seasons would keep it for ever.
fn remembered(last: &Calendar, old: &Listed, now: Timestamp) -> bool {
    let year = day_of(now).year();
    last.season.is_some() || old.anchor().is_some_and(|day| around(year, day))
}

/// The same meeting in a fresh calendar: by its id, else the one that took over its race day
/// under another name.
fn successor(last: &Calendar, fresh: &[Listed], old: &Listed) -> Option<usize> {
    let same = fresh.iter().position(|new| new.id == old.id);
    let renamed = || {
        fresh.iter().position(|new| {
            let known = last.meetings.iter().any(|other| other.id == new.id);
            let same_day = old.anchor().is_some() && new.anchor() == old.anchor();
            old.series && new.series && !old.cancelled() && !known && same_day
        })
    };
    same.or_else(renamed)
}

fn inherit(
    old: &Listed,
    new: &mut Listed,
    rejected: &[RejectedItem],
    drops_cancelled: bool,
    now: Timestamp,
) {
    for slot in &mut new.slots {
        if let Some(known) = old.slots.iter().find(|known| known.code == slot.code) {
            let corrected = known.stands() != slot.stands();
            slot.corrected_at = if corrected { Some(now) } else { known.corrected_at };
        }
    }
    // Another format of weekend replaces sessions; it does not cancel them.
    let gained = new.slots.iter().any(|slot| old.slots.iter().all(|one| one.code != slot.code));
    let listed: Vec<_> = new.slots.iter().map(|slot| slot.code.clone()).collect();
    let lost = old.slots.iter().filter(|slot| !listed.contains(&slot.code));
    for slot in lost {
        if rejected.iter().any(|one| one.hides_session(&new.id, &slot.code)) {
            new.slots.push(slot.clone());
        } else if !gained && (slot.cancelled || (drops_cancelled && !slot.over(now))) {
            new.slots.push(cancel(slot, now));
        }
    }
    new.slots.sort_by_key(Slot::position);
}

fn cancel(slot: &Slot, now: Timestamp) -> Slot {
    if slot.cancelled || !slot.to_come(now) {
        return slot.clone();
    }
    Slot { cancelled: true, corrected_at: Some(now), ..slot.clone() }
}

#[cfg(test)]
mod tests;
