//! The segment cache over HTTP: new segments are prefetched, and an operator can purge objects.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use reqwest::Method;

use crate::support::{Edge, client, eventually, fetch, plain_link};

const WINDOW_SEGMENTS: u64 = 4;
const SEGMENT_BYTES: usize = 50_000;

/// A live stream that advances when the test does so.
#[derive(Default)]
struct LiveUpstream {
    newest_segment: AtomicU64,
    /// Number of requests by segment, as `kind/segment`, or `kind/first-last` for a byte range.
    fetched: Mutex<BTreeMap<String, usize>>,
}

impl LiveUpstream {
    /// All segments that have been requested, with the number of requests.
    fn fetches(&self) -> Vec<(String, usize)> {
        self.fetched.lock().unwrap().clone().into_iter().collect()
    }

    fn record_fetch(&self, what: String) {
        *self.fetched.lock().unwrap().entry(what).or_default() += 1;
    }
}

async fn start_upstream() -> (SocketAddr, Arc<LiveUpstream>) {
    let live =
        Arc::new(LiveUpstream { newest_segment: AtomicU64::new(10), ..LiveUpstream::default() });
    let router = Router::new()
        .route("/{kind}/v.m3u8", get(playlist))
        .route("/{kind}/file.mp4", get(serve_byte_range))
        .route("/{kind}/{segment}", get(segment))
        .with_state(live.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, live)
}

async fn playlist(State(live): State<Arc<LiveUpstream>>, Path(kind): Path<String>) -> String {
    let newest = live.newest_segment.load(Ordering::SeqCst);
    let first = newest + 1 - WINDOW_SEGMENTS;
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    for n in first..=newest {
        text.push_str(&match kind.as_str() {
            "ranges" => {
                format!(
                    "#EXTINF:2,\n#EXT-X-BYTERANGE:{SEGMENT_BYTES}@{}\nfile.mp4\n",
                    n as usize * SEGMENT_BYTES
                )
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
    State(live): State<Arc<LiveUpstream>>,
    Path((kind, segment)): Path<(String, String)>,
) -> Vec<u8> {
    live.record_fetch(format!("{kind}/{segment}"));
    vec![1; SEGMENT_BYTES]
}

async fn serve_byte_range(
    State(live): State<Arc<LiveUpstream>>,
    Path(kind): Path<String>,
    headers: HeaderMap,
) -> Response {
    let range = headers["range"].to_str().unwrap().strip_prefix("bytes=").unwrap().to_owned();
    live.record_fetch(format!("{kind}/{range}"));
    let content_range = ("content-range", format!("bytes {range}/99999999"));
    (http_206(), [content_range], vec![2; SEGMENT_BYTES]).into_response()
}

fn http_206() -> axum::http::StatusCode {
    axum::http::StatusCode::PARTIAL_CONTENT
}

struct EdgeFixture {
    edge: Edge,
    upstream: SocketAddr,
    live: Arc<LiveUpstream>,
}

impl EdgeFixture {
    async fn new(more: &str) -> Self {
        let (upstream, live) = start_upstream().await;
        let edge = Edge::start(&format!(
            "[edge.playlist]\nmax_age = \"0s\"\n[schedule]\nproviders = []\n\
             [upstream]\nallow_hosts = [\"{upstream}\"]\nallow_private = [\"127.0.0.0/8\"]\n{more}"
        ))
        .await;
        Self { edge, upstream, live }
    }

    /// The links of the segments of a playlist, the newest last.
    async fn poll(&self, kind: &str) -> Vec<String> {
        let url = plain_link("/proxy", &format!("http://{}/{kind}/v.m3u8", self.upstream));
        let text = fetch(&self.edge.url(&url)).await.unwrap().text().await.unwrap();
        text.lines().filter(|line| line.starts_with('/')).map(str::to_owned).collect()
    }

    /// Content length of a response, and its cache result in `Server-Timing`.
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
        let value =
            text.lines().find_map(|candidate| candidate.strip_prefix(line)?.strip_prefix(' '));
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
async fn a_new_segment_is_prefetched_before_its_first_viewer() {
    for (kind, range, fetched) in [
        ("plain", None, "plain/11.ts"),
        ("ranges", Some("bytes=550000-599999"), "ranges/550000-599999"),
    ] {
        let fixture = EdgeFixture::new("").await;
        let first = fixture.poll(kind).await;
        fixture.live.newest_segment.fetch_add(1, Ordering::SeqCst);
        let second = fixture.poll(kind).await;
        assert_eq!(first[1..], second[..second.len() - 1], "links stay");
        eventually("it is fetched and stored", || async {
            (fixture.metric("pitwall_cache_bytes").await >= SEGMENT_BYTES as u64).then_some(())
        })
        .await;
        assert_eq!(fixture.metric("pitwall_prefetch_total{outcome=\"fetched\"}").await, 1);
        let newest = second.last().unwrap();
        assert_eq!(fixture.media(newest, range).await, (SEGMENT_BYTES, "hit".to_owned()), "{kind}");
        // Segments that were in the first playlist are not fetched.
        assert_eq!(fixture.live.fetches(), [(fetched.to_owned(), 1)], "{kind}");
    }
}

#[tokio::test]
async fn only_polled_live_playlists_are_prefetched() {
    let fixture = EdgeFixture::new("").await;
    fixture.poll("ended").await;
    fixture.live.newest_segment.fetch_add(1, Ordering::SeqCst);
    fixture.poll("ended").await;
    // Each playlist is tracked by itself: this is the first poll of the other one.
    fixture.poll("plain").await;
    // The next segment of the live playlist is prefetched after everything that the polls above
    // could have started; without it, this test would end before a wrong fetch reaches the
    // upstream.
    fixture.live.newest_segment.fetch_add(1, Ordering::SeqCst);
    let newest = fixture.poll("plain").await.pop().unwrap();
    eventually("the newest segment is prefetched and stored", || async {
        (fixture.metric("pitwall_cache_bytes").await >= SEGMENT_BYTES as u64).then_some(())
    })
    .await;
    assert_eq!(fixture.media(&newest, None).await, (SEGMENT_BYTES, "hit".to_owned()));
    assert_eq!(fixture.metric("pitwall_prefetch_total{outcome=\"fetched\"}").await, 1);
    assert_eq!(fixture.live.fetches(), [("plain/12.ts".to_owned(), 1)]);
}

#[tokio::test]
async fn an_operator_can_purge_objects() {
    let token = "0123456789abcdef0123456789abcdef";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), token).unwrap();
    let access = format!("[access]\nadmin_token_file = \"{}\"\n", file.path().display());
    let fixture = EdgeFixture::new(&access).await;
    let url = format!("http://{}/plain/1.ts", fixture.upstream);
    let (relay, purge) = (plain_link("/relay", &url), plain_link("/relay", &url));
    fixture.media(&relay, None).await;
    let stored = || async { fixture.metric("pitwall_cache_bytes").await };
    eventually("it is stored", || async { (stored().await > 0).then_some(()) }).await;
    for (path, token, status, expected) in [
        (&*purge, None, 401, "show the admin token"),
        (&*purge, Some("another"), 401, "show the admin token"),
        ("/relay?url=!!", Some(token), 400, "url= is not"),
        ("/relay", Some(token), 400, "url= is not"),
        ("/metrics", Some(token), 404, "try GET /metrics"),
        ("/live/a/b", Some(token), 404, "try GET /metrics"),
        ("/live/world-feed", Some(token), 200, "{\"purged\":0}"),
        (&*plain_link("/relay", "http://other.example/1.ts"), Some(token), 200, "{\"purged\":0}"),
        (&*purge, Some(token), 200, "{\"purged\":1}"),
    ] {
        let got = fixture.purge(path, token).await;
        assert!(got.0 == status && got.1.starts_with(expected), "{path} {token:?}: {got:?}");
    }
    assert_eq!(stored().await, 0);
    assert_eq!(fixture.media(&relay, None).await.1, "miss");
    assert_eq!(fixture.live.fetches(), [("plain/1.ts".to_owned(), 2)]);
    // Without a configured admin token nothing can be purged.
    let open = EdgeFixture::new("").await;
    assert_eq!(open.purge("/live/world-feed", Some(token)).await.0, 403);
}
