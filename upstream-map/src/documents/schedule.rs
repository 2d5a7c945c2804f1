//! [`Schedule`]: meetings, and their sessions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/schedule`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    pub season: Option<String>,
    pub fetched_at: Option<Timestamp>,
    /// Since when the provider could not be read; `None` while it can.
    pub stale_since: Option<Timestamp>,
    pub source: Option<String>,
    pub meetings: Vec<Meeting>,
}

impl Schedule {
    /// The session a link means, also one from before its meeting was renamed or moved to
    /// another circuit.
    pub fn session(&self, id: &str) -> Option<&Session> {
        let sessions = || self.meetings.iter().flat_map(|meeting| &meeting.sessions);
        if let Some(session) = sessions().find(|session| session.id == id) {
            return Some(session);
        }
        let (meeting, code) = id.rsplit_once(':')?;
        let of = |meeting: &'_ Meeting| meeting.sessions.iter().position(|one| one.code == code);
        let renamed =
            self.meetings.iter().find(|one| one.former_ids.iter().any(|former| former == meeting));
        // What nobody remembers: the same race elsewhere, or another name for the same place.
        let parts = |id: &str| {
            let mut parts = id.splitn(3, ':').map(str::to_owned);
            Some([parts.next()?, parts.next()?, parts.next()?])
        };
        let [season, race, circuit] = parts(meeting)?;
        let mut alike = self.meetings.iter().filter(|one| {
            parts(&one.id).is_some_and(|[s, r, c]| s == season && (r == race || c == circuit))
        });
        let only = alike.next().filter(|_| alike.next().is_none());
        renamed.or(only).and_then(|meeting| meeting.sessions.get(of(meeting)?))
    }
}

/// One Grand Prix, or another weekend of sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Meeting {
    /// `{season}:{race-slug}:{circuitId}`; never the round, which changes when a race is cancelled.
    pub id: String,
    pub name: String,
    pub round: Option<u32>,
    pub circuit: Circuit,
    /// What clocks at the circuit show, such as `-04:00`, if a source says.
    #[serde(default)]
    pub utc_offset: Option<String>,
    /// Ids it had under another name or at another circuit: old links lead here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_ids: Vec<String>,
    /// Cancelled, and this meeting is what became of it.
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
    pub date: jiff::civil::Date,
    pub time_known: bool,
    pub end: Option<Timestamp>,
    pub end_estimated: bool,
    pub live_from: Option<Timestamp>,
    pub live_until: Option<Timestamp>,
    pub status: SessionStatus,
    /// Live past its end, while there is something to watch.
    #[serde(default)]
    pub overrun: bool,
    /// Who is believed.
    pub source: String,
    /// Grows with every change of start, end or cancellation, also over restarts.
    pub revision: u32,
    #[serde(default)]
    pub revised_at: Option<Timestamp>,
    /// What other sources say instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagreement: Vec<Claim>,
}

impl Session {
    /// What it is called by itself. An event that is no session of a weekend is its own meeting.
    pub fn title(&self) -> String {
        match self.name == self.meeting {
            true => self.name.clone(),
            false => format!("{}: {}", self.meeting, self.name),
        }
    }
}

/// What one source says of a session.
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
