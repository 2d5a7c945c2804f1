//! The poller against a local server that answers what the sources really said.

mod alone;
mod season;
mod turned;

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Router;
use axum::extract::{RawQuery, State as Shared};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use pitwall_fetch::Timeouts;
use prometheus::Registry;

use super::*;
use crate::schedule::{IcsPlace, ProviderName};
use crate::settings::{self, HttpUrl};

const JOLPICA: &str = "/ergast/f1/current/races/";
const SESSIONS: &str = "/v1/sessions";
const MEETINGS: &str = "/v1/meetings";
const ICS: &str = "/calendar.ics";

type Answer = (u16, String, Option<&'static str>);

/// Three sources on one server, and what each of its paths answers. Every request is noted.
#[derive(Clone, Default)]
struct Site {
    answers: Arc<Mutex<BTreeMap<&'static str, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    fn answers(&self, path: &'static str, body: impl Into<String>) {
        self.answers.lock().unwrap().insert(path, (200, body.into(), None));
    }

    fn fails(
        &self,
        path: &'static str,
        status: u16,
        body: &str,
        retry_after: Option<&'static str>,
    ) {
        self.answers.lock().unwrap().insert(path, (status, body.to_owned(), retry_after));
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn answer(Shared(site): Shared<Site>, uri: Uri, RawQuery(query): RawQuery) -> Response {
    let path = uri.path().to_owned();
    site.asked.lock().unwrap().push(format!("{path}?{}", query.unwrap_or_default()));
    let answer = site.answers.lock().unwrap().get(path.as_str()).cloned();
    let Some((status, body, retry_after)) = answer else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    if let Some(value) = retry_after {
        response.headers_mut().insert("retry-after", value.parse().unwrap());
    }
    response
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    base
}

fn config(base: &str, providers: &[ProviderName]) -> ScheduleConfig {
    let url = |path: &str| settings::parse::<HttpUrl>(&format!("{base}{path}")).unwrap();
    ScheduleConfig {
        providers: providers.to_vec(),
        jolpica_url: url("/ergast"),
        openf1_url: url(""),
        ics: Some(IcsPlace::Url(url(ICS))),
        allow_private: vec![settings::parse("127.0.0.0/8").unwrap()],
        ..ScheduleConfig::default()
    }
}

/// A poller whose clock is turned by hand.
struct Stage {
    poller: Poller,
    hand: Arc<Mutex<Timestamp>>,
    registry: Registry,
}

impl Stage {
    fn set(config: &ScheduleConfig, directory: &std::path::Path, now: &str) -> Self {
        let hand = Arc::new(Mutex::new(now.parse().unwrap()));
        let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
        let registry = Registry::new();
        let clock = Clock::by_hand(hand.clone());
        let metrics = Metrics::register(&registry).unwrap();
        let poller = Poller::new(config, directory.to_owned(), fetcher, clock, metrics).unwrap();
        Self { poller, hand, registry }
    }

    /// Asks everybody, due or not, and answers how many seconds each has to be waited for.
    async fn poll_at(&mut self, now: &str) -> Vec<u64> {
        *self.hand.lock().unwrap() = now.parse().unwrap();
        self.poller.desks.iter_mut().for_each(|desk| desk.due = Instant::now());
        self.poller.poll().await;
        let now = Instant::now();
        let wait = |desk: &Desk| desk.due.duration_since(now).as_secs_f64().round() as u64;
        self.poller.desks.iter().map(wait).collect()
    }

    fn state(&self) -> State {
        self.poller.state.borrow().clone()
    }

    fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        let found = metrics.iter().find(|metric| {
            let values = metric.get_label().iter().map(|label| label.value());
            values.eq(labels.iter().copied())
        });
        found
            .map_or(0.0, |metric| metric.get_gauge().get_value() + metric.get_counter().get_value())
    }
}
