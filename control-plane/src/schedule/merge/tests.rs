use serde_json::Value;

use super::*;
use crate::schedule::calendar::ProviderCalendar;
use crate::schedule::{history, jolpica, samples};

fn now() -> Timestamp {
    "2026-05-01T00:00:00Z".parse().unwrap()
}

/// A snapshot with one session per line: `id start[!HH][+end][x]`, with days in May of 2026, the
/// hour of the correction after `!`, and `x` if cancelled.
fn build_snapshot(provider: &str, lines: &[&str]) -> ProviderSnapshot {
    let mut meetings: Vec<Value> = Vec::new();
    for line in lines {
        let (id, rest) = line.split_once(' ').unwrap();
        let (rest, cancelled) = rest.strip_suffix('x').map_or((rest, false), |rest| (rest, true));
        let (rest, end) =
            rest.split_once('+').map_or((rest, None), |(rest, end)| (rest, Some(end)));
        let (when, corrected) = rest.split_once('!').map_or((rest, None), |(a, b)| (a, Some(b)));
        let (day, time) = when.split_once('T').map_or((when, None), |(a, b)| (a, Some(b)));
        let at = |time: &str| format!("2026-05-{day}T{time}:00Z");
        let (meeting, code) = id.rsplit_once(':').unwrap();
        let session = serde_json::json!({
            "code": code, "name": code, "start": time.map(at), "date": format!("2026-05-{day}"),
            "end": end.map(at), "cancelled": cancelled,
            "corrected_at": corrected.map(|hour| format!("2026-05-01T{hour}:00:00Z")),
        });
        let name = meeting.split(':').nth(1).unwrap().replace('-', " ");
        let known = meetings.iter_mut().find(|one| one["id"] == meeting);
        match known {
            Some(known) => known["slots"].as_array_mut().unwrap().push(session),
            None => meetings.push(serde_json::json!({
                "id": meeting, "name": name, "round": null, "utc_offset": null,
                "circuit": {"id": "c", "name": "c", "locality": null, "country": null},
                "series": !name.starts_with("other"), "slots": [session],
            })),
        }
    }
    let season = (provider != "ics").then_some("2026");
    let calendar = serde_json::json!({"season": season, "meetings": meetings});
    ProviderSnapshot {
        provider: provider.to_owned(),
        origin: String::new(),
        fetched_at: now(),
        calendar: serde_json::from_value(calendar).unwrap(),
    }
}

fn merge_all(snapshots: &[ProviderSnapshot], last: &Schedule) -> Schedule {
    let snapshots: Vec<_> = snapshots.iter().collect();
    merge_snapshots(&snapshots, &Overrides::default(), last, &UnlistedSessions::default(), now())
}

/// `id start provider[ x][ +revision][ ≠provider…]` of every session.
fn describe_schedule(schedule: &Schedule) -> Vec<String> {
    let one = |session: &Session| {
        let mut line = format!("{} ", session.id);
        line += &session.start.map_or("?".into(), |at| at.strftime("%dT%H:%M").to_string());
        line += &format!(" {}", session.source);
        if session.status == SessionStatus::Cancelled {
            line += " x";
        }
        if session.revision > 0 {
            line += &format!(" +{}", session.revision);
        }
        for claim in &session.disagreement {
            line += &format!(" ≠{}", claim.source);
        }
        line
    };
    schedule.meetings.iter().flat_map(|meeting| &meeting.sessions).map(one).collect()
}

#[test]
fn the_latest_correction_or_the_majority_is_believed() {
    for (name, jolpica, openf1, ics, expected) in [
        ("they agree", "03T20:00", "03T20:00", "03T20:00", "03T20:00 jolpica"),
        (
            "nobody corrected: what most say",
            "03T20:00",
            "03T17:00",
            "03T17:00",
            "03T17:00 openf1 ≠jolpica",
        ),
        (
            "three opinions: the most trusted",
            "03T20:00",
            "03T17:00",
            "03T18:00",
            "03T20:00 jolpica ≠openf1 ≠ics",
        ),
        (
            "a correction beats most",
            "03T20:00",
            "03T20:00",
            "03T17:00!09",
            "03T17:00 ics ≠jolpica ≠openf1",
        ),
        (
            "the later correction",
            "03T17:00!10",
            "03T18:00!09",
            "03T20:00",
            "03T17:00 jolpica ≠openf1 ≠ics",
        ),
        (
            "corrected at once: the most trusted",
            "03T17:00!10",
            "03T18:00!10",
            "03T18:00",
            "03T17:00 jolpica ≠openf1 ≠ics",
        ),
        ("not to know is not to contradict", "03", "03T17:00", "03", "03T17:00 openf1"),
        ("a day local to the track", "02", "03T04:00", "03T04:00", "03T04:00 openf1"),
        ("another day", "01", "03T04:00", "03T04:00", "03T04:00 openf1 ≠jolpica"),
        ("nobody knows", "03", "03", "03", "? jolpica"),
        ("most say it is off", "03T20:00", "03T20:00x", "03T20:00x", "03T20:00 openf1 x ≠jolpica"),
        (
            "dropped after the others were read",
            "03T20:00!09x",
            "03T20:00",
            "03T20:00",
            "03T20:00 jolpica x ≠openf1 ≠ics",
        ),
        ("back again", "03T20:00!10", "03T20:00!09x", "03T20:00", "03T20:00 jolpica ≠openf1"),
    ] {
        let line = |id: &str, when: &str| format!("2026:miami-grand-prix:{id}:race {when}");
        let schedule = merge_all(
            &[
                build_snapshot("jolpica", &[&line("miami", jolpica)]),
                build_snapshot("openf1", &[&line("miami-gardens", openf1)]),
                build_snapshot("ics", &[&line("florida", ics)]),
            ],
            &Schedule::default(),
        );
        assert_eq!(
            describe_schedule(&schedule),
            [format!("2026:miami-grand-prix:miami:race {expected}")],
            "{name}"
        );
        let disagree = expected.contains('≠');
        assert_eq!(count_disagreements(&schedule, now()), usize::from(disagree), "{name}");
        let later = "2026-05-10T00:00:00Z".parse().unwrap();
        assert_eq!(count_disagreements(&schedule, later), 0, "{name}: what is over is settled");
    }
}

#[test]
fn a_known_end_counts_for_the_start_it_belongs_to() {
    for (name, jolpica, openf1, end, estimated) in [
        ("of the same start", "01T16:00", "01T16:00+17:30", "01T17:30", false),
        ("of another start", "01T16:30", "01T16:00+17:30", "01T17:30", true),
        ("not told", "01T16:00", "01T16:00", "01T17:00", true),
    ] {
        let race = "2026:m:c:race 03T20:00";
        let schedule = merge_all(
            &[
                build_snapshot("jolpica", &[race, &format!("2026:m:c:fp1 {jolpica}")]),
                build_snapshot("openf1", &[race, &format!("2026:m:c:fp1 {openf1}")]),
            ],
            &Schedule::default(),
        );
        let fp1 = &schedule.meetings[0].sessions[0];
        let described = fp1.end.unwrap().strftime("%dT%H:%M").to_string();
        assert_eq!((described.as_str(), fp1.end_estimated), (end, estimated), "{name}");
    }
}

#[test]
fn meetings_of_two_providers_match_by_day_or_name() {
    for (name, ics, expected) in [
        (
            "by its day, whatever its name",
            "2026:florida-gp:x:race 04T00:30",
            vec!["m:race 03T20:00 jolpica ≠ics"],
        ),
        (
            "by its name, days later",
            "2026:m-grand-prix:x:race 10T20:00",
            vec!["m:race 03T20:00 jolpica ≠ics"],
        ),
        (
            "not after weeks",
            "2026:m-grand-prix:x:race 24T20:00",
            vec!["m:race 03T20:00 jolpica", "m-grand-prix:race 24T20:00 ics"],
        ),
        (
            "not another championship on its day",
            "2026:other-m:x:race 03T14:00",
            vec!["other-m:race 03T14:00 ics", "m:race 03T20:00 jolpica"],
        ),
        (
            "a show in its weekend",
            "2026:show:x:show 02T18:00",
            vec!["m:show 02T18:00 ics", "m:race 03T20:00 jolpica"],
        ),
        (
            "a show elsewhere",
            "2026:show:x:show 22T18:00",
            vec!["m:race 03T20:00 jolpica", "show:show 22T18:00 ics"],
        ),
    ] {
        let jolpica = build_snapshot("jolpica", &["2026:m:x:race 03T20:00"]);
        let ics = build_snapshot("ics", &[ics]);
        for (order, snapshots) in
            [("", [jolpica.clone(), ics.clone()]), (" reversed", [ics, jolpica])]
        {
            let described = describe_schedule(&merge_all(&snapshots, &Schedule::default()));
            let ids: Vec<_> = described
                .iter()
                .map(|line| line.replace("2026:", "").replace(":x:", ":"))
                .collect();
            if order.is_empty() {
                assert_eq!(ids, expected, "{name}");
            } else {
                assert_eq!(ids.len(), expected.len(), "{name}{order}");
            }
        }
    }
}

/// A calendar may have its own names for the sessions of a weekend, and several shows of one name.
#[test]
fn sessions_of_two_providers_match_by_code_or_time() {
    let jolpica = ["2026:m:x:fp1 01T16:00", "2026:m:x:race 03T20:00"];
    for (name, ics, expected) in [
        (
            "by its time, under another name",
            vec!["2026:m:y:race 03T20:00", "2026:training:y:training 01T16:00"],
            vec!["fp1 01T16:00 jolpica", "race 03T20:00 jolpica"],
        ),
        (
            "by its code, though the calendar has another one at that time",
            vec!["2026:m:y:fp1 01T17:00", "2026:m:y:training 01T16:00", "2026:m:y:race 03T20:00"],
            vec!["fp1 01T16:00 jolpica ≠ics", "training 01T16:00 ics", "race 03T20:00 jolpica"],
        ),
        (
            "two shows at two places",
            vec!["2026:show:y:show 02T18:00", "2026:show:z:show 02T19:00"],
            vec![
                "fp1 01T16:00 jolpica",
                "show 02T18:00 ics",
                "show-HASH 02T19:00 ics",
                "race 03T20:00 jolpica",
            ],
        ),
    ] {
        let snapshots = [build_snapshot("jolpica", &jolpica), build_snapshot("ics", &ics)];
        let described = describe_schedule(&merge_all(&snapshots, &Schedule::default()));
        let hash = blake3::hash(b"2026:show:z").to_hex().chars().take(6).collect::<String>();
        let sessions: Vec<_> = described
            .iter()
            .map(|line| line.replace("2026:m:x:", "").replace(&hash, "HASH"))
            .collect();
        assert_eq!(sessions, expected, "{name}");
    }
}

/// A session that is not listed for a time continues its revision: a calendar ignores what has a
/// lower SEQUENCE than it knows.
#[test]
fn the_revision_of_a_session_that_returns_continues() {
    let mut unlisted = UnlistedSessions::default();
    let mut last = Schedule::default();
    for (name, show, expected) in [
        ("new", Some("02T18:00"), Some(0)),
        ("moved", Some("02T19:00"), Some(1)),
        ("taken out", None, None),
        ("back as it was", Some("02T19:00"), Some(1)),
        ("taken out again", None, None),
        ("still out", None, None),
        ("back at another time", Some("02T20:00"), Some(2)),
        ("the same", Some("02T20:00"), Some(2)),
    ] {
        let show = show.map(|at| format!("2026:m:x:show {at}"));
        let lines: Vec<&str> =
            ["2026:m:x:race 03T20:00"].into_iter().chain(show.as_deref()).collect();
        let snapshot = build_snapshot("openf1", &lines);
        let overrides = Overrides::default();
        let next = merge_snapshots(&[&snapshot], &overrides, &last, &unlisted, now());
        unlisted.update(&last, &next, now());
        last = next;
        let show = last.meetings[0].sessions.iter().find(|session| session.code == "show");
        assert_eq!(show.map(|session| session.revision), expected, "{name}");
    }
}

/// A session of several days contradicts a time outside of them.
#[test]
fn sessions_of_several_days() {
    for (last_date, start, agree) in [
        (None, "03T18:00", false),
        (Some("2026-05-03"), "03T18:00", true),
        (Some("2026-05-03"), "05T18:00", false),
    ] {
        let timed = build_snapshot("jolpica", &[&format!("2026:m:x:race {start}")]);
        let mut days = build_snapshot("openf1", &["2026:m:x:race 01"]);
        days.calendar.meetings[0].slots[0].last_date =
            last_date.map(|last_date: &str| last_date.parse().unwrap());
        let schedule = merge_all(&[timed, days], &Schedule::default());
        let race = &schedule.meetings[0].sessions[0];
        assert_eq!(race.last_date, None, "of the claim that is not believed");
        assert_eq!(race.disagreement.is_empty(), agree, "{last_date:?} {start}");
    }
}

/// Two tests before a season have the same name; those of two providers are matched by day.
#[test]
fn two_tests_of_one_name() {
    let [first, second] = ["2026:testing:x:day-1 04T07:00", "2026:testing-7:x:day-1 11T07:00"];
    let other = |day: &str| format!("2026:testing:y:day-1 {day}T07:00");
    for (name, openf1, ics, expected) in [
        ("one source", vec![first, second], vec![], vec!["04T07:00 openf1", "11T07:00 openf1"]),
        (
            "another knows one",
            vec![first, second],
            vec![other("11")],
            vec!["04T07:00 openf1", "11T07:00 openf1"],
        ),
        (
            "a day off",
            vec![first, second],
            vec![other("12")],
            vec!["04T07:00 openf1", "11T07:00 openf1 ≠ics"],
        ),
    ] {
        let ics: Vec<&str> = ics.iter().map(String::as_str).collect();
        let schedule = merge_all(
            &[build_snapshot("openf1", &openf1), build_snapshot("ics", &ics)],
            &Schedule::default(),
        );
        let described: Vec<_> = describe_schedule(&schedule)
            .iter()
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect();
        assert_eq!(described, expected, "{name}");
    }
}

#[test]
fn old_links_resolve() {
    let first = merge_all(
        &[build_snapshot("openf1", &["2026:m:sakhir:race 03T20:00"])],
        &Schedule::default(),
    );
    // Another provider takes the lead with its own id of the circuit, then renames the race.
    let second = merge_all(&[build_snapshot("jolpica", &["2026:m:bahrain:race 03T20:00"])], &first);
    let third =
        merge_all(&[build_snapshot("jolpica", &["2026:gulf-m:bahrain:race 03T21:00"])], &second);
    let wanted = "2026:gulf-m:bahrain:race";
    for link in ["2026:m:sakhir:race", "2026:m:bahrain:race", wanted, "2026:other:bahrain:race"] {
        assert_eq!(third.find_session(link).map(|one| one.id.as_str()), Some(wanted), "{link}");
    }
    for link in ["2026:m:sakhir:fp1", "2025:m:bahrain:race", "race", "", ":::"] {
        assert!(third.find_session(link).is_none(), "{link}");
    }
    assert_eq!(
        third.find_session(wanted).unwrap().revision,
        1,
        "the revision continues under the new id"
    );
}

/// The 2026 case: two races cancelled, one back months later at another circuit.
#[test]
fn cancelled_and_back_elsewhere() {
    let database = samples::read_json_sample("jolpica-f1-data-2026-calendar.json");
    let all = samples::jolpica_races(&database);
    let two = ["Bahrain Grand Prix", "Saudi Arabian Grand Prix"];
    let fewer = samples::remove_races(&all, &two);
    let sepang = samples::f1db_field_reader("f1db-2026-16-bahrain.yml");
    let at = |key: &str| {
        let (date, time) = (sepang(&format!("{key}Date")), sepang(&format!("{key}Time")));
        serde_json::json!({"date": date, "time": time.map(|time| format!("{time}:00Z"))})
    };
    let mut back = fewer.clone();
    back.insert(
        15,
        serde_json::json!({
            "season": "2026", "round": sepang("round"), "raceName": "Bahrain Grand Prix",
            "Circuit": {"circuitId": sepang("circuitId"), "circuitName": "Sepang"},
            "date": sepang("date"), "time": sepang("time").map(|time| format!("{time}:00Z")),
            "FirstPractice": at("freePractice1"), "SecondPractice": at("freePractice2"),
            "ThirdPractice": at("freePractice3"), "Qualifying": at("qualifying"),
        }),
    );
    let read = |races: &[Value]| jolpica::read_calendar(&samples::race_table_page(races));
    let day = |text: &str| -> Timestamp { format!("2026-{text}T00:00:00Z").parse().unwrap() };
    let snapshot_of = |calendar: &ProviderCalendar| ProviderSnapshot {
        calendar: calendar.clone(),
        ..build_snapshot("jolpica", &[])
    };

    let first = read(&all);
    let march = merge_all(&[snapshot_of(&first)], &Schedule::default());
    let second = history::carry_over_history(&first, read(&fewer), &[], true, day("03-15"));
    let april = merge_all(&[snapshot_of(&second)], &march);
    let third = history::carry_over_history(&second, read(&back), &[], true, day("07-27"));
    let august = merge_all(&[snapshot_of(&third)], &april);

    let circuit = &march.meetings[3].circuit.id;
    let (old, new) =
        (format!("2026:bahrain-grand-prix:{circuit}"), "2026:bahrain-grand-prix:sepang");
    let race = |schedule: &Schedule, meeting: &str| {
        let session = schedule.find_session(&format!("{meeting}:race")).unwrap().clone();
        (session.status == SessionStatus::Cancelled, session.revision)
    };
    assert_eq!((march.meetings.len(), race(&march, &old)), (24, (false, 0)));
    assert_eq!((april.meetings.len(), race(&april, &old)), (24, (true, 1)));
    assert_eq!((august.meetings.len(), race(&august, &old)), (25, (true, 1)));
    assert_eq!(race(&august, new), (false, 0), "another race, with another id");
    let moved = |schedule: &Schedule, id: &str| {
        schedule.meetings.iter().find(|one| one.id == id).unwrap().moved_to.clone()
    };
    assert_eq!((moved(&april, &old), moved(&august, &old).as_deref()), (None, Some(new)));
    let jeddah = april.meetings[4].id.clone();
    assert_eq!((race(&august, &jeddah), moved(&august, &jeddah)), ((true, 1), None));
    // The rounds were renumbered twice, and no id changed.
    let ids = |schedule: &Schedule| -> Vec<String> {
        let ids = schedule.meetings.iter().map(|one| one.id.clone());
        ids.filter(|id| id != new).collect()
    };
    assert_eq!((ids(&march), ids(&march)), (ids(&april), ids(&august)));
}

#[test]
fn a_meeting_is_unconfirmed_since_its_last_provider_failed() {
    let both = build_snapshot("jolpica", &["2026:m:x:race 03T20:00"]);
    let extra = build_snapshot("ics", &["2026:m:x:race 03T20:00", "2026:show:y:show 22T18:00"]);
    let at = |hour: &str| format!("2026-05-01T{hour}:00:00Z").parse::<Timestamp>().ok();
    for (name, jolpica, ics, expected) in [
        ("all is well", None, None, None),
        ("one is down, the other lists it all", at("01"), None, None),
        ("what only one lists", None, at("02"), at("02")),
        ("both: since the last one went", at("01"), at("03"), at("03")),
    ] {
        let failing = |provider: &str| if provider == "ics" { ics } else { jolpica };
        assert_eq!(unconfirmed_since(&[&both, &extra], failing, now()), expected, "{name}");
    }
}
