//! [`Schedule`]: meetings and their sessions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/schedule`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    pub season: Option<String>,
    pub fetched_at: Option<Timestamp>,
    /// Time since which the provider cannot be read; `None` while it can.
    pub stale_since: Option<Timestamp>,
    pub source: Option<String>,
    pub meetings: Vec<Meeting>,
}

impl Schedule {
    /// The session with the id of a link, also if its meeting was renamed or moved to another
    /// circuit since.
    pub fn find_session(&self, id: &str) -> Option<&Session> {
        let sessions = || self.meetings.iter().flat_map(|meeting| &meeting.sessions);
        if let Some(session) = sessions().find(|session| session.id == id) {
            return Some(session);
        }
        let (meeting, code) = id.rsplit_once(':')?;
        let position_of_code =
            |meeting: &'_ Meeting| meeting.sessions.iter().position(|session| session.code == code);
        let renamed =
            self.meetings.iter().find(|one| one.former_ids.iter().any(|former| former == meeting));
        // Without a record of former ids, the meeting is identified by season and either race or
        // circuit.
        let parts = |id: &str| {
            let mut parts = id.splitn(3, ':').map(str::to_owned);
            Some([parts.next()?, parts.next()?, parts.next()?])
        };
        let [season, race, circuit] = parts(meeting)?;
        let mut candidates = self.meetings.iter().filter(|one| {
            parts(&one.id).is_some_and(|[s, r, c]| s == season && (r == race || c == circuit))
        });
        let unique = candidates.next().filter(|_| candidates.next().is_none());
        renamed.or(unique).and_then(|meeting| meeting.sessions.get(position_of_code(meeting)?))
    }
}

/// A Grand Prix, or another weekend of sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Meeting {
    /// `{season}:{race-slug}:{circuitId}`; never the round, which changes when a race is cancelled.
    pub id: String,
    pub name: String,
    pub round: Option<u32>,
    pub circuit: Circuit,
    /// UTC offset at the circuit, such as `-04:00`, if a provider states it.
    #[serde(default)]
    pub utc_offset: Option<String>,
    /// Ids of the meeting under another name or at another circuit, so that old links still
    /// resolve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_ids: Vec<String>,
    /// Id of the meeting that replaces this cancelled one.
    #[serde(default)]
    pub moved_to: Option<String>,
    pub sessions: Vec<Session>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Circuit {
    pub id: String,
    pub name: String,
    pub locality: Option<String>,
    pub country: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// `{meeting id}:{code}`.
    pub id: String,
    pub code: String,
    pub name: String,
    pub meeting: String,
    pub start: Option<Timestamp>,
    /// The day of the session, or its first one.
    pub date: jiff::civil::Date,
    /// The last day of a session of several whole days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_date: Option<jiff::civil::Date>,
    pub time_known: bool,
    pub end: Option<Timestamp>,
    pub end_estimated: bool,
    pub live_from: Option<Timestamp>,
    pub live_until: Option<Timestamp>,
    pub status: SessionStatus,
    /// The session is live past its end, because a stream of it still plays.
    #[serde(default)]
    pub overrun: bool,
    /// The provider whose claim was accepted.
    pub source: String,
    /// Grows with every change of start, end or cancellation, also across restarts and while the
    /// session is not listed.
    pub revision: u32,
    #[serde(default)]
    pub revised_at: Option<Timestamp>,
    /// Claims of other providers that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagreement: Vec<Claim>,
}

impl Session {
    /// The last day of the session, which is its only one unless it takes several whole days.
    pub fn last_day(&self) -> jiff::civil::Date {
        self.last_date.unwrap_or(self.date)
    }

    /// Title of the session without its context. An event that is no session of a weekend has its
    /// meeting's name and is not prefixed with it.
    pub fn title(&self) -> String {
        match self.name == self.meeting {
            true => self.name.clone(),
            false => format!("{}: {}", self.meeting, self.name),
        }
    }
}

/// One provider's claim about a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    pub source: String,
    pub start: Option<Timestamp>,
    pub date: jiff::civil::Date,
    pub cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionStatus {
    Upcoming,
    Live,
    Past,
    Cancelled,
}
