//! The recorded payloads of `tests/data/schedule`, and databases of providers converted to the
//! responses that the provider would serve.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

pub(crate) fn read_sample(name: &str) -> String {
    let path = format!("{}/tests/data/schedule/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

pub(crate) fn read_json_sample(name: &str) -> Value {
    serde_json::from_str(&read_sample(name)).unwrap()
}

/// The payload quoted in an issue whose title contains `title`.
pub(crate) fn issue_payload(file: &str, title: &str) -> Value {
    let all = read_json_sample(file);
    let found = all.as_object().unwrap().iter().find(|(key, _)| key.contains(title));
    found.unwrap_or_else(|| panic!("{title} in {file}")).1.clone()
}

/// Races as a single page of jolpica's response.
pub(crate) fn race_table_page(races: &[Value]) -> String {
    let season = races.first().map_or(Value::Null, |race| race["season"].clone());
    json!({"MRData": {
        "limit": "100", "offset": "0", "total": races.len().to_string(),
        "RaceTable": {"season": season, "Races": races},
    }})
    .to_string()
}

/// The races of jolpica's response from its database: without cancelled rounds, with `round`,
/// `date` and `time`, and with the sessions by their names.
pub(crate) fn jolpica_races(database: &Value) -> Vec<Value> {
    let rows = database.as_array().unwrap();
    let of = |kind: &str, round: &Value| {
        let rows = rows.iter().filter(|row| row["object_type"] == *kind);
        let row = rows.filter(|row| kind == "Round" || row["foreign_keys"]["round"] == *round);
        row.cloned().collect::<Vec<_>>()
    };
    let rounds = of("Round", &Value::Null).into_iter().filter_map(|row| {
        let object = row["objects"][0].clone();
        if object["is_cancelled"] == json!(true) {
            return None;
        }
        let sessions: Vec<Value> = of("Session", &object["number"])
            .iter()
            .flat_map(|row| row["objects"].as_array().unwrap().clone())
            .collect();
        let circuit = row["foreign_keys"]["circuit_id"].clone();
        let mut race = json!({
            "season": row["foreign_keys"]["year"].to_string(),
            "round": object["number"].to_string(),
            "raceName": object["name"],
            "Circuit": {"circuitId": circuit, "circuitName": circuit},
        });
        for (kind, key) in [
            ("FP1", "FirstPractice"),
            ("FP2", "SecondPractice"),
            ("FP3", "ThirdPractice"),
            ("Q1", "Qualifying"),
            ("SR", "Sprint"),
            ("SQ1", "SprintQualifying"),
            ("R", ""),
        ] {
            let Some(session) = sessions.iter().find(|one| one["type"] == kind) else { continue };
            let when = race_time(session["timestamp"].as_str().unwrap());
            if key.is_empty() {
                race.as_object_mut().unwrap().extend(when);
            } else {
                race[key] = Value::Object(when);
            }
        }
        Some(race)
    });
    rounds.collect()
}

fn race_time(timestamp: &str) -> Map<String, Value> {
    let (date, time) = timestamp.split_once('T').unwrap();
    [("date".to_owned(), json!(date)), ("time".to_owned(), json!(time))].into_iter().collect()
}

/// Applies a patch as jolpica does: to the sessions of the round that each row names.
pub(crate) fn apply_patch(database: &Value, patch: &Value) -> Value {
    let mut database = database.clone();
    for row in patch.as_array().unwrap() {
        let round = &row["foreign_keys"]["round"];
        for object in row["objects"].as_array().unwrap() {
            let sessions = database.as_array_mut().unwrap().iter_mut();
            let sessions = sessions
                .filter(|one| {
                    one["object_type"] == "Session" && one["foreign_keys"]["round"] == *round
                })
                .flat_map(|one| one["objects"].as_array_mut().unwrap());
            sessions
                .filter(|one| one["type"] == object["type"])
                .for_each(|one| one["timestamp"] = object["timestamp"].clone());
        }
    }
    database
}

/// Removes races and renumbers the rest, as jolpica does for a cancellation.
pub(crate) fn remove_races(races: &[Value], names: &[&str]) -> Vec<Value> {
    let remaining =
        races.iter().filter(|race| !names.contains(&race["raceName"].as_str().unwrap()));
    let renumbered = (1..).zip(remaining).map(|(round, race)| {
        let mut race = race.clone();
        race["round"] = json!(round.to_string());
        race
    });
    renumbered.collect()
}

/// The calendar that f1calendar.com generates from its database (`build/generate-calendars.js`):
/// UIDs numbered by position, a SEQUENCE that never changes, remarks in the title.
pub(crate) fn build_ics(database: &Value, year: i16) -> String {
    let mut text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:f1calendar.com\r\n".to_owned();
    for (number, race) in (0..).zip(database["races"].as_array().unwrap()) {
        let Some(sessions) = race["sessions"].as_object() else { continue };
        for (key, start) in sessions {
            text.push_str(&build_ics_event(race, number, year, key, start.as_str().unwrap()));
        }
    }
    text + "END:VCALENDAR\r\n"
}

fn build_ics_event(race: &Value, number: usize, year: i16, key: &str, start: &str) -> String {
    let (title, minutes) = match key {
        "fp1" => ("FP1", 60),
        "fp2" => ("FP2", 60),
        "fp3" => ("FP3", 60),
        "qualifying" => ("Qualifying", 60),
        "sprintQualifying" => ("Sprint Qualifying", 45),
        "sprint" => ("Sprint", 30),
        "gp" => ("Grand Prix", 120),
        other => panic!("{other}"),
    };
    let name = race["name"].as_str().unwrap().replace(" Grand Prix", "");
    let (remark, status) = if race["canceled"] == json!(true) {
        ("(Canceled) ", "CANCELLED")
    } else if race["tbc"] == json!(true) {
        ("(TBC) ", "TENTATIVE")
    } else {
        ("", "CONFIRMED")
    };
    let start: Timestamp = start.parse().unwrap();
    let end = start + SignedDuration::from_mins(minutes);
    let stamp = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    format!(
        "BEGIN:VEVENT\r\nUID:http://{year}.f1calendar.com/#GP{number}_{year}_{key}\r\n\
         SUMMARY:{remark}F1: {title} ({name} Grand Prix)\r\nSEQUENCE:{year}\r\n\
         DTSTAMP:20260101T000000Z\r\nDTSTART:{}\r\nDTEND:{}\r\nSTATUS:{status}\r\n\
         LOCATION:{}\r\nCATEGORIES:{title},F1\r\nEND:VEVENT\r\n",
        stamp(start),
        stamp(end),
        race["location"].as_str().unwrap()
    )
}

/// A reader of the fields of one of f1db's races, whose lines are `key: value`.
pub(crate) fn f1db_field_reader(name: &str) -> impl Fn(&str) -> Option<String> {
    let text = read_sample(name);
    move |key| {
        text.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(": ")?.to_owned()))
    }
}
