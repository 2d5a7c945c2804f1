//! The edge over real HTTP, in front of an upstream that the test writes.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::support::{Edge, client, fetch, plain};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MASTER: &str = "#EXTM3U\r\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",URI=\"audio.m3u8?t=1\"\r\n\
    # a comment\r\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO=\"a\"\r\n\
    # between\r\n\
    video.m3u8?t=1\r\n";

const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n\
    #EXT-X-KEY:METHOD=AES-128,URI=\"/key?t=1\"\n#EXT-X-MAP:URI=\"init.mp4?t=1\"\n\
    #EXTINF:2,http://not-a-uri.test/\nseg-7.mp4?t=1\n#EXTINF:2,\nseg-8.mp4?t=1\n";

const SEGMENT_LENGTH: usize = 100_000;

/// How often each path was asked for, and with what headers last.
#[derive(Default)]
struct Seen(Mutex<HashMap<String, (usize, HeaderMap)>>);

impl Seen {
    fn note(&self, uri: &Uri, headers: &HeaderMap) {
        let mut seen = self.0.lock().unwrap();
        let entry = seen.entry(uri.path().to_owned()).or_default();
        *entry = (entry.0 + 1, headers.clone());
    }

    fn count(&self, path: &str) -> usize {
        self.0.lock().unwrap().get(path).map_or(0, |seen| seen.0)
    }

    fn header(&self, path: &str, name: &str) -> Option<String> {
        let seen = self.0.lock().unwrap();
        Some(seen.get(path)?.1.get(name)?.to_str().unwrap().to_owned())
    }
}

async fn upstream() -> (SocketAddr, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let playlist = |text: &'static str| get(move || async move { text });
    let router = Router::new()
        .route("/master.m3u8", get(|| async { Redirect::temporary("/cdn/7/master.m3u8") }))
        .route("/cdn/7/master.m3u8", playlist(MASTER))
        .route("/cdn/7/video.m3u8", get(|| async { gzip(MEDIA) }))
        .route("/cdn/7/seg-7.mp4", get(segment))
        .route("/cdn/7/seg-8.mp4", get(segment))
        .route("/cdn/7/init.mp4", get(segment))
        .route("/big.bin", get(big))
        .route(
            "/masked.m3u8",
            playlist("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\npage.html\n"),
        )
        .route("/page.html", get(|| async { "WEBVTT\n\n00:00.000 --> 00:01.000\nBox, box.\n" }))
        .route("/html.m3u8", playlist("<!doctype html><p>login"))
        .route("/empty.m3u8", playlist(""))
        .route("/bomb.m3u8", get(|| async { gzip(&format!("#EXTM3U\n{}", "\n".repeat(50 << 20))) }))
        .route("/huge.m3u8", get(|| async { format!("#EXTM3U\n{}", "#\n".repeat(2 << 20)) }))
        .route("/vod.m3u8", get(|| async { gzip(&recording()) }))
        .route(
            "/status/{code}",
            get(|Path(code): Path<u16>| async move { StatusCode::from_u16(code).unwrap() }),
        )
        .route("/loop.m3u8", get(|| async { Redirect::temporary("/loop.m3u8") }))
        .route("/inside.m3u8", get(|| async { Redirect::temporary("http://10.0.0.1/x.m3u8") }))
        .route(
            "/evil.ts",
            get(|| async { ([("set-cookie", "a=b"), ("content-type", "text/html")], "<script>") }),
        )
        .route(
            "/chunked.ts",
            get(|| async {
                let chunks =
                    (0..10).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[9; 1000])));
                Body::from_stream(stream::iter(chunks))
            }),
        )
        .layer(axum::middleware::from_fn_with_state(seen.clone(), note))
        .with_state(());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, seen)
}

async fn note(
    State(seen): State<Arc<Seen>>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    seen.note(request.uri(), request.headers());
    next.run(request).await
}

fn gzip(text: &str) -> Response {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    ([("content-encoding", "gzip")], encoder.finish().unwrap()).into_response()
}

/// A long recording: 1.8 MB, and legal. It compresses forty times, so what a body may unpack to
/// is told by its size and not by the ratio.
fn recording() -> String {
    let token = "a".repeat(160);
    let segment = |n| format!("#EXTINF:6.000000,\nsegment-{n:05}.ts?token={token}\n");
    let segments: String = (0..9000).map(segment).collect();
    format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n{segments}#EXT-X-ENDLIST\n"
    )
}

async fn segment() -> Response {
    let body: Vec<u8> = (0..SEGMENT_LENGTH).map(|n| n as u8).collect();
    ([("etag", "\"v1\"")], body).into_response()
}

/// Larger than the edge will store.
async fn big(headers: HeaderMap) -> Response {
    let length = 3 << 20;
    match headers.get("range").map(|range| range.to_str().unwrap()) {
        Some("bytes=10-19") => (
            StatusCode::PARTIAL_CONTENT,
            [("content-range", format!("bytes 10-19/{length}"))],
            vec![5; 10],
        )
            .into_response(),
        _ => vec![5_u8; length].into_response(),
    }
}

fn config(upstream: SocketAddr) -> String {
    format!(
        "[edge.cache]\nbytes = \"16MiB\"\nmax_object = \"1MiB\"\n\
         [schedule]\nproviders = []\n\
         [upstream]\nallow_hosts = [\"{upstream}\", \"10.0.0.1\"]\nallow_private = [\"127.0.0.0/8\"]\n"
    )
}

struct Bench {
    edge: Edge,
    upstream: SocketAddr,
    seen: Arc<Seen>,
    client: reqwest::Client,
}

impl Bench {
    async fn new() -> Self {
        let (upstream, seen) = upstream().await;
        let edge = Edge::start(&config(upstream)).await;
        Self { edge, upstream, seen, client: client() }
    }

    fn proxy(&self, path: &str) -> String {
        plain("/proxy", &format!("http://{}{path}", self.upstream))
    }

    fn relay(&self, path: &str) -> String {
        plain("/relay", &format!("http://{}{path}", self.upstream))
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.request(method, self.edge.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.ok(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    /// The links that a playlist holds, in its order.
    async fn links(&self, path: &str) -> Vec<String> {
        let text = self.get(path).await.text();
        text.lines()
            .filter_map(|line| match line.split_once("URI=\"") {
                Some((_, rest)) => rest.split_once('"').map(|(link, _)| link.to_owned()),
                None => (!line.starts_with('#') && !line.is_empty()).then(|| line.to_owned()),
            })
            .collect()
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    /// `None` when the transfer was aborted.
    body: Option<Bytes>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone().unwrap().to_vec()).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn problem(&self) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.text()).unwrap();
        json["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn playlists() {
    let bench = Bench::new().await;
    let master = bench.get(&bench.proxy("/master.m3u8")).await;
    assert_eq!(master.status, 200);
    assert_eq!(master.header("content-type"), Some("application/vnd.apple.mpegurl"));
    assert_eq!(master.header("access-control-allow-origin"), Some("*"));
    assert!(master.header("server-timing").unwrap().starts_with("origin;dur="));
    let text = master.text();
    // What is not a URI is as it was, line ends and all; what is one leads back here.
    assert!(text.contains("# a comment\r\n") && text.contains("# between\r\n"), "{text}");
    assert!(!text.contains(&bench.upstream.to_string()) && !text.contains("video.m3u8"), "{text}");

    let links = bench.links(&bench.proxy("/master.m3u8")).await;
    assert_eq!(links.len(), 2);
    // Relative to where the redirect led, and decoded.
    let media = bench.get(&links[1]).await;
    assert_eq!(media.status, 200, "{}", media.text());
    assert!(media.text().contains("#EXTINF:2,http://not-a-uri.test/\n"));
    let paths: Vec<String> = bench
        .links(&links[1])
        .await
        .iter()
        .map(|link| link.split_once('?').unwrap().0.to_owned())
        .collect();
    assert!(paths[0].starts_with("/relay/") && paths[0].ends_with(".key"), "{paths:?}");
    assert!(paths[1].starts_with("/relay/") && paths[1].ends_with(".mp4"), "{paths:?}");
    assert_eq!(&paths[2..], ["/relay/7.m4s", "/relay/8.m4s"]);

    let etag = media.header("etag").unwrap().to_owned();
    let again = bench.send(Method::GET, &links[1], &[("if-none-match", &etag)]).await;
    assert_eq!(again.status, 304);
    let head = bench.send(Method::HEAD, &links[1], &[]).await;
    assert_eq!((head.status, head.body.unwrap().len()), (200, 0));
    assert_eq!(head.headers["content-length"], media.headers["content-length"]);
}

#[tokio::test]
async fn a_long_recording_is_a_playlist_like_any_other() {
    let bench = Bench::new().await;
    assert!(recording().len() > 1_800_000);
    let links = bench.links(&bench.proxy("/vod.m3u8")).await;
    assert_eq!(links.len(), 9000);
    assert!(links[8999].starts_with("/relay/8999.ts?u="), "{}", links[8999]);
}

/// ffmpeg refuses a segment whose extension is not its container's.
#[tokio::test]
async fn a_disguise_is_seen_through() {
    let bench = Bench::new().await;
    let links = bench.links(&bench.proxy("/masked.m3u8")).await;
    assert!(links[0].starts_with("/relay/0.vtt?u="), "{links:?}");
    let cues = bench.get(&links[0]).await;
    assert_eq!(cues.headers["content-type"], "text/vtt; charset=utf-8");
    assert!(cues.text().contains("Box, box."));
}

#[tokio::test]
async fn segments() {
    let bench = Bench::new().await;
    let media = bench.links(&bench.proxy("/master.m3u8")).await.remove(1);
    let segment = bench.links(&media).await.remove(2);
    let whole = bench.get(&segment).await;
    assert_eq!((whole.status, whole.body.unwrap().len()), (200, SEGMENT_LENGTH));
    assert_eq!(whole.headers["content-type"], "video/mp4");
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(whole.headers["x-content-type-options"], "nosniff");

    for (headers, status, range, length) in [
        (&[("range", "bytes=10-19")][..], 206, Some("bytes 10-19/100000"), 10),
        (&[("range", "bytes=-5")], 206, Some("bytes 99995-99999/100000"), 5),
        (&[("range", "bytes=99990-")], 206, Some("bytes 99990-99999/100000"), 10),
        (&[("range", "bytes=999999999-")], 416, Some("bytes */100000"), 0),
        (&[("range", "bytes=5-2")], 200, None, SEGMENT_LENGTH),
        (&[("range", "bytes=0-1,5-6")], 200, None, SEGMENT_LENGTH),
        (&[("range", "items=1-2")], 200, None, SEGMENT_LENGTH),
        (&[("range", "bytes=0-1"), ("if-range", "\"v1\"")], 206, Some("bytes 0-1/100000"), 2),
        (&[("range", "bytes=0-1"), ("if-range", "\"v0\"")], 200, None, SEGMENT_LENGTH),
        (&[("if-none-match", "\"v1\"")], 304, None, 0),
    ] {
        let answer = bench.send(Method::GET, &segment, headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.header("content-range"), range, "{headers:?}");
        assert_eq!(answer.body.unwrap().len(), length, "{headers:?}");
        assert_eq!(answer.headers["access-control-allow-origin"], "*", "{headers:?}");
    }
    let head = bench.send(Method::HEAD, &segment, &[]).await;
    assert_eq!((head.status, &head.headers["content-length"]), (200, &"100000".parse().unwrap()));
    // All of it from one fetch.
    assert_eq!(bench.seen.count("/cdn/7/seg-7.mp4"), 1);
}

#[tokio::test]
async fn a_herd_is_one_fetch() {
    let bench = Bench::new().await;
    let path = bench.relay("/cdn/7/init.mp4");
    let herd = (0..64).map(|_| bench.get(&path));
    for answer in futures::future::join_all(herd).await {
        assert_eq!(answer.body.unwrap().len(), SEGMENT_LENGTH);
    }
    assert_eq!(bench.seen.count("/cdn/7/init.mp4"), 1);
}

#[tokio::test]
async fn what_storage_does_not_take_is_passed_through() {
    let bench = Bench::new().await;
    let whole = bench.get(&bench.relay("/big.bin")).await;
    assert_eq!((whole.status, whole.body.unwrap().len()), (200, 3 << 20));
    let ranged =
        bench.send(Method::GET, &bench.relay("/big.bin"), &[("range", "bytes=10-19")]).await;
    assert_eq!((ranged.status, ranged.header("content-range")), (206, Some("bytes 10-19/3145728")));
    let chunked = bench.get(&bench.relay("/chunked.ts")).await;
    assert_eq!((chunked.status, chunked.body.unwrap().len()), (200, 10_000));
}

#[tokio::test]
async fn answers_are_constructed() {
    let bench = Bench::new().await;
    let answer = bench.get(&bench.relay("/evil.ts")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    assert_eq!(answer.headers["content-security-policy"], "sandbox; default-src 'none'");
    assert_eq!(answer.header("set-cookie"), None);
    let viewers = [("cookie", "private"), ("referer", "http://viewer.test/"), ("x-a", "b")];
    bench.send(Method::GET, &bench.relay("/cdn/7/seg-8.mp4"), &viewers).await;
    for (name, _) in viewers {
        assert_eq!(bench.seen.header("/cdn/7/seg-8.mp4", name), None, "{name} went upstream");
    }
}

#[tokio::test]
async fn browsers_of_any_origin_may_ask() {
    let bench = Bench::new().await;
    for path in ["/live/a/index.m3u8", "/live/a/v/1.ts", "/proxy", "/relay/1.ts"] {
        let asked = [
            ("origin", "https://page.test"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "range"),
        ];
        let preflight = bench.send(Method::OPTIONS, path, &asked).await;
        assert_eq!(preflight.status, 204, "{path}");
        // Once: a browser takes two for none.
        let origins: Vec<_> =
            preflight.headers.get_all("access-control-allow-origin").iter().collect();
        assert_eq!(origins, ["*"]);
        assert!(preflight.header("access-control-allow-headers").unwrap().contains("Range"));
        assert!(preflight.header("access-control-allow-methods").unwrap().contains("HEAD"));
        // An error must be readable too.
        let refused = bench.get(path).await;
        assert_eq!(refused.headers["access-control-allow-origin"], "*", "{path}");
        let exposed = refused.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("Content-Range") && exposed.contains("Server-Timing"));
    }
}

#[tokio::test]
async fn upstream_failures_keep_their_meaning() {
    let bench = Bench::new().await;
    for (path, status, problem) in [
        ("/html.m3u8", 502, "upstream-invalid"),
        ("/empty.m3u8", 502, "upstream-invalid"),
        ("/bomb.m3u8", 502, "upstream-invalid"),
        ("/huge.m3u8", 502, "upstream-invalid"),
        ("/status/403", 403, "upstream-status"),
        ("/status/404", 404, "upstream-status"),
        ("/status/410", 410, "upstream-status"),
        ("/status/451", 451, "upstream-status"),
        ("/status/500", 500, "upstream-status"),
        ("/status/503", 503, "upstream-status"),
        ("/status/204", 502, "upstream-invalid"),
        ("/loop.m3u8", 502, "upstream-invalid"),
        ("/inside.m3u8", 502, "upstream-invalid"),
    ] {
        let answer = bench.get(&bench.proxy(path)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    assert_eq!(bench.seen.count("/loop.m3u8"), 4);
    for (path, status, problem) in [
        ("/status/403", 403, "upstream-status"),
        ("/status/410", 410, "upstream-status"),
        ("/status/503", 503, "upstream-status"),
        ("/status/204", 502, "upstream-invalid"),
        ("/inside.m3u8", 502, "upstream-invalid"),
    ] {
        let answer = bench.get(&bench.relay(path)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{path}");
    }
}

/// Answers everything with these bytes and closes.
async fn saying(answer: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn bodies_end_as_they_should_or_are_aborted() {
    for (answer, expected) in [
        ("content-length: 100\r\n\r\nshort", None),
        ("transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n", None),
        ("content-length: 4\r\n\r\ntoo long", Some("too ")),
        (
            "transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\nx-trailer: 1\r\n\r\n",
            Some("whole"),
        ),
        ("connection: close\r\n\r\nuntil the end", Some("until the end")),
    ] {
        let upstream = saying(format!("HTTP/1.1 200 OK\r\n{answer}").leak()).await;
        let edge = Edge::start(&config(upstream)).await;
        let url = edge.url(&plain("/relay", &format!("http://{upstream}/1.ts")));
        // What breaks off at once may do so before its header has left.
        let body = match fetch(&url).await {
            Ok(response) => {
                assert_eq!(response.status(), 200, "{answer:?}");
                assert!(!response.headers().contains_key("x-trailer"));
                response.text().await.ok()
            }
            Err(_) => None,
        };
        assert_eq!(body.as_deref(), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn links_that_are_refused() {
    let bench = Bench::new().await;
    let media = bench.links(&bench.proxy("/master.m3u8")).await.remove(1);
    let segment = bench.links(&media).await.remove(2);
    let seal = segment.split_once("u=").unwrap().1.to_owned();
    let flipped = segment.replace(&seal, &format!("A{}", seal.get(1..).unwrap()));
    let url = |url: &str| plain("/proxy", url);
    for (path, status, problem) in [
        ("/proxy".to_owned(), 401, "seal-missing"),
        (format!("/proxy?u={seal}"), 401, "seal-invalid"),
        (format!("/relay/9.m4s?u={seal}"), 401, "seal-invalid"),
        (flipped, 401, "seal-invalid"),
        (media.replace("/proxy", "/relay"), 401, "seal-invalid"),
        ("/relay?url=%%%".to_owned(), 400, "bad-url"),
        (format!("{}&u=x", url("http://a.test/")), 400, "bad-url"),
        (url("file:///etc/passwd"), 400, "bad-url"),
        (url("http://user@a.test/"), 400, "bad-url"),
        (url("http://a.test/#x"), 400, "bad-url"),
        (url("playlist.m3u8"), 400, "bad-url"),
        (url(""), 400, "bad-url"),
        (url("http://elsewhere.test/x.m3u8"), 403, "target-denied"),
        (url("http://169.254.169.254/"), 403, "target-denied"),
        (url("http://10.0.0.1/"), 403, "target-denied"),
        (url("http://2130706433/"), 403, "target-denied"),
        (url(&format!("http://{}/", bench.edge.address)), 403, "target-denied"),
        ("/live/nothing/index.m3u8".to_owned(), 404, "not-found"),
        ("/live/nothing/v.m3u8".to_owned(), 404, "not-found"),
        ("/api/nothing".to_owned(), 404, "not-found"),
        (format!("/proxy?u={}", "a".repeat(10_000)), 414, "uri-too-long"),
    ] {
        let answer = bench.get(&path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = bench.send(method, "/relay", &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    }
}

#[tokio::test]
async fn admin_tells_and_sigterm_drains() {
    let bench = Bench::new().await;
    bench.get(&bench.relay("/cdn/7/seg-7.mp4")).await;
    bench.get(&bench.relay("/cdn/7/seg-7.mp4")).await;
    let scrape = fetch(&format!("http://{}/metrics", bench.edge.admin)).await.unwrap();
    let scrape = scrape.text().await.unwrap();
    for line in [
        "pitwall_storage_requests_total{outcome=\"miss\"} 1",
        "pitwall_storage_requests_total{outcome=\"hit\"} 1",
        "pitwall_requests_total{route=\"relay\",status=\"2xx\"} 2",
    ] {
        assert!(scrape.contains(line), "{line} is not in\n{scrape}");
    }
    // The admin's answers are not for viewers: there the path is the page's.
    assert!(!bench.get("/metrics").await.text().contains("pitwall_"));
    let mut edge = bench.edge;
    edge.terminate();
    assert!(edge.ended());
}
