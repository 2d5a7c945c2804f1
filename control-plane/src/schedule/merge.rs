//! All opinions laid over each other, with the history of the schedule before. Pure.
//!
//! - [`weekend`]: which meetings of different sources are one.
//! - [`choice`]: who is believed on a session.

mod choice;
mod weekend;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{Meeting, Schedule, Session, SessionStatus};

use self::choice::Choice;
use self::weekend::Weekend;
use super::calendar::apart;
use super::opinion::Opinion;
use super::overrides::Overrides;
use super::window;

/// Opinions come most trusted first.
pub(crate) fn merge(
    opinions: &[&Opinion],
    overrides: &Overrides,
    last: &Schedule,
    now: Timestamp,
) -> Schedule {
    let season = season(opinions);
    let mut meetings: Vec<Meeting> =
        weekend::align(opinions, season.as_deref()).iter().map(meeting).collect();
    let ids: Vec<String> = meetings.iter().map(|meeting| meeting.id.clone()).collect();
    for meeting in &mut meetings {
        meeting.former_ids = former_ids(meeting, &ids, last);
    }
    overrides.apply(&mut meetings);
    for meeting in &mut meetings {
        meeting.sessions.sort_by_key(|one| window::position(one.start, one.date));
    }
    for meeting in &mut meetings {
        revise(meeting, last, now);
    }
    meetings.sort_by_key(|one| {
        one.sessions.first().map(|first| window::position(first.start, first.date))
    });
    moved(&mut meetings);
    let fetched_at = opinions.iter().map(|opinion| opinion.fetched_at).max();
    let source = meetings.iter().flat_map(|one| &one.sessions).map(|one| one.source.as_str());
    let lead = opinions.iter().map(|opinion| opinion.provider.as_str());
    let source = lead.clone().find(|lead| source.clone().any(|source| source == *lead));
    Schedule {
        season,
        fetched_at,
        stale_since: None,
        source: source.or(lead.clone().next()).map(str::to_owned),
        meetings,
    }
}

/// The newest one that has a race: calendars do not turn over in the same minute. Where none has,
/// as before a season of which only the tests are known, the newest.
fn season(opinions: &[&Opinion]) -> Option<String> {
    let has_race = |opinion: &&Opinion| {
        opinion.calendar.meetings.iter().any(|meeting| meeting.race().is_some())
    };
    let seasons = opinions.iter().filter(|one| one.calendar.season.is_some());
    let newest = seasons.max_by_key(|one| (has_race(one), one.calendar.season.clone()));
    newest.and_then(|one| one.calendar.season.clone())
}

fn meeting(weekend: &Weekend<'_>) -> Meeting {
    let lead = weekend.lead();
    let sessions = weekend.codes().into_iter().filter_map(|code| {
        let choice = choice::of(&weekend.claims(&code))?;
        Some(session(&lead.id, &lead.name, choice))
    });
    Meeting {
        id: lead.id.clone(),
        name: lead.name.clone(),
        round: lead.round,
        circuit: lead.circuit.clone(),
        utc_offset: weekend.listed().find_map(|listed| listed.utc_offset.clone()),
        former_ids: Vec::new(),
        moved_to: None,
        sessions: sessions.collect(),
    }
}

fn session(id: &str, meeting: &str, choice: Choice<'_>) -> Session {
    let Choice { claim, name, end, disagreement } = choice;
    let slot = claim.slot;
    let mut session = Session {
        id: format!("{id}:{}", slot.code),
        code: slot.code.clone(),
        name: name.to_owned(),
        meeting: meeting.to_owned(),
        start: slot.start,
        date: slot.date,
        time_known: false,
        end,
        end_estimated: false,
        live_from: None,
        live_until: None,
        status: match slot.cancelled {
            true => SessionStatus::Cancelled,
            false => SessionStatus::Upcoming,
        },
        overrun: false,
        source: claim.source.to_owned(),
        revision: 0,
        revised_at: None,
        disagreement,
    };
    frame(&mut session, end);
    session
}

/// What follows from a session's start and, where it is known, its end.
pub(crate) fn frame(session: &mut Session, end: Option<Timestamp>) {
    let window = session.start.map(|start| window::of(&session.code).around(start, end));
    let [live_from, around_end, live_until] = window.unwrap_or([None, end, None]);
    session.time_known = session.start.is_some();
    session.end_estimated = end.is_none() && around_end.is_some();
    (session.live_from, session.end, session.live_until) = (live_from, around_end, live_until);
}

/// What it was called in the schedule before, when it is not called that any more.
fn former_ids(meeting: &Meeting, ids: &[String], last: &Schedule) -> Vec<String> {
    if let Some(same) = last.meetings.iter().find(|old| old.id == meeting.id) {
        return same.former_ids.clone();
    }
    let Some(day) = race_day(meeting) else { return Vec::new() };
    let mut gone = last.meetings.iter().filter(|old| !ids.contains(&old.id));
    let renamed = |old: &&Meeting| race_day(old).is_some_and(|old| apart(old, day) <= 1);
    let Some(old) = gone.find(renamed) else { return Vec::new() };
    old.former_ids.iter().chain([&old.id]).cloned().collect()
}

/// Its sessions' revisions go on from the schedule before.
fn revise(meeting: &mut Meeting, last: &Schedule, now: Timestamp) {
    let is = |old: &&Meeting| old.id == meeting.id || meeting.former_ids.contains(&old.id);
    let Some(old) = last.meetings.iter().find(is) else { return };
    for session in &mut meeting.sessions {
        let Some(known) = old.sessions.iter().find(|one| one.code == session.code) else {
            continue;
        };
        let revised = stands(known) != stands(session);
        session.revision = known.revision + u32::from(revised);
        session.revised_at = if revised { Some(now) } else { known.revised_at };
    }
}

fn race_day(meeting: &Meeting) -> Option<jiff::civil::Date> {
    meeting.sessions.iter().find(|session| session.code == "race").map(|race| race.date)
}

/// What a calendar that was told once has to be told again.
fn stands(session: &Session) -> impl PartialEq + use<> {
    let cancelled = session.status == SessionStatus::Cancelled;
    (session.start, session.date, session.end, cancelled)
}

/// A cancelled race that is listed again, later or elsewhere, under the same name or a longer
/// one: "Bahrain Grand Prix" and "Bahrain Grand Prix (Malaysia)".
fn moved(meetings: &mut [Meeting]) {
    let cancelled =
        |one: &Meeting| one.sessions.iter().all(|one| one.status == SessionStatus::Cancelled);
    let races = meetings.iter().filter(|one| !cancelled(one) && race_day(one).is_some());
    let on: Vec<(String, String)> =
        races.map(|meeting| (meeting.name.clone(), meeting.id.clone())).collect();
    for meeting in meetings.iter_mut().filter(|meeting| cancelled(meeting)) {
        let again = on.iter().find(|(name, _)| weekend::alike(&meeting.name, name));
        meeting.moved_to = again.map(|(_, id)| id.clone());
    }
}

/// Since when something to come is confirmed by nobody: every source that lists it has failed.
/// `failing` tells since when one has.
pub(crate) fn unconfirmed(
    opinions: &[&Opinion],
    failing: impl Fn(&str) -> Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let season = season(opinions);
    let weekends = weekend::align(opinions, season.as_deref());
    let to_come = weekends.iter().filter(|one| one.listed().any(|listed| listed.to_come(now)));
    let since = to_come.filter_map(|weekend| {
        let since: Option<Vec<_>> = weekend.sources().map(&failing).collect();
        since?.into_iter().max()
    });
    since.min()
}

/// Sessions not over on which sources disagree.
pub(crate) fn disagreements(schedule: &Schedule, now: Timestamp) -> usize {
    let sessions = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
    let open = sessions.filter(|one| !one.disagreement.is_empty()).filter(|one| {
        let until = one.live_until.unwrap_or_else(|| window::end_of_day(one.date));
        now < until
    });
    open.count()
}

#[cfg(test)]
mod tests;
