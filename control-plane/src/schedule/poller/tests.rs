//! The poller against a local server that serves recorded responses of the providers.

mod failures;
mod season;
mod timing;

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
use crate::schedule::{IcsLocation, ProviderName};
use crate::settings::{self, HttpUrl};

const JOLPICA: &str = "/ergast/f1/current/races/";
const SESSIONS: &str = "/v1/sessions";
const MEETINGS: &str = "/v1/meetings";
const ICS: &str = "/calendar.ics";

type MockResponse = (u16, String, Option<&'static str>);

/// The three providers on one server: the response of each path, and the requests received.
#[derive(Clone, Default)]
struct MockProviders {
    responses: Arc<Mutex<BTreeMap<&'static str, MockResponse>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl MockProviders {
    fn set_response(&self, path: &'static str, body: impl Into<String>) {
        self.responses.lock().unwrap().insert(path, (200, body.into(), None));
    }

    fn set_failure(
        &self,
        path: &'static str,
        status: u16,
        body: &str,
        retry_after: Option<&'static str>,
    ) {
        self.responses.lock().unwrap().insert(path, (status, body.to_owned(), retry_after));
    }

    fn request_count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn respond(
    Shared(mock): Shared<MockProviders>,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Response {
    let path = uri.path().to_owned();
    mock.requests.lock().unwrap().push(format!("{path}?{}", query.unwrap_or_default()));
    let recorded = mock.responses.lock().unwrap().get(path.as_str()).cloned();
    let Some((status, body, retry_after)) = recorded else {
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
    let url = |path: &str| settings::parse_text::<HttpUrl>(&format!("{base}{path}")).unwrap();
    ScheduleConfig {
        providers: providers.to_vec(),
        jolpica_url: url("/ergast"),
        openf1_url: url(""),
        ics: Some(IcsLocation::Url(url(ICS))),
        allow_private: vec![settings::parse_text("127.0.0.0/8").unwrap()],
        ..ScheduleConfig::default()
    }
}

/// A poller with a manual clock.
struct PollerHarness {
    poller: SchedulePoller,
    clock_time: Arc<Mutex<Timestamp>>,
    registry: Registry,
}

impl PollerHarness {
    fn new(config: &ScheduleConfig, directory: &std::path::Path, now: &str) -> Self {
        let clock_time = Arc::new(Mutex::new(now.parse().unwrap()));
        let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
        let registry = Registry::new();
        let clock = Clock::manual(clock_time.clone());
        let metrics = ScheduleMetrics::register(&registry).unwrap();
        let poller = SchedulePoller::new(
            watch::Sender::new(config.clone()).subscribe(),
            directory.to_owned().into(),
            fetcher,
            clock,
            metrics,
        )
        .unwrap();
        Self { poller, clock_time, registry }
    }

    /// Polls every provider, due or not, and returns the seconds until the next poll of each.
    async fn poll_at(&mut self, now: &str) -> Vec<u64> {
        *self.clock_time.lock().unwrap() = now.parse().unwrap();
        self.poller
            .providers
            .iter_mut()
            .for_each(|provider_state| provider_state.next_poll = Instant::now());
        self.poller.poll_due_providers().await;
        let now = Instant::now();
        let wait = |provider_state: &ProviderState| {
            provider_state.next_poll.duration_since(now).as_secs_f64().round() as u64
        };
        self.poller.providers.iter().map(wait).collect()
    }

    fn state(&self) -> ScheduleState {
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
