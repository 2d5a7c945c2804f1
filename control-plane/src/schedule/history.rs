//! The history of one provider's calendar: which of its sessions were corrected or dropped since
//! its last snapshot, and which cannot be read now.

use jiff::Timestamp;

use super::calendar::{ProviderCalendar, ProviderMeeting, ProviderSession, RejectedItem, utc_date};
use super::plausibility::is_around_year;

/// A response in which more upcoming meetings than this (and more than half of them) are gone at
/// once is taken for broken, not for a series of cancellations.
const MAX_MEETINGS_GONE: usize = 3;

/// Checks that a calendar can follow on the last one of the same season.
///
/// # Errors
/// Too many upcoming meetings of the championship are gone.
pub(crate) fn check_continuity(
    last: &ProviderCalendar,
    fresh: &ProviderCalendar,
    now: Timestamp,
) -> Result<(), String> {
    if last.season != fresh.season {
        return Ok(());
    }
    // Only meetings of the championship count: other events have no id but their title, which may
    // change.
    let races = last.meetings.iter().filter(|one| one.series);
    let upcoming: Vec<_> = races.filter(|one| one.is_upcoming(now)).collect();
    let gone =
        upcoming.iter().filter(|old| find_successor(last, &fresh.meetings, old).is_none()).count();
    if gone > MAX_MEETINGS_GONE && gone * 2 > upcoming.len() {
        return Err(format!("{gone} of {} meetings to come are gone at once", upcoming.len()));
    }
    Ok(())
}

/// The fresh calendar with the history of the last one: corrections are dated, and meetings and
/// sessions that are not listed any more are kept as cancelled if `omission_cancels`, or forgotten.
/// A meeting or session that may be missing because of a `rejected` item is kept as it was.
pub(crate) fn carry_over_history(
    last: &ProviderCalendar,
    mut fresh: ProviderCalendar,
    rejected: &[RejectedItem],
    omission_cancels: bool,
    now: Timestamp,
) -> ProviderCalendar {
    if last.season != fresh.season {
        return fresh;
    }
    let mut dropped = Vec::new();
    for old in &last.meetings {
        match find_successor(last, &fresh.meetings, old) {
            Some(index) => {
                if let Some(new) = fresh.meetings.get_mut(index) {
                    inherit_history(old, new, rejected, omission_cancels, now);
                }
            }
            None if rejected.iter().any(|one| one.can_explain_missing_meeting(&old.id)) => {
                dropped.push(old.clone());
            }
            None if old.is_cancelled() && is_kept_as_cancelled(last, old, now) => {
                dropped.push(old.clone())
            }
            // `cancel_session` leaves sessions that have begun as they are: their meeting was only
            // taken off a list of upcoming ones.
            None if omission_cancels && !old.is_over(now) => {
                let sessions = old.slots.iter().map(|session| cancel_if_upcoming(session, now));
                dropped.push(ProviderMeeting { slots: sessions.collect(), ..old.clone() });
            }
            None => {}
        }
    }
    fresh.meetings.extend(dropped);
    fresh
}

/// Whether a cancelled meeting that is not listed any more is still kept: for its whole season, or
/// in a calendar without seasons while it is around the current year, so that it is not kept for
/// ever.
fn is_kept_as_cancelled(last: &ProviderCalendar, old: &ProviderMeeting, now: Timestamp) -> bool {
    let year = utc_date(now).year();
    last.season.is_some() || old.anchor_date().is_some_and(|day| is_around_year(year, day))
}

/// The index of the same meeting in a fresh calendar: by its id, else a new meeting of the
/// championship on the same race day under another name.
fn find_successor(
    last: &ProviderCalendar,
    fresh: &[ProviderMeeting],
    old: &ProviderMeeting,
) -> Option<usize> {
    let same = fresh.iter().position(|new| new.id == old.id);
    let renamed = || {
        fresh.iter().position(|new| {
            let known = last.meetings.iter().any(|other| other.id == new.id);
            let same_day = old.anchor_date().is_some() && new.anchor_date() == old.anchor_date();
            old.series && new.series && !old.is_cancelled() && !known && same_day
        })
    };
    same.or_else(renamed)
}

fn inherit_history(
    old: &ProviderMeeting,
    new: &mut ProviderMeeting,
    rejected: &[RejectedItem],
    omission_cancels: bool,
    now: Timestamp,
) {
    for session in &mut new.slots {
        if let Some(last) = old.slots.iter().find(|last| last.code == session.code) {
            let corrected = last.timing() != session.timing();
            session.corrected_at = if corrected { Some(now) } else { last.corrected_at };
        }
    }
    // A change of the weekend's format replaces sessions rather than cancel them.
    let gained =
        new.slots.iter().any(|session| old.slots.iter().all(|one| one.code != session.code));
    let listed: Vec<_> = new.slots.iter().map(|session| session.code.clone()).collect();
    let lost = old.slots.iter().filter(|session| !listed.contains(&session.code));
    for session in lost {
        if rejected.iter().any(|one| one.can_explain_missing_session(&new.id, &session.code)) {
            new.slots.push(session.clone());
        } else if !gained && (session.cancelled || (omission_cancels && !session.is_over(now))) {
            new.slots.push(cancel_if_upcoming(session, now));
        }
    }
    new.slots.sort_by_key(ProviderSession::sort_time);
}

fn cancel_if_upcoming(session: &ProviderSession, now: Timestamp) -> ProviderSession {
    if session.cancelled || !session.is_upcoming(now) {
        return session.clone();
    }
    ProviderSession { cancelled: true, corrected_at: Some(now), ..session.clone() }
}

#[cfg(test)]
mod tests;
