//! `/api` from outside: as it is documented, commands through the edge, and events.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Edge, client, eventually, fetch, within};
use crate::twins::{Mood, TOKEN, edge, json, upstream};
use crate::viewer::media;

#[tokio::test]
async fn every_operation_answers_as_it_is_described() {
    let (site, _) = upstream().await;
    let edge = edge(&site).await;
    let document = json(&edge.url("/api/openapi.json")).await.unwrap();
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
                    request = request.bearer_auth(TOKEN);
                }
                let answer = request.send().await.unwrap();
                let status = answer.status().as_str().to_owned();
                let described = &operation["responses"][&status];
                assert!(described.is_object(), "{path}: {status} is not described");
                let content_type = answer.headers()["content-type"].to_str().unwrap();
                assert!(described["content"][content_type].is_object(), "{path}: {content_type}");
            }
        }
    }
}

#[tokio::test]
async fn commands_go_through_the_edge() {
    let (site, _) = upstream().await;
    let edge = edge(&site).await;
    let [run, trace, switch] = [
        "/api/extractors/first/run",
        "/api/extractors/first/trace",
        "/api/streams/world-feed/switch",
    ];
    for (method, path, token, body, expected) in [
        (Method::POST, run, None, "", (401, "admin-token-missing")),
        (Method::POST, run, Some("wrong"), "", (401, "admin-token-invalid")),
        (Method::POST, run, Some(TOKEN), "", (202, "")),
        (Method::GET, run, Some(TOKEN), "", (405, "method-not-allowed")),
        (Method::POST, "/api/extractors/x/run", Some(TOKEN), "", (404, "extractor-unknown")),
        (Method::GET, trace, Some(TOKEN), "", (200, "")),
        (Method::POST, trace, Some(TOKEN), "", (405, "method-not-allowed")),
        (Method::POST, switch, Some(TOKEN), "{\"source\":1}", (400, "bad-body")),
        (Method::POST, switch, Some(TOKEN), "{\"source\":\"x\"}", (422, "upstream-unknown")),
        (Method::POST, switch, Some(TOKEN), "{\"source\":\"second\"}", (200, "")),
        (Method::POST, "/api/streams", Some(TOKEN), "", (405, "method-not-allowed")),
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
        let stream = json(&edge.url("/api/streams/world-feed")).await?;
        let active = stream["sources"].as_array()?.iter().find(|one| one["active"] == true)?;
        (active["name"] == "second").then_some(())
    })
    .await;
}

/// What an event stream has sent so far.
struct Listening {
    answer: reqwest::Response,
    text: String,
}

impl Listening {
    async fn to(edge: &Edge, last: Option<&str>) -> Self {
        let mut request = client().get(edge.url("/api/events"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new() }
    }

    /// Reads until this has come.
    async fn until(&mut self, what: &str) {
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

/// Nobody takes it off their list of channels for an hour in the dark.
#[tokio::test]
async fn a_dark_stream_stays_with_what_is_wrong() {
    let (site, twins) = upstream().await;
    let edge = edge(&site).await;
    let playlist = edge.url("/live/world-feed/index.m3u8");
    let media = media(&edge.url("")).await;
    assert_eq!(fetch(&playlist).await.unwrap().status(), 200);
    twins.set(0, Mood::Refused);
    twins.set(1, Mood::Refused);
    let stream = within(40, "nothing plays it", || async {
        let stream = json(&edge.url("/api/streams/world-feed")).await?;
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
    let streams = json(&edge.url("/api/streams")).await.unwrap();
    assert_eq!(streams["streams"][0]["down_since"], stream["down_since"]);
    let status = json(&edge.url("/api/status")).await.unwrap();
    assert_eq!(status["streams"], serde_json::json!({ "total": 1, "healthy": 0, "down": 1 }));
    let widget = json(&edge.url("/api/widget")).await.unwrap();
    assert_eq!([&widget["streams"], &widget["down_streams"]], [1, 1]);
    let extractors = json(&edge.url("/api/extractors")).await.unwrap();
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
    twins.set(0, Mood::Fine);
    eventually("it plays again", || async {
        let stream = json(&edge.url("/api/streams/world-feed")).await?;
        (stream["health"] == "healthy" && stream.get("down_since").is_none()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_source_that_dies_is_seen_by_its_viewers_and_told() {
    let (site, twins) = upstream().await;
    let mut edge = edge(&site).await;
    let mut listening = Listening::to(&edge, None).await;
    listening.until("event: map").await;
    let media = media(&edge.url("")).await;
    let poll = || async { fetch(&media).await.ok().filter(|answer| answer.status() == 200) };
    poll().await.unwrap();
    eventually("a viewer is counted", || async {
        let metrics = fetch(&format!("http://{}/metrics", edge.admin)).await.ok()?;
        let text = metrics.text().await.ok()?;
        text.contains("\npitwall_viewers 1\n").then_some(())
    })
    .await;
    twins.broken.store(true, Ordering::SeqCst);
    // Viewers poll on, and the edge says what it sees: nobody waits for the next round of checks.
    let watching = async {
        loop {
            assert!(poll().await.is_some(), "a viewer saw an error");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::select! {
        () = listening.until("\"to\":\"second\"}\n\nevent: map\nid: ") => {}
        () = watching => {}
    }
    let died = "event: source-died\ndata: {\"stream\":\"world-feed\",\"source\":\"first\"}\n\n";
    assert!(listening.text.contains(died), "{}", listening.text);
    // Whoever was away when it happened hears it all the same.
    let first = listening.text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let mut late = Listening::to(&edge, Some(first)).await;
    late.until(died).await;
    // The process does not wait for those who would listen for ever.
    edge.terminate();
    while late.answer.chunk().await.unwrap().is_some() {}
    assert!(edge.ended());
}
