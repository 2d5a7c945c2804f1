use super::*;

fn session(code: &str, start: Option<&str>, day: &str) -> Session {
    let start: Option<Timestamp> = start.map(|text| text.parse().unwrap());
    let [live_from, end, live_until] =
        start.map_or([None; 3], |start| live_window_of(code).bounds(start, None));
    Session {
        id: code.into(),
        code: code.into(),
        name: code.into(),
        meeting: "m".into(),
        start,
        date: day.parse().unwrap(),
        last_date: None,
        time_known: start.is_some(),
        end,
        end_estimated: true,
        live_from,
        live_until,
        status: SessionStatus::Upcoming,
        overrun: false,
        source: "jolpica".into(),
        revision: 0,
        revised_at: None,
        disagreement: Vec::new(),
    }
}

#[test]
fn the_code_of_one_of_several_sessions_has_its_kind() {
    for (code, expected) in [
        ("race", "race"),
        ("race-2026-12-05", "race"),
        ("race-6f1a2b", "race"),
        ("race-abcdef-2026-12-05-1400", "race"),
        ("sprint-6f1a2b", "sprint"),
        ("sprint-qualifying", "sprint-qualifying"),
        ("sprint-qualifying-2026-12-05", "sprint-qualifying"),
        ("race-week-preview", "race-week-preview"),
        ("race-", "race-"),
        ("fp1", "fp1"),
    ] {
        assert_eq!(session_kind(code), expected, "{code}");
    }
}

#[test]
fn windows() {
    use SessionStatus::{Live, Past, Upcoming};
    for (code, now, expected) in [
        ("race", "2026-05-03T15:59:59Z", Upcoming),
        ("race", "2026-05-03T16:00:00Z", Live),
        ("race", "2026-05-03T19:01:00Z", Live),
        ("race", "2026-05-03T20:29:59Z", Live),
        ("race", "2026-05-03T20:30:00Z", Past),
        ("sprint", "2026-05-03T16:44:59Z", Upcoming),
        ("sprint", "2026-05-03T16:45:00Z", Live),
        ("sprint", "2026-05-03T18:19:59Z", Live),
        ("sprint", "2026-05-03T18:20:00Z", Past),
        ("sprint-qualifying", "2026-05-03T18:13:59Z", Live),
        ("sprint-qualifying", "2026-05-03T18:14:00Z", Past),
        ("qualifying", "2026-05-03T18:29:59Z", Live),
        ("fp1", "2026-05-03T16:45:00Z", Live),
        ("fp1", "2026-05-03T18:30:00Z", Past),
    ] {
        let session = session(code, Some("2026-05-03T17:00:00Z"), "2026-05-03");
        assert_eq!(status_at(&session, now.parse().unwrap()), expected, "{code} at {now}");
    }
}

#[test]
fn without_a_time_a_session_is_upcoming_until_its_last_day_is_over_everywhere() {
    for (last_day, now, expected) in [
        (None, "2026-05-03T12:00:00Z", SessionStatus::Upcoming),
        (None, "2026-05-04T11:59:59Z", SessionStatus::Upcoming),
        (None, "2026-05-04T12:00:00Z", SessionStatus::Past),
        (Some("2026-05-06"), "2026-05-05T12:00:00Z", SessionStatus::Upcoming),
        (Some("2026-05-06"), "2026-05-07T11:59:59Z", SessionStatus::Upcoming),
        (Some("2026-05-06"), "2026-05-07T12:00:00Z", SessionStatus::Past),
    ] {
        let last_date = last_day.map(|day| day.parse().unwrap());
        let session = Session { last_date, ..session("race", None, "2026-05-03") };
        assert_eq!(status_at(&session, now.parse().unwrap()), expected, "{last_day:?} {now}");
    }
}

#[test]
fn cancelled_stays_cancelled() {
    let mut session = session("race", Some("2026-05-03T17:00:00Z"), "2026-05-03");
    session.status = SessionStatus::Cancelled;
    let now = "2026-05-03T17:30:00Z".parse().unwrap();
    assert_eq!(status_at(&session, now), SessionStatus::Cancelled);
}

#[test]
fn a_known_end_moves_the_window_and_an_overrun_needs_something_to_watch() {
    let start = "2026-05-01T16:00:00Z".parse().unwrap();
    // FP1 of Miami in 2026 ran for 90 minutes.
    let end = "2026-05-01T17:30:00Z".parse().unwrap();
    let [from, until_end, until] =
        live_window_of("fp1").bounds(start, Some(end)).map(Option::unwrap);
    assert_eq!(from.to_string(), "2026-05-01T15:45:00Z");
    assert_eq!((until_end, until.to_string()), (end, "2026-05-01T18:00:00Z".into()));
    for (now, watchable, expected) in [
        ("2026-05-03T18:59:59Z", true, (SessionStatus::Live, false)),
        ("2026-05-03T19:00:00Z", true, (SessionStatus::Live, true)),
        ("2026-05-03T19:00:00Z", false, (SessionStatus::Live, false)),
        ("2026-05-03T20:29:59Z", true, (SessionStatus::Live, true)),
        ("2026-05-03T20:30:00Z", true, (SessionStatus::Past, false)),
    ] {
        let race = session("race", Some("2026-05-03T17:00:00Z"), "2026-05-03");
        let meeting = serde_json::json!({
            "id": "m", "name": "m", "round": 1, "sessions": [race],
            "circuit": {"id": "c", "name": "c", "locality": null, "country": null},
        });
        let meetings = vec![serde_json::from_value(meeting).unwrap()];
        let schedule = Schedule { meetings, ..Schedule::default() };
        let race =
            schedule_at(&schedule, now.parse().unwrap(), watchable).meetings[0].sessions[0].clone();
        assert_eq!((race.status, race.overrun), expected, "{now} {watchable}");
    }
}
