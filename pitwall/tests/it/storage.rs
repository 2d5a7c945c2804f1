//! What storage does for viewers, over real HTTP: new segments are there before they ask, many of
//! them cost one fetch, and an operator can have it all forgotten.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use reqwest::Method;

use crate::support::{Edge, client, eventually, fetch, plain};

const WINDOW: u64 = 4;
const PIECE: usize = 50_000;

/// A live stream that moves on when the test says so.
#[derive(Default)]
struct Live {
    newest: AtomicU64,
    fetched: Mutex<HashMap<String, usize>>,
}

impl Live {
    fn fetches(&self, what: &str) -> usize {
        self.fetched.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    fn note(&self, what: String) {
        *self.fetched.lock().unwrap().entry(what).or_default() += 1;
    }
}

async fn live() -> (SocketAddr, Arc<Live>) {
    let live = Arc::new(Live { newest: AtomicU64::new(10), ..Live::default() });
    let router = Router::new()
        .route("/{kind}/v.m3u8", get(playlist))
        .route("/{kind}/file.mp4", get(part))
        .route("/{kind}/{segment}", get(segment))
        .with_state(live.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, live)
}

async fn playlist(State(live): State<Arc<Live>>, Path(kind): Path<String>) -> String {
    let newest = live.newest.load(Ordering::SeqCst);
    let first = newest + 1 - WINDOW;
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    for n in first..=newest {
        text.push_str(&match kind.as_str() {
            "ranges" => {
                format!("#EXTINF:2,\n#EXT-X-BYTERANGE:{PIECE}@{}\nfile.mp4\n", n as usize * PIECE)
            }
            _ => format!("#EXTINF:2,\n{n}.ts\n"),
        });
    }
    if kind == "ended" {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

async fn segment(
    State(live): State<Arc<Live>>,
    Path((_, segment)): Path<(String, String)>,
) -> Vec<u8> {
    live.note(segment);
    vec![1; PIECE]
}

async fn part(State(live): State<Arc<Live>>, headers: HeaderMap) -> Response {
    let range = headers["range"].to_str().unwrap().strip_prefix("bytes=").unwrap().to_owned();
    live.note(range.clone());
    let content_range = ("content-range", format!("bytes {range}/99999999"));
    (http_206(), [content_range], vec![2; PIECE]).into_response()
}

fn http_206() -> axum::http::StatusCode {
    axum::http::StatusCode::PARTIAL_CONTENT
}

struct Bench {
    edge: Edge,
    upstream: SocketAddr,
    live: Arc<Live>,
}

impl Bench {
    async fn new(more: &str) -> Self {
        let (upstream, live) = live().await;
        let edge = Edge::start(&format!(
            "[edge.playlist]\nmax_age = \"0s\"\n[schedule]\nproviders = []\n\
             [upstream]\nallow_hosts = [\"{upstream}\"]\nallow_private = [\"127.0.0.0/8\"]\n{more}"
        ))
        .await;
        Self { edge, upstream, live }
    }

    /// The links of the playlist's segments, the newest last.
    async fn poll(&self, kind: &str) -> Vec<String> {
        let url = plain("/proxy", &format!("http://{}/{kind}/v.m3u8", self.upstream));
        let text = fetch(&self.edge.url(&url)).await.unwrap().text().await.unwrap();
        text.lines().filter(|line| line.starts_with('/')).map(str::to_owned).collect()
    }

    /// Body length, and how storage came by it.
    async fn media(&self, link: &str, range: Option<&str>) -> (usize, String) {
        let mut request = client().get(self.edge.url(link));
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let response = request.send().await.unwrap();
        let timing = response.headers()["server-timing"].to_str().unwrap().to_owned();
        let outcome = timing.split_once("desc=").unwrap().1.split(',').next().unwrap().to_owned();
        (response.bytes().await.unwrap().len(), outcome)
    }

    async fn metric(&self, line: &str) -> u64 {
        let scrape = fetch(&format!("http://{}/metrics", self.edge.admin)).await.unwrap();
        let text = scrape.text().await.unwrap();
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    async fn purge(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let method = Method::from_bytes(b"PURGE").unwrap();
        let mut request = client().request(method, format!("http://{}{path}", self.edge.admin));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

#[tokio::test]
async fn the_first_viewer_of_a_new_segment_finds_it_there() {
    for (kind, range, fetched) in
        [("plain", None, "11.ts"), ("ranges", Some("bytes=550000-599999"), "550000-599999")]
    {
        let bench = Bench::new("").await;
        let first = bench.poll(kind).await;
        assert_eq!(bench.live.fetched.lock().unwrap().len(), 0, "nobody asked for what is old");
        bench.live.newest.fetch_add(1, Ordering::SeqCst);
        let second = bench.poll(kind).await;
        assert_eq!(first[1..], second[..second.len() - 1], "links stay");
        eventually("it is fetched and stored", || async {
            (bench.metric("pitwall_storage_bytes").await >= PIECE as u64).then_some(())
        })
        .await;
        assert_eq!(bench.metric("pitwall_prefetch_total{outcome=\"fetched\"}").await, 1);
        let newest = second.last().unwrap();
        assert_eq!(bench.media(newest, range).await, (PIECE, "hit".to_owned()), "{kind}");
        assert_eq!(bench.live.fetches(fetched), 1, "{kind}");
    }
}

#[tokio::test]
async fn nothing_is_fetched_ahead_that_is_not_live_or_not_watched() {
    let bench = Bench::new("").await;
    bench.poll("ended").await;
    bench.live.newest.fetch_add(1, Ordering::SeqCst);
    bench.poll("ended").await;
    // Another playlist is on its own: this is the first look at it.
    bench.poll("plain").await;
    assert_eq!(bench.metric("pitwall_prefetch_total{outcome=\"fetched\"}").await, 0);
    assert_eq!(bench.live.fetched.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn an_operator_can_have_objects_forgotten() {
    let token = "0123456789abcdef0123456789abcdef";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), token).unwrap();
    let access = format!("[access]\nadmin_token_file = \"{}\"\n", file.path().display());
    let bench = Bench::new(&access).await;
    let url = format!("http://{}/plain/1.ts", bench.upstream);
    let (relay, purge) = (plain("/relay", &url), plain("/relay", &url));
    bench.media(&relay, None).await;
    let stored = || async { bench.metric("pitwall_storage_bytes").await };
    eventually("it is stored", || async { (stored().await > 0).then_some(()) }).await;
    for (path, shown, status, answer) in [
        (&*purge, None, 401, "show the admin token"),
        (&*purge, Some("another"), 401, "show the admin token"),
        ("/relay?url=!!", Some(token), 400, "url= is not"),
        ("/relay", Some(token), 400, "url= is not"),
        ("/metrics", Some(token), 404, "try GET /metrics"),
        ("/live/a/b", Some(token), 404, "try GET /metrics"),
        ("/live/world-feed", Some(token), 200, "{\"purged\":0}"),
        (&*plain("/relay", "http://other.example/1.ts"), Some(token), 200, "{\"purged\":0}"),
        (&*purge, Some(token), 200, "{\"purged\":1}"),
    ] {
        let got = bench.purge(path, shown).await;
        assert!(got.0 == status && got.1.starts_with(answer), "{path} {shown:?}: {got:?}");
    }
    assert_eq!(stored().await, 0);
    assert_eq!(bench.media(&relay, None).await.1, "miss");
    assert_eq!(bench.live.fetches("1.ts"), 2);
    // Where no token is configured there is none to show.
    let open = Bench::new("").await;
    assert_eq!(open.purge("/live/world-feed", Some(token)).await.0, 403);
}
