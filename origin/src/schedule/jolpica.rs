//! The season as Jolpica serves it: `MRData`, numbers as strings, times apart from dates.

use axum::Json;
use axum::extract::{OriginalUri, Path, Query, State};
use serde_json::{Map, Value, json};

use crate::calendar::{Meeting, Season, Session, SessionKind};
use crate::response::RequestError;
use crate::state::OriginState;

/// Pagination of the listing; a value that is not a number is ignored, as Jolpica does.
#[derive(serde::Deserialize)]
pub(super) struct PageQuery {
    limit: Option<String>,
    offset: Option<String>,
}

pub(super) async fn list_races(
    State(state): State<OriginState>,
    Path(season): Path<String>,
    Query(page): Query<PageQuery>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Value>, RequestError> {
    let year = match season.as_str() {
        "current" => None,
        year => Some(year.parse().map_err(|_| RequestError::NotFound)?),
    };
    let url = format!("{}{}", state.base, uri.path());
    let season = state.calendar.season(state.clock.unix_seconds());
    Ok(Json(render_document(&season, year.unwrap_or(season.year), &page, &url)))
}

fn render_document(season: &Season, year: i16, page: &PageQuery, url: &str) -> Value {
    let number = |text: &Option<String>| text.as_deref().and_then(|t| t.parse().ok());
    let limit: usize = number(&page.limit).unwrap_or(30).min(100);
    let offset: usize = number(&page.offset).unwrap_or(0);
    // Any other year is a valid, empty season.
    let meetings = if year == season.year { season.meetings.as_slice() } else { &[] };
    let races = meetings.iter().skip(offset).take(limit).map(|m| render_race(year, m));
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

fn render_race(year: i16, meeting: &Meeting) -> Value {
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
        match session_member_name(session.kind) {
            // The race session's date and time are fields of the race object itself.
            None => race.extend(date_and_time(session)),
            Some(key) => {
                race.insert(key.to_owned(), Value::Object(date_and_time(session)));
            }
        }
    }
    Value::Object(race)
}

fn date_and_time(session: &Session) -> Map<String, Value> {
    let date = ("date".to_owned(), Value::from(session.date.to_string()));
    let time = session.start.map(|start| start.strftime("%H:%M:%SZ").to_string());
    let time = time.map(|time| ("time".to_owned(), Value::from(time)));
    [date].into_iter().chain(time).collect()
}

fn session_member_name(kind: SessionKind) -> Option<&'static str> {
    Some(match kind {
        SessionKind::FirstPractice => "FirstPractice",
        SessionKind::SecondPractice => "SecondPractice",
        SessionKind::ThirdPractice => "ThirdPractice",
        SessionKind::SprintQualifying => "SprintQualifying",
        SessionKind::Sprint => "Sprint",
        SessionKind::Qualifying => "Qualifying",
        SessionKind::Race => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Calendar;

    const NOW: u64 = 1_800_000_000; // 2027-01-15T08:00:00Z

    fn get(year: i16, limit: &str, offset: &str) -> Value {
        let season = Calendar::starting(NOW).season(NOW);
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let page = PageQuery { limit: some(limit), offset: some(offset) };
        render_document(&season, year, &page, "http://x/")["MRData"].clone()
    }

    #[test]
    fn pages() {
        // (year, limit, offset) -> limit and total of the response, rounds
        for (year, limit, offset, effective_limit, total, rounds) in [
            (2027, "", "", "30", "6", vec!["1", "2", "3", "4", "5", "6"]),
            (2027, "2", "1", "2", "6", vec!["2", "3"]),
            (2027, "500", "5", "100", "6", vec!["6"]),
            (2027, "many", "9", "30", "6", vec![]),
            (2026, "", "", "30", "0", vec![]),
        ] {
            let data = get(year, limit, offset);
            assert_eq!((&data["limit"], &data["total"]), (&effective_limit.into(), &total.into()));
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
