//! The season as jolpica tells it: `MRData`, numbers as strings, times apart from dates.

use axum::Json;
use axum::extract::{OriginalUri, Path, Query, State};
use serde_json::{Map, Value, json};

use super::calendar::{Kind, Meeting, Season, Session};
use crate::answer::Refusal;
use crate::routes::Site;

/// A page of the listing; what is no number counts as absent, as it does there.
#[derive(serde::Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    offset: Option<String>,
}

pub(super) async fn races(
    State(site): State<Site>,
    Path(season): Path<String>,
    Query(page): Query<Page>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Value>, Refusal> {
    let asked = match season.as_str() {
        "current" => None,
        year => Some(year.parse().map_err(|_| Refusal::NotFound)?),
    };
    let url = format!("{}{}", site.base, uri.path());
    let season = site.calendar.season(site.clock.unix_seconds());
    Ok(Json(document(&season, asked.unwrap_or(season.year), &page, &url)))
}

fn document(season: &Season, year: i16, page: &Page, url: &str) -> Value {
    let number = |text: &Option<String>| text.as_deref().and_then(|t| t.parse().ok());
    let limit: usize = number(&page.limit).unwrap_or(30).min(100);
    let offset: usize = number(&page.offset).unwrap_or(0);
    // Another year exists, and is empty.
    let meetings = if year == season.year { season.meetings.as_slice() } else { &[] };
    let races = meetings.iter().skip(offset).take(limit).map(|m| race(year, m));
    json!({"MRData": {
        "xmlns": "",
        "series": "f1",
        "url": url,
        "limit": limit.to_string(),
        "offset": offset.to_string(),
        "total": meetings.len().to_string(),
        "RaceTable": {"season": year.to_string(), "Races": races.collect::<Vec<_>>()},
    }})
}

fn race(year: i16, meeting: &Meeting) -> Value {
    let venue = meeting.venue;
    let mut race = Map::new();
    let mut put = |key: &str, value: Value| race.insert(key.to_owned(), value);
    put("season", year.to_string().into());
    put("round", meeting.round.to_string().into());
    put("raceName", venue.name.into());
    put(
        "Circuit",
        json!({
            "circuitId": venue.circuit_id,
            "url": format!("https://example.com/circuits/{}", venue.circuit_id),
            "circuitName": venue.circuit,
            "Location": {
                "lat": venue.lat,
                "long": venue.long,
                "locality": venue.locality,
                "country": venue.country,
            },
        }),
    );
    for session in &meeting.sessions {
        match key(session.kind) {
            // The race's own date and time stand in the race itself.
            None => race.extend(when(session)),
            Some(key) => {
                race.insert(key.to_owned(), Value::Object(when(session)));
            }
        }
    }
    Value::Object(race)
}

fn when(session: &Session) -> Map<String, Value> {
    let date = ("date".to_owned(), Value::from(session.date.to_string()));
    let time = session.start.map(|start| start.strftime("%H:%M:%SZ").to_string());
    let time = time.map(|time| ("time".to_owned(), Value::from(time)));
    [date].into_iter().chain(time).collect()
}

fn key(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::FirstPractice => "FirstPractice",
        Kind::SecondPractice => "SecondPractice",
        Kind::ThirdPractice => "ThirdPractice",
        Kind::SprintQualifying => "SprintQualifying",
        Kind::Sprint => "Sprint",
        Kind::Qualifying => "Qualifying",
        Kind::Race => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Calendar;

    const NOW: u64 = 1_800_000_000; // 2027-01-15T08:00:00Z

    fn get(year: i16, limit: &str, offset: &str) -> Value {
        let season = Calendar::starting(NOW).season(NOW);
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let page = Page { limit: some(limit), offset: some(offset) };
        document(&season, year, &page, "http://x/")["MRData"].clone()
    }

    #[test]
    fn pages() {
        // (year, limit, offset) -> limit and total as told, rounds
        for (year, limit, offset, told, total, rounds) in [
            (2027, "", "", "30", "6", vec!["1", "2", "3", "4", "5", "6"]),
            (2027, "2", "1", "2", "6", vec!["2", "3"]),
            (2027, "500", "5", "100", "6", vec!["6"]),
            (2027, "many", "9", "30", "6", vec![]),
            (2026, "", "", "30", "0", vec![]),
        ] {
            let data = get(year, limit, offset);
            assert_eq!((&data["limit"], &data["total"]), (&told.into(), &total.into()));
            let races = data["RaceTable"]["Races"].as_array().unwrap();
            assert_eq!(
                races.iter().map(|r| r["round"].as_str().unwrap()).collect::<Vec<_>>(),
                rounds
            );
        }
    }

    #[test]
    fn races_have_the_sample_shape() {
        let races = get(2027, "", "")["RaceTable"]["Races"].clone();
        assert_eq!(
            races[1],
            json!({
                "season": "2027", "round": "2", "raceName": "Harbour Grand Prix",
                "Circuit": {
                    "circuitId": "harbour_street",
                    "url": "https://example.com/circuits/harbour_street",
                    "circuitName": "Harbour Street Circuit",
                    "Location": {"lat": "51.0402", "long": "1.2107", "locality": "Port Calder", "country": "Northmark"},
                },
                "date": "2027-01-15", "time": "07:50:00Z",
                "FirstPractice": {"date": "2027-01-13", "time": "05:20:00Z"},
                "SecondPractice": {"date": "2027-01-13", "time": "08:50:00Z"},
                "ThirdPractice": {"date": "2027-01-14", "time": "05:20:00Z"},
                "Qualifying": {"date": "2027-01-14", "time": "08:50:00Z"},
            })
        );
        assert!(races[3]["Sprint"]["time"].is_string() && races[3]["ThirdPractice"].is_null());
        assert!(races[5]["date"].is_string() && races[5]["time"].is_null());
        assert!(races[5]["Qualifying"]["date"].is_string());
    }
}
