//! Rejects what cannot be true in a provider's response. An item that contradicts itself or another
//! one is rejected alone, as the provider's last snapshot still has it. A response of which most
//! cannot be true is refused as a whole, so that garbage never replaces a good season.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;

use super::calendar::{
    ProviderCalendar, ProviderMeeting, ProviderResponse, ProviderSession, RejectedItem, add_days,
};
use super::live_window;

/// The longest weekend begins three days before its race; one day more for dates that are local to
/// the circuit.
const WEEKEND_MAX_DAYS: i64 = 4;

/// How far a season may extend beyond its year.
pub(crate) const WINTER_MARGIN_DAYS: i64 = 62;

/// Moves the items of a response that cannot be true to its rejected ones.
///
/// # Errors
///
/// Why the whole response is refused: more than half of a season's sessions cannot be true, or no
/// meeting is left.
pub(crate) fn reject_implausible(response: ProviderResponse) -> Result<ProviderResponse, String> {
    let ProviderResponse { calendar: ProviderCalendar { season, meetings }, rejected } = response;
    let count =
        |meetings: &[ProviderMeeting]| meetings.iter().map(|one| one.slots.len()).sum::<usize>();
    let (listed, already_rejected) = (count(&meetings), rejected.len());
    let year = season.as_deref().and_then(|season| season.parse().ok());
    let mut filter = PlausibilityFilter {
        year,
        meeting_ids: HashSet::new(),
        session_starts: HashMap::new(),
        rejected,
    };
    let meetings: Vec<_> =
        meetings.into_iter().filter_map(|one| filter.filter_meeting(one)).collect();
    let rejected = filter.rejected;
    let lost = listed - count(&meetings);
    // The events of a general calendar are independent of each other. An empty season of a
    // championship is the sign of an outage: it never means that all races are cancelled.
    if season.is_some() && (meetings.is_empty() || lost * 2 > listed) {
        let first = rejected.get(already_rejected).or(rejected.first());
        return Err(match (first, lost) {
            (None, _) => "no races".to_owned(),
            (Some(first), 0) => first.message.clone(),
            (Some(first), _) => {
                format!("{lost} of {listed} sessions cannot be true: {}", first.message)
            }
        });
    }
    Ok(ProviderResponse { calendar: ProviderCalendar { season, meetings }, rejected })
}

struct PlausibilityFilter {
    year: Option<i16>,
    meeting_ids: HashSet<String>,
    /// The session of the championship (`meeting:code`) that starts at a time.
    session_starts: HashMap<Timestamp, String>,
    rejected: Vec<RejectedItem>,
}

impl PlausibilityFilter {
    fn filter_meeting(&mut self, mut meeting: ProviderMeeting) -> Option<ProviderMeeting> {
        if self.meeting_ids.contains(&meeting.id) {
            self.rejected.push(RejectedItem::of_meeting(&meeting.id, "it is listed twice"));
            return None;
        }
        let mut codes = HashSet::new();
        for mut session in std::mem::take(&mut meeting.slots) {
            // Only the championship's sessions must be in its year.
            let year =
                self.year.filter(|year| meeting.series && !is_around_year(*year, session.date));
            let reject = |why: &str| RejectedItem::of_session(&meeting.id, &session.code, why);
            if !codes.insert(session.code.clone()) {
                self.rejected.push(reject("it is listed twice"));
                continue;
            }
            if let Some(year) = year {
                self.rejected.push(reject(&format!("it is not in {year}")));
                continue;
            }
            if session.end.zip(session.start).is_some_and(|(end, start)| end <= start)
                || session.last_day() < session.date
            {
                self.rejected.push(reject("it ends before it begins, so its end is left out"));
                (session.end, session.last_date) = (None, None);
            }
            meeting.slots.push(session);
        }
        // Only the championship's sessions must not be simultaneous.
        if meeting.series {
            if !self.filter_weekend(&mut meeting) {
                return None;
            }
            self.filter_simultaneous(&mut meeting);
        }
        if meeting.slots.is_empty() {
            return None;
        }
        self.meeting_ids.insert(meeting.id.clone());
        Some(meeting)
    }

    /// Rejects a session that contradicts the race of its weekend; returns whether the meeting
    /// stays. If a session is not before the race, the race itself may be wrong, so that the whole
    /// meeting is rejected. A single session that is far from all others is rejected alone.
    fn filter_weekend(&mut self, meeting: &mut ProviderMeeting) -> bool {
        let Some((code, why, alone)) = find_contradiction(meeting) else { return true };
        if alone {
            self.rejected.push(RejectedItem::of_session(&meeting.id, &code, why));
            meeting.slots.retain(|session| session.code != code);
        } else {
            let why = format!("{code}: {why}, so nothing of the meeting is believed");
            self.rejected.push(RejectedItem::of_meeting(&meeting.id, why));
        }
        alone
    }

    fn filter_simultaneous(&mut self, meeting: &mut ProviderMeeting) {
        for session in std::mem::take(&mut meeting.slots) {
            if let Some(start) = session.start.filter(|_| !session.cancelled) {
                match self.session_starts.entry(start) {
                    Entry::Occupied(other) => {
                        let why = format!("{} starts at the same time", other.get());
                        self.rejected.push(RejectedItem::of_session(
                            &meeting.id,
                            &session.code,
                            why,
                        ));
                        continue;
                    }
                    Entry::Vacant(free) => free.insert(format!("{}:{}", meeting.id, session.code)),
                };
            }
            meeting.slots.push(session);
        }
    }
}

/// The code of the session that contradicts the race of its weekend, why, and whether it is the
/// only one.
fn find_contradiction(meeting: &ProviderMeeting) -> Option<(String, &'static str, bool)> {
    // A test has no race.
    let race = meeting.race_session()?;
    let others = || {
        meeting.slots.iter().filter(|session| live_window::session_kind(&session.code) != "race")
    };
    if let Some(session) = others().find(|session| !is_before_race(session, race)) {
        return Some((session.code.clone(), "it is not before the race", false));
    }
    let first = add_days(race.date, -WEEKEND_MAX_DAYS);
    let mut far = others().filter(|session| session.date < first);
    let session = far.next()?;
    let alone = far.next().is_none() && others().count() > 2;
    Some((session.code.clone(), "it is not in the weekend of its race", alone))
}

/// Whether a date is in `year` or at most `WINTER_MARGIN_DAYS` outside of it.
pub(crate) fn is_around_year(year: i16, date: Date) -> bool {
    let day = |month, day| Date::new(year, month, day).ok();
    let from = day(1, 1).map(|first| add_days(first, -WINTER_MARGIN_DAYS));
    let to = day(12, 31).map(|last| add_days(last, WINTER_MARGIN_DAYS));
    from.is_none_or(|from| from <= date) && to.is_none_or(|to| date <= to)
}

fn is_before_race(session: &ProviderSession, race: &ProviderSession) -> bool {
    match (session.start, race.start) {
        (Some(start), Some(race)) => start < race,
        _ => session.date <= race.date,
    }
}

/// The messages of all that is implausible in a calendar.
#[cfg(test)]
pub(crate) fn list_implausible(calendar: &ProviderCalendar) -> Vec<String> {
    match reject_implausible(ProviderResponse { calendar: calendar.clone(), rejected: Vec::new() })
    {
        Ok(response) => response.rejected.into_iter().map(|one| one.message).collect(),
        Err(message) => vec![message],
    }
}
