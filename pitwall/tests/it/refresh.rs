//! A token that ends while people watch: what they see of it, and what it costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::support::{Edge, client, eventually, fetch};

/// Segments in its playlist, two seconds each.
const WINDOW: u64 = 15;

/// A page that hands out playlists with a token, and refuses every token but the last.
#[derive(Default)]
struct Source {
    token: AtomicUsize,
    /// How often the page was asked.
    runs: AtomicUsize,
    refused: AtomicUsize,
    segments: AtomicUsize,
}

#[derive(Deserialize)]
struct Ticket {
    token: usize,
}

async fn page(State(source): State<Arc<Source>>) -> String {
    source.runs.fetch_add(1, Ordering::SeqCst);
    let token = source.token.load(Ordering::SeqCst);
    format!("{{\"playlist\": \"/live/live.m3u8?token={token}\"}}")
}

async fn live(
    State(source): State<Arc<Source>>,
    Path(name): Path<String>,
    Query(ticket): Query<Ticket>,
) -> Response {
    let token = source.token.load(Ordering::SeqCst);
    if ticket.token != token {
        source.refused.fetch_add(1, Ordering::SeqCst);
        return StatusCode::FORBIDDEN.into_response();
    }
    if name == "live.m3u8" {
        let next = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 2;
        let segments = (next - WINDOW..next).map(|n| format!("#EXTINF:2,\n{n}.ts?token={token}\n"));
        let head =
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n", next - WINDOW);
        return (head + &segments.collect::<String>()).into_response();
    }
    source.segments.fetch_add(1, Ordering::SeqCst);
    let mut bytes = vec![0; 16_000];
    bytes.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
    bytes[1000..1000 + name.len()].copy_from_slice(name.as_bytes());
    bytes.into_response()
}

async fn start() -> (Arc<Source>, Edge) {
    let source = Arc::new(Source::default());
    let router = Router::new()
        .route("/page", get(page))
        .route("/live/{name}", get(live))
        .with_state(source.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let edge = Edge::start(&format!(
        "[schedule]\nproviders = []\n[[source]]\nname = \"pages\"\nkind = \"recipe\"\n\
         every = \"1h\"\nallow_private = [\"127.0.0.0/8\"]\ntoken_parameters = [\"token\"]\n\
         for = [{{ feed = \"World feed\" }}]\n\
         [[source.step]]\nget = \"http://{site}/page\"\n\
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

/// A segment that was there before anybody watched, so that nobody has fetched it yet, and that
/// stays in the playlist for as long as the test takes. Another in each round.
async fn older(edge: &Edge, round: usize) -> String {
    let playlist = fetch(&edge.url("/live/world-feed/v.m3u8")).await.unwrap();
    let text = playlist.text().await.unwrap();
    edge.url(text.lines().filter(|line| line.starts_with("/live/")).nth(4 * round).unwrap())
}

#[tokio::test]
async fn five_hundred_viewers_meet_an_ended_token_and_it_is_renewed_once() {
    const VIEWERS: usize = 500;
    let (source, edge) = start().await;
    let client = client();
    for round in 1..=2 {
        let segment = older(&edge, round).await;
        let count = |number: &AtomicUsize| number.load(Ordering::SeqCst);
        let (runs, fetched) = (count(&source.runs), count(&source.segments));
        source.token.fetch_add(1, Ordering::SeqCst);
        let herd = (0..VIEWERS).map(|_| client.get(&segment).send());
        let answers = futures::future::join_all(herd).await;
        for answer in answers {
            assert_eq!(answer.unwrap().status(), 200, "round {round}");
        }
        assert_eq!(count(&source.runs), runs + 1, "round {round}: refreshes");
        // The page was asked, the new playlist checked, and the segment had: what is prefetched
        // meanwhile is a handful.
        let segments = count(&source.segments) - fetched;
        assert!(segments <= 8, "round {round}: {segments} segments for {VIEWERS} viewers");
        let refused = count(&source.refused);
        assert!(refused <= VIEWERS / 10 * round, "round {round}: {refused} refusals");
    }
}

#[tokio::test]
async fn what_is_gone_is_gone_at_once() {
    let (_, edge) = start().await;
    let segment = older(&edge, 1).await;
    let (path, seal) = segment.split_once("?u=").unwrap();
    // Of another number, and of no stream that there is.
    for path in [format!("{path}x"), path.replace("world-feed", "pit-lane")] {
        let answer = fetch(&format!("{path}?u={seal}")).await.unwrap();
        assert_eq!(answer.status(), 401, "a seal of another path");
    }
}
