//! [`OpenF1Provider`]: OpenF1: `{base}/v1/meetings` and `{base}/v1/sessions` of a year.
//!
//! OpenF1 is the only one of the Formula 1 providers that lists the end and the cancellation of
//! sessions. While any session is live, OpenF1 refuses requests without a key (401). It is
//! therefore polled ahead of sessions as often as [`cadence`](super::cadence) says, and its last
//! good snapshot stays in use until it opens again.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use http::StatusCode;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use pitwall_fetch::{AddressPolicy, Fetcher};
use pitwall_upstream_map::documents::Circuit;
use pitwall_upstream_map::slug::slugify;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::calendar::{
    ProviderCalendar, ProviderMeeting, ProviderResponse, ProviderSession, RejectedItem, utc_date,
};
use super::loose_json;
use super::provider::{self, Provider, ProviderError, ProviderFault, fetch_text, parse_utc};
use super::settings::{ProviderName, ScheduleConfig};

pub(crate) struct OpenF1Provider {
    base: Url,
    policy: AddressPolicy,
}

pub(crate) fn build_provider(config: &ScheduleConfig) -> Box<dyn Provider> {
    let base = config.openf1_url.0.clone();
    Box::new(OpenF1Provider { base, policy: config.policy(&config.openf1_url) })
}

impl OpenF1Provider {
    async fn fetch_rows<T: DeserializeOwned>(
        &self,
        fetcher: &Fetcher,
        what: &str,
        now: Timestamp,
    ) -> Result<(Vec<T>, Vec<RejectedItem>), ProviderError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1/{what}", self.base.path().trim_end_matches('/')));
        url.set_query(Some(&format!("year={}", utc_date(now).year())));
        parse_rows(what, &fetch_text(fetcher, &self.policy, url, now).await.map_err(mark_locked)?)
    }
}

fn parse_rows<T: DeserializeOwned>(
    what: &str,
    body: &str,
) -> Result<(Vec<T>, Vec<RejectedItem>), ProviderError> {
    let rows: Vec<Value> = serde_json::from_str(body)
        .map_err(|error| ProviderError::new(format!("{what} are not a list of rows: {error}")))?;
    provider::read_rows(what, rows, |row| {
        serde_json::from_value(row).map_err(|error| error.to_string())
    })
}

/// The calendar of the two responses.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn read_responses(
    season: &str,
    meetings: &str,
    sessions: &str,
) -> Result<ProviderResponse, ProviderError> {
    let (meetings, rejected) = parse_rows("meetings", meetings)?;
    let (sessions, rejected_sessions) = parse_rows("sessions", sessions)?;
    let rejected = [rejected, rejected_sessions].concat();
    Ok(build_calendar(season, meetings, sessions, rejected))
}

/// Turns a 401 into [`ProviderFault::Locked`].
fn mark_locked(error: ProviderError) -> ProviderError {
    if error.status != Some(StatusCode::UNAUTHORIZED) {
        return error;
    }
    let message = "closed while a session is live".to_owned();
    ProviderError { message, fault: ProviderFault::Locked, ..error }
}

#[async_trait]
impl Provider for OpenF1Provider {
    fn name(&self) -> &'static str {
        ProviderName::OPENF1.0
    }

    fn location(&self) -> String {
        self.base.to_string()
    }

    /// OpenF1 lists cancelled sessions with `is_cancelled`.
    fn is_omission_cancellation(&self) -> bool {
        false
    }

    async fn fetch_calendar(
        &self,
        fetcher: &Fetcher,
        now: Timestamp,
    ) -> Result<ProviderResponse, ProviderError> {
        let (meetings, mut rejected) = self.fetch_rows(fetcher, "meetings", now).await?;
        let (sessions, rejected_sessions) = self.fetch_rows(fetcher, "sessions", now).await?;
        rejected.extend(rejected_sessions);
        Ok(build_calendar(&utc_date(now).year().to_string(), meetings, sessions, rejected))
    }
}

#[derive(Clone, Debug, Deserialize)]
struct MeetingRow {
    #[serde(deserialize_with = "loose_json::key")]
    meeting_key: u64,
    #[serde(default, deserialize_with = "loose_json::text")]
    meeting_name: Option<String>,
    #[serde(default, deserialize_with = "loose_json::flag")]
    is_cancelled: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
struct SessionRow {
    #[serde(default, deserialize_with = "loose_json::number")]
    session_key: Option<u64>,
    #[serde(deserialize_with = "loose_json::key")]
    meeting_key: u64,
    #[serde(default, deserialize_with = "loose_json::text")]
    session_name: Option<String>,
    #[serde(default, deserialize_with = "loose_json::text")]
    session_type: Option<String>,
    #[serde(default, deserialize_with = "loose_json::text")]
    date_start: Option<String>,
    #[serde(default, deserialize_with = "loose_json::text")]
    date_end: Option<String>,
    #[serde(default, deserialize_with = "loose_json::text")]
    gmt_offset: Option<String>,
    #[serde(default, deserialize_with = "loose_json::text")]
    circuit_short_name: Option<String>,
    #[serde(default, deserialize_with = "loose_json::text")]
    location: Option<String>,
    #[serde(default, deserialize_with = "loose_json::text")]
    country_name: Option<String>,
    #[serde(default, deserialize_with = "loose_json::flag")]
    is_cancelled: Option<bool>,
}

fn build_calendar(
    season: &str,
    meetings: Vec<MeetingRow>,
    sessions: Vec<SessionRow>,
    mut rejected: Vec<RejectedItem>,
) -> ProviderResponse {
    let meeting_rows: BTreeMap<u64, MeetingRow> =
        meetings.into_iter().map(|row| (row.meeting_key, row)).collect();
    let mut session_rows: BTreeMap<u64, Vec<SessionRow>> = BTreeMap::new();
    for row in sessions {
        session_rows.entry(row.meeting_key).or_default().push(row);
    }
    let mut session_rows: Vec<_> = session_rows.into_iter().collect();
    session_rows
        .sort_by_key(|(key, rows)| (rows.iter().filter_map(SessionRow::start_time).min(), *key));
    let mut meetings = Vec::new();
    let mut ids = HashSet::new();
    for (key, rows) in &session_rows {
        let Some(mut meeting) = build_meeting(season, meeting_rows.get(key), rows) else {
            let why = format!("meeting {key}: it has no name to make an id of");
            rejected.push(RejectedItem::of_unknown_meeting(why));
            continue;
        };
        // Two meetings of one name and circuit, such as the tests before a season, need different
        // ids: the first one's id is as if it were alone.
        if !ids.insert(meeting.id.clone())
            && let Some((name, circuit)) = meeting.id.rsplit_once(':')
        {
            meeting.id = format!("{name}-{key}:{circuit}");
        }
        let cancelled = meeting_rows.get(key).and_then(|row| row.is_cancelled).unwrap_or(false);
        meeting.slots = build_sessions(&meeting.id, rows, cancelled, &mut rejected);
        if !meeting.slots.is_empty() {
            meetings.push(meeting);
        }
    }
    ProviderResponse {
        calendar: ProviderCalendar { season: Some(season.to_owned()), meetings },
        rejected,
    }
}

/// Builds a meeting without its sessions; `None` if it has no name that an id can be made of.
fn build_meeting(
    season: &str,
    meeting: Option<&MeetingRow>,
    rows: &[SessionRow],
) -> Option<ProviderMeeting> {
    let first = rows.first();
    let text = |field: fn(&SessionRow) -> &Option<String>| first.and_then(|row| field(row).clone());
    let locality = text(|row| &row.location);
    let circuit = text(|row| &row.circuit_short_name).or(locality.clone()).unwrap_or_default();
    let name = meeting.and_then(|row| row.meeting_name.clone());
    let name = name.filter(|name| slugify(name).is_some()).unwrap_or_else(|| circuit.clone());
    let circuit_id = slugify(&circuit).unwrap_or_else(|| "circuit".to_owned());
    Some(ProviderMeeting {
        id: format!("{season}:{}:{circuit_id}", slugify(&name)?),
        name,
        round: None,
        circuit: Circuit {
            id: circuit_id,
            name: circuit,
            locality,
            country: text(|row| &row.country_name),
        },
        utc_offset: text(|row| &row.gmt_offset).and_then(|text| normalize_utc_offset(&text)),
        series: true,
        slots: Vec::new(),
    })
}

/// The length of `2026-03-06`.
const DATE_CHARS: usize = 10;

fn build_sessions(
    id: &str,
    rows: &[SessionRow],
    meeting_cancelled: bool,
    rejected: &mut Vec<RejectedItem>,
) -> Vec<ProviderSession> {
    let mut rows: Vec<&SessionRow> = rows.iter().collect();
    rows.sort_by_key(|row| row.session_key);
    let mut codes = HashSet::new();
    let mut sessions = Vec::new();
    for row in rows {
        // A session without a start has no date either, so that it cannot be listed.
        let Some(text) = &row.date_start else { continue };
        let name = row.session_name.as_deref().or(row.session_type.as_deref());
        let name = name.unwrap_or("Session");
        let mut code = session_code(name);
        // Two sessions of one name need different codes, unless the name is one that each weekend
        // has once.
        if !codes.insert(code.clone())
            && !SESSION_CODES.iter().any(|(_, usual)| *usual == code)
            && let Some(key) = row.session_key
        {
            code = format!("{code}-{key}");
        }
        let mut reject = |why: String| rejected.push(RejectedItem::of_session(id, &code, why));
        let session = match (text.parse::<Date>(), parse_utc(text)) {
            // A date alone reads as its midnight, too.
            (Ok(date), _) if text.len() == DATE_CHARS => {
                ProviderSession::new(code.clone(), name, date)
            }
            (_, Some(start)) => {
                ProviderSession::new(code.clone(), name, utc_date(start)).with_start(start)
            }
            _ => {
                reject(format!("{text:?} is no moment"));
                continue;
            }
        };
        let end = row.date_end.as_deref();
        let end_time = end.and_then(parse_utc);
        if let Some(end) = end.filter(|_| end_time.is_none()) {
            reject(format!("{end:?} is no moment, so its end is left out"));
        }
        sessions.push(ProviderSession {
            end: end_time.filter(|_| session.start.is_some()),
            cancelled: meeting_cancelled || row.is_cancelled.unwrap_or(false),
            ..session
        });
    }
    sessions.sort_by_key(ProviderSession::sort_time);
    sessions
}

impl SessionRow {
    fn start_time(&self) -> Option<Timestamp> {
        // Older rows have no offset, which then is zero.
        parse_utc(self.date_start.as_deref()?)
    }
}

/// Session codes by name; the rows' type does not tell, as that of a sprint is `Race` and that of a
/// sprint shootout `Qualifying`.
const SESSION_CODES: [(&str, &str); 8] = [
    ("Practice 1", "fp1"),
    ("Practice 2", "fp2"),
    ("Practice 3", "fp3"),
    ("Qualifying", "qualifying"),
    ("Sprint Qualifying", "sprint-qualifying"),
    ("Sprint Shootout", "sprint-qualifying"),
    ("Sprint", "sprint"),
    ("Race", "race"),
];

fn session_code(name: &str) -> String {
    let usual = SESSION_CODES.iter().find(|(usual, _)| usual.eq_ignore_ascii_case(name));
    usual
        .map(|(_, code)| (*code).to_owned())
        .or_else(|| slugify(name))
        .unwrap_or_else(|| "session".to_owned())
}

/// Converts `-04:00:00` and `08:00:00` to `-04:00` and `+08:00`.
fn normalize_utc_offset(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ('-', rest),
        None => ('+', text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = digits.split(':').map(|part| part.parse::<i64>().ok());
    let (hours, minutes) = (parts.next()??, parts.next().flatten().unwrap_or(0));
    let offset = SignedDuration::from_mins(hours * 60 + minutes);
    (hours <= 14 && (0..60).contains(&minutes) && offset <= SignedDuration::from_hours(14))
        .then(|| format!("{sign}{hours:02}:{minutes:02}"))
}

#[cfg(test)]
pub(crate) mod tests;
