//! jolpica-f1, the successor of Ergast: `{base}/f1/current/races/`.

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use pitwall_fetch::{Fetcher, Policy};
use pitwall_upstream_map::documents::Circuit;
use pitwall_upstream_map::slug::slug;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::calendar::{Answer, Calendar, Listed, RejectedItem, Slot, is_id};
use super::provider::{self, Provider, ProviderError, get};
use super::settings::{ProviderName, ScheduleConfig};

/// The most that the API gives at once.
const PAGE: usize = 100;
/// More races than any season will have: an endless pager ends here.
const MAX_RACES: usize = 500;

pub(crate) struct Jolpica {
    base: Url,
    policy: Policy,
}

pub(crate) fn provider(config: &ScheduleConfig) -> Box<dyn Provider> {
    let base = config.jolpica_url.0.clone();
    Box::new(Jolpica { base, policy: config.policy(&config.jolpica_url) })
}

impl Jolpica {
    async fn page(
        &self,
        fetcher: &Fetcher,
        offset: usize,
        now: Timestamp,
    ) -> Result<Page, ProviderError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/f1/current/races/", self.base.path().trim_end_matches('/')));
        url.set_query(Some(&format!("limit={PAGE}&offset={offset}")));
        parse(&get(fetcher, &self.policy, url, now).await?)
    }
}

#[async_trait]
impl Provider for Jolpica {
    fn name(&self) -> &'static str {
        ProviderName::JOLPICA.0
    }

    fn origin(&self) -> String {
        self.base.to_string()
    }

    async fn fetch(&self, fetcher: &Fetcher, now: Timestamp) -> Result<Answer, ProviderError> {
        let mut races = Vec::new();
        loop {
            let page = self.page(fetcher, races.len(), now).await?;
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

#[derive(Debug)]
struct Page {
    total: Option<usize>,
    /// Each is read by itself.
    races: Vec<Value>,
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
    races: Vec<Value>,
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
    /// When the race is. A session that cannot be read costs nothing but itself.
    #[serde(flatten)]
    race: Value,
    first_practice: Option<Value>,
    second_practice: Option<Value>,
    third_practice: Option<Value>,
    qualifying: Option<Value>,
    sprint: Option<Value>,
    sprint_qualifying: Option<Value>,
    /// 2023 only.
    sprint_shootout: Option<Value>,
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

fn calendar(races: Vec<Value>) -> Result<Answer, ProviderError> {
    let (races, mut rejected) = provider::rows("races", races, |row| {
        let race: Race = serde_json::from_value(row).map_err(|error| error.to_string())?;
        match (is_year(&race.season), slug(&race.name)) {
            (false, _) => Err(format!("its season {:?} is no year", race.season)),
            (true, None) => Err("it has no name to make an id of".to_owned()),
            (true, Some(name)) => Ok((name, race)),
        }
    })?;
    let season = races.first().map_or_else(String::new, |(_, race)| race.season.clone());
    let meetings = races.iter().map(|(name, race)| meeting(name, race, &mut rejected));
    let meetings = meetings.filter(|meeting| !meeting.slots.is_empty()).collect();
    Ok(Answer { calendar: Calendar { season: Some(season), meetings }, rejected })
}

fn meeting(name: &str, race: &Race, rejected: &mut Vec<RejectedItem>) -> Listed {
    // Theirs as it is, unless it cannot be part of an id.
    let circuit = Some(&race.circuit.id).filter(|id| is_id(id)).cloned();
    let circuit = circuit.or_else(|| slug(&race.circuit.id)).unwrap_or_else(|| "circuit".into());
    let id = format!("{}:{name}:{circuit}", race.season);
    let mut slots = Vec::new();
    for (code, name, when) in entries(race) {
        match slot(code, name, when) {
            Ok(slot) => slots.push(slot),
            Err(why) => rejected.push(RejectedItem::session(&id, code, why)),
        }
    }
    slots.sort_by_key(Slot::position);
    let location = race.circuit.location.as_ref();
    Listed {
        name: race.name.clone(),
        round: race.round.as_ref().and_then(|round| round.parse().ok()),
        circuit: Circuit {
            id: circuit,
            name: race.circuit.name.clone(),
            locality: location.and_then(|location| location.locality.clone()),
            country: location.and_then(|location| location.country.clone()),
        },
        utc_offset: None,
        series: true,
        slots,
        id,
    }
}

fn is_year(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The sessions of a weekend, whichever format it has.
fn entries(race: &Race) -> Vec<(&'static str, &'static str, &Value)> {
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

fn slot(code: &str, name: &str, when: &Value) -> Result<Slot, String> {
    let When { date, time } = When::deserialize(when).map_err(|error| error.to_string())?;
    let date: Date = date.parse().map_err(|_| format!("{date:?} is no date"))?;
    let slot = Slot::new(code, name, date);
    let Some(time) = time else { return Ok(slot) };
    let start = format!("{date}T{time}").parse().map_err(|_| format!("{time:?} is no time"))?;
    Ok(slot.starting(start))
}

/// What can be used of a whole answer.
#[cfg(test)]
pub(crate) fn read(text: &str) -> Calendar {
    parse(text.as_bytes()).and_then(|page| calendar(page.races)).unwrap().calendar
}

#[cfg(test)]
mod tests;
