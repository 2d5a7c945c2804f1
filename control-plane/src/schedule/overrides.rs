//! [`Overrides`]: the operator's file of corrections, which wins over every provider.
//!
//! ```toml
//! [[session]]
//! id = "2026:miami-grand-prix:miami:race"    # as /api/schedule has it
//! start = 2026-05-03T17:00:00Z
//!
//! [[session]]                                # one that no provider lists
//! id = "2026:miami-grand-prix:miami:paddock-show"
//! name = "Paddock show"
//! start = 2026-05-03T15:00:00Z
//! end = 2026-05-03T16:00:00Z
//!
//! [[meeting]]
//! id = "2026:bahrain-grand-prix:bahrain"
//! cancelled = true
//! ```
//!
//! - [`file`](mod@file): reads and validates the file.

mod file;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use pitwall_upstream_map::documents::{Circuit, Meeting, Session, SessionStatus};
use serde::Deserialize;

use self::file::{OverrideDate, OverrideTime, SessionId};
use super::calendar::utc_date;
use super::merge::set_live_window;

pub use self::file::OverrideError;
pub(crate) use self::file::{OverrideFile, parse_overrides, read_overrides};

const OVERRIDE_SOURCE: &str = "override";

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Overrides {
    #[serde(default, rename = "session")]
    sessions: Vec<SessionOverride>,
    #[serde(default, rename = "meeting")]
    meetings: Vec<MeetingOverride>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionOverride {
    id: SessionId,
    name: Option<String>,
    start: Option<OverrideTime>,
    /// For a session of which only the date is known.
    date: Option<OverrideDate>,
    end: Option<OverrideTime>,
    cancelled: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeetingOverride {
    id: file::MeetingId,
    name: Option<String>,
    circuit: Option<String>,
    cancelled: Option<bool>,
    /// Removes the meeting from the schedule.
    #[serde(default)]
    hidden: bool,
}

impl Overrides {
    /// The number of overridden sessions and meetings.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len() + self.meetings.len()
    }

    pub(crate) fn apply(&self, meetings: &mut Vec<Meeting>) {
        let hidden = |id: &str| self.meetings.iter().any(|one| one.hidden && one.id.0 == id);
        meetings.retain(|meeting| !hidden(&meeting.id));
        for meeting in self.meetings.iter().filter(|one| !one.hidden) {
            meeting.apply(find_or_add_meeting(meetings, &meeting.id.0));
        }
        for session in self.sessions.iter().filter(|one| !hidden(one.id.meeting_id())) {
            session.apply(find_or_add_meeting(meetings, session.id.meeting_id()));
        }
        // A meeting that was only added for an override has no session to show.
        meetings.retain(|meeting| !meeting.sessions.is_empty());
    }
}

impl MeetingOverride {
    fn apply(&self, meeting: &mut Meeting) {
        if let Some(name) = &self.name {
            meeting.name.clone_from(name);
            meeting.sessions.iter_mut().for_each(|session| session.meeting.clone_from(name));
        }
        if let Some(circuit) = &self.circuit {
            meeting.circuit.name.clone_from(circuit);
        }
        if let Some(cancelled) = self.cancelled {
            meeting.sessions.iter_mut().for_each(|session| set_cancelled(session, cancelled));
        }
    }
}

impl SessionOverride {
    fn apply(&self, meeting: &mut Meeting) {
        let start = self.start.map(|start| start.0);
        let index = meeting.sessions.iter().position(|one| one.code == self.id.code());
        let index = index.or_else(|| {
            let date = self.date.map(|day| day.0).or(start.map(utc_date))?;
            meeting.sessions.push(build_session(self, meeting, date));
            meeting.sessions.len().checked_sub(1)
        });
        let Some(session) = index.and_then(|index| meeting.sessions.get_mut(index)) else { return };
        if let Some(name) = &self.name {
            session.name.clone_from(name);
        }
        if start.is_some() || self.date.is_some() {
            session.start = start;
            session.date =
                self.date.map(|day| day.0).or(start.map(utc_date)).unwrap_or(session.date);
            session.last_date = None;
        }
        // Without a start, an end is on the last of several days.
        if let Some(end) = self.end.filter(|_| session.start.is_none()) {
            let last =
                end.0.checked_sub(SignedDuration::from_secs(1)).map_or(session.date, utc_date);
            session.last_date = (last > session.date).then_some(last);
        }
        // A provider's end belongs to that provider's start: it does not survive an override of the
        // start.
        let known_end = session.end.filter(|_| start.is_none() && !session.end_estimated);
        set_live_window(session, self.end.map(|end| end.0).or(known_end));
        if let Some(cancelled) = self.cancelled {
            set_cancelled(session, cancelled);
        }
        session.source = OVERRIDE_SOURCE.to_owned();
    }
}

fn set_cancelled(session: &mut Session, cancelled: bool) {
    session.status = if cancelled { SessionStatus::Cancelled } else { SessionStatus::Upcoming };
    session.source = OVERRIDE_SOURCE.to_owned();
}

fn build_session(session: &SessionOverride, meeting: &Meeting, date: Date) -> Session {
    let code = session.id.code();
    Session {
        id: format!("{}:{code}", meeting.id),
        code: code.to_owned(),
        name: session.name.clone().unwrap_or_else(|| code.to_owned()),
        meeting: meeting.name.clone(),
        start: None,
        date,
        last_date: None,
        time_known: false,
        end: None::<Timestamp>,
        end_estimated: false,
        live_from: None,
        live_until: None,
        status: SessionStatus::Upcoming,
        overrun: false,
        source: OVERRIDE_SOURCE.to_owned(),
        revision: 0,
        revised_at: None,
        disagreement: Vec::new(),
    }
}

/// The meeting with this id or former id. A meeting that no provider lists is added, and named
/// after its id until a `[[meeting]]` names it.
fn find_or_add_meeting<'a>(meetings: &'a mut Vec<Meeting>, id: &str) -> &'a mut Meeting {
    let known = meetings
        .iter()
        .position(|one| one.id == id || one.former_ids.iter().any(|former| former == id));
    let index = known.unwrap_or_else(|| {
        let mut parts = id.split(':').skip(1);
        let name = parts.next().unwrap_or(id).replace('-', " ");
        let circuit = parts.next().unwrap_or_default().to_owned();
        let circuit = Circuit { name: circuit.clone(), id: circuit, locality: None, country: None };
        meetings.push(Meeting {
            id: id.to_owned(),
            name,
            round: None,
            circuit,
            utc_offset: None,
            former_ids: Vec::new(),
            moved_to: None,
            sessions: Vec::new(),
        });
        meetings.len() - 1
    });
    #[expect(clippy::indexing_slicing, reason = "found or just pushed")]
    &mut meetings[index]
}

#[cfg(test)]
mod tests;
