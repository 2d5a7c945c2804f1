use serde_json::json;

use super::*;
use crate::schedule::plausibility;
use crate::schedule::samples::{self, read_sample as sample};

/// `code start` of every session of the meeting whose id begins with `id`.
fn sessions(calendar: &ProviderCalendar, id: &str) -> Vec<String> {
    let meeting = calendar.meetings.iter().find(|meeting| meeting.id.starts_with(id)).unwrap();
    let each = meeting.slots.iter();
    each.map(|one| {
        format!("{} {}", one.code, one.start.map_or("?".to_owned(), |start| start.to_string()))
    })
    .collect()
}

#[test]
fn the_season_of_2023_with_its_sprint_shootouts() {
    let calendar = read_calendar(&sample("jolpica-testfixture-ergast-2023.json"));
    assert_eq!(calendar.season.as_deref(), Some("2023"));
    assert_eq!(calendar.meetings.len(), 22);
    assert_eq!(plausibility::list_implausible(&calendar), Vec::<String>::new());
    assert_eq!(
        sessions(&calendar, "2023:azerbaijan-grand-prix:baku"),
        [
            "fp1 2023-04-28T09:30:00Z",
            "qualifying 2023-04-28T13:00:00Z",
            "sprint-qualifying 2023-04-29T09:30:00Z",
            "sprint 2023-04-29T13:30:00Z",
            "race 2023-04-30T11:00:00Z",
        ]
    );
    let shootout = &calendar.meetings[3].slots[2];
    assert_eq!(
        (shootout.name.as_str(), shootout.code.as_str()),
        ("Sprint Shootout", "sprint-qualifying")
    );
    assert_eq!(calendar.meetings[19].id, "2023:sao-paulo-grand-prix:interlagos");
    assert_eq!(calendar.meetings[19].name, "São Paulo Grand Prix");
    let codes: usize = calendar.meetings.iter().map(|meeting| meeting.slots.len()).sum();
    assert_eq!(codes, 22 * 5, "every weekend has five sessions");
}

#[test]
fn formats_of_other_years() {
    let calendar = read_calendar(&sample("jolpica-2026-races-excerpt.json"));
    assert_eq!(plausibility::list_implausible(&calendar), Vec::<String>::new());
    assert_eq!(
        sessions(&calendar, "2026:chinese-grand-prix:shanghai"),
        [
            "fp1 2026-03-13T03:30:00Z",
            "sprint-qualifying 2026-03-13T07:30:00Z",
            "sprint 2026-03-14T03:00:00Z",
            "qualifying 2026-03-14T07:00:00Z",
            "race 2026-03-15T07:00:00Z",
        ]
    );
    assert_eq!(
        sessions(&calendar, "2026:las-vegas-grand-prix:vegas").last().unwrap(),
        "race 2026-11-22T04:00:00Z"
    );
    assert_eq!(calendar.meetings[0].circuit.country.as_deref(), Some("Australia"));

    // The second practice of a sprint weekend of 2022 is not a sprint shootout.
    let of_2022 = sample("jolpica-testfixture-ergast-2023.json").replace("\"2023\"", "\"2022\"");
    let calendar = read_calendar(&of_2022.replace("\"date\":\"2023-", "\"date\":\"2022-"));
    assert!(sessions(&calendar, "2022:azerbaijan")[2].starts_with("fp2 "));
}

#[test]
fn a_session_without_a_time_is_listed() {
    let text = sample("jolpica-testfixture-2023-next.json")
        .replace(",\"time\":\"15:00:00Z\",\"FirstPractice\"", ",\"FirstPractice\"");
    let calendar = read_calendar(&text);
    assert_eq!(plausibility::list_implausible(&calendar), Vec::<String>::new());
    let race = calendar.meetings[0].race_session().unwrap();
    assert_eq!((race.start, race.date.to_string()), (None, "2024-03-02".into()));
    assert_eq!(calendar.meetings[0].slots.len(), 5);

    // Two races of which only the date is known.
    let calendar = read_calendar(&sample("jolpica-docs-1950-excerpt.json"));
    assert_eq!(plausibility::list_implausible(&calendar), Vec::<String>::new());
    assert_eq!(sessions(&calendar, "1950:monaco-grand-prix:monaco"), ["race ?"]);
}

#[test]
fn other_documents_and_unusable_races_are_refused() {
    for text in ["", "<html>", "{}", "[]", r#"{"MRData":{"RaceTable":{}}}"#] {
        assert!(parse_page(text).is_err(), "{text}");
    }
    let good = sample("jolpica-testfixture-2023-next.json");
    for (name, bad) in [
        ("no year", good.replace("\"season\":\"2024\"", "\"season\":\"../x\"")),
        ("no name", good.replace("Bahrain Grand Prix", "…")),
    ] {
        let error = build_calendar(parse_page(&bad).unwrap().races).unwrap_err();
        assert!(error.message.starts_with("1 of 1 races cannot be read: "), "{name}: {error}");
    }
    let odd = good.replace("\"circuitId\":\"bahrain\"", "\"circuitId\":\"<b>Sakhir</b>\"");
    assert_eq!(read_calendar(&odd).meetings[0].id, "2024:bahrain-grand-prix:b-sakhir-b");
}

/// The first of five races is changed.
#[test]
fn a_malformed_race_or_session_does_not_affect_the_others() {
    let good: serde_json::Value =
        serde_json::from_str(&sample("jolpica-2026-races-excerpt.json")).unwrap();
    let australia = "2026:australian-grand-prix:albert_park";
    let race = |why: &str| format!("{australia}:race: {why}");
    for (key, value, meetings, sessions, expected) in [
        (
            "raceName",
            json!(null),
            4,
            20,
            "number 1 of the races: it has no name to make an id of".to_owned(),
        ),
        (
            "raceName",
            json!(""),
            4,
            20,
            "number 1 of the races: it has no name to make an id of".into(),
        ),
        (
            "season",
            json!("MMXXVI"),
            4,
            20,
            "number 1 of the races: its season \"MMXXVI\" is no year".into(),
        ),
        ("season", json!("2062"), 4, 20, format!("{australia}: its season is 2062, not 2026")),
        ("Circuit", json!({}), 5, 25, String::new()),
        ("Circuit", json!(null), 5, 25, String::new()),
        ("Circuit", json!({"circuitName": 7, "Location": {"country": 1}}), 5, 25, String::new()),
        ("season", json!(2026), 5, 25, String::new()),
        ("season", json!(null), 5, 25, String::new()),
        ("round", json!(7), 5, 25, String::new()),
        ("round", json!({}), 5, 25, String::new()),
        ("raceName", json!(2026), 5, 25, String::new()),
        ("time", json!("04:00:00"), 5, 25, String::new()),
        ("time", json!(null), 5, 25, String::new()),
        ("time", json!("TBC"), 5, 25, String::new()),
        ("date", json!("2026-03-08T00:00:00Z"), 5, 25, String::new()),
        ("date", json!(null), 5, 24, race("it has no date")),
        ("Sprint", json!(null), 5, 25, String::new()),
        ("WarmUp", json!({"date": "2026-03-08", "time": "01:00:00Z"}), 5, 26, String::new()),
        ("WarmUp", json!("later"), 5, 25, String::new()),
        ("date", json!("2026-02-30"), 5, 24, race("\"2026-02-30\" is no date")),
        ("time", json!("noon"), 5, 24, race("\"noon\" is no time")),
        (
            "Qualifying",
            json!({"date": 7}),
            5,
            24,
            format!("{australia}:qualifying: \"7\" is no date"),
        ),
        (
            "Qualifying",
            json!("later"),
            5,
            24,
            format!(
                "{australia}:qualifying: invalid type: string \"later\", expected struct SessionTime"
            ),
        ),
        ("raceName", json!("Гран-при Австралии"), 5, 25, String::new()),
    ] {
        let mut payload = good.clone();
        payload["MRData"]["RaceTable"]["Races"][0][key] = value.clone();
        let response = build_calendar(parse_page(&payload.to_string()).unwrap().races).unwrap();
        let messages: Vec<_> = response.rejected.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(messages.join("; "), expected, "{key} {value}");
        let session_count =
            response.calendar.meetings.iter().map(|one| one.slots.len()).sum::<usize>();
        assert_eq!(
            (response.calendar.meetings.len(), session_count),
            (meetings, sessions),
            "{key} {value}"
        );
    }
}

/// Members as servers write them, and what a session of the first race comes out as.
#[test]
fn members_in_other_forms() {
    let good: serde_json::Value =
        serde_json::from_str(&sample("jolpica-2026-races-excerpt.json")).unwrap();
    for (key, value, expected) in [
        ("time", json!("05:00:00"), "race 2026-03-08T05:00:00Z"),
        ("time", json!("05:00Z"), "race 2026-03-08T05:00:00Z"),
        ("time", json!("05:00:00.000Z"), "race 2026-03-08T05:00:00Z"),
        ("time", json!("16:00:00+11:00"), "race 2026-03-08T05:00:00Z"),
        ("time", json!("2026-03-08T05:00:00Z"), "race 2026-03-08T05:00:00Z"),
        ("time", json!(""), "race ?"),
        ("time", json!("tbd"), "race ?"),
        (
            "WarmUp",
            json!({"date": "2026-03-08", "time": "01:00:00"}),
            "warm-up 2026-03-08T01:00:00Z",
        ),
        ("FirstPractice", json!({"date": "2026-03-06"}), "fp1 ?"),
    ] {
        let mut payload = good.clone();
        payload["MRData"]["total"] = json!(5);
        payload["MRData"]["RaceTable"]["Races"][0][key] = value.clone();
        let page = parse_page(&payload.to_string()).unwrap();
        assert_eq!(page.total, Some(5));
        let calendar = build_calendar(page.races).unwrap().calendar;
        let found = sessions(&calendar, "2026:australian-grand-prix");
        assert!(found.iter().any(|one| one == expected), "{key} {value}: {found:?}");
    }
}

#[test]
fn implausible_calendars() {
    let quoted = |number: &str| samples::issue_payload("jolpica-issue-verbatim.json", number);
    let excerpt: serde_json::Value =
        serde_json::from_str(&sample("jolpica-2026-races-excerpt.json")).unwrap();
    // The issues quote fragments, which replace the fields of a whole race. It is the only one, as
    // a race of another season than most would be left out.
    let with_fields = |fragment: &serde_json::Value| {
        let mut payload = excerpt.clone();
        let races = payload.pointer_mut("/MRData/RaceTable/Races").unwrap().as_array_mut().unwrap();
        races.truncate(1);
        let race = races[0].as_object_mut().unwrap();
        race.remove("ThirdPractice");
        race.extend(fragment.as_object().unwrap().clone());
        payload.to_string()
    };
    let mut las_vegas = quoted("#104");
    las_vegas["season"] = "2024".into();
    las_vegas["Qualifying"] = serde_json::json!({"date": "2024-11-23", "time": "06:00:00Z"});
    // 2025 had the same mistake: the race starts at the time of qualifying.
    let mut again = quoted("#172")["was"].clone();
    again["season"] = "2025".into();
    again["FirstPractice"] = serde_json::json!({"date": "2025-11-21", "time": "00:30:00Z"});
    again["SecondPractice"] = serde_json::json!({"date": "2025-11-21", "time": "04:00:00Z"});
    again["Qualifying"] = serde_json::json!({"date": "2025-11-22", "time": "04:00:00Z"});
    let twice = excerpt.to_string().replace(
        "\"Races\":[",
        &format!("\"Races\":[{},", excerpt["MRData"]["RaceTable"]["Races"][0]),
    );
    for (name, text, expected) in [
        ("empty", sample("jolpica-testfixture-empty-2023-99.json"), "no races"),
        ("Monaco with Miami's race (#366)", with_fields(&quoted("#366")), "is not "),
        ("Las Vegas, race at qualifying (#104)", with_fields(&las_vegas), "is not before the race"),
        ("Las Vegas again (#172)", with_fields(&again), "is not before the race"),
        ("twice", twice, "is listed twice"),
        (
            "far away",
            with_fields(
                &serde_json::json!({"FirstPractice": {"date": "2026-02-01", "time": "01:30:00Z"}}),
            ),
            "is not in the weekend",
        ),
        (
            "together",
            with_fields(
                &serde_json::json!({"SecondPractice": {"date": "2026-03-06", "time": "01:30:00Z"}}),
            ),
            "starts at the same time",
        ),
        ("another year", with_fields(&serde_json::json!({"date": "2024-03-08"})), "is not in 2026"),
    ] {
        let messages = plausibility::list_implausible(&read_calendar(&text));
        assert_eq!(messages.len(), 1, "{name}: {messages:?}");
        assert!(messages[0].contains(expected), "{name}: {messages:?}");
    }
    for (name, text) in [
        ("FP1 a day early (#136)", quoted("#136").to_string()),
        ("a race an hour late (#113)", samples::race_table_page(&[quoted("#113")])),
    ] {
        assert_eq!(
            plausibility::list_implausible(&read_calendar(&text)),
            Vec::<String>::new(),
            "{name}: not every mistake shows"
        );
    }
}
