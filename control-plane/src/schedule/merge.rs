//! Merges the providers' snapshots into one schedule, with the history of the last one. Does no
//! I/O.
//!
//! - [`meeting_group`]: matches the same meeting of different providers.
//! - [`choice`]: chooses the provider whose claim on a session is believed.

mod choice;
mod meeting_group;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{Meeting, Schedule, Session, SessionStatus};

use self::choice::SessionChoice;
use self::meeting_group::MeetingGroup;
use super::calendar::{ProviderMeeting, days_between};
use super::live_window;
use super::overrides::Overrides;
use super::provider_snapshot::ProviderSnapshot;
use super::unlisted_sessions::UnlistedSessions;

/// Merges `snapshots`, the most trusted provider first, applies `overrides`, and continues the
/// revisions and former ids of the `last` schedule and of the sessions that were listed before it.
pub(crate) fn merge_snapshots(
    snapshots: &[&ProviderSnapshot],
    overrides: &Overrides,
    last: &Schedule,
    unlisted: &UnlistedSessions,
    now: Timestamp,
) -> Schedule {
    let season = newest_season(snapshots);
    let mut meetings: Vec<Meeting> = meeting_group::group_meetings(snapshots, season.as_deref())
        .iter()
        .map(build_meeting)
        .collect();
    let ids: Vec<String> = meetings.iter().map(|meeting| meeting.id.clone()).collect();
    for meeting in &mut meetings {
        meeting.former_ids = find_former_ids(meeting, &ids, last);
    }
    overrides.apply(&mut meetings);
    for meeting in &mut meetings {
        meeting.sessions.sort_by_key(|one| live_window::sort_time(one.start, one.date));
    }
    for meeting in &mut meetings {
        update_revisions(meeting, last, unlisted, now);
    }
    meetings.sort_by_key(|one| {
        one.sessions.first().map(|first| live_window::sort_time(first.start, first.date))
    });
    link_moved_meetings(&mut meetings);
    let fetched_at = snapshots.iter().map(|snapshot| snapshot.fetched_at).max();
    let source = meetings.iter().flat_map(|one| &one.sessions).map(|one| one.source.as_str());
    let lead = snapshots.iter().map(|snapshot| snapshot.provider.as_str());
    let source = lead.clone().find(|lead| source.clone().any(|source| source == *lead));
    Schedule {
        season,
        fetched_at,
        stale_since: None,
        source: source.or(lead.clone().next()).map(str::to_owned),
        meetings,
    }
}

/// The newest season that has a race, as the providers' calendars do not turn over at the same
/// time; the newest season if none has a race, as before a season of which only the tests are
/// known.
fn newest_season(snapshots: &[&ProviderSnapshot]) -> Option<String> {
    let has_race = |snapshot: &&ProviderSnapshot| {
        snapshot.calendar.meetings.iter().any(|meeting| meeting.race_session().is_some())
    };
    let seasons = snapshots.iter().filter(|one| one.calendar.season.is_some());
    let newest = seasons.max_by_key(|one| (has_race(one), one.calendar.season.clone()));
    newest.and_then(|one| one.calendar.season.clone())
}

fn build_meeting(group: &MeetingGroup<'_>) -> Meeting {
    let lead = group.lead_meeting();
    let sessions = group.sessions().into_iter().filter_map(|(code, claims)| {
        Some(build_session(lead, code, choice::choose_claim(&claims)?))
    });
    Meeting {
        id: lead.id.clone(),
        name: lead.name.clone(),
        round: lead.round,
        circuit: lead.circuit.clone(),
        utc_offset: group.meetings().find_map(|meeting| meeting.utc_offset.clone()),
        former_ids: Vec::new(),
        moved_to: None,
        sessions: sessions.collect(),
    }
}

fn build_session(meeting: &ProviderMeeting, code: String, choice: SessionChoice<'_>) -> Session {
    let SessionChoice { claim, name, end, disagreement } = choice;
    let chosen = claim.session;
    let mut session = Session {
        id: format!("{}:{code}", meeting.id),
        code,
        name: name.to_owned(),
        meeting: meeting.name.clone(),
        start: chosen.start,
        date: chosen.date,
        last_date: chosen.last_date,
        time_known: false,
        end,
        end_estimated: false,
        live_from: None,
        live_until: None,
        status: match chosen.cancelled {
            true => SessionStatus::Cancelled,
            false => SessionStatus::Upcoming,
        },
        overrun: false,
        source: claim.provider.to_owned(),
        revision: 0,
        revised_at: None,
        disagreement,
    };
    set_live_window(&mut session, end);
    session
}

/// Sets the fields that follow from a session's start and, if it is known, its end.
pub(crate) fn set_live_window(session: &mut Session, end: Option<Timestamp>) {
    let window =
        session.start.map(|start| live_window::live_window_of(&session.code).bounds(start, end));
    let [live_from, window_end, live_until] = window.unwrap_or([None, end, None]);
    session.time_known = session.start.is_some();
    session.end_estimated = end.is_none() && window_end.is_some();
    (session.live_from, session.end, session.live_until) = (live_from, window_end, live_until);
}

/// The ids that the meeting had in earlier schedules. A meeting with a new id continues the one
/// that is gone and whose race is at most a day off.
fn find_former_ids(meeting: &Meeting, ids: &[String], last: &Schedule) -> Vec<String> {
    if let Some(same) = last.meetings.iter().find(|old| old.id == meeting.id) {
        return same.former_ids.clone();
    }
    let Some(day) = race_date(meeting) else { return Vec::new() };
    let mut gone = last.meetings.iter().filter(|old| !ids.contains(&old.id));
    let renamed = |old: &&Meeting| race_date(old).is_some_and(|old| days_between(old, day) <= 1);
    let Some(old) = gone.find(renamed) else { return Vec::new() };
    old.former_ids.iter().chain([&old.id]).cloned().collect()
}

/// Continues the revisions of the meeting's sessions from the last schedule, and of those that
/// return from when they were listed.
fn update_revisions(
    meeting: &mut Meeting,
    last: &Schedule,
    unlisted: &UnlistedSessions,
    now: Timestamp,
) {
    let is_same = |old: &&Meeting| old.id == meeting.id || meeting.former_ids.contains(&old.id);
    let old = last.meetings.iter().find(is_same);
    for session in &mut meeting.sessions {
        let listed = old.and_then(|old| old.sessions.iter().find(|one| one.code == session.code));
        let known = [unlisted.find(&session.id), listed].into_iter().flatten();
        let Some(known) = known.max_by_key(|known| known.revision) else { continue };
        let revised = session_timing(known) != session_timing(session);
        session.revision = known.revision + u32::from(revised);
        session.revised_at = if revised { Some(now) } else { known.revised_at };
    }
}

fn race_date(meeting: &Meeting) -> Option<jiff::civil::Date> {
    meeting.sessions.iter().find(|session| session.code == "race").map(|race| race.date)
}

/// What a revision is a change of, so that subscribed calendars must be updated.
fn session_timing(session: &Session) -> impl PartialEq + use<> {
    let cancelled = session.status == SessionStatus::Cancelled;
    (session.start, session.date, session.last_date, session.end, cancelled)
}

/// Sets `moved_to` of a cancelled meeting whose race is listed again under the same name or a
/// longer one: "Bahrain Grand Prix" and "Bahrain Grand Prix (Malaysia)".
fn link_moved_meetings(meetings: &mut [Meeting]) {
    let cancelled =
        |one: &Meeting| one.sessions.iter().all(|one| one.status == SessionStatus::Cancelled);
    let races = meetings.iter().filter(|one| !cancelled(one) && race_date(one).is_some());
    let held: Vec<(String, String)> =
        races.map(|meeting| (meeting.name.clone(), meeting.id.clone())).collect();
    for meeting in meetings.iter_mut().filter(|meeting| cancelled(meeting)) {
        let again = held.iter().find(|(name, _)| meeting_group::is_same_name(&meeting.name, name));
        meeting.moved_to = again.map(|(_, id)| id.clone());
    }
}

/// Since when an upcoming meeting is confirmed by no provider, because every provider that lists it
/// fails; `None` if every upcoming meeting is confirmed. `failing` returns since when a provider
/// has failed.
pub(crate) fn unconfirmed_since(
    snapshots: &[&ProviderSnapshot],
    failing: impl Fn(&str) -> Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let season = newest_season(snapshots);
    let groups = meeting_group::group_meetings(snapshots, season.as_deref());
    let upcoming =
        groups.iter().filter(|group| group.meetings().any(|meeting| meeting.is_upcoming(now)));
    let since = upcoming.filter_map(|group| {
        let since: Option<Vec<_>> = group.providers().map(&failing).collect();
        since?.into_iter().max()
    });
    since.min()
}

/// The number of sessions not over on which providers disagree.
pub(crate) fn count_disagreements(schedule: &Schedule, now: Timestamp) -> usize {
    let sessions = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
    let open = sessions.filter(|one| !one.disagreement.is_empty());
    open.filter(|one| now < live_window::session_over_at(one)).count()
}

#[cfg(test)]
mod tests;
