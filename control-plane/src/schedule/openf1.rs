//! OpenF1: `{base}/v1/meetings` and `{base}/v1/sessions` of a year.
//!
//! The one source that knows when a session ends and says that one is cancelled. While any
//! session is live it is closed to whoever has no key, so it is asked ahead, as often as the
//! cadence says, and its last good opinion counts until it opens again.

use std::collections::BTreeMap;

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
use url::Url;

use super::calendar::{Calendar, Listed, Slot, day_of};
use super::provider::{Fault, Provider, ProviderError, get};
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
    ) -> Result<Vec<T>, ProviderError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1/{what}", self.base.path().trim_end_matches('/')));
        url.set_query(Some(&format!("year={}", day_of(now).year())));
        let body = get(fetcher, &self.policy, url, now).await.map_err(locked)?;
        serde_json::from_slice(&body)
            .map_err(|error| ProviderError::new(format!("{what} are not a list of rows: {error}")))
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

    async fn fetch(&self, fetcher: &Fetcher, now: Timestamp) -> Result<Calendar, ProviderError> {
        let meetings = self.rows(fetcher, "meetings", now).await?;
        let sessions = self.rows(fetcher, "sessions", now).await?;
        calendar(&day_of(now).year().to_string(), meetings, sessions)
    }
}

#[derive(Clone, Debug, Deserialize)]
struct MeetingRow {
    meeting_key: u64,
    meeting_name: String,
    #[serde(default)]
    is_cancelled: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct SessionRow {
    meeting_key: u64,
    session_name: String,
    date_start: Option<String>,
    date_end: Option<String>,
    gmt_offset: Option<String>,
    circuit_short_name: Option<String>,
    location: Option<String>,
    country_name: Option<String>,
    #[serde(default)]
    is_cancelled: bool,
}

fn calendar(
    season: &str,
    meetings: Vec<MeetingRow>,
    sessions: Vec<SessionRow>,
) -> Result<Calendar, ProviderError> {
    let names: BTreeMap<u64, MeetingRow> =
        meetings.into_iter().map(|row| (row.meeting_key, row)).collect();
    let mut weekends: BTreeMap<u64, Vec<SessionRow>> = BTreeMap::new();
    for row in sessions {
        weekends.entry(row.meeting_key).or_default().push(row);
    }
    let listed = weekends.iter().map(|(key, rows)| listed(season, names.get(key), rows));
    let mut listed = listed.collect::<Result<Vec<_>, _>>()?;
    listed.retain(|meeting| !meeting.slots.is_empty());
    Ok(Calendar { season: Some(season.to_owned()), meetings: listed })
}

fn listed(
    season: &str,
    meeting: Option<&MeetingRow>,
    rows: &[SessionRow],
) -> Result<Listed, ProviderError> {
    let first = rows.first();
    let text = |field: fn(&SessionRow) -> &Option<String>| first.and_then(|row| field(row).clone());
    let place = text(|row| &row.location);
    let circuit = text(|row| &row.circuit_short_name).or(place.clone()).unwrap_or_default();
    let name = meeting.map_or_else(|| circuit.clone(), |row| row.meeting_name.clone());
    let id = format!(
        "{season}:{}:{}",
        slug(&name).unwrap_or_else(|| "meeting".to_owned()),
        slug(&circuit).unwrap_or_else(|| "circuit".to_owned())
    );
    let off = meeting.is_some_and(|row| row.is_cancelled);
    let slots = rows.iter().filter_map(|row| slot(&id, row, off).transpose());
    let mut slots = slots.collect::<Result<Vec<_>, _>>()?;
    slots.sort_by_key(Slot::position);
    Ok(Listed {
        name,
        round: None,
        circuit: Circuit {
            id: id.rsplit(':').next().unwrap_or_default().to_owned(),
            name: circuit,
            locality: place,
            country: text(|row| &row.country_name),
        },
        utc_offset: text(|row| &row.gmt_offset).and_then(|text| utc_offset(&text)),
        series: true,
        slots,
        id,
    })
}

/// `None` for a row without a start: there is not even a day to list it under.
fn slot(id: &str, row: &SessionRow, off: bool) -> Result<Option<Slot>, ProviderError> {
    let Some(start) = &row.date_start else { return Ok(None) };
    let (code, name) = code(&row.session_name);
    let bad = |text: &str| ProviderError::new(format!("{id}:{code}: {text:?} is no moment"));
    let start = moment(start).ok_or_else(|| bad(start))?;
    let end = row.date_end.as_deref().map(|end| moment(end).ok_or_else(|| bad(end)));
    let end = end.transpose()?;
    Ok(Some(Slot {
        end,
        cancelled: off || row.is_cancelled,
        ..Slot::new(code, name, day_of(start)).starting(start)
    }))
}

/// Older rows leave out the offset, which is zero.
fn moment(text: &str) -> Option<Timestamp> {
    let local = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(local)
}

/// The type is no help: a sprint is a `Race`, a sprint shootout a `Qualifying`.
fn code(name: &str) -> (String, String) {
    let code = match name {
        "Practice 1" => "fp1",
        "Practice 2" => "fp2",
        "Practice 3" => "fp3",
        "Qualifying" => "qualifying",
        "Sprint Qualifying" | "Sprint Shootout" => "sprint-qualifying",
        "Sprint" => "sprint",
        "Race" => "race",
        other => return (slug(other).unwrap_or_else(|| "session".to_owned()), other.to_owned()),
    };
    (code.to_owned(), name.to_owned())
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
