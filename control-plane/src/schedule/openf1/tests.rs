use serde_json::{Value, json};

use super::*;
use crate::schedule::plausibility;
use crate::schedule::samples::issue_payload;

const SAMPLE_FILE: &str = "openf1-issue-verbatim.json";

fn read_calendar(season: &str, meetings: &[Value], sessions: &[Value]) -> ProviderCalendar {
    let response = read_response(season, meetings, sessions);
    assert_eq!(response.rejected, [], "nothing is wrong with it");
    response.calendar
}

fn read_response(season: &str, meetings: &[Value], sessions: &[Value]) -> ProviderResponse {
    let meetings = serde_json::from_value(json!(meetings)).unwrap();
    let sessions = serde_json::from_value(json!(sessions)).unwrap();
    build_calendar(season, meetings, sessions, Vec::new())
}

/// `code start end` of every session, with `x` if cancelled.
fn describe_calendar(calendar: &ProviderCalendar) -> Vec<String> {
    let sessions = calendar.meetings.iter().flat_map(|meeting| &meeting.slots);
    let time =
        |at: Option<Timestamp>| at.map_or("?".into(), |at| at.strftime("%d %H:%M").to_string());
    let one = |session: &ProviderSession| {
        let cancelled = if session.cancelled { " x" } else { "" };
        format!("{} {} {}{cancelled}", session.code, time(session.start), time(session.end))
    };
    sessions.map(one).collect()
}

/// The rows that f1db/f1db#127 quotes, with the other fields of that meeting's rows.
pub(crate) fn miami_sessions() -> Vec<Value> {
    let whole = issue_payload(SAMPLE_FILE, "openf1#399");
    let rows = issue_payload(SAMPLE_FILE, "f1db#127");
    let row = |row: &Value| {
        let mut session = whole.clone();
        session["session_name"] = row[0].clone();
        session["date_start"] = row[1].clone();
        session["date_end"] = row[2].clone();
        session
    };
    rows.as_array().unwrap().iter().map(row).collect()
}

#[test]
fn a_sprint_weekend() {
    let rows = issue_payload(SAMPLE_FILE, "2025 China sprint");
    let calendar = read_calendar("2025", &[], rows.as_array().unwrap());
    assert_eq!(plausibility::list_implausible(&calendar), Vec::<String>::new());
    assert_eq!(calendar.meetings[0].id, "2025:shanghai:shanghai", "no row named the meeting");
    assert_eq!(calendar.meetings[0].utc_offset.as_deref(), Some("+08:00"));
    assert_eq!(
        describe_calendar(&calendar),
        [
            "sprint-qualifying 21 07:30 21 08:14",
            "sprint 22 03:00 22 04:00",
            "qualifying 22 07:00 22 08:00",
        ]
    );
}

#[test]
fn known_ends_and_offsets_west() {
    let name = json!({"meeting_key": 1284, "meeting_name": "Miami Grand Prix"});
    let calendar = read_calendar("2026", &[name], &miami_sessions());
    assert_eq!(plausibility::list_implausible(&calendar), Vec::<String>::new());
    let meeting = &calendar.meetings[0];
    assert_eq!(meeting.id, "2026:miami-grand-prix:miami");
    assert_eq!(meeting.utc_offset.as_deref(), Some("-04:00"));
    assert_eq!(describe_calendar(&calendar)[0], "fp1 01 16:00 01 17:30");
    assert_eq!(describe_calendar(&calendar)[4], "race 03 20:00 03 22:00");
}

#[test]
fn testing_days_and_meetings_without_sessions() {
    let day = issue_payload(SAMPLE_FILE, "2024 testing day");
    // The day's meeting, as served before `is_cancelled` was introduced, and a meeting with it.
    let meetings =
        [issue_payload(SAMPLE_FILE, "openf1#367"), issue_payload(SAMPLE_FILE, "9c1415c")];
    let calendar = read_calendar("2024", &meetings, &[day]);
    assert_eq!(plausibility::list_implausible(&calendar), Vec::<String>::new());
    assert_eq!(describe_calendar(&calendar), ["day-1 21 07:00 21 16:00"]);
    assert_eq!(calendar.meetings.len(), 1, "a meeting without sessions is not listed");
}

#[test]
fn cancelled_by_session_or_by_meeting() {
    let mut rows = miami_sessions();
    rows[4]["is_cancelled"] = json!(true);
    let meeting = |cancelled: bool| json!({"meeting_key": 1284, "meeting_name": "M", "is_cancelled": cancelled});
    for (meeting_cancelled, expected) in [(false, 1), (true, 5)] {
        let calendar = read_calendar("2026", &[meeting(meeting_cancelled)], &rows);
        let cancelled =
            describe_calendar(&calendar).iter().filter(|one| one.ends_with('x')).count();
        assert_eq!(cancelled, expected, "{meeting_cancelled}");
    }
}

#[test]
fn offsets_and_timestamps() {
    for (text, expected) in [
        ("-04:00:00", Some("-04:00")),
        ("08:00:00", Some("+08:00")),
        ("+05:30:00", Some("+05:30")),
        ("00:00:00", Some("+00:00")),
        ("99:00:00", None),
        ("here", None),
    ] {
        assert_eq!(normalize_utc_offset(text).as_deref(), expected, "{text}");
    }
    for (text, expected) in [
        ("2026-05-03T20:00:00+00:00", Some("2026-05-03T20:00:00Z")),
        ("2026-05-03T16:00:00-04:00", Some("2026-05-03T20:00:00Z")),
        ("2023-07-29T15:05:00", Some("2023-07-29T15:05:00Z")),
        ("2026-05-03T20:00:00.250000+00:00", Some("2026-05-03T20:00:00.25Z")),
        ("soon", None),
    ] {
        assert_eq!(parse_utc(text).map(|at| at.to_string()).as_deref(), expected, "{text}");
    }
}

/// The meetings and sessions of a season before it begins: two tests of one name at one circuit.
fn tests_before_the_season() -> (Vec<Value>, Vec<Value>) {
    let meeting = |key: u64| json!({"meeting_key": key, "meeting_name": "Pre-Season Testing"});
    let day = |key: u64, day: u64| {
        json!({
            "session_key": key * 10 + day % 10, "meeting_key": key,
            "session_name": format!("Day {}", day % 7), "location": "Sakhir",
            "circuit_short_name": "Sakhir", "country_name": "Bahrain",
            "date_start": format!("2026-02-{day}T07:00:00+00:00"),
            "date_end": format!("2026-02-{day}T16:00:00+00:00"),
        })
    };
    // The keys of the meetings are not in the order of their days.
    let sessions = [(1305, 11), (1305, 12), (1304, 18), (1304, 19)];
    let sessions = sessions.map(|(key, date)| day(key, date)).into();
    (vec![meeting(1304), meeting(1305)], sessions)
}

#[test]
fn two_meetings_of_one_name_and_circuit_get_different_ids() {
    let (meetings, sessions) = tests_before_the_season();
    let both = read_calendar("2026", &meetings, &sessions);
    assert_eq!(plausibility::list_implausible(&both), Vec::<String>::new());
    let of = |calendar: &ProviderCalendar| -> Vec<(String, usize)> {
        calendar.meetings.iter().map(|one| (one.id.clone(), one.slots.len())).collect()
    };
    let first = "2026:pre-season-testing:sakhir".to_owned();
    assert_eq!(
        of(&both),
        [(first.clone(), 2), ("2026:pre-season-testing-1304:sakhir".to_owned(), 2)]
    );
    assert_eq!(of(&read_calendar("2026", &meetings, &sessions[..2])), [(first, 2)], "alone");
}

#[test]
fn a_malformed_row_does_not_affect_the_others() {
    let good = "fp1 sprint-qualifying sprint qualifying race";
    for (name, row, change, codes, expected) in [
        (
            "an end",
            0,
            json!({"date_end": "later"}),
            good,
            "2026:miami:miami:fp1: \"later\" is no moment, so its end is left out",
        ),
        (
            "a start",
            0,
            json!({"date_start": "soon"}),
            "sprint-qualifying sprint qualifying race",
            "2026:miami:miami:fp1: \"soon\" is no moment",
        ),
        (
            "no start yet",
            0,
            json!({"date_start": null}),
            "sprint-qualifying sprint qualifying race",
            "",
        ),
        (
            "numbers as text",
            0,
            json!({"meeting_key": "1284", "session_key": "11.0", "is_cancelled": "false"}),
            good,
            "",
        ),
        ("text as a number", 0, json!({"location": 7, "circuit_short_name": {}}), good, ""),
        ("a time without an offset", 0, json!({"date_start": "2026-05-01 16:00:00"}), good, ""),
        ("another case", 0, json!({"session_name": "PRACTICE 1"}), good, ""),
        (
            "no name",
            0,
            json!({"session_name": null, "session_type": "Practice"}),
            "practice sprint-qualifying sprint qualifying race",
            "",
        ),
        (
            "two of one name",
            1,
            json!({"session_name": "Day 1"}),
            "fp1 day-1 sprint qualifying race",
            "",
        ),
        ("no letters", 1, json!({"session_name": "直播"}), "fp1 sprint qualifying race", ""),
    ] {
        let mut rows = miami_sessions();
        rows[row].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let response = read_response("2026", &[], &rows);
        let messages: Vec<_> = response.rejected.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(messages.join("; "), expected, "{name}");
        let sessions = &response.calendar.meetings[0].slots;
        let known: Vec<_> = sessions.iter().map(|session| session.code.as_str()).collect();
        let known: Vec<_> =
            known.into_iter().filter(|code| codes.split(' ').any(|one| one == *code)).collect();
        assert_eq!(known.join(" "), codes, "{name}");
    }
    // A date alone is not its midnight.
    let mut rows = miami_sessions();
    rows[0]["date_start"] = json!("2026-05-01");
    let response = read_response("2026", &[], &rows);
    let first = &response.calendar.meetings[0].slots[0];
    assert_eq!((first.start, first.date.to_string(), first.end), (None, "2026-05-01".into(), None));
    let nameless = json!({"meeting_key": 1284, "meeting_name": "—"});
    let nowhere = |row: &mut Value| {
        row["circuit_short_name"] = json!(null);
        row["location"] = json!("");
    };
    let mut rows = miami_sessions();
    rows.iter_mut().for_each(nowhere);
    let response = read_response("2026", &[nameless], &rows);
    assert_eq!(response.calendar.meetings, []);
    assert_eq!(response.rejected[0].message, "meeting 1284: it has no name to make an id of");
}

#[test]
fn two_sessions_of_one_name_get_different_codes() {
    let mut rows = miami_sessions();
    for (row, key) in [(1, 71), (2, 70)] {
        rows[row]["session_name"] = json!("Shakedown");
        rows[row]["session_key"] = json!(key);
    }
    let codes = |rows: &[Value]| -> Vec<String> {
        let calendar = read_calendar("2026", &[], rows);
        let sessions = &calendar.meetings[0].slots;
        sessions
            .iter()
            .map(|session| session.code.clone())
            .filter(|code| code.starts_with('s'))
            .collect()
    };
    assert_eq!(codes(&rows), ["shakedown-71", "shakedown"], "in the order of their keys");
    rows.swap(1, 2);
    assert_eq!(codes(&rows), ["shakedown-71", "shakedown"], "whatever the order of the rows");
}
