//! All providers at once, with the events of the seasons of 2024, 2025 and 2026.

use pitwall_upstream_map::documents::{Session, SessionStatus};
use serde_json::{Value, json};

use super::*;
use crate::schedule::openf1;
use crate::schedule::samples::{
    apply_patch, build_ics, f1db_field_reader, issue_payload, jolpica_races, race_table_page,
    read_json_sample as sample, read_sample, remove_races,
};

const ALL_PROVIDERS: [ProviderName; 3] =
    [ProviderName::JOLPICA, ProviderName::OPENF1, ProviderName::ICS];

async fn build_harness(
    providers: &[ProviderName],
    now: &str,
) -> (MockProviders, tempfile::TempDir, PollerHarness) {
    let mock = MockProviders::default();
    let base = serve(Router::new().fallback(respond).with_state(mock.clone())).await;
    let directory = tempfile::tempdir().unwrap();
    let harness = PollerHarness::new(&config(&base, providers), directory.path(), now);
    (mock, directory, harness)
}

fn set_openf1(mock: &MockProviders, sessions: &[Value]) {
    let name = json!([{"meeting_key": 1284, "meeting_name": "Miami Grand Prix"}]);
    mock.set_response(MEETINGS, name.to_string());
    mock.set_response(SESSIONS, json!(sessions).to_string());
}

fn find_session(harness: &PollerHarness, meeting: &str, code: &str) -> Session {
    let schedule = harness.state().schedule;
    let meetings = schedule.meetings.iter().filter(|one| one.id.starts_with(meeting));
    let sessions = meetings.flat_map(|one| &one.sessions).filter(|one| one.code == code);
    let found: Vec<_> = sessions.cloned().collect();
    assert_eq!(found.len(), 1, "{meeting} {code}: {found:?}");
    found.into_iter().next().unwrap()
}

/// `DD HH:MM provider`, with `x` if cancelled and `≠` before every provider that disagrees.
fn describe_session(harness: &PollerHarness, meeting: &str, code: &str) -> String {
    let session = find_session(harness, meeting, code);
    let time = session.start.map_or("?".into(), |at| at.strftime("%d %H:%M").to_string());
    let cancelled = if session.status == SessionStatus::Cancelled { " x" } else { "" };
    let others = session.disagreement.iter().map(|claim| format!(" ≠{}", claim.source));
    format!("{time} {}{cancelled}{}", session.source, others.collect::<String>())
}

/// The season as it went: two races cancelled, a race moved on its morning, a patch applied to the
/// wrong race, and a cancelled race held at another circuit.
#[tokio::test]
async fn the_season_of_2026() {
    let database = sample("jolpica-f1-data-2026-calendar.json");
    let patch = sample("jolpica-f1-data-2026-miami_race_time_update.json");
    let all = jolpica_races(&database);
    let cancelled = ["Bahrain Grand Prix", "Saudi Arabian Grand Prix"];
    let (mock, _directory, mut harness) =
        build_harness(&ALL_PROVIDERS, "2026-03-10T00:00:00Z").await;
    let mut march = sample("sportstimes-f1-2026-at-4f33cd21-cancelled.json");
    let still_on = |race: &mut Value| drop(race.as_object_mut().unwrap().remove("canceled"));
    march["races"].as_array_mut().unwrap().iter_mut().for_each(still_on);

    mock.set_response(JOLPICA, race_table_page(&all));
    mock.set_response(ICS, build_ics(&march, 2026));
    set_openf1(&mock, &openf1::tests::miami_sessions());
    harness.poll_at("2026-03-10T00:00:00Z").await;
    let state = harness.state();
    assert_eq!((state.schedule.meetings.len(), state.error), (24, None));
    assert_eq!(describe_session(&harness, "2026:bahrain", "race"), "12 15:00 jolpica");
    // Two providers had FP1 of Miami wrong, and the third is not believed against their majority.
    assert_eq!(describe_session(&harness, "2026:miami", "fp1"), "01 16:30 jolpica ≠openf1");

    // jolpica drops the two races and renumbers; f1calendar.com marks them as cancelled.
    let fewer = remove_races(&all, &cancelled);
    mock.set_response(JOLPICA, race_table_page(&fewer));
    mock.set_response(
        ICS,
        build_ics(&sample("sportstimes-f1-2026-at-4f33cd21-cancelled.json"), 2026),
    );
    harness.poll_at("2026-03-15T00:00:00Z").await;
    assert_eq!(harness.state().schedule.meetings.len(), 24, "cancelled meetings stay listed");
    for race in ["2026:bahrain", "2026:saudi"] {
        assert!(
            describe_session(&harness, race, "race").ends_with(" x"),
            "{race}: {}",
            describe_session(&harness, race, "race")
        );
        assert_eq!(find_session(&harness, race, "race").revision, 1);
    }

    // On the morning of the race, it is moved by three hours, and one provider has the new time.
    let mut may = sample("sportstimes-f1-2026.json");
    may["races"].as_array_mut().unwrap().retain(|race| race["location"] != "Sepang");
    mock.set_response(ICS, build_ics(&may, 2026));
    assert_eq!(harness.poll_at("2026-05-03T08:00:00Z").await, [3600, 3600, 3600]);
    assert_eq!(describe_session(&harness, "2026:miami", "race"), "03 17:00 ics ≠jolpica ≠openf1");
    let believed = find_session(&harness, "2026:miami", "race");
    assert_eq!(
        (believed.revision, believed.end_estimated),
        (1, true),
        "the other providers' end belongs to their start"
    );
    let disagreements = harness.state().disagreements;
    assert_eq!(harness.metric("pitwall_schedule_disagreements", &[]), disagreements as f64);
    assert!(disagreements >= 1);

    // jolpica's patch names round 6, which is Monaco since the rounds were renumbered.
    let wrong = {
        let rows = database.as_array().unwrap().clone();
        let monaco = |row: &Value| row["objects"][0]["name"] == "Monaco Grand Prix";
        let number = rows.iter().find(|row| monaco(row)).unwrap()["objects"][0]["number"].clone();
        let mut patch = patch.clone();
        patch[0]["foreign_keys"]["round"] = number;
        remove_races(&jolpica_races(&apply_patch(&database, &patch)), &cancelled)
    };
    let monaco = wrong.iter().find(|race| race["raceName"] == "Monaco Grand Prix").unwrap();
    let quote = issue_payload("jolpica-issue-verbatim.json", "#366");
    for key in ["round", "date", "time", "FirstPractice", "SecondPractice"] {
        assert_eq!(monaco[key], quote[key], "as the issue quotes it");
    }
    mock.set_response(JOLPICA, race_table_page(&wrong));
    harness.poll_at("2026-05-03T09:00:00Z").await;
    let state = harness.state();
    let error = state.error.unwrap();
    assert!(error.starts_with("jolpica: left out: 2026:monaco-grand-prix"), "{error}");
    assert_eq!(
        describe_session(&harness, "2026:monaco", "race"),
        "07 13:00 jolpica",
        "the last good one"
    );
    assert_eq!(describe_session(&harness, "2026:miami", "race"), "03 17:00 ics ≠jolpica ≠openf1");
    assert_eq!(harness.metric("pitwall_schedule_fetches_total", &["jolpica", "refused"]), 0.0);
    assert_eq!(state.schedule.stale_since, None, "the other providers confirm the whole schedule");

    // The patch is applied by hand to Miami, which was round 6 originally; OpenF1 is locked while
    // the race is live.
    mock.set_response(
        JOLPICA,
        race_table_page(&remove_races(&jolpica_races(&apply_patch(&database, &patch)), &cancelled)),
    );
    let closed = issue_payload("openf1-issue-verbatim.json", "HTTP 401").to_string();
    mock.set_failure(MEETINGS, 401, &closed, None);
    assert_eq!(harness.poll_at("2026-05-03T16:30:00Z").await, [900, 900, 900]);
    assert_eq!(describe_session(&harness, "2026:miami", "race"), "03 17:00 jolpica ≠openf1");
    assert_eq!(
        find_session(&harness, "2026:miami", "race").revision,
        1,
        "the believed start is the same"
    );
    assert_eq!(harness.metric("pitwall_schedule_fetches_total", &["openf1", "locked"]), 1.0);
    assert_eq!(harness.metric("pitwall_schedule_stale", &[]), 0.0);

    // OpenF1 is open again and has the new time: all providers agree.
    let mut rows = openf1::tests::miami_sessions();
    rows[4]["date_start"] = json!("2026-05-03T17:00:00+00:00");
    rows[4]["date_end"] = json!("2026-05-03T19:00:00+00:00");
    set_openf1(&mock, &rows);
    harness.poll_at("2026-05-04T08:00:00Z").await;
    assert_eq!(describe_session(&harness, "2026:miami", "race"), "03 17:00 openf1");
    let race = find_session(&harness, "2026:miami", "race");
    assert!(!race.end_estimated && race.disagreement.is_empty());

    // The race of Bahrain is listed again at another circuit, first with provisional times.
    mock.set_response(
        ICS,
        build_ics(&sample("sportstimes-f1-2026-at-b178b712-tbc-malaysia.json"), 2026),
    );
    harness.poll_at("2026-07-27T00:00:00Z").await;
    assert_eq!(
        describe_session(&harness, "2026:bahrain-malaysia-grand-prix:sepang", "race"),
        "04 07:00 ics"
    );
    let state = harness.state();
    let old = state.schedule.meetings.iter().find(|one| one.name == "Bahrain Grand Prix").unwrap();
    assert!(old.sessions.iter().all(|one| one.status == SessionStatus::Cancelled));
    assert_eq!(old.moved_to.as_deref(), Some("2026:bahrain-malaysia-grand-prix:sepang"));

    mock.set_response(ICS, build_ics(&sample("sportstimes-f1-2026.json"), 2026));
    harness.poll_at("2026-09-01T00:00:00Z").await;
    let fp1 = find_session(&harness, "2026:bahrain-malaysia-grand-prix:sepang", "fp1");
    assert_eq!((fp1.revision, fp1.disagreement.len()), (1, 0), "its first times were a guess");

    // The final schedule agrees with f1db, a fourth database.
    for (file, meeting) in [
        ("f1db-2026-02-china.yml", "2026:chinese"),
        ("f1db-2026-04-miami.yml", "2026:miami"),
        ("f1db-2026-16-bahrain.yml", "2026:bahrain-malaysia"),
        ("f1db-2026-21-las-vegas.yml", "2026:las-vegas"),
    ] {
        let row = f1db_field_reader(file);
        for (key, code) in [
            ("", "race"),
            ("freePractice1", "fp1"),
            ("freePractice2", "fp2"),
            ("freePractice3", "fp3"),
            ("qualifying", "qualifying"),
            ("sprintQualifying", "sprint-qualifying"),
            ("sprintRace", "sprint"),
        ] {
            let key = |part: &str| match key {
                "" => part.to_lowercase(),
                key => format!("{key}{part}"),
            };
            let Some((date, time)) = row(&key("Date")).zip(row(&key("Time"))) else { continue };
            let expected: Timestamp = format!("{date}T{time}:00Z").parse().unwrap();
            assert_eq!(
                find_session(&harness, meeting, code).start,
                Some(expected),
                "{meeting} {code}"
            );
        }
    }
}

/// Wrong payloads that are plausible by themselves show as disagreements with a second provider.
#[tokio::test]
async fn quiet_mistakes_show_as_disagreements() {
    let two = [ProviderName::JOLPICA, ProviderName::ICS];
    for (issue, year, code, before, after, wrong) in [
        // FP1 is a day early.
        (
            "#136",
            2025,
            "fp1",
            "13 01:30 jolpica ≠ics",
            "14 01:30 jolpica",
            vec!["2025:australian-grand-prix:albert_park:fp1"],
        ),
        // The race is an hour late, and so are two sessions that the issue does not mention.
        (
            "#113",
            2024,
            "race",
            "01 17:00 jolpica ≠ics",
            "01 16:00 jolpica",
            vec![
                "2024:qatar-grand-prix:losail:sprint",
                "2024:qatar-grand-prix:losail:qualifying",
                "2024:qatar-grand-prix:losail:race",
            ],
        ),
    ] {
        let now = format!("{year}-01-20T00:00:00Z");
        let (mock, _directory, mut harness) = build_harness(&two, &now).await;
        let quote = issue_payload("jolpica-issue-verbatim.json", issue);
        let races = quote.pointer("/MRData/RaceTable/Races").cloned().unwrap_or(json!([quote]));
        let mut races = races.as_array().unwrap().clone();
        let meeting = format!("{year}:{}", races[0]["raceName"].as_str().unwrap().to_lowercase());
        let meeting = meeting.replace(' ', "-");
        mock.set_response(JOLPICA, race_table_page(&races));
        mock.set_response(ICS, build_ics(&sample(&format!("sportstimes-f1-{year}.json")), year));
        harness.poll_at(&now).await;
        assert_eq!(describe_session(&harness, &meeting, code), before, "{issue}");
        let state = harness.state();
        assert_eq!(
            state.schedule.meetings.len(),
            24,
            "{issue}: both providers' meetings are matched"
        );
        let sessions = state.schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        let open = sessions.filter(|one| !one.disagreement.is_empty()).map(|one| &one.id);
        assert_eq!(open.collect::<Vec<_>>(), wrong.iter().collect::<Vec<_>>(), "{issue}");
        assert_eq!(state.disagreements, wrong.len(), "{issue}");

        match issue {
            "#136" => races[0]["FirstPractice"]["date"] = json!("2025-03-14"),
            _ => races[0]["time"] = json!("16:00:00Z"),
        }
        mock.set_response(JOLPICA, race_table_page(&races));
        harness.poll_at(&now).await;
        assert_eq!(describe_session(&harness, &meeting, code), after, "{issue}");
    }
}

/// Two providers agree on seasons with each format of sprint weekend.
#[tokio::test]
async fn providers_agree_on_each_format_of_weekend() {
    let two = [ProviderName::JOLPICA, ProviderName::ICS];
    let next = read_sample("jolpica-testfixture-2023-next.json");
    // Disagreements that were never corrected: Ergast had most shootouts of 2023 half an hour or
    // more off.
    let unsettled = "azerbaijan-grand-prix:baku:sprint-qualifying \
         canadian-grand-prix:villeneuve:fp2 austrian-grand-prix:red_bull_ring:sprint-qualifying \
         belgian-grand-prix:spa:sprint-qualifying belgian-grand-prix:spa:sprint \
         qatar-grand-prix:losail:sprint-qualifying \
         united-states-grand-prix:americas:sprint-qualifying \
         sao-paulo-grand-prix:interlagos:sprint-qualifying las-vegas-grand-prix:vegas:fp1 \
         las-vegas-grand-prix:vegas:fp2 las-vegas-grand-prix:vegas:fp3 \
         las-vegas-grand-prix:vegas:qualifying";
    for (year, jolpica, meetings, expected) in [
        (2023, read_sample("jolpica-testfixture-ergast-2023.json"), 22, unsettled),
        // The first race of 2024, as listed at the end of 2023.
        (2024, next, 24, ""),
    ] {
        let now = format!("{year}-01-20T00:00:00Z");
        let (mock, _directory, mut harness) = build_harness(&two, &now).await;
        mock.set_response(JOLPICA, jolpica);
        mock.set_response(ICS, build_ics(&sample(&format!("sportstimes-f1-{year}.json")), year));
        harness.poll_at(&now).await;
        let state = harness.state();
        assert_eq!((state.schedule.meetings.len(), state.error), (meetings, None), "{year}");
        let sessions = state.schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        let open = sessions.filter(|one| !one.disagreement.is_empty());
        let open: Vec<_> = open.map(|one| one.id.replace(&format!("{year}:"), "")).collect();
        assert_eq!(open.join(" "), expected, "{year}");
        let codes: std::collections::BTreeSet<_> =
            state.schedule.meetings.iter().map(|meeting| meeting.sessions.len()).collect();
        assert_eq!(codes, [5].into(), "{year}: every weekend has five sessions, each once");
    }
}

/// How a sample is served: the paths of its provider and their responses.
fn sample_responses(file: &str) -> Vec<(&'static str, String)> {
    let year = |text: &str| text.chars().take(4).collect::<String>().parse().unwrap();
    match file {
        "openf1-issue-verbatim.json" => vec![
            (MEETINGS, json!([{"meeting_key": 1284, "meeting_name": "Miami GP"}]).to_string()),
            (SESSIONS, json!(openf1::tests::miami_sessions()).to_string()),
        ],
        "jolpica-issue-verbatim.json" => vec![(JOLPICA, issue_payload(file, "#136").to_string())],
        "jolpica-f1-data-2026-calendar.json" => {
            vec![(JOLPICA, race_table_page(&jolpica_races(&sample(file))))]
        }
        "jolpica-f1-data-2026-miami_race_time_update.json" => {
            let database = sample("jolpica-f1-data-2026-calendar.json");
            vec![(JOLPICA, race_table_page(&jolpica_races(&apply_patch(&database, &sample(file)))))]
        }
        _ if file.starts_with("jolpica") => vec![(JOLPICA, read_sample(file))],
        _ => {
            let year = year(file.strip_prefix("sportstimes-f1-").unwrap());
            vec![(ICS, build_ics(&sample(file), year))]
        }
    }
}

/// The number of meetings and sessions of each sample, read over HTTP from a single provider.
#[tokio::test]
async fn every_sample_is_read_as_its_provider_serves_it() {
    let expected = [
        ("jolpica-2026-races-excerpt.json", "2026-01-20", 5, 25),
        ("jolpica-docs-1950-excerpt.json", "1950-01-20", 2, 2),
        ("jolpica-f1-data-2026-calendar.json", "2026-01-20", 24, 120),
        ("jolpica-f1-data-2026-miami_race_time_update.json", "2026-01-20", 24, 120),
        ("jolpica-issue-verbatim.json", "2025-01-20", 1, 5),
        ("jolpica-testfixture-2023-next.json", "2024-01-20", 1, 5),
        // A season without races is refused.
        ("jolpica-testfixture-empty-2023-99.json", "2023-01-20", 0, 0),
        ("jolpica-testfixture-ergast-2023.json", "2023-01-20", 22, 110),
        ("openf1-issue-verbatim.json", "2026-04-28", 1, 5),
        ("sportstimes-f1-2020.json", "2020-03-01", 17, 83),
        ("sportstimes-f1-2022.json", "2022-03-01", 22, 110),
        ("sportstimes-f1-2023.json", "2023-03-01", 22, 110),
        ("sportstimes-f1-2024.json", "2024-03-01", 24, 120),
        ("sportstimes-f1-2025.json", "2025-03-01", 24, 120),
        ("sportstimes-f1-2026-at-4f33cd21-cancelled.json", "2026-03-01", 24, 120),
        ("sportstimes-f1-2026-at-b178b712-tbc-malaysia.json", "2026-03-01", 23, 115),
        ("sportstimes-f1-2026.json", "2026-03-01", 23, 115),
    ];
    for (file, day, meetings, sessions) in expected {
        let served = sample_responses(file);
        let provider = match served[0].0 {
            JOLPICA => ProviderName::JOLPICA,
            ICS => ProviderName::ICS,
            _ => ProviderName::OPENF1,
        };
        let now = format!("{day}T00:00:00Z");
        let (mock, _directory, mut harness) = build_harness(&[provider], &now).await;
        for (path, body) in served {
            mock.set_response(path, body);
        }
        harness.poll_at(&now).await;
        let state = harness.state();
        let listed: usize = state.schedule.meetings.iter().map(|one| one.sessions.len()).sum();
        assert_eq!((state.schedule.meetings.len(), listed), (meetings, sessions), "{file}");
        assert_eq!(state.error.is_some(), meetings == 0, "{file}: {:?}", state.error);
    }
    // The other files are no provider's response: f1db's races, and the README.
    let folder = format!("{}/tests/data/schedule", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let mut files: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    files.retain(|name| !name.starts_with("f1db-") && name != "README.md");
    files.sort();
    assert_eq!(files, expected.map(|(file, ..)| file), "none was left out");
}

/// OpenF1 is locked from the start, and the schedule is complete without it.
#[tokio::test]
async fn the_schedule_does_not_depend_on_a_locked_provider() {
    let (mock, _directory, mut harness) =
        build_harness(&ALL_PROVIDERS, "2026-05-03T16:30:00Z").await;
    mock.set_response(JOLPICA, read_sample("jolpica-2026-races-excerpt.json"));
    mock.set_response(ICS, build_ics(&sample("sportstimes-f1-2026.json"), 2026));
    let closed = issue_payload("openf1-issue-verbatim.json", "HTTP 401").to_string();
    mock.set_failure(MEETINGS, 401, &closed, Some("1800"));
    assert_eq!(harness.poll_at("2026-05-03T16:30:00Z").await, [900, 1800, 900]);
    let state = harness.state();
    assert_eq!(state.schedule.meetings.len(), 23);
    assert_eq!(state.schedule.stale_since, None);
    assert_eq!(state.error.as_deref(), Some("openf1: closed while a session is live"));
    assert_eq!(state.providers[1].fetched_at, None);
}
