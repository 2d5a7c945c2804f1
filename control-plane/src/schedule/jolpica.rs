//! jolpica-f1, the successor of Ergast: `{base}/f1/current/races/`.

use std::time::Duration;

use async_trait::async_trait;
use http::{StatusCode, header};
use jiff::Timestamp;
use jiff::civil::Date;
use pitwall_fetch::{Fetcher, Policy, Request, Response};
use pitwall_upstream_map::documents::{Circuit, Meeting, Session, SessionStatus};
use pitwall_upstream_map::map::slug;
use serde::Deserialize;
use url::Url;

use super::{Calendar, Provider, ProviderError, window};

/// The most that the API gives at once.
const PAGE: usize = 100;
/// More races than any season will have: an endless pager ends here.
const MAX_RACES: usize = 500;
const MAX_BODY: usize = 2 << 20;
const SOURCE: &str = "jolpica";

pub(crate) struct Jolpica {
    base: Url,
    policy: Policy,
}

impl Jolpica {
    pub(crate) fn new(base: Url, policy: Policy) -> Self {
        Self { base, policy }
    }

    async fn page(&self, fetcher: &Fetcher, offset: usize) -> Result<Page, ProviderError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/f1/current/races/", self.base.path().trim_end_matches('/')));
        url.set_query(Some(&format!("limit={PAGE}&offset={offset}")));
        let unreachable = |error: pitwall_fetch::FetchError| ProviderError::new(error.to_string());
        let response = fetcher.send(&self.policy, Request::get(url)).await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(ProviderError {
                message: format!("the provider answered {}", response.status().as_u16()),
                retry_after: retry_after(&response, Timestamp::now()),
            });
        }
        parse(&response.bytes(MAX_BODY).await.map_err(unreachable)?)
    }
}

#[async_trait]
impl Provider for Jolpica {
    fn name(&self) -> &'static str {
        SOURCE
    }

    fn origin(&self) -> String {
        format!("{SOURCE} {}", self.base)
    }

    async fn fetch(&self, fetcher: &Fetcher) -> Result<Calendar, ProviderError> {
        let mut races = Vec::new();
        loop {
            let page = self.page(fetcher, races.len()).await?;
            let came = page.races.len();
            races.extend(page.races);
            let total = page.total.unwrap_or(races.len());
            if races.len() >= total {
                return calendar(races);
            }
            if came == 0 || races.len() > MAX_RACES {
                let message = format!("{total} races announced, {} came", races.len());
                return Err(ProviderError::new(message));
            }
        }
    }
}

/// Seconds or a date.
fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Duration::try_from(until.duration_since(now)).ok()
}

#[derive(Debug)]
struct Page {
    total: Option<usize>,
    races: Vec<Race>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "MRData")]
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    /// A number, as text.
    total: Option<String>,
    #[serde(rename = "RaceTable")]
    table: Table,
}

#[derive(Deserialize)]
struct Table {
    #[serde(rename = "Races")]
    races: Vec<Race>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Race {
    #[serde(rename = "season")]
    season: String,
    #[serde(rename = "round")]
    round: Option<String>,
    #[serde(rename = "raceName")]
    name: String,
    circuit: Track,
    #[serde(flatten)]
    race: When,
    first_practice: Option<When>,
    second_practice: Option<When>,
    third_practice: Option<When>,
    qualifying: Option<When>,
    sprint: Option<When>,
    sprint_qualifying: Option<When>,
    /// 2023 only.
    sprint_shootout: Option<When>,
}

#[derive(Debug, Deserialize)]
struct Track {
    #[serde(rename = "circuitId")]
    id: String,
    #[serde(rename = "circuitName")]
    name: String,
    #[serde(rename = "Location")]
    location: Option<Location>,
}

#[derive(Debug, Deserialize)]
struct Location {
    locality: Option<String>,
    country: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct When {
    date: String,
    time: Option<String>,
}

fn parse(body: &[u8]) -> Result<Page, ProviderError> {
    let payload: Payload = serde_json::from_slice(body)
        .map_err(|error| ProviderError::new(format!("not a race table: {error}")))?;
    let total = payload
        .data
        .total
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|_| ProviderError::new("not a race table: its total is not a number"))?;
    Ok(Page { total, races: payload.data.table.races })
}

fn calendar(races: Vec<Race>) -> Result<Calendar, ProviderError> {
    let season = races.first().map_or_else(String::new, |race| race.season.clone());
    let meetings = races.iter().map(meeting).collect::<Result<_, _>>()?;
    Ok(Calendar { season, meetings })
}

fn meeting(race: &Race) -> Result<Meeting, ProviderError> {
    let name = slug(&unaccented(&race.name)).unwrap_or_else(|| "race".to_owned());
    let id = format!("{}:{name}:{}", race.season, race.circuit.id);
    let mut sessions = Vec::new();
    for (code, name, when) in entries(race) {
        sessions.push(session(&id, &race.name, code, name, when)?);
    }
    sessions.sort_by_key(window::position);
    let location = race.circuit.location.as_ref();
    Ok(Meeting {
        id,
        name: race.name.clone(),
        round: race.round.as_ref().and_then(|round| round.parse().ok()),
        circuit: Circuit {
            id: race.circuit.id.clone(),
            name: race.circuit.name.clone(),
            locality: location.and_then(|location| location.locality.clone()),
            country: location.and_then(|location| location.country.clone()),
        },
        sessions,
    })
}

/// The sessions of a weekend, whichever format it has.
fn entries(race: &Race) -> Vec<(&'static str, &'static str, &When)> {
    let shootout = race.sprint_shootout.as_ref();
    // Ergast called the sprint shootouts of 2023 the second practice. In 2021 and 2022 a
    // sprint weekend did have one.
    let disguised = race.season == "2023"
        && race.sprint.is_some()
        && shootout.is_none()
        && race.sprint_qualifying.is_none();
    let second = match disguised {
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
    all.into_iter().filter_map(|(code, name, when)| Some((code, name, when?))).collect()
}

fn session(
    id: &str,
    meeting: &str,
    code: &str,
    name: &str,
    when: &When,
) -> Result<Session, ProviderError> {
    let bad = |what: &str| ProviderError::new(format!("{id}:{code}: {what} is not one"));
    let date: Date = when.date.parse().map_err(|_| bad("the date"))?;
    let start: Option<Timestamp> = match &when.time {
        None => None,
        Some(time) => Some(format!("{date}T{time}").parse().map_err(|_| bad("the time"))?),
    };
    let [live_from, end, live_until] =
        start.map_or([None; 3], |start| window::of(code).around(start));
    Ok(Session {
        id: format!("{id}:{code}"),
        code: code.to_owned(),
        name: name.to_owned(),
        meeting: meeting.to_owned(),
        start,
        date,
        time_known: start.is_some(),
        end,
        end_estimated: end.is_some(),
        live_from,
        live_until,
        status: SessionStatus::Upcoming,
        source: SOURCE.to_owned(),
        revision: 0,
    })
}

/// So that São Paulo's id reads `sao-paulo`: ids are plain ASCII.
fn unaccented(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'à'..='å' => 'a',
            'À'..='Å' => 'A',
            'ç' => 'c',
            'è'..='ë' => 'e',
            'È'..='Ë' => 'E',
            'ì'..='ï' => 'i',
            'ñ' => 'n',
            'ò'..='ö' => 'o',
            'Ò'..='Ö' => 'O',
            'ù'..='ü' => 'u',
            'Ù'..='Ü' => 'U',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests;
