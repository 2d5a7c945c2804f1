//! The whole control plane with its own site, CDN and schedule.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use pitwall_fetch::Timeouts;
use pitwall_upstream_map::documents::{
    ExtractorState, ExtractorStatus, PublicDocument, PublicStream, Session, SessionStatus, Status,
    StreamCount,
};
use pitwall_upstream_map::{Health, MemoryStore, RequestProfileId, UpstreamMap};
use prometheus::Registry;
use serde::de::DeserializeOwned;

use super::*;

const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nnew.ts\n";

/// The schedule of a race weekend whose race began ten minutes ago.
fn schedule_json() -> String {
    let start = Timestamp::now() - SignedDuration::from_mins(10);
    let race = start.strftime("%Y-%m-%d").to_string();
    let practice = start - SignedDuration::from_hours(48);
    serde_json::json!({"MRData": {"total": "1", "RaceTable": {"Races": [{
        "season": start.strftime("%Y").to_string(), "round": "1", "raceName": "Test Grand Prix",
        "Circuit": {"circuitId": "here", "circuitName": "Here"},
        "date": race, "time": start.strftime("%H:%M:%SZ").to_string(),
        "FirstPractice": {
            "date": practice.strftime("%Y-%m-%d").to_string(),
            "time": practice.strftime("%H:%M:%SZ").to_string(),
        },
    }]}}})
    .to_string()
}

async fn hls(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match (path.as_str(), headers.get("referer")) {
        (_, None) => StatusCode::FORBIDDEN.into_response(),
        ("live.m3u8", _) => MEDIA.into_response(),
        ("new.ts", _) => vec![0x47_u8; 40_000].into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn serve() -> String {
    let router = Router::new()
        .route("/hls/{path}", get(hls))
        .route("/ergast/f1/current/races/", get(|| async { schedule_json() }))
        .route(
            "/page/{id}",
            get(|Path(id): Path<String>| async move {
                format!(
                    "<a id=play href='/hls/live.m3u8?exp={}&sig=hidden-{id}'>",
                    4_000_000_000_u64
                )
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address.to_string()
}

fn sources(site: &str) -> Vec<ConfiguredSource> {
    let text = r#"
[[source]]
name = "club"
kind = "recipe"
note = "ours"
allow_private = ["127.0.0.0/8"]
token_parameters = ["exp", "sig"]
for = [{ feed = "World feed", id = "world" }, { feed = "Pit lane", id = "pit" }]
[[source.step]]
get = "http://SITE/page/{{id}}"
save = "page"
[[source.step]]
select = "a#play"
attribute = "href"
save = "playlist"
[source.result]
playlist = "{{playlist}}"
headers = { Referer = "{{page}}" }

[[source]]
name = "backup"
kind = "static"
feed = "World feed"
url = "http://SITE/hls/live.m3u8"
allow_private = ["127.0.0.0/8"]
headers = { Referer = "http://SITE/" }

[[source]]
name = "forgotten"
kind = "static"
feed = "Onboard 7"
url = "http://SITE/hls/gone.m3u8?token=hidden"
allow_private = ["127.0.0.0/8"]
headers = { Referer = "http://SITE/" }

[[source]]
name = "broken"
kind = "recipe"
feed = "Onboard 22"
allow_private = ["127.0.0.0/8"]
[[source.step]]
get = "http://SITE/missing?token=hidden"
save = "playlist"
[source.result]
playlist = "{{playlist}}"
"#;
    ConfiguredSource::parse_file(&text.replace("SITE", site))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Every document that is JSON; the calendar and the lists have links of their own.
fn json_documents(map: &UpstreamMap) -> Vec<&PublicDocument> {
    let all = &map.documents;
    let streams = map.streams.values().flat_map(|stream| [&stream.public, &stream.explanation]);
    let extractors = all.extractors.values().map(|extractor| &extractor.status);
    let others = [&all.session, &all.schedule, &all.status, &all.activity];
    others.into_iter().chain(streams).chain(extractors).collect()
}

fn parse<T: DeserializeOwned>(document: &PublicDocument) -> T {
    serde_json::from_str(document.as_str().expect("published from the first map on")).unwrap()
}

fn extractors(map: &UpstreamMap) -> Vec<ExtractorStatus> {
    let mut extractors: Vec<_> = map.documents.extractors.values().collect();
    extractors.sort_by_key(|extractor| extractor.position);
    extractors.into_iter().map(|extractor| parse(&extractor.status)).collect()
}

fn has_session_and_runs(map: &UpstreamMap) -> bool {
    let session: Option<Session> = parse(&map.documents.session);
    session.is_some() && extractors(map).iter().all(|one| one.state != ExtractorState::Never)
}

#[tokio::test]
async fn from_configuration_to_public_documents() {
    let site = serve().await;
    let directory = tempfile::tempdir().unwrap();
    let (store, registry) = (MemoryStore::new(), Registry::new());
    let schedule = ScheduleConfig {
        providers: vec![crate::schedule::ProviderName::JOLPICA],
        jolpica_url: crate::settings::parse_text(&format!("http://{site}/ergast")).unwrap(),
        allow_private: vec![crate::settings::parse_text("127.0.0.0/8").unwrap()],
        ..ScheduleConfig::default()
    };
    let webhook = toml::from_str("name = 'ops'\nurl = 'https://hooks.example.com/'").unwrap();
    let config = ControlPlaneConfig {
        settings: ControlPlaneSettings {
            schedule,
            sources: sources(&site),
            rank: RankConfig::default(),
            webhooks: vec![Webhook::load(webhook).unwrap()],
            source_files: SourceFileLocations::default(),
            edit_files: true,
            admin_token: None,
        },
        extract: ExtractConfig::default(),
        state_dir: directory.path().to_owned().into(),
        check_interval: ControlPlaneConfig::DEFAULT_CHECK_INTERVAL,
        public_url: PublicUrl::new("https://edge.test/".parse().unwrap()),
    };
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
    let plane = ControlPlane::new(config, fetcher, store.clone(), &registry).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(plane.run(async { drop(stopped.await) }));

    let mut changes = store.subscribe_versions();
    changes.changed().await.unwrap();
    while !has_session_and_runs(&store.map()) {
        changes.changed().await.unwrap();
    }
    let map = store.map();

    // The map has all that the edge needs.
    let stream = &map.streams["world-feed"];
    let names: Vec<_> = stream.upstreams.iter().map(|one| one.source.as_str()).collect();
    assert_eq!(names.len(), 2, "the same feed from two sources is one stream");
    let club = stream.upstreams.iter().find(|one| one.source == "club").unwrap();
    assert_eq!(club.profile, RequestProfileId("club/world-feed".into()));
    assert_eq!(club.playlist.query(), Some("exp=4000000000&sig=hidden-world"));
    assert_eq!(club.expires_at.unwrap().as_second(), 4_000_000_000);
    let profile = &map.profiles[&club.profile];
    assert_eq!(profile.headers, [("Referer".into(), format!("http://{site}/page/world"))]);
    assert_eq!(profile.token_parameters, ["exp", "sig"]);
    assert!(profile.ports.iter().any(|port| site.ends_with(&format!(":{port}"))));
    for source in ["club", "backup", "forgotten", "broken"] {
        assert!(map.profiles.contains_key(&RequestProfileId(source.into())), "{source}");
    }

    // The public documents contain nothing about the upstreams.
    let (host, port) = site.split_once(':').unwrap();
    for document in json_documents(&map) {
        let text = document.as_str().expect("published from the first map on");
        for secret in [host, &format!(":{port}"), "http:", "hidden", "sig=", "Referer", ".m3u8?"] {
            assert!(!text.contains(secret), "{secret:?} in {text}");
        }
    }
    let documents = &map.documents;
    for (document, expected) in [
        (&documents.calendar, "SUMMARY:Test Grand Prix: Race"),
        (&documents.guide, "channel=\"world-feed.pitwall\""),
        (&documents.playlist, "https://edge.test/live/world-feed/index.m3u8"),
    ] {
        let text = document.as_str().unwrap();
        assert!(text.contains(expected), "{expected} in {text}");
        for secret in [host, &format!(":{port}"), "hidden", "sig=", "Referer"] {
            assert!(!text.contains(secret), "{secret:?} in {text}");
        }
    }
    let session: Session = parse(&map.documents.session);
    assert_eq!((session.code.as_str(), session.status), ("race", SessionStatus::Live));
    let streams = map.streams_in_order().into_iter();
    let streams: Vec<PublicStream> = streams.map(|stream| parse(&stream.public)).collect();
    let got: Vec<_> = streams
        .iter()
        .map(|one| (one.id.to_string(), one.playlist.as_str(), one.health, one.sources.len()))
        .collect();
    assert_eq!(
        got,
        [
            ("world-feed".to_owned(), "/live/world-feed/index.m3u8", Health::Healthy, 2),
            ("pit-lane".to_owned(), "/live/pit-lane/index.m3u8", Health::Healthy, 1),
            ("onboard-7".to_owned(), "/live/onboard-7/index.m3u8", Health::Down, 1),
            ("onboard-22".to_owned(), "/live/onboard-22/index.m3u8", Health::Down, 1),
        ]
    );
    let reasons: Vec<_> = streams.iter().filter_map(|one| one.reason.as_deref()).collect();
    assert_eq!(
        reasons,
        ["the playlist was answered with 404", "step 1 (get) failed: the server answered 404"]
    );
    assert_eq!(streams[0].renditions[0].id.0, "v");
    let extractors = extractors(&map);
    let errors: Vec<_> = extractors
        .iter()
        .map(|one| one.error.as_ref().map(|error| format!("{}: {}", error.step, error.message)))
        .collect();
    assert_eq!(
        errors,
        [
            None,
            None,
            Some("check: Onboard 7: the playlist was answered with 404".to_owned()),
            Some("step 1 (get): the server answered 404".to_owned()),
        ]
    );
    let status: Status = parse(&map.documents.status);
    let StreamCount { total, healthy, down } = status.streams;
    assert_eq!((total, healthy, down), (4, 2, 2));
    assert_eq!((status.extractors.total, status.extractors.failing), (4, 2));
    assert_eq!(status.schedule.source.as_deref(), Some("jolpica"));

    let families = registry.gather();
    let names: Vec<_> = families.iter().map(|family| family.name()).collect();
    for name in [
        "pitwall_extractor_runs_total",
        "pitwall_extractor_last_success_timestamp_seconds",
        "pitwall_upstreams",
        "pitwall_schedule_age_seconds",
        "pitwall_schedule_disagreements",
        "pitwall_schedule_fetches_total",
        "pitwall_map_version",
        "pitwall_checks_total",
        "pitwall_webhook_alerts_total",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }

    lint_metrics(&registry);

    stop.send(()).unwrap();
    running.await.unwrap();
    assert!(directory.path().join("schedule.json").exists());
    assert_eq!(store.map().streams.len(), 4, "what was published stays");
}

/// Runs `promtool check metrics`, which `make test` installs.
fn lint_metrics(registry: &Registry) {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut command = Command::new("promtool");
    let command = command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing: .ci/setup test");
        return;
    };
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
}
