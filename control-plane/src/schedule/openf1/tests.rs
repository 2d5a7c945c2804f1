use serde_json::{Value, json};

use super::*;
use crate::schedule::samples::quoted;
use crate::schedule::sanity;

const FILE: &str = "openf1-issue-verbatim.json";

fn read(season: &str, meetings: &[Value], sessions: &[Value]) -> Calendar {
    let meetings = serde_json::from_value(json!(meetings)).unwrap();
    let sessions = serde_json::from_value(json!(sessions)).unwrap();
    calendar(season, meetings, sessions).unwrap()
}

/// `code start end`, `x` for what is cancelled.
fn told(calendar: &Calendar) -> Vec<String> {
    let slots = calendar.meetings.iter().flat_map(|meeting| &meeting.slots);
    let time =
        |at: Option<Timestamp>| at.map_or("?".into(), |at| at.strftime("%d %H:%M").to_string());
    let one = |slot: &Slot| {
        let cancelled = if slot.cancelled { " x" } else { "" };
        format!("{} {} {}{cancelled}", slot.code, time(slot.start), time(slot.end))
    };
    slots.map(one).collect()
}

/// The rows that f1db/f1db#127 quotes, as the rest of that meeting's answer has them.
pub(crate) fn miami() -> Vec<Value> {
    let whole = quoted(FILE, "openf1#399");
    let rows = quoted(FILE, "f1db#127");
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
    let rows = quoted(FILE, "2025 China sprint");
    let calendar = read("2025", &[], rows.as_array().unwrap());
    assert_eq!(sanity::check(&calendar), Ok(()));
    assert_eq!(calendar.meetings[0].id, "2025:shanghai:shanghai", "no row named the meeting");
    assert_eq!(calendar.meetings[0].utc_offset.as_deref(), Some("+08:00"));
    assert_eq!(
        told(&calendar),
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
    let calendar = read("2026", &[name], &miami());
    assert_eq!(sanity::check(&calendar), Ok(()));
    let meeting = &calendar.meetings[0];
    assert_eq!(meeting.id, "2026:miami-grand-prix:miami");
    assert_eq!(meeting.utc_offset.as_deref(), Some("-04:00"));
    assert_eq!(told(&calendar)[0], "fp1 01 16:00 01 17:30");
    assert_eq!(told(&calendar)[4], "race 03 20:00 03 22:00");
}

#[test]
fn testing_days_and_meetings_without_sessions() {
    let day = quoted(FILE, "2024 testing day");
    // Its meeting, as it was answered before there was `is_cancelled`, and one with it.
    let meetings = [quoted(FILE, "openf1#367"), quoted(FILE, "9c1415c")];
    let calendar = read("2024", &meetings, &[day]);
    assert_eq!(sanity::check(&calendar), Ok(()));
    assert_eq!(told(&calendar), ["day-1 21 07:00 21 16:00"]);
    assert_eq!(calendar.meetings.len(), 1, "what has no session yet has nothing to list");
}

#[test]
fn cancelled_by_session_or_by_meeting() {
    let mut rows = miami();
    rows[4]["is_cancelled"] = json!(true);
    let meeting =
        |off: bool| json!({"meeting_key": 1284, "meeting_name": "M", "is_cancelled": off});
    for (off, expected) in [(false, 1), (true, 5)] {
        let calendar = read("2026", &[meeting(off)], &rows);
        let cancelled = told(&calendar).iter().filter(|one| one.ends_with('x')).count();
        assert_eq!(cancelled, expected, "{off}");
    }
}

#[test]
fn quirks() {
    for (text, expected) in [
        ("-04:00:00", Some("-04:00")),
        ("08:00:00", Some("+08:00")),
        ("+05:30:00", Some("+05:30")),
        ("00:00:00", Some("+00:00")),
        ("99:00:00", None),
        ("here", None),
    ] {
        assert_eq!(utc_offset(text).as_deref(), expected, "{text}");
    }
    for (text, expected) in [
        ("2026-05-03T20:00:00+00:00", Some("2026-05-03T20:00:00Z")),
        ("2026-05-03T16:00:00-04:00", Some("2026-05-03T20:00:00Z")),
        ("2023-07-29T15:05:00", Some("2023-07-29T15:05:00Z")),
        ("2026-05-03T20:00:00.250000+00:00", Some("2026-05-03T20:00:00.25Z")),
        ("soon", None),
    ] {
        assert_eq!(moment(text).map(|at| at.to_string()).as_deref(), expected, "{text}");
    }
    let mut broken = miami();
    broken[0]["date_end"] = json!("later");
    let rows = serde_json::from_value(json!(broken)).unwrap();
    let error = calendar("2026", Vec::new(), rows).unwrap_err();
    assert!(error.message.ends_with("\"later\" is no moment"), "{error}");
}
