//! The operator's word: a file that wins over every source.
//!
//! ```toml
//! [[session]]
//! id = "2026:miami-grand-prix:miami:race"    # as /api/schedule has it
//! start = 2026-05-03T17:00:00Z
//!
//! [[session]]                                # one that no source lists
//! id = "2026:miami-grand-prix:miami:paddock-show"
//! name = "Paddock show"
//! start = 2026-05-03T15:00:00Z
//! end = 2026-05-03T16:00:00Z
//!
//! [[meeting]]
//! id = "2026:bahrain-grand-prix:bahrain"
//! cancelled = true
//! ```

mod file;

use jiff::Timestamp;
use jiff::civil::Date;
use pitwall_upstream_map::documents::{Circuit, Meeting, Session, SessionStatus};
use serde::Deserialize;

use self::file::{Day, Moment, SessionId};
use super::calendar::day_of;
use super::merge::frame;

pub use self::file::OverrideError;
pub(crate) use self::file::{OverrideFile, read};

const SOURCE: &str = "override";

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
    start: Option<Moment>,
    /// For a session of which only the day is known.
    date: Option<Day>,
    end: Option<Moment>,
    cancelled: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeetingOverride {
    id: file::MeetingId,
    name: Option<String>,
    circuit: Option<String>,
    cancelled: Option<bool>,
    /// Not to be listed at all.
    #[serde(default)]
    hidden: bool,
}

impl Overrides {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len() + self.meetings.len()
    }

    pub(crate) fn apply(&self, meetings: &mut Vec<Meeting>) {
        let hidden = |id: &str| self.meetings.iter().any(|one| one.hidden && one.id.0 == id);
        meetings.retain(|meeting| !hidden(&meeting.id));
        for said in self.meetings.iter().filter(|said| !said.hidden) {
            said.apply(find_or_add(meetings, &said.id.0));
        }
        for said in self.sessions.iter().filter(|said| !hidden(said.id.meeting())) {
            said.apply(find_or_add(meetings, said.id.meeting()));
        }
        // One of which no session is known says nothing.
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
            meeting.sessions.iter_mut().for_each(|session| set(session, cancelled));
        }
    }
}

impl SessionOverride {
    fn apply(&self, meeting: &mut Meeting) {
        let start = self.start.map(|start| start.0);
        let at = meeting.sessions.iter().position(|one| one.code == self.id.code());
        let at = at.or_else(|| {
            let date = self.date.map(|day| day.0).or(start.map(day_of))?;
            meeting.sessions.push(added(self, meeting, date));
            meeting.sessions.len().checked_sub(1)
        });
        let Some(session) = at.and_then(|at| meeting.sessions.get_mut(at)) else { return };
        if let Some(name) = &self.name {
            session.name.clone_from(name);
        }
        if start.is_some() || self.date.is_some() {
            session.start = start;
            session.date = self.date.map(|day| day.0).or(start.map(day_of)).unwrap_or(session.date);
        }
        // An end that somebody knows belongs to the start they know.
        let known = session.end.filter(|_| start.is_none() && !session.end_estimated);
        frame(session, self.end.map(|end| end.0).or(known));
        if let Some(cancelled) = self.cancelled {
            set(session, cancelled);
        }
        session.source = SOURCE.to_owned();
    }
}

fn set(session: &mut Session, cancelled: bool) {
    session.status = if cancelled { SessionStatus::Cancelled } else { SessionStatus::Upcoming };
    session.source = SOURCE.to_owned();
}

fn added(said: &SessionOverride, meeting: &Meeting, date: Date) -> Session {
    let code = said.id.code();
    Session {
        id: format!("{}:{code}", meeting.id),
        code: code.to_owned(),
        name: said.name.clone().unwrap_or_else(|| code.to_owned()),
        meeting: meeting.name.clone(),
        start: None,
        date,
        time_known: false,
        end: None::<Timestamp>,
        end_estimated: false,
        live_from: None,
        live_until: None,
        status: SessionStatus::Upcoming,
        overrun: false,
        source: SOURCE.to_owned(),
        revision: 0,
        revised_at: None,
        disagreement: Vec::new(),
    }
}

/// A meeting that no source lists is named after its id until a `[[meeting]]` names it.
fn find_or_add<'a>(meetings: &'a mut Vec<Meeting>, id: &str) -> &'a mut Meeting {
    let known = meetings
        .iter()
        .position(|one| one.id == id || one.former_ids.iter().any(|former| former == id));
    let at = known.unwrap_or_else(|| {
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
    &mut meetings[at]
}

#[cfg(test)]
mod tests;
