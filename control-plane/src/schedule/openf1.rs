//! OpenF1: `{base}/v1/meetings` and `{base}/v1/sessions` of a year.
//!
//! The one source that knows when a session ends and says that one is cancelled. While any
//! session is live it is closed to whoever has no key, so it is asked ahead, as often as the
//! cadence says, and its last good opinion counts until it opens again.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use http::StatusCode;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use pitwall_fetch::{Fetcher, Policy};
use pitwall_upstream_map::documents::Circuit;
use pitwall_upstream_map::slug::slug;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::calendar::{Answer, Calendar, Listed, RejectedItem, Slot, day_of};
use super::provider::{self, Fault, Provider, ProviderError, get};
use super::settings::{ProviderName, ScheduleConfig};

pub(crate) struct OpenF1 {
    base: Url,
    policy: Policy,
}

pub(crate) fn provider(config: &ScheduleConfig) -> Box<dyn Provider> {
    let base = config.openf1_url.0.clone();
    Box::new(OpenF1 { base, policy: config.policy(&config.openf1_url) })
}

impl OpenF1 {
    async fn rows<T: DeserializeOwned>(
        &self,
        fetcher: &Fetcher,
        what: &str,
        now: Timestamp,
    ) -> Result<(Vec<T>, Vec<RejectedItem>), ProviderError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1/{what}", self.base.path().trim_end_matches('/')));
        url.set_query(Some(&format!("year={}", day_of(now).year())));
        let body = get(fetcher, &self.policy, url, now).await.map_err(locked)?;
        let rows: Vec<Value> = serde_json::from_slice(&body).map_err(|error| {
            ProviderError::new(format!("{what} are not a list of rows: {error}"))
        })?;
        provider::rows(what, rows, |row| {
            serde_json::from_value(row).map_err(|error| error.to_string())
        })
    }
}

fn locked(error: ProviderError) -> ProviderError {
    if error.status != Some(StatusCode::UNAUTHORIZED) {
        return error;
    }
    let message = "closed while a session is live".to_owned();
    ProviderError { message, fault: Fault::Locked, ..error }
}

#[async_trait]
impl Provider for OpenF1 {
    fn name(&self) -> &'static str {
        ProviderName::OPENF1.0
    }

    fn origin(&self) -> String {
        self.base.to_string()
    }

    /// It says so itself.
    fn drops_cancelled(&self) -> bool {
        false
    }

    async fn fetch(&self, fetcher: &Fetcher, now: Timestamp) -> Result<Answer, ProviderError> {
        let (meetings, mut rejected) = self.rows(fetcher, "meetings", now).await?;
        let (sessions, unread) = self.rows(fetcher, "sessions", now).await?;
        rejected.extend(unread);
        Ok(calendar(&day_of(now).year().to_string(), meetings, sessions, rejected))
    }
}

#[derive(Clone, Debug, Deserialize)]
struct MeetingRow {
    meeting_key: u64,
    meeting_name: Option<String>,
    is_cancelled: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
struct SessionRow {
    session_key: Option<u64>,
    meeting_key: u64,
    session_name: String,
    date_start: Option<String>,
    date_end: Option<String>,
    gmt_offset: Option<String>,
    circuit_short_name: Option<String>,
    location: Option<String>,
    country_name: Option<String>,
    is_cancelled: Option<bool>,
}

fn calendar(
    season: &str,
    meetings: Vec<MeetingRow>,
    sessions: Vec<SessionRow>,
    mut rejected: Vec<RejectedItem>,
) -> Answer {
    let names: BTreeMap<u64, MeetingRow> =
        meetings.into_iter().map(|row| (row.meeting_key, row)).collect();
    let mut weekends: BTreeMap<u64, Vec<SessionRow>> = BTreeMap::new();
    for row in sessions {
        weekends.entry(row.meeting_key).or_default().push(row);
    }
    let mut weekends: Vec<_> = weekends.into_iter().collect();
    weekends.sort_by_key(|(key, rows)| (rows.iter().filter_map(SessionRow::start).min(), *key));
    let mut meetings = Vec::new();
    let mut ids = HashSet::new();
    for (key, rows) in &weekends {
        let Some(mut listed) = listed(season, names.get(key), rows) else {
            let why = format!("meeting {key}: it has no name to make an id of");
            rejected.push(RejectedItem::unknown(why));
            continue;
        };
        // Two meetings of one name and place, such as the tests before a season, are two. The first
        // one has the id that it has alone.
        if !ids.insert(listed.id.clone())
            && let Some((name, circuit)) = listed.id.rsplit_once(':')
        {
            listed.id = format!("{name}-{key}:{circuit}");
        }
        let off = names.get(key).and_then(|row| row.is_cancelled).unwrap_or(false);
        listed.slots = slots(&listed.id, rows, off, &mut rejected);
        if !listed.slots.is_empty() {
            meetings.push(listed);
        }
    }
    Answer { calendar: Calendar { season: Some(season.to_owned()), meetings }, rejected }
}

/// A meeting without its sessions. `None`: it has no name to make an id of.
fn listed(season: &str, meeting: Option<&MeetingRow>, rows: &[SessionRow]) -> Option<Listed> {
    let first = rows.first();
    let text = |field: fn(&SessionRow) -> &Option<String>| first.and_then(|row| field(row).clone());
    let place = text(|row| &row.location);
    let circuit = text(|row| &row.circuit_short_name).or(place.clone()).unwrap_or_default();
    let name = meeting.and_then(|row| row.meeting_name.clone());
    let name = name.filter(|name| slug(name).is_some()).unwrap_or_else(|| circuit.clone());
    let circuit_id = slug(&circuit).unwrap_or_else(|| "circuit".to_owned());
    Some(Listed {
        id: format!("{season}:{}:{circuit_id}", slug(&name)?),
        name,
        round: None,
        circuit: Circuit {
            id: circuit_id,
            name: circuit,
            locality: place,
            country: text(|row| &row.country_name),
        },
        utc_offset: text(|row| &row.gmt_offset).and_then(|text| utc_offset(&text)),
        series: true,
        slots: Vec::new(),
    })
}

fn slots(id: &str, rows: &[SessionRow], off: bool, rejected: &mut Vec<RejectedItem>) -> Vec<Slot> {
    let mut rows: Vec<&SessionRow> = rows.iter().collect();
    rows.sort_by_key(|row| row.session_key);
    let mut codes = HashSet::new();
    let mut slots = Vec::new();
    for row in rows {
        // There is not even a day to list it under.
        let Some(text) = &row.date_start else { continue };
        let mut code = code(&row.session_name);
        // Two sessions of one name, which is none that each weekend has once, are two.
        if !codes.insert(code.clone())
            && !USUAL.iter().any(|(_, usual)| *usual == code)
            && let Some(key) = row.session_key
        {
            code = format!("{code}-{key}");
        }
        let mut reject = |why: String| rejected.push(RejectedItem::session(id, &code, why));
        let Some(start) = moment(text) else {
            reject(format!("{text:?} is no moment"));
            continue;
        };
        let end = row.date_end.as_deref();
        let known = end.and_then(moment);
        if let Some(end) = end.filter(|_| known.is_none()) {
            reject(format!("{end:?} is no moment, so its end is left out"));
        }
        let slot = Slot::new(code, &row.session_name, day_of(start)).starting(start);
        slots.push(Slot {
            end: known,
            cancelled: off || row.is_cancelled.unwrap_or(false),
            ..slot
        });
    }
    slots.sort_by_key(Slot::position);
    slots
}

impl SessionRow {
    fn start(&self) -> Option<Timestamp> {
        moment(self.date_start.as_deref()?)
    }
}

/// Older rows leave out the offset, which is zero.
fn moment(text: &str) -> Option<Timestamp> {
    let local = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(local)
}

/// By name, as the type is no help: a sprint is a `Race`, a sprint shootout a `Qualifying`.
const USUAL: [(&str, &str); 8] = [
    ("Practice 1", "fp1"),
    ("Practice 2", "fp2"),
    ("Practice 3", "fp3"),
    ("Qualifying", "qualifying"),
    ("Sprint Qualifying", "sprint-qualifying"),
    ("Sprint Shootout", "sprint-qualifying"),
    ("Sprint", "sprint"),
    ("Race", "race"),
];

fn code(name: &str) -> String {
    let usual = USUAL.iter().find(|(usual, _)| *usual == name).map(|(_, code)| (*code).to_owned());
    usual.or_else(|| slug(name)).unwrap_or_else(|| "session".to_owned())
}

/// `-04:00:00` and `08:00:00` as `-04:00` and `+08:00`.
fn utc_offset(text: &str) -> Option<String> {
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
