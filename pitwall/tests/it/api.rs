//! `/api`: conformance to its OpenAPI document, commands through the edge, and events.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Edge, client, eventually, eventually_within, fetch};
use crate::twin_sources::{ADMIN_TOKEN, SourceState, fetch_json, start_edge, start_upstream};
use crate::viewer::find_media_playlist;

#[tokio::test]
async fn every_operation_answers_as_it_is_described() {
    let (upstream_url, _) = start_upstream().await;
    let edge = start_edge(&upstream_url).await;
    let document = fetch_json(&edge.url("/api/openapi.json")).await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let paths: BTreeMap<String, Value> = serde_json::from_value(document["paths"].clone()).unwrap();
    assert!(paths.len() > 15, "{:?}", paths.keys());
    for (template, item) in &paths {
        for (method, operation) in item.as_object().unwrap() {
            for (id, name) in [("world-feed", "first"), ("nothing", "nothing")] {
                let path = template.replace("{id}", id).replace("{name}", name);
                let method: Method = method.to_uppercase().parse().unwrap();
                let mut request = client().request(method, edge.url(&path));
                if operation["security"].is_array() {
                    request = request.bearer_auth(ADMIN_TOKEN);
                }
                let answer = request.send().await.unwrap();
                let status = answer.status().as_str().to_owned();
                let described = &operation["responses"][&status];
                assert!(described.is_object(), "{path}: {status} is not described");
                assert!(answer.headers().contains_key("cache-control"), "{path}");
                let content_type = answer.headers()["content-type"].to_str().unwrap();
                assert!(described["content"][content_type].is_object(), "{path}: {content_type}");
            }
        }
    }
}

#[tokio::test]
async fn commands_go_through_the_edge() {
    let (upstream_url, _) = start_upstream().await;
    let edge = start_edge(&upstream_url).await;
    let [run, trace, switch] = [
        "/api/extractors/first/run",
        "/api/extractors/first/trace",
        "/api/streams/world-feed/switch",
    ];
    for (method, path, token, body, expected) in [
        (Method::POST, run, None, "", (401, "admin-token-missing")),
        (Method::POST, run, Some("wrong"), "", (401, "admin-token-invalid")),
        (Method::POST, run, Some(ADMIN_TOKEN), "", (202, "")),
        (Method::GET, run, Some(ADMIN_TOKEN), "", (405, "method-not-allowed")),
        (Method::POST, "/api/extractors/x/run", Some(ADMIN_TOKEN), "", (404, "extractor-unknown")),
        (Method::GET, trace, Some(ADMIN_TOKEN), "", (200, "")),
        (Method::POST, trace, Some(ADMIN_TOKEN), "", (405, "method-not-allowed")),
        (Method::POST, switch, Some(ADMIN_TOKEN), "{\"source\":1}", (400, "bad-body")),
        (Method::POST, switch, Some(ADMIN_TOKEN), "{\"source\":\"x\"}", (422, "upstream-unknown")),
        (Method::POST, switch, Some(ADMIN_TOKEN), "{\"source\":\"second\"}", (200, "")),
        (Method::POST, "/api/streams", Some(ADMIN_TOKEN), "", (405, "method-not-allowed")),
    ] {
        let mut request = client().request(method.clone(), edge.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let kind = serde_json::from_str::<Value>(&text).unwrap_or_default()["type"].clone();
        let kind = kind.as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default();
        assert_eq!((status, kind), expected, "{method} {path} {body}: {text}");
    }
    eventually("the other source plays", || async {
        let stream = fetch_json(&edge.url("/api/streams/world-feed")).await?;
        let active =
            stream["sources"].as_array()?.iter().find(|source| source["active"] == true)?;
        (active["name"] == "second").then_some(())
    })
    .await;
}

/// A client of `/api/events`, with the text received so far.
struct EventStreamReader {
    answer: reqwest::Response,
    text: String,
}

impl EventStreamReader {
    async fn connect(edge: &Edge, last: Option<&str>) -> Self {
        let mut request = client().get(edge.url("/api/events"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new() }
    }

    /// Reads until the text contains `what`.
    ///
    /// # Panics
    /// After 30 s.
    async fn read_until(&mut self, what: &str) {
        let reading = async {
            while !self.text.contains(what) {
                let chunk = self.answer.chunk().await.unwrap().unwrap();
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        let read = tokio::time::timeout(Duration::from_secs(30), reading).await;
        assert!(read.is_ok(), "{what:?} never came: {}", self.text);
    }
}

/// Pages poll: a map that leaves a document as it was does not have it sent again.
#[tokio::test]
async fn a_document_that_has_not_changed_is_not_sent_again() {
    let (upstream_url, _) = start_upstream().await;
    let edge = start_edge(&upstream_url).await;
    let map_version = |response: &reqwest::Response| -> u64 {
        response.headers()["pitwall-map-version"].to_str().unwrap().parse().unwrap()
    };
    let get =
        |path: &str, etag: &str| client().get(edge.url(path)).header("if-none-match", etag).send();
    let mut first_answers = Vec::new();
    for (path, expected) in [
        ("/api/schedule", 304),
        ("/api/status", 304),
        ("/api/extractors", 304),
        ("/iptv/playlist.m3u", 304),
        ("/api/activity", 200),
    ] {
        let response = get(path, "\"none\"").await.unwrap();
        let etag = response.headers()["etag"].to_str().unwrap().to_owned();
        first_answers.push((path, etag, map_version(&response), expected));
    }
    let run = client().post(edge.url("/api/extractors/first/run")).bearer_auth(ADMIN_TOKEN);
    assert_eq!(run.send().await.unwrap().status(), 202);
    // What changes although nothing happens is published every 30 s.
    eventually_within(60, "another activity", || async {
        let (path, etag, ..) = first_answers.last()?;
        (get(path, etag).await.ok()?.status() == 200).then_some(())
    })
    .await;
    for (path, etag, version, expected) in first_answers {
        let response = get(path, &etag).await.unwrap();
        assert_eq!(response.status(), expected, "{path}");
        assert!(map_version(&response) > version, "{path}");
    }
}

/// A stream all of whose sources are down stays listed, with the reason, so that it does not vanish
/// from channel lists during an outage.
#[tokio::test]
async fn a_stream_that_is_down_stays_listed_with_the_reason() {
    let (upstream_url, twins) = start_upstream().await;
    let edge = start_edge(&upstream_url).await;
    let playlist = edge.url("/live/world-feed/index.m3u8");
    let media = find_media_playlist(&edge.url("")).await;
    assert_eq!(fetch(&playlist).await.unwrap().status(), 200);
    twins.set_state(0, SourceState::Refusing);
    twins.set_state(1, SourceState::Refusing);
    let stream = eventually_within(40, "nothing plays it", || async {
        let stream = fetch_json(&edge.url("/api/streams/world-feed")).await?;
        (stream["health"] == "down").then_some(stream)
    })
    .await;
    let reason =
        "first: the playlist was answered with 403; second: the playlist was answered with 403";
    assert_eq!(stream["reason"], reason);
    let since: jiff::Timestamp = stream["down_since"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(since).as_secs() < 60);
    let names: Vec<_> =
        stream["sources"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names.len(), 2);
    let streams = fetch_json(&edge.url("/api/streams")).await.unwrap();
    assert_eq!(streams["streams"][0]["down_since"], stream["down_since"]);
    let status = fetch_json(&edge.url("/api/status")).await.unwrap();
    assert_eq!(status["streams"], serde_json::json!({ "total": 1, "healthy": 0, "down": 1 }));
    let widget = fetch_json(&edge.url("/api/widget")).await.unwrap();
    assert_eq!([&widget["streams"], &widget["down_streams"]], [1, 1]);
    let extractors = fetch_json(&edge.url("/api/extractors")).await.unwrap();
    for extractor in extractors["extractors"].as_array().unwrap() {
        assert_eq!(extractor["state"], "failing", "{extractor}");
    }
    for (path, line) in [
        ("/iptv/playlist.m3u", "/live/world-feed/index.m3u8"),
        ("/iptv/guide.xml", "<display-name>World feed</display-name>"),
    ] {
        let text = fetch(&edge.url(path)).await.unwrap().text().await.unwrap();
        assert!(text.contains(line), "{path}: {text}");
    }
    for url in [playlist, media] {
        let problem = eventually("a refusal", || async {
            let answer = fetch(&url).await.ok().filter(|answer| answer.status() == 503)?;
            assert_eq!(answer.headers()["retry-after"], "1");
            answer.json::<serde_json::Value>().await.ok()
        })
        .await;
        assert_eq!(problem["type"], "urn:pitwall:problem:unavailable");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("world-feed is known; all its sources are down."),
            "{url}: {detail}"
        );
    }
    twins.set_state(0, SourceState::Healthy);
    eventually("it plays again", || async {
        let stream = fetch_json(&edge.url("/api/streams/world-feed")).await?;
        (stream["health"] == "healthy" && stream.get("down_since").is_none()).then_some(())
    })
    .await;
}

/// Viewers behind a reverse proxy that `trusted_proxies` does not name are no single viewer.
#[tokio::test]
async fn viewers_behind_an_untrusted_proxy_are_counted() {
    let (upstream_url, _) = start_upstream().await;
    let edge = start_edge(&upstream_url).await;
    let media = find_media_playlist(&edge.url("")).await;
    eventually("twenty viewers are counted", || async {
        for viewer in 0..20 {
            let address = format!("198.51.100.{viewer}");
            client().get(&media).header("x-forwarded-for", address).send().await.ok()?;
        }
        let metrics = fetch(&format!("http://{}/metrics", edge.admin)).await.ok()?;
        metrics.text().await.ok()?.contains("\npitwall_viewers 20\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dead_source_is_reported_and_replaced_without_errors_for_viewers() {
    let (upstream_url, twins) = start_upstream().await;
    let mut edge = start_edge(&upstream_url).await;
    let mut events = EventStreamReader::connect(&edge, None).await;
    events.read_until("event: map").await;
    let media = find_media_playlist(&edge.url("")).await;
    let poll = || async { fetch(&media).await.ok().filter(|answer| answer.status() == 200) };
    poll().await.unwrap();
    eventually("a viewer is counted", || async {
        let metrics = fetch(&format!("http://{}/metrics", edge.admin)).await.ok()?;
        let text = metrics.text().await.ok()?;
        text.contains("\npitwall_viewers 1\n").then_some(())
    })
    .await;
    twins.broken.store(true, Ordering::SeqCst);
    // Viewers keep polling, and the edge reports the failure before the next periodic check.
    let watching = async {
        loop {
            assert!(poll().await.is_some(), "a viewer saw an error");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::select! {
        () = events.read_until("\"to\":\"second\"}\n\nevent: map\nid: ") => {}
        () = watching => {}
    }
    let died = "event: source-died\ndata: {\"stream\":\"world-feed\",\"source\":\"first\"}\n\n";
    assert!(events.text.contains(died), "{}", events.text);
    // A client that reconnects with `Last-Event-ID` receives the event that it missed.
    let first = events.text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let mut late = EventStreamReader::connect(&edge, Some(first)).await;
    late.read_until(died).await;
    // Event streams, which never end by themselves, do not delay the exit of the process.
    edge.terminate();
    while late.answer.chunk().await.unwrap().is_some() {}
    assert!(edge.wait_for_exit());
}
