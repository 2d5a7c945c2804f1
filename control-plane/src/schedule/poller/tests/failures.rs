//! A single provider: failures, pages and restarts.

use axum::extract::Query;
use axum::routing::get;
use pitwall_upstream_map::documents::{Schedule, SessionStatus};

use super::*;
use crate::publish::{self, calendar};
use crate::schedule::live_window;
use crate::schedule::samples::{jolpica_races, race_table_page, read_json_sample, read_sample};

async fn build_harness(
    now: &str,
) -> (MockProviders, ScheduleConfig, tempfile::TempDir, PollerHarness) {
    let mock = MockProviders::default();
    let base = serve(Router::new().fallback(respond).with_state(mock.clone())).await;
    let config = config(&base, &[ProviderName::JOLPICA]);
    let directory = tempfile::tempdir().unwrap();
    let harness = PollerHarness::new(&config, directory.path(), now);
    (mock, config, directory, harness)
}

const NOW: &str = "2026-04-28T00:00:00Z";

#[tokio::test]
async fn the_last_good_schedule_survives_everything() {
    let (mock, config, directory, mut harness) = build_harness(NOW).await;
    assert!(harness.poller.providers[0].next_poll <= Instant::now(), "nothing is known yet");
    let good = read_sample("jolpica-2026-races-excerpt.json");
    mock.set_response(JOLPICA, good.clone());
    assert_eq!(harness.poll_at(NOW).await, [6 * 3600]);
    assert_eq!(harness.state().schedule.meetings.len(), 5);
    assert_eq!(harness.state().schedule.stale_since, None);

    for (name, status, body, retry_after, expected) in [
        ("an error", 500, String::new(), None, 60),
        ("an HTML page", 200, "<html>".to_owned(), None, 120),
        ("no races", 200, read_sample("jolpica-testfixture-empty-2023-99.json"), None, 240),
        ("too many requests", 429, String::new(), Some("3000"), 3000),
        ("a date to wait for", 429, String::new(), Some("Tue, 28 Apr 2026 00:50:00 GMT"), 3000),
        ("an absurd wish", 503, String::new(), Some("99999999"), 86_400),
        ("a wish that is none", 429, String::new(), Some("soon"), 3840),
    ] {
        mock.set_failure(JOLPICA, status, &body, retry_after);
        assert_eq!(harness.poll_at(NOW).await, [expected], "{name}");
        let state = harness.state();
        assert_eq!(state.schedule.meetings.len(), 5, "{name}");
        assert_eq!(state.schedule.stale_since, Some(NOW.parse().unwrap()), "{name}");
        assert!(state.error.is_some(), "{name}");
    }
    let fetch_counts = ["failed", "refused", "success"]
        .map(|result| harness.metric("pitwall_schedule_fetches_total", &["jolpica", result]));
    assert_eq!(fetch_counts, [6.0, 1.0, 1.0]);
    assert_eq!(harness.metric("pitwall_schedule_stale", &[]), 1.0);

    // A restart during the failures serves the same schedule, stale since the same time.
    let stale = PollerHarness::new(&config, directory.path(), "2026-04-28T05:00:00Z");
    assert_eq!(stale.state().schedule.stale_since, Some(NOW.parse().unwrap()));
    assert_eq!(stale.state().schedule.meetings.len(), 5);

    // The race is moved by three hours: its revision increases, and the schedule is fresh again.
    let moved = good.replace("\"2026-05-03\",\"time\":\"20:00", "\"2026-05-03\",\"time\":\"17:00");
    mock.set_response(JOLPICA, moved);
    harness.poll_at(NOW).await;
    let schedule = harness.state().schedule;
    assert_eq!((schedule.stale_since, harness.state().error), (None, None));
    let revised: Vec<_> = schedule
        .meetings
        .iter()
        .flat_map(|meeting| &meeting.sessions)
        .filter(|session| session.revision > 0)
        .map(|session| (session.id.as_str(), session.revision, session.revised_at))
        .collect();
    let at = NOW.parse().ok();
    assert_eq!(revised, [("2026:miami-grand-prix:miami:race", 1, at)]);

    // A restart serves the schedule without a poll, and polls when the interval has passed.
    let request_count = mock.request_count();
    let second = PollerHarness::new(&config, directory.path(), "2026-04-28T01:00:00Z");
    assert_eq!(second.state().schedule.meetings, schedule.meetings);
    let wait = second.poller.providers[0].next_poll.duration_since(Instant::now());
    assert!(wait > Duration::from_hours(4), "{wait:?}");
    assert_eq!(mock.request_count(), request_count);
    for (name, now) in [
        ("old by now", "2026-04-29T01:00:00Z"),
        ("from a clock that was ahead", "2026-04-27T00:00:00Z"),
    ] {
        let harness = PollerHarness::new(&config, directory.path(), now);
        assert!(harness.poller.providers[0].next_poll <= Instant::now(), "{name}");
    }
    // A snapshot of another origin is not loaded.
    let elsewhere = super::config("http://127.0.0.1:1", &[ProviderName::JOLPICA]);
    let harness = PollerHarness::new(&elsewhere, directory.path(), NOW);
    assert!(harness.state().schedule.meetings.is_empty());
}

/// An item that cannot be read or cannot be true stays as in the last snapshot and is reported, and
/// the others are used.
#[tokio::test]
async fn a_rejected_item_stays_as_it_was_and_the_others_are_used() {
    let (mock, _, _directory, mut harness) = build_harness(NOW).await;
    let good = read_sample("jolpica-2026-races-excerpt.json");
    mock.set_response(JOLPICA, good.clone());
    harness.poll_at(NOW).await;
    let before = harness.state().schedule;
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
        mock.set_response(JOLPICA, good.replace(from, to));
        harness.poll_at(NOW).await;
        let state = harness.state();
        assert_eq!(state.error, Some(format!("jolpica: {expected}")), "{name}");
        assert_eq!(state.schedule.stale_since, None, "{name}");
        let ids = |schedule: &Schedule| -> Vec<_> {
            let sessions = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
            sessions.map(|one| (one.id.clone(), one.start, one.status)).collect()
        };
        assert_eq!(ids(&state.schedule), ids(&before), "{name}");
    }
    mock.set_response(JOLPICA, good);
    harness.poll_at(NOW).await;
    assert_eq!(harness.state().error, None);
}

/// DTSTART and SEQUENCE of every entry of `/calendar.ics`, by its UID.
fn calendar_entries(schedule: &Schedule) -> BTreeMap<String, [String; 2]> {
    let edge = publish::PublicUrl::new("https://edge.test/".parse().unwrap());
    let text = calendar::write_icalendar(schedule, &edge).replace("\r\n ", "");
    let entries = text.split("BEGIN:VEVENT\r\n").skip(1).map(|entry| {
        let of = |name: &str| {
            let mut lines = entry.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name).unwrap().1.to_owned()
        };
        (of("UID"), [of("DTSTART"), of("SEQUENCE")])
    });
    entries.collect()
}

/// A moved race keeps its UID, so that a calendar program that imported it moves its entry instead
/// of showing two.
#[tokio::test]
async fn a_move_is_the_same_entry_with_a_higher_sequence() {
    let (mock, _, _directory, mut harness) = build_harness(NOW).await;
    let good = read_sample("jolpica-2026-races-excerpt.json");
    let moved = good.replace("\"2026-05-03\",\"time\":\"20:00", "\"2026-05-03\",\"time\":\"17:00");
    let mut all_entries = Vec::new();
    for response in [&good, &good, &moved, &moved, &good] {
        mock.set_response(JOLPICA, response.clone());
        harness.poll_at(NOW).await;
        all_entries.push(calendar_entries(&harness.state().schedule));
    }
    let race = "2026:miami-grand-prix:miami:race@pitwall";
    let of_race: Vec<_> =
        all_entries.iter_mut().map(|entries| entries.remove(race).unwrap()).collect();
    let at = |hour: u32, sequence: u32| [format!("20260503T{hour}0000Z"), sequence.to_string()];
    assert_eq!(of_race, [at(20, 0), at(20, 0), at(17, 1), at(17, 1), at(20, 2)]);
    assert_eq!(all_entries[0].len(), 24, "the others");
    assert!(all_entries.windows(2).all(|pair| pair[0] == pair[1]), "stay as they are");
}

#[tokio::test]
async fn a_season_without_times_is_listed() {
    let (mock, _, _directory, mut harness) = build_harness("1950-05-01T00:00:00Z").await;
    mock.set_response(JOLPICA, read_sample("jolpica-docs-1950-excerpt.json"));
    harness.poll_at("1950-05-14T00:00:00Z").await;
    let schedule = harness.state().schedule;
    let describe = |now: &str| -> Vec<_> {
        let schedule = live_window::schedule_at(&schedule, now.parse().unwrap(), false);
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
        assert_eq!(describe(now), expected, "{now}");
    }
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    #[derive(serde::Deserialize)]
    struct Page {
        limit: usize,
        offset: usize,
    }
    // Serves ten races per page, whatever the limit of the request.
    let page = |Query(page): Query<Page>| async move {
        assert_eq!(page.limit, 100);
        let mut payload: serde_json::Value =
            serde_json::from_str(&read_sample("jolpica-testfixture-ergast-2023.json")).unwrap();
        let races = payload.pointer_mut("/MRData/RaceTable/Races").unwrap().as_array_mut().unwrap();
        *races = races.iter().skip(page.offset).take(10).cloned().collect();
        payload.to_string()
    };
    let base = serve(Router::new().route(JOLPICA, get(page))).await;
    let directory = tempfile::tempdir().unwrap();
    let config = config(&base, &[ProviderName::JOLPICA]);
    let mut harness = PollerHarness::new(&config, directory.path(), "2023-01-01T00:00:00Z");
    harness.poll_at("2023-01-01T00:00:00Z").await;
    assert_eq!(harness.state().schedule.meetings.len(), 22);
}

#[tokio::test]
async fn without_providers_nothing_is_polled_or_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let harness = PollerHarness::new(&config("http://127.0.0.1:1", &[]), directory.path(), NOW);
    let state = harness.poller.subscribe();
    assert!(futures::FutureExt::now_or_never(harness.poller.run()).is_none());
    assert!(live_window::live_or_next_session(&state.borrow().schedule).is_none());
}

/// A response without most of the season is refused as broken, until it has been repeated for a
/// day.
#[tokio::test]
async fn an_implausible_response_is_accepted_after_a_day() {
    let (mock, _, _directory, mut harness) = build_harness("2026-03-10T00:00:00Z").await;
    let races = jolpica_races(&read_json_sample("jolpica-f1-data-2026-calendar.json"));
    mock.set_response(JOLPICA, race_table_page(&races));
    harness.poll_at("2026-03-10T00:00:00Z").await;
    mock.set_response(JOLPICA, race_table_page(&races[..4]));
    let refused = Some("jolpica: refused: 20 of 23 meetings to come are gone at once".to_owned());
    for (now, error, cancelled) in [
        ("2026-03-10T06:00:00Z", refused.clone(), 0),
        ("2026-03-11T05:59:00Z", refused, 0),
        ("2026-03-11T06:00:00Z", None, 20),
    ] {
        harness.poll_at(now).await;
        let state = harness.state();
        let meetings = &state.schedule.meetings;
        let cancelled_meetings = meetings.iter().filter(|meeting| {
            meeting.sessions.iter().all(|session| session.status == SessionStatus::Cancelled)
        });
        assert_eq!(
            (meetings.len(), state.error, cancelled_meetings.count()),
            (24, error, cancelled),
            "{now}"
        );
    }
}
