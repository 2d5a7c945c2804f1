//! Low-Latency HLS across a source switch: blocking reloads name published media sequence numbers,
//! which the edge must translate to the upstream's.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::splice::switch_source;
use crate::support::{Edge, eventually, fetch};
use crate::twin_sources::{fetch_json, start_edge};
use crate::viewer::{Viewer, find_media_playlist};

const TARGET_DURATION: u64 = 6;
const PARTS_PER_SEGMENT: u64 = 4;
/// Difference of the media sequence numbers of the second source to those of the first.
const SECOND_SOURCE_OFFSET: u64 = 7000;

/// Two sources of one programme, which advances when a test publishes parts.
struct Upstream {
    /// Unix time of the start of segment 0, in seconds.
    started_at: u64,
    /// Number of published partial segments.
    parts: watch::Sender<u64>,
    /// Source and query of every playlist request.
    playlist_requests: Mutex<Vec<(String, String)>>,
}

impl Upstream {
    fn publish_parts(&self, parts: u64) {
        self.parts.send_modify(|published| *published += parts);
    }

    /// The media sequence number, of the first source, of the incomplete segment.
    fn number(&self) -> u64 {
        *self.parts.borrow() / PARTS_PER_SEGMENT
    }

    fn was_asked(&self, name: &str, query: &str) -> bool {
        let requests = self.playlist_requests.lock().unwrap();
        requests.iter().any(|(source, request_query)| source == name && request_query == query)
    }

    fn playlist(&self, offset: u64) -> String {
        let parts = *self.parts.borrow();
        let number = parts / PARTS_PER_SEGMENT;
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{TARGET_DURATION}\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=4.5\n\
             #EXT-X-PART-INF:PART-TARGET=1.5\n#EXT-X-MEDIA-SEQUENCE:{}\n",
            number - 5 + offset
        );
        for n in number - 5..=number {
            let date = i64::try_from(self.started_at + n * TARGET_DURATION).unwrap();
            let date = jiff::Timestamp::from_second(date).unwrap();
            text += &format!("#EXT-X-PROGRAM-DATE-TIME:{date}\n");
            for part in (0..PARTS_PER_SEGMENT)
                .filter(|part| n + 2 > number && n * PARTS_PER_SEGMENT + part < parts)
            {
                let name = n + offset;
                text += &format!("#EXT-X-PART:DURATION=1.5,URI=\"{name}.{part}.ts\"\n");
            }
            if n < number {
                text += &format!("#EXTINF:{TARGET_DURATION},\n{}.ts\n", n + offset);
            }
        }
        let (name, part) = (number + offset, parts % PARTS_PER_SEGMENT);
        text + &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}.{part}.ts\"\n")
    }
}

async fn respond(
    State(upstream): State<Arc<Upstream>>,
    Path((name, file)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    if file != "live.m3u8" {
        let mut bytes = vec![0; 64_000];
        bytes.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
        bytes[1000..1000 + file.len()].copy_from_slice(file.as_bytes());
        return bytes.into_response();
    }
    let offset = if name == "first" { 0 } else { SECOND_SOURCE_OFFSET };
    let query = query.unwrap_or_default();
    upstream.playlist_requests.lock().unwrap().push((name, query.clone()));
    let value = |name: &str| {
        let value = query.split('&').find_map(|parameter| parameter.strip_prefix(name))?;
        Some(value.parse::<u64>().unwrap())
    };
    if let Some(number) = value("_HLS_msn=") {
        // Without `_HLS_part` the request waits for the whole segment.
        let part = value("_HLS_part=").unwrap_or(PARTS_PER_SEGMENT - 1);
        let wanted = (number - offset) * PARTS_PER_SEGMENT + part;
        upstream.parts.subscribe().wait_for(|parts| *parts > wanted).await.unwrap();
    }
    upstream.playlist(offset).into_response()
}

async fn start_upstream() -> (String, Arc<Upstream>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let upstream = Arc::new(Upstream {
        started_at: now - 10 * TARGET_DURATION,
        parts: watch::Sender::new(10 * PARTS_PER_SEGMENT + 1),
        playlist_requests: Mutex::default(),
    });
    let router = Router::new().route("/{name}/{file}", get(respond)).with_state(upstream.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://{address}"), upstream)
}

/// The media sequence number after the last segment of a playlist, and the links of the partial
/// segments after it.
fn parse_live_edge(text: &str) -> (u64, Vec<String>) {
    let first = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    let is_segment = |line: &&str| line.starts_with('/');
    let next =
        first.unwrap().parse::<u64>().unwrap() + text.lines().filter(is_segment).count() as u64;
    let parts = text.lines().rev().take_while(|line| !is_segment(line));
    let link = |line: &str| line.strip_prefix("#EXT-X-PART:")?.split('"').nth(1).map(str::to_owned);
    let mut links: Vec<_> = parts.filter_map(link).collect();
    links.reverse();
    (next, links)
}

/// Starts a blocking reload for a partial segment of segment `number`; the playlist.
fn spawn_blocking_reload(url: &str, number: u64, part: u64) -> JoinHandle<String> {
    let url = format!("{url}?_HLS_msn={number}&_HLS_part={part}");
    tokio::spawn(async move {
        let response = fetch(&url).await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        response.text().await.unwrap()
    })
}

struct Player {
    url: [String; 1],
    seen: Viewer,
}

impl Player {
    /// Sends a blocking reload for partial segment `part` of the next segment, asserts that the
    /// source `name` is requested with `query`, publishes `parts` more, and parses the response.
    async fn assert_blocking_reload(
        &mut self,
        upstream: &Upstream,
        part: u64,
        (name, query): (&str, &str),
        parts: u64,
    ) -> (u64, Vec<String>) {
        let number = self.seen.last() + 1;
        let mut response = spawn_blocking_reload(&self.url[0], number, part);
        let is_requested = || async { upstream.was_asked(name, query).then_some(()) };
        eventually(query, is_requested).await;
        assert!(futures::poll!(&mut response).is_pending(), "{query}");
        upstream.publish_parts(parts);
        let text = response.await.unwrap();
        self.seen.record_playlist(query, &text);
        let end = parse_live_edge(&text);
        assert!(
            end.0 > number || (end.0 == number && end.1.len() as u64 > part),
            "{number}.{part}: {text}"
        );
        end
    }
}

/// The file name in the content of the segment behind `link`.
async fn fetch_link(edge: &Edge, link: &str) -> String {
    let response = fetch(&edge.url(link)).await.unwrap();
    assert_eq!(response.status(), 200, "{link}");
    let bytes = response.bytes().await.unwrap();
    bytes[1000..]
        .iter()
        .take_while(|byte| **byte != 0 && **byte != 0x47)
        .map(|byte| char::from(*byte))
        .collect()
}

/// Switches to the second source and waits until it is active.
async fn wait_for_failover(edge: &Edge) {
    switch_source(edge, "second").await;
    eventually("the second plays", || async {
        let stream = fetch_json(&edge.url("/api/streams/world-feed")).await?;
        let mut sources = stream["sources"].as_array()?.iter();
        sources.any(|source| source["name"] == "second" && source["active"] == true).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_player_waits_for_parts_across_a_switch() {
    let (upstream_url, upstream) = start_upstream().await;
    let edge = start_edge(&upstream_url).await;
    let url = [find_media_playlist(&edge.url("")).await];
    let mut player = Player { url: url.clone(), seen: Viewer::default() };
    player.seen.poll("as it began", &url[0]).await;
    let began = player.seen.last();
    assert_eq!(began + 1, upstream.number(), "as the first source counts");
    let query = format!("_HLS_msn={}&_HLS_part=1", began + 1);
    let (_, parts) = player.assert_blocking_reload(&upstream, 1, ("first", &query), 1).await;
    assert_eq!(fetch_link(&edge, &parts[1]).await, format!("{}.1.ts", began + 1));

    wait_for_failover(&edge).await;
    player.seen.poll("switched", &url[0]).await;
    // The first segment after a discontinuity is published whole, without partial segments.
    let first = began + 1 + SECOND_SOURCE_OFFSET;
    let query = format!("_HLS_msn={first}");
    let (next, parts) = player.assert_blocking_reload(&upstream, 2, ("second", &query), 3).await;
    assert_eq!((next, parts.len()), (began + 2, 1));
    assert_eq!(player.seen.discontinuity_sequence(), 1);
    assert_eq!(fetch_link(&edge, player.seen.newest()).await, format!("{first}.ts"));
    assert_eq!(fetch_link(&edge, &parts[0]).await, format!("{}.0.ts", first + 1));

    // After that segment, blocking reloads work as before, and partial segments have published
    // numbers.
    for part in [1, 2, 3] {
        let query = format!("_HLS_msn={}&_HLS_part={part}", first + 1);
        let (next, parts) =
            player.assert_blocking_reload(&upstream, part, ("second", &query), 1).await;
        match parts.last() {
            Some(newest) => {
                assert_eq!(fetch_link(&edge, newest).await, format!("{}.{part}.ts", first + 1));
            }
            None => assert_eq!((next, part), (began + 3, 3), "the segment is whole"),
        }
    }
    // A reload for a published segment is answered without a blocking request to the upstream.
    let request_count = upstream.playlist_requests.lock().unwrap().len();
    let text = spawn_blocking_reload(&url[0], began, 0).await.unwrap();
    player.seen.record_playlist("published", &text);
    let requests = upstream.playlist_requests.lock().unwrap().split_off(request_count);
    assert!(requests.iter().all(|(_, query)| query.is_empty()), "{requests:?}");
    assert_eq!(player.seen.discontinuity_sequence(), 1, "one switch is one discontinuity");
    player.seen.assert_no_gap();
}

/// A blocking reload that outlasts a switch is answered from the new source, and does not make the
/// old source active again.
#[tokio::test]
async fn a_player_may_wait_for_a_source_that_plays_no_more() {
    let (upstream_url, upstream) = start_upstream().await;
    let edge = start_edge(&upstream_url).await;
    let url = [find_media_playlist(&edge.url("")).await];
    let mut player = Viewer::default();
    player.poll("as it began", &url[0]).await;
    let next = player.last() + 1;
    let late = spawn_blocking_reload(&url[0], next, 3);
    // The edge asks for what comes next, whatever the player waits for.
    let query = format!("_HLS_msn={next}&_HLS_part=1");
    let is_requested = || async { upstream.was_asked("first", &query).then_some(()) };
    eventually("the reload waits", is_requested).await;
    wait_for_failover(&edge).await;
    player.poll("switched", &url[0]).await;
    upstream.publish_parts(3);
    player.record_playlist("late", &late.await.unwrap());
    for _ in 0..2 {
        upstream.publish_parts(PARTS_PER_SEGMENT);
        player.watch_until("on", &url, |player| player.last() > next).await;
        assert_eq!(player.discontinuity_sequence(), 1, "one switch is one discontinuity");
    }
    player.assert_no_gap();
}
