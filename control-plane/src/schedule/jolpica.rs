//! [`JolpicaProvider`]: jolpica-f1, the successor of Ergast: `{base}/f1/current/races/`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use pitwall_fetch::{AddressPolicy, Fetcher};
use pitwall_upstream_map::documents::Circuit;
use pitwall_upstream_map::slug::slugify;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::calendar::{
    ProviderCalendar, ProviderMeeting, ProviderResponse, ProviderSession, RejectedItem, is_id_part,
};
use super::loose_json;
use super::provider::{self, Provider, ProviderError, fetch_text};
use super::settings::{ProviderName, ScheduleConfig};

/// The API's limit of races per page.
const PAGE_MAX_RACES: usize = 100;
/// What is written for a time that is not known yet.
const UNKNOWN_TIMES: [&str; 3] = ["TBC", "TBD", "TBA"];
/// More races than any season has, so that a pager that never ends is refused.
const MAX_RACES: usize = 500;

pub(crate) struct JolpicaProvider {
    base: Url,
    policy: AddressPolicy,
}

pub(crate) fn build_provider(config: &ScheduleConfig) -> Box<dyn Provider> {
    let base = config.jolpica_url.0.clone();
    Box::new(JolpicaProvider { base, policy: config.policy(&config.jolpica_url) })
}

impl JolpicaProvider {
    async fn fetch_page(
        &self,
        fetcher: &Fetcher,
        offset: usize,
        now: Timestamp,
    ) -> Result<Page, ProviderError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/f1/current/races/", self.base.path().trim_end_matches('/')));
        url.set_query(Some(&format!("limit={PAGE_MAX_RACES}&offset={offset}")));
        parse_page(&fetch_text(fetcher, &self.policy, url, now).await?)
    }
}

#[async_trait]
impl Provider for JolpicaProvider {
    fn name(&self) -> &'static str {
        ProviderName::JOLPICA.0
    }

    fn location(&self) -> String {
        self.base.to_string()
    }

    async fn fetch_calendar(
        &self,
        fetcher: &Fetcher,
        now: Timestamp,
    ) -> Result<ProviderResponse, ProviderError> {
        let mut races = Vec::new();
        loop {
            let page = self.fetch_page(fetcher, races.len(), now).await?;
            let received = page.races.len();
            races.extend(page.races);
            let total = page.total.unwrap_or(races.len());
            if races.len() >= total {
                return build_calendar(races);
            }
            if received == 0 || races.len() > MAX_RACES {
                let message = format!("{total} races announced, {} came", races.len());
                return Err(ProviderError::new(message));
            }
        }
    }
}

#[derive(Debug)]
struct Page {
    total: Option<usize>,
    /// Parsed one by one, so that a malformed race does not affect the others.
    races: Vec<Value>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "MRData")]
    data: MrData,
}

#[derive(Deserialize)]
struct MrData {
    #[serde(default, deserialize_with = "loose_json::number")]
    total: Option<u64>,
    #[serde(rename = "RaceTable")]
    table: RaceTable,
}

#[derive(Deserialize)]
struct RaceTable {
    #[serde(rename = "Races")]
    races: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Race {
    #[serde(default, rename = "season", deserialize_with = "loose_json::text")]
    stated_season: Option<String>,
    #[serde(default, rename = "round", deserialize_with = "loose_json::number")]
    round: Option<u64>,
    #[serde(default, rename = "raceName", deserialize_with = "loose_json::text")]
    name: Option<String>,
    circuit: Option<RaceCircuit>,
    /// The race's own `date` and `time`, and sessions whose names are not known. Sessions are parsed
    /// one by one, so that a malformed session does not affect the others.
    #[serde(flatten)]
    race: Value,
    first_practice: Option<Value>,
    second_practice: Option<Value>,
    third_practice: Option<Value>,
    qualifying: Option<Value>,
    sprint: Option<Value>,
    sprint_qualifying: Option<Value>,
    /// In 2023 only.
    sprint_shootout: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct RaceCircuit {
    #[serde(default, rename = "circuitId", deserialize_with = "loose_json::text")]
    id: Option<String>,
    #[serde(default, rename = "circuitName", deserialize_with = "loose_json::text")]
    name: Option<String>,
    #[serde(rename = "Location")]
    location: Option<Location>,
}

#[derive(Debug, Deserialize)]
struct Location {
    #[serde(default, deserialize_with = "loose_json::text")]
    locality: Option<String>,
    #[serde(default, deserialize_with = "loose_json::text")]
    country: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct SessionTime {
    #[serde(default, deserialize_with = "loose_json::text")]
    date: Option<String>,
    #[serde(default, deserialize_with = "loose_json::text")]
    time: Option<String>,
}

fn parse_page(body: &str) -> Result<Page, ProviderError> {
    let payload: Payload = serde_json::from_str(body)
        .map_err(|error| ProviderError::new(format!("not a race table: {error}")))?;
    let total = payload.data.total.and_then(|total| usize::try_from(total).ok());
    Ok(Page { total, races: payload.data.table.races })
}

fn build_calendar(races: Vec<Value>) -> Result<ProviderResponse, ProviderError> {
    let (races, mut rejected) = provider::read_rows("races", races, |row| {
        let race: Race = serde_json::from_value(row).map_err(|error| error.to_string())?;
        let season = race.season();
        match (is_year(season), race.name.as_deref().and_then(slugify)) {
            (false, _) => Err(format!("its season {season:?} is no year")),
            (true, None) => Err("it has no name to make an id of".to_owned()),
            (true, Some(name)) => Ok((name, race)),
        }
    })?;
    let season = most_common_season(&races).unwrap_or_default();
    let mut meetings = Vec::new();
    for (name, race) in &races {
        let meeting = build_meeting(&season, name, race, &mut rejected);
        if race.season() != season {
            let why = format!("its season is {}, not {season}", race.season());
            rejected.push(RejectedItem::of_meeting(&meeting.id, why));
        } else if !meeting.slots.is_empty() {
            meetings.push(meeting);
        }
    }
    Ok(ProviderResponse { calendar: ProviderCalendar { season: Some(season), meetings }, rejected })
}

/// The season of most races, so that a mistake in one does not affect the others.
fn most_common_season(races: &[(String, Race)]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, race) in races {
        *counts.entry(race.season()).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(season, _)| season.to_owned())
}

fn build_meeting(
    season: &str,
    name: &str,
    race: &Race,
    rejected: &mut Vec<RejectedItem>,
) -> ProviderMeeting {
    let unknown = RaceCircuit::default();
    let place = race.circuit.as_ref().unwrap_or(&unknown);
    // The provider's circuit id unchanged, unless it cannot be part of an id.
    let circuit = place.id.clone().filter(|id| is_id_part(id));
    let names = || [&place.id, &place.name].into_iter().flatten();
    let circuit = circuit.or_else(|| names().find_map(|name| slugify(name)));
    let circuit = circuit.unwrap_or_else(|| "circuit".into());
    let id = format!("{season}:{name}:{circuit}");
    let mut sessions = Vec::new();
    for (code, name, when) in session_entries(race) {
        match build_session(&code, &name, when) {
            Ok(session) => sessions.push(session),
            Err(why) => rejected.push(RejectedItem::of_session(&id, &code, why)),
        }
    }
    sessions.sort_by_key(ProviderSession::sort_time);
    let location = place.location.as_ref();
    ProviderMeeting {
        name: race.name.clone().unwrap_or_default(),
        round: race.round.and_then(|round| round.try_into().ok()),
        circuit: Circuit {
            id: circuit,
            name: place.name.clone().unwrap_or_default(),
            locality: location.and_then(|location| location.locality.clone()),
            country: location.and_then(|location| location.country.clone()),
        },
        utc_offset: None,
        series: true,
        slots: sessions,
        id,
    }
}

fn is_year(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Code, name and time of the sessions of a weekend, whatever its format.
fn session_entries(race: &Race) -> Vec<(String, String, &Value)> {
    let shootout = race.sprint_shootout.as_ref();
    // Ergast called the sprint shootouts of 2023 the second practice. In 2021 and 2022 a
    // sprint weekend did have one.
    let second_is_shootout = race.season() == "2023"
        && race.sprint.is_some()
        && shootout.is_none()
        && race.sprint_qualifying.is_none();
    let second = match second_is_shootout {
        true => ("sprint-qualifying", "Sprint Shootout"),
        false => ("fp2", "Practice 2"),
    };
    let all = [
        ("fp1", "Practice 1", race.first_practice.as_ref()),
        (second.0, second.1, race.second_practice.as_ref()),
        ("fp3", "Practice 3", race.third_practice.as_ref()),
        ("sprint-qualifying", "Sprint Shootout", shootout),
        ("sprint-qualifying", "Sprint Qualifying", race.sprint_qualifying.as_ref()),
        ("sprint", "Sprint", race.sprint.as_ref()),
        ("qualifying", "Qualifying", race.qualifying.as_ref()),
        ("race", "Race", Some(&race.race)),
    ];
    let known = all
        .into_iter()
        .filter_map(|(code, name, when)| Some((code.to_owned(), name.to_owned(), when?)));
    let others = race.race.as_object().into_iter().flatten().filter_map(|(key, when)| {
        let name = when.get("date").and_then(|_| separate_words(key))?;
        Some((slugify(&name)?, name, when))
    });
    known.chain(others).collect()
}

/// `Warm Up` of `WarmUp`.
fn separate_words(key: &str) -> Option<String> {
    let mut name = String::new();
    for c in key.chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push(' ');
        }
        name.push(c);
    }
    slugify(&name).map(|_| name)
}

impl Race {
    /// The season, which is the year of the race where it is not stated.
    fn season(&self) -> &str {
        let date = || self.race.get("date")?.as_str()?.get(..4);
        self.stated_season.as_deref().or_else(date).unwrap_or_default()
    }
}

fn build_session(code: &str, name: &str, when: &Value) -> Result<ProviderSession, String> {
    let SessionTime { date, time } =
        SessionTime::deserialize(when).map_err(|error| error.to_string())?;
    let written = date.ok_or("it has no date")?;
    // Of a date with a time only the date counts, as `time` is where the time stands.
    let day = written.split(['T', ' ']).next().unwrap_or_default();
    let date: Date = day.parse().map_err(|_| format!("{written:?} is no date"))?;
    let session = ProviderSession::new(code, name, date);
    let is_open = |time: &str| UNKNOWN_TIMES.iter().any(|it| time.eq_ignore_ascii_case(it));
    let Some(time) = time.filter(|time| !is_open(time)) else { return Ok(session) };
    let text = if time.contains('T') { time.clone() } else { format!("{date}T{time}") };
    let start = provider::parse_utc(&text).ok_or_else(|| format!("{time:?} is no time"))?;
    Ok(session.with_start(start))
}

/// The calendar of a one-page response.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn read_page(text: &str) -> Result<ProviderResponse, ProviderError> {
    build_calendar(parse_page(text)?.races)
}

#[cfg(test)]
pub(crate) fn read_calendar(text: &str) -> ProviderCalendar {
    read_page(text).unwrap().calendar
}

#[cfg(test)]
mod tests;
