use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use pitwall_fetch::Timeouts;

use super::*;
use crate::schedule::window;
use crate::settings::{self, HttpUrl};

/// A provider whose answers are scripted; every request is counted.
#[derive(Clone, Default)]
struct Script {
    answer: Arc<Mutex<(u16, String, Option<&'static str>)>>,
    asked: Arc<AtomicUsize>,
}

impl Script {
    fn answers(&self, status: u16, body: String, retry_after: Option<&'static str>) {
        *self.answer.lock().unwrap() = (status, body, retry_after);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer(Shared(script): Shared<Script>) -> Response {
    script.asked.fetch_add(1, Ordering::SeqCst);
    let (status, body, retry_after) = script.answer.lock().unwrap().clone();
    let mut headers = HeaderMap::new();
    if let Some(value) = retry_after {
        headers.insert("retry-after", value.parse().unwrap());
    }
    (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
}

async fn serve(router: Router) -> ScheduleConfig {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/ergast", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    ScheduleConfig {
        jolpica_url: settings::parse::<HttpUrl>(&base).unwrap(),
        allow_private: vec![settings::parse("127.0.0.0/8").unwrap()],
        ..ScheduleConfig::default()
    }
}

fn poller(config: &ScheduleConfig, directory: &std::path::Path, now: &str) -> Poller {
    let now: Timestamp = now.parse().unwrap();
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
    Poller::new(config, directory.to_owned(), fetcher, Clock::paused_at(now))
}

fn sample(name: &str) -> String {
    let path = format!("{}/tests/data/schedule/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn the_last_good_schedule_survives_everything() {
    let script = Script::default();
    let router =
        Router::new().route("/ergast/f1/current/races/", get(answer)).with_state(script.clone());
    let config = serve(router).await;
    let directory = tempfile::tempdir().unwrap();
    let mut first = poller(&config, directory.path(), "2026-04-28T00:00:00Z");
    let state = first.subscribe();
    assert_eq!(first.first(), Duration::ZERO, "nothing is known yet");

    let good = sample("jolpica-2026-races-excerpt.json");
    script.answers(200, good.clone(), None);
    assert_eq!(first.poll().await, Duration::from_hours(6));
    assert_eq!(state.borrow().schedule.meetings.len(), 5);
    assert_eq!(state.borrow().schedule.stale_since, None);

    for (name, status, body, retry_after, expected) in [
        ("an error", 500, String::new(), None, 60),
        ("an HTML page", 200, "<html>".to_owned(), None, 120),
        ("no races", 200, sample("jolpica-testfixture-empty-2023-99.json"), None, 240),
        ("too many requests", 429, String::new(), Some("3000"), 3000),
        ("an absurd wish", 503, String::new(), Some("99999999"), 86_400),
        ("a wish that is none", 429, String::new(), Some("soon"), 1920),
    ] {
        script.answers(status, body, retry_after);
        assert_eq!(first.poll().await, Duration::from_secs(expected), "{name}");
        assert_eq!(state.borrow().schedule.meetings.len(), 5, "{name}");
        assert!(state.borrow().schedule.stale_since.is_some(), "{name}");
        assert!(state.borrow().error.is_some(), "{name}");
    }

    // The race moves by three hours: a revision, a fresh schedule.
    script.answers(
        200,
        good.replace("\"2026-05-03\",\"time\":\"20:00", "\"2026-05-03\",\"time\":\"17:00"),
        None,
    );
    first.poll().await;
    let schedule = state.borrow().schedule.clone();
    assert_eq!(schedule.stale_since, None);
    let moved: Vec<_> = schedule
        .meetings
        .iter()
        .flat_map(|meeting| &meeting.sessions)
        .filter(|session| session.revision > 0)
        .map(|session| (session.id.as_str(), session.revision))
        .collect();
    assert_eq!(moved, [("2026:miami-grand-prix:miami:race", 1)]);

    // A restart serves it without asking, and waits for its turn.
    let asked = script.asked();
    let second = poller(&config, directory.path(), "2026-04-28T01:00:00Z");
    assert_eq!(second.subscribe().borrow().schedule.meetings, schedule.meetings);
    assert!(second.first() > Duration::from_hours(4), "{:?}", second.first());
    assert_eq!(script.asked(), asked);
    let much_later = poller(&config, directory.path(), "2026-04-29T01:00:00Z");
    assert_eq!(much_later.first(), Duration::ZERO);
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
            serde_json::from_str(&sample("jolpica-testfixture-ergast-2023.json")).unwrap();
        let races = payload.pointer_mut("/MRData/RaceTable/Races").unwrap().as_array_mut().unwrap();
        *races = races.iter().skip(page.offset).take(10).cloned().collect();
        payload.to_string()
    };
    let config = serve(Router::new().route("/ergast/f1/current/races/", get(page))).await;
    let directory = tempfile::tempdir().unwrap();
    let mut poller = poller(&config, directory.path(), "2023-01-01T00:00:00Z");
    poller.poll().await;
    assert_eq!(poller.subscribe().borrow().schedule.meetings.len(), 22);
}

#[tokio::test]
async fn without_providers_nothing_is_asked_or_loaded() {
    let config = ScheduleConfig { providers: Vec::new(), ..ScheduleConfig::default() };
    let directory = tempfile::tempdir().unwrap();
    let poller = poller(&config, directory.path(), "2026-04-28T00:00:00Z");
    let state = poller.subscribe();
    assert!(futures::FutureExt::now_or_never(poller.run()).is_none());
    assert!(window::current(&state.borrow().schedule).is_none());
}
