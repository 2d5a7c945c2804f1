//! What the public may see, as the API answers it. Written by the control plane, answered
//! by the edge byte for byte, read by the page (`frontend/src/lib/api`). No upstream URL,
//! header or token belongs in any of these.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::map::{Container, Health, Rendition, RenditionId, Role, StreamId};

/// The documents of one map, each already written.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Documents {
    pub bootstrap: Document,
    pub schedule: Document,
    pub streams: Document,
    pub extractors: Document,
    pub status: Document,
    /// Of each stream, also of those that nothing plays now.
    #[serde(default)]
    pub explain: BTreeMap<StreamId, Document>,
    /// `/calendar.ics`.
    #[serde(default)]
    pub calendar: Document,
    /// `/iptv/guide.xml`.
    #[serde(default)]
    pub guide: Document,
    /// `/iptv/playlist.m3u`.
    #[serde(default)]
    pub playlist: Document,
}

/// Text, most often JSON, shared by every answer that carries it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document(std::sync::Arc<str>);

impl Document {
    pub fn of<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::to_string(value)?.into()))
    }

    /// What is written otherwise than as JSON.
    pub fn text(text: impl Into<std::sync::Arc<str>>) -> Self {
        Self(text.into())
    }

    /// `None` until the control plane has published it.
    pub fn as_str(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&self.0)
    }

    /// The same, where it is JSON.
    pub fn json(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&self.0)
    }
}

/// `GET /api/bootstrap`: all the page needs to start watching.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Bootstrap {
    pub version: u64,
    pub generated_at: Timestamp,
    /// The session that is live, else the next one.
    pub session: Option<Session>,
    pub streams: Vec<PublicStream>,
}

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

/// `GET /api/streams`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Streams {
    pub version: u64,
    pub generated_at: Timestamp,
    pub streams: Vec<PublicStream>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublicStream {
    pub id: StreamId,
    pub feed: String,
    /// The path that plays it.
    pub playlist: String,
    pub health: Health,
    pub checked_at: Option<Timestamp>,
    pub sources: Vec<PublicSource>,
    /// Of the upstream that plays now.
    pub renditions: Vec<PublicRendition>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublicSource {
    pub name: String,
    pub label: Option<String>,
    pub note: Option<String>,
    pub kind: String,
    pub active: bool,
    pub health: Health,
    pub score: f64,
    pub latency_ms: Option<u64>,
    pub expires_at: Option<Timestamp>,
    pub error: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublicRendition {
    pub id: RenditionId,
    pub role: Role,
    pub label: String,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub bandwidth: Option<u64>,
    pub frame_rate: Option<f64>,
    pub codecs: Option<String>,
    pub language: Option<String>,
    pub name: Option<String>,
    pub container: Container,
}

impl From<&Rendition> for PublicRendition {
    fn from(rendition: &Rendition) -> Self {
        Self {
            id: rendition.id.clone(),
            role: rendition.role,
            label: rendition.label.clone(),
            width: rendition.resolution.map(|(width, _)| width),
            height: rendition.resolution.map(|(_, height)| height),
            bandwidth: rendition.bandwidth,
            frame_rate: rendition.frame_rate,
            codecs: rendition.codecs.clone(),
            language: rendition.language.clone(),
            name: rendition.name.clone(),
            container: rendition.container,
        }
    }
}

/// `GET /api/extractors`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Extractors {
    pub extractors: Vec<ExtractorStatus>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExtractorStatus {
    /// The source's name.
    pub name: String,
    pub kind: String,
    pub state: ExtractorState,
    pub every_seconds: u64,
    pub last_run_at: Option<Timestamp>,
    pub last_success_at: Option<Timestamp>,
    pub next_run_at: Option<Timestamp>,
    pub duration_ms: Option<u64>,
    /// How many the last successful run found.
    pub candidates: usize,
    pub error: Option<ExtractorError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExtractorState {
    Ok,
    Failing,
    /// Has not finished a run yet.
    Never,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtractorError {
    /// Which step failed, such as `3 select form input[name=csrf]`.
    pub step: String,
    pub message: String,
}

/// `GET /api/status`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub version: u64,
    pub generated_at: Timestamp,
    pub started_at: Timestamp,
    pub schedule: ScheduleStatus,
    pub streams: StreamCount,
    pub extractors: ExtractorCount,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ScheduleStatus {
    pub source: Option<String>,
    pub fetched_at: Option<Timestamp>,
    pub stale_since: Option<Timestamp>,
    pub error: Option<String>,
    /// Sessions to come or live on which sources disagree.
    #[serde(default)]
    pub disagreements: usize,
    #[serde(default)]
    pub providers: Vec<ProviderStatus>,
}

/// One place the schedule is read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderStatus {
    pub name: String,
    pub fetched_at: Option<Timestamp>,
    /// Since when it could not be read.
    pub stale_since: Option<Timestamp>,
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct StreamCount {
    pub total: usize,
    pub healthy: usize,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ExtractorCount {
    pub total: usize,
    pub failing: usize,
}

/// `GET /api/streams/{id}/explain`: why its upstreams stand in this order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    pub stream: StreamId,
    pub feed: String,
    pub generated_at: Timestamp,
    pub viewers: usize,
    /// Why the one that plays does, in a sentence.
    pub summary: String,
    /// Best first, those that are down or on trial too.
    pub upstreams: Vec<ExplainedUpstream>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExplainedUpstream {
    pub source: String,
    pub label: Option<String>,
    /// It plays.
    pub active: bool,
    pub health: Health,
    /// Why it stands here, in a sentence.
    pub reason: String,
    pub priority: i32,
    /// The sum of the points of its parts, which decides within a priority.
    pub score: f64,
    pub parts: Vec<ScorePart>,
    pub breaker: BreakerState,
    pub checked_at: Timestamp,
    pub error: Option<String>,
    pub expires_at: Option<Timestamp>,
    /// Who says so.
    pub expiry: ExpirySource,
    pub latency_ms: Option<u64>,
    /// Bits a second, measured over the beginning of a segment.
    pub throughput: Option<u64>,
    /// Bits a second of the newest segment.
    pub bitrate: Option<u64>,
    /// How far its newest segment is behind the clock, where its playlist has dates.
    pub behind_seconds: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScorePart {
    /// `success`, `latency`, `throughput`, `stalls`, or the name of a preference.
    pub name: String,
    /// 0 to 1; of a preference, 1.
    pub value: f64,
    pub weight: f64,
    /// What it adds to the score.
    pub points: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    Closed,
    Open,
    /// It answers again, and has to do so a few times more.
    HalfOpen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExpirySource {
    /// The URL or the site.
    Upstream,
    /// When earlier ones were refused.
    Learned,
    Configured,
    /// Nobody.
    Unknown,
}

/// What is wrong with a request, as RFC 9457 has it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemDetails {
    /// `urn:pitwall:problem:` and a name that stays: clients and dashboards match on it.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
}

impl ProblemDetails {
    pub fn new(name: &str, status: StatusCode, detail: String) -> Self {
        Self {
            kind: format!("urn:pitwall:problem:{name}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail,
        }
    }
}
