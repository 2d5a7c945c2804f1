//! One source: its failures, its pages, and restarts.

use axum::extract::Query;
use axum::routing::get;
use pitwall_upstream_map::documents::{Schedule, SessionStatus};

use super::*;
use crate::publish::{self, calendar};
use crate::schedule::samples::{ergast, json, race_table, text};
use crate::schedule::window;

async fn stage(now: &str) -> (Site, ScheduleConfig, tempfile::TempDir, Stage) {
    let site = Site::default();
    let base = serve(Router::new().fallback(answer).with_state(site.clone())).await;
    let config = config(&base, &[ProviderName::JOLPICA]);
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::set(&config, directory.path(), now);
    (site, config, directory, stage)
}

const NOW: &str = "2026-04-28T00:00:00Z";

#[tokio::test]
async fn the_last_good_schedule_survives_everything() {
    let (site, config, directory, mut stage) = stage(NOW).await;
    assert!(stage.poller.desks[0].due <= Instant::now(), "nothing is known yet");
    let good = text("jolpica-2026-races-excerpt.json");
    site.answers(JOLPICA, good.clone());
    assert_eq!(stage.poll_at(NOW).await, [6 * 3600]);
    assert_eq!(stage.state().schedule.meetings.len(), 5);
    assert_eq!(stage.state().schedule.stale_since, None);

    for (name, status, body, retry_after, expected) in [
        ("an error", 500, String::new(), None, 60),
        ("an HTML page", 200, "<html>".to_owned(), None, 120),
        ("no races", 200, text("jolpica-testfixture-empty-2023-99.json"), None, 240),
        ("too many requests", 429, String::new(), Some("3000"), 3000),
        ("a date to wait for", 429, String::new(), Some("Tue, 28 Apr 2026 00:50:00 GMT"), 3000),
        ("an absurd wish", 503, String::new(), Some("99999999"), 86_400),
        ("a wish that is none", 429, String::new(), Some("soon"), 3840),
    ] {
        site.fails(JOLPICA, status, &body, retry_after);
        assert_eq!(stage.poll_at(NOW).await, [expected], "{name}");
        let state = stage.state();
        assert_eq!(state.schedule.meetings.len(), 5, "{name}");
        assert_eq!(state.schedule.stale_since, Some(NOW.parse().unwrap()), "{name}");
        assert!(state.error.is_some(), "{name}");
    }
    let counted = ["failed", "refused", "success"]
        .map(|result| stage.metric("pitwall_schedule_fetches_total", &["jolpica", result]));
    assert_eq!(counted, [6.0, 1.0, 1.0]);
    assert_eq!(stage.metric("pitwall_schedule_stale", &[]), 1.0);

    // A restart in the middle of it knows as much as before, and since when.
    let stale = Stage::set(&config, directory.path(), "2026-04-28T05:00:00Z");
    assert_eq!(stale.state().schedule.stale_since, Some(NOW.parse().unwrap()));
    assert_eq!(stale.state().schedule.meetings.len(), 5);

    // The race moves by three hours: a revision, a fresh schedule.
    let moved = good.replace("\"2026-05-03\",\"time\":\"20:00", "\"2026-05-03\",\"time\":\"17:00");
    site.answers(JOLPICA, moved);
    stage.poll_at(NOW).await;
    let schedule = stage.state().schedule;
    assert_eq!((schedule.stale_since, stage.state().error), (None, None));
    let revised: Vec<_> = schedule
        .meetings
        .iter()
        .flat_map(|meeting| &meeting.sessions)
        .filter(|session| session.revision > 0)
        .map(|session| (session.id.as_str(), session.revision, session.revised_at))
        .collect();
    let at = NOW.parse().ok();
    assert_eq!(revised, [("2026:miami-grand-prix:miami:race", 1, at)]);

    // A restart serves it without asking, and waits for its turn.
    let asked = site.asked();
    let second = Stage::set(&config, directory.path(), "2026-04-28T01:00:00Z");
    assert_eq!(second.state().schedule.meetings, schedule.meetings);
    let wait = second.poller.desks[0].due.duration_since(Instant::now());
    assert!(wait > Duration::from_hours(4), "{wait:?}");
    assert_eq!(site.asked(), asked);
    for (name, now) in [
        ("old by now", "2026-04-29T01:00:00Z"),
        ("from a clock that was ahead", "2026-04-27T00:00:00Z"),
    ] {
        let stage = Stage::set(&config, directory.path(), now);
        assert!(stage.poller.desks[0].due <= Instant::now(), "{name}");
    }
    // What another place said is nobody's last good.
    let elsewhere = super::config("http://127.0.0.1:1", &[ProviderName::JOLPICA]);
    let stage = Stage::set(&elsewhere, directory.path(), NOW);
    assert!(stage.state().schedule.meetings.is_empty());
}

/// One that cannot be read or cannot be true stays as it was, is told, and costs nothing else.
#[tokio::test]
async fn an_item_costs_only_itself() {
    let (site, _, _directory, mut stage) = stage(NOW).await;
    let good = text("jolpica-2026-races-excerpt.json");
    site.answers(JOLPICA, good.clone());
    stage.poll_at(NOW).await;
    let before = stage.state().schedule;
    let miami = "2026:miami-grand-prix:miami";
    let race = r#""date":"2026-05-03","time":"20:00:00Z""#;
    assert!(good.contains(race));
    for (name, from, to, expected) in [
        (
            "a time that is none",
            race,
            r#""date":"2026-05-03","time":"soon""#,
            format!("left out: {miami}:race: \"soon\" is no time"),
        ),
        (
            "no name",
            r#""raceName":"Miami Grand Prix""#,
            r#""raceName":"…""#,
            "left out: number 3 of the races: it has no name to make an id of".to_owned(),
        ),
        (
            "no row",
            r#""raceName":"Miami Grand Prix""#,
            r#""raceName":7"#,
            "left out: number 3 of the races: invalid type: integer `7`, expected a string"
                .to_owned(),
        ),
        (
            "in no year",
            race,
            r#""date":"2062-05-03","time":"20:00:00Z""#,
            format!("left out: {miami}:race: it is not in 2026"),
        ),
        (
            "before its practice",
            race,
            r#""date":"2026-05-01","time":"12:00:00Z""#,
            format!(
                "left out: {miami}: fp1: it is not before the race, so nothing of the meeting is believed"
            ),
        ),
    ] {
        site.answers(JOLPICA, good.replace(from, to));
        stage.poll_at(NOW).await;
        let state = stage.state();
        assert_eq!(state.error, Some(format!("jolpica: {expected}")), "{name}");
        assert_eq!(state.schedule.stale_since, None, "{name}");
        let ids = |schedule: &Schedule| -> Vec<_> {
            let sessions = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
            sessions.map(|one| (one.id.clone(), one.start, one.status)).collect()
        };
        assert_eq!(ids(&state.schedule), ids(&before), "{name}");
    }
    site.answers(JOLPICA, good);
    stage.poll_at(NOW).await;
    assert_eq!(stage.state().error, None);
}

/// Start and SEQUENCE of every entry of `/calendar.ics`, by its UID.
fn entries(schedule: &Schedule) -> BTreeMap<String, [String; 2]> {
    let edge = publish::Site::new("https://edge.test/".parse().unwrap());
    let text = calendar::write(schedule, &edge).replace("\r\n ", "");
    let entries = text.split("BEGIN:VEVENT\r\n").skip(1).map(|entry| {
        let of = |name: &str| {
            let mut lines = entry.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name).unwrap().1.to_owned()
        };
        (of("UID"), [of("DTSTART"), of("SEQUENCE")])
    });
    entries.collect()
}

/// Whoever imported the race once moves it, instead of having it twice.
#[tokio::test]
async fn a_move_is_the_same_entry_with_a_higher_sequence() {
    let (site, _, _directory, mut stage) = stage(NOW).await;
    let good = text("jolpica-2026-races-excerpt.json");
    let moved = good.replace("\"2026-05-03\",\"time\":\"20:00", "\"2026-05-03\",\"time\":\"17:00");
    let mut seen = Vec::new();
    for answer in [&good, &good, &moved, &moved, &good] {
        site.answers(JOLPICA, answer.clone());
        stage.poll_at(NOW).await;
        seen.push(entries(&stage.state().schedule));
    }
    let race = "2026:miami-grand-prix:miami:race@pitwall";
    let of_race: Vec<_> = seen.iter_mut().map(|entries| entries.remove(race).unwrap()).collect();
    let at = |hour: u32, sequence: u32| [format!("20260503T{hour}0000Z"), sequence.to_string()];
    assert_eq!(of_race, [at(20, 0), at(20, 0), at(17, 1), at(17, 1), at(20, 2)]);
    assert_eq!(seen[0].len(), 24, "the others");
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "stay as they are");
}

#[tokio::test]
async fn a_season_without_times_is_listed() {
    let (site, _, _directory, mut stage) = stage("1950-05-01T00:00:00Z").await;
    site.answers(JOLPICA, text("jolpica-docs-1950-excerpt.json"));
    stage.poll_at("1950-05-14T00:00:00Z").await;
    let schedule = stage.state().schedule;
    let told = |now: &str| -> Vec<_> {
        let schedule = window::at(&schedule, now.parse().unwrap(), false);
        let sessions = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        sessions.map(|one| (one.date.to_string(), one.time_known, one.start, one.status)).collect()
    };
    use SessionStatus::{Past, Upcoming};
    for (now, british, monaco) in [
        ("1950-05-13T12:00:00Z", Upcoming, Upcoming),
        ("1950-05-14T12:00:00Z", Past, Upcoming),
        ("1950-05-22T12:00:00Z", Past, Past),
    ] {
        let expected = [
            ("1950-05-13".to_owned(), false, None, british),
            ("1950-05-21".to_owned(), false, None, monaco),
        ];
        assert_eq!(told(now), expected, "{now}");
    }
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    #[derive(serde::Deserialize)]
    struct Page {
        limit: usize,
        offset: usize,
    }
    // Ten at a time, whatever is asked.
    let page = |Query(page): Query<Page>| async move {
        assert_eq!(page.limit, 100);
        let mut payload: serde_json::Value =
            serde_json::from_str(&text("jolpica-testfixture-ergast-2023.json")).unwrap();
        let races = payload.pointer_mut("/MRData/RaceTable/Races").unwrap().as_array_mut().unwrap();
        *races = races.iter().skip(page.offset).take(10).cloned().collect();
        payload.to_string()
    };
    let base = serve(Router::new().route(JOLPICA, get(page))).await;
    let directory = tempfile::tempdir().unwrap();
    let config = config(&base, &[ProviderName::JOLPICA]);
    let mut stage = Stage::set(&config, directory.path(), "2023-01-01T00:00:00Z");
    stage.poll_at("2023-01-01T00:00:00Z").await;
    assert_eq!(stage.state().schedule.meetings.len(), 22);
}

#[tokio::test]
async fn without_providers_nothing_is_asked_or_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::set(&config("http://127.0.0.1:1", &[]), directory.path(), NOW);
    let state = stage.poller.subscribe();
    assert!(futures::FutureExt::now_or_never(stage.poller.run()).is_none());
    assert!(window::current(&state.borrow().schedule).is_none());
}

/// Half a season gone is a broken answer, until it is told for a day.
#[tokio::test]
async fn what_is_insisted_on_is_believed_in_the_end() {
    let (site, _, _directory, mut stage) = stage("2026-03-10T00:00:00Z").await;
    let races = ergast(&json("jolpica-f1-data-2026-calendar.json"));
    site.answers(JOLPICA, race_table(&races));
    stage.poll_at("2026-03-10T00:00:00Z").await;
    site.answers(JOLPICA, race_table(&races[..4]));
    let refused = Some("jolpica: refused: 20 of 23 meetings to come are gone at once".to_owned());
    for (now, error, cancelled) in [
        ("2026-03-10T06:00:00Z", refused.clone(), 0),
        ("2026-03-11T05:59:00Z", refused, 0),
        ("2026-03-11T06:00:00Z", None, 20),
    ] {
        stage.poll_at(now).await;
        let state = stage.state();
        let meetings = &state.schedule.meetings;
        let off = meetings.iter().filter(|meeting| {
            meeting.sessions.iter().all(|session| session.status == SessionStatus::Cancelled)
        });
        assert_eq!((meetings.len(), state.error, off.count()), (24, error, cancelled), "{now}");
    }
}
