//! A token that expires during playback: no viewer sees an error, and it is renewed once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::support::{Edge, client, eventually, fetch};

/// Segments of two seconds in the source's playlist.
const WINDOW_SEGMENTS: u64 = 15;

/// A page that issues playlist URLs with a token; requests with any but the current token get 403.
#[derive(Default)]
struct TokenSource {
    token: AtomicUsize,
    /// Whether requests for segments get 404.
    has_lost_segments: AtomicBool,
    /// Number of requests for the page.
    runs: AtomicUsize,
    refused: AtomicUsize,
    segments: AtomicUsize,
}

#[derive(Deserialize)]
struct TokenQuery {
    token: usize,
}

async fn page(State(source): State<Arc<TokenSource>>) -> String {
    source.runs.fetch_add(1, Ordering::SeqCst);
    let token = source.token.load(Ordering::SeqCst);
    format!("{{\"playlist\": \"/live/live.m3u8?token={token}\"}}")
}

async fn live(
    State(source): State<Arc<TokenSource>>,
    Path(name): Path<String>,
    Query(query): Query<TokenQuery>,
) -> Response {
    let token = source.token.load(Ordering::SeqCst);
    if query.token != token {
        source.refused.fetch_add(1, Ordering::SeqCst);
        return StatusCode::FORBIDDEN.into_response();
    }
    if name == "live.m3u8" {
        let next = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 2;
        let segments =
            (next - WINDOW_SEGMENTS..next).map(|n| format!("#EXTINF:2,\n{n}.ts?token={token}\n"));
        let head = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n",
            next - WINDOW_SEGMENTS
        );
        return (head + &segments.collect::<String>()).into_response();
    }
    source.segments.fetch_add(1, Ordering::SeqCst);
    if source.has_lost_segments.load(Ordering::SeqCst) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let mut bytes = vec![0; 16_000];
    bytes.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
    bytes[1000..1000 + name.len()].copy_from_slice(name.as_bytes());
    bytes.into_response()
}

async fn start_edge_and_source() -> (Arc<TokenSource>, Edge) {
    let source = Arc::new(TokenSource::default());
    let router = Router::new()
        .route("/page", get(page))
        .route("/live/{name}", get(live))
        .with_state(source.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let edge = Edge::start(&format!(
        "[schedule]\nproviders = []\n[[source]]\nname = \"pages\"\nkind = \"recipe\"\n\
         every = \"1h\"\nallow_private = [\"127.0.0.0/8\"]\ntoken_parameters = [\"token\"]\n\
         for = [{{ feed = \"World feed\" }}]\n\
         [[source.step]]\nget = \"http://{address}/page\"\n\
         [[source.step]]\npointer = \"/playlist\"\nsave = \"playlist\"\n\
         [source.result]\nplaylist = \"{{{{playlist}}}}\"\n"
    ))
    .await;
    let url = edge.url("/live/world-feed/v.m3u8");
    eventually("the stream plays", || async {
        fetch(&url).await.ok().filter(|answer| answer.status() == 200)
    })
    .await;
    (source, edge)
}

/// The URL of a segment that was published before the first poll, so that it is not prefetched, and
/// that stays in the playlist during the test; a different segment in each round.
async fn unfetched_segment(edge: &Edge, round: usize) -> String {
    let playlist = fetch(&edge.url("/live/world-feed/v.m3u8")).await.unwrap();
    let text = playlist.text().await.unwrap();
    edge.url(text.lines().filter(|line| line.starts_with("/live/")).nth(4 * round).unwrap())
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_five_hundred_viewers() {
    const VIEWERS: usize = 500;
    let (source, edge) = start_edge_and_source().await;
    let client = client();
    for round in 1..=2 {
        let segment = unfetched_segment(&edge, round).await;
        let count = |number: &AtomicUsize| number.load(Ordering::SeqCst);
        let (runs, fetched) = (count(&source.runs), count(&source.segments));
        source.token.fetch_add(1, Ordering::SeqCst);
        let requests = (0..VIEWERS).map(|_| client.get(&segment).send());
        for response in futures::future::join_all(requests).await {
            assert_eq!(response.unwrap().status(), 200, "round {round}");
        }
        assert_eq!(count(&source.runs), runs + 1, "round {round}: refreshes");
        // These fetches are one for the check of the new playlist, one for the segment, and a few
        // prefetches.
        let segments = count(&source.segments) - fetched;
        assert!(segments <= 8, "round {round}: {segments} segments for {VIEWERS} viewers");
        let refused = count(&source.refused);
        assert!(refused <= VIEWERS / 10 * round, "round {round}: {refused} refusals");
    }
}

/// A 404 is final where the playlist still has the same link, so the edge does not wait for a new
/// map, as it does after a 403 that a new token may mend.
#[tokio::test]
async fn a_404_for_an_unchanged_link_is_answered_at_once() {
    /// How long an edge waits for a new map, `MAP_UPDATE_TIMEOUT`.
    const MAP_WAIT: Duration = Duration::from_secs(3);
    let (source, edge) = start_edge_and_source().await;
    let segment = unfetched_segment(&edge, 1).await;
    source.has_lost_segments.store(true, Ordering::SeqCst);
    let (fetched, began) = (source.segments.load(Ordering::SeqCst), Instant::now());
    let response = fetch(&segment).await.unwrap();
    assert_eq!(response.status(), 404);
    let problem: serde_json::Value = response.json().await.unwrap();
    assert_eq!(problem["type"], "urn:pitwall:problem:upstream-status");
    assert!(began.elapsed() < MAP_WAIT, "{:?}", began.elapsed());
    assert!(source.segments.load(Ordering::SeqCst) > fetched, "the source was asked");
}

#[tokio::test]
async fn a_seal_of_another_path_is_refused() {
    let (_, edge) = start_edge_and_source().await;
    let segment = unfetched_segment(&edge, 1).await;
    let (path, seal) = segment.split_once("?u=").unwrap();
    // The seal is bound to its path: another number or stream invalidates it.
    for path in [format!("{path}x"), path.replace("world-feed", "pit-lane")] {
        let answer = fetch(&format!("{path}?u={seal}")).await.unwrap();
        assert_eq!(answer.status(), 401, "a seal of another path");
    }
}
