//! An upstream with a path for every kind of response, which records requests.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MULTIVARIANT_PLAYLIST: &str = "#EXTM3U\r\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",URI=\"audio.m3u8?t=1\"\r\n\
    # a comment\r\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO=\"a\"\r\n\
    # between\r\n\
    video.m3u8?t=1\r\n";

const MEDIA_PLAYLIST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n\
    #EXT-X-KEY:METHOD=AES-128,URI=\"/key?t=1\"\n#EXT-X-MAP:URI=\"init.mp4?t=1\"\n\
    #EXTINF:2,http://not-a-uri.test/\nseg-7.mp4?t=1\n#EXTINF:2,\nseg-8.mp4?t=1\n";

pub(super) const SEGMENT_BYTES: usize = 100_000;

/// By path: the number of requests, and the fields of the last one.
#[derive(Default)]
pub(super) struct RequestLog(Mutex<HashMap<String, (usize, HeaderMap)>>);

impl RequestLog {
    fn record(&self, uri: &Uri, headers: &HeaderMap) {
        let mut requests = self.0.lock().unwrap();
        let entry = requests.entry(uri.path().to_owned()).or_default();
        *entry = (entry.0 + 1, headers.clone());
    }

    pub(super) fn count(&self, path: &str) -> usize {
        self.0.lock().unwrap().get(path).map_or(0, |entry| entry.0)
    }

    pub(super) fn header(&self, path: &str, name: &str) -> Option<String> {
        let requests = self.0.lock().unwrap();
        Some(requests.get(path)?.1.get(name)?.to_str().unwrap().to_owned())
    }
}

pub(super) async fn start_upstream() -> (SocketAddr, Arc<RequestLog>) {
    let request_log = Arc::new(RequestLog::default());
    let playlist = |text: &'static str| get(move || async move { text });
    let router = Router::new()
        .route("/master.m3u8", get(|| async { Redirect::temporary("/cdn/7/master.m3u8") }))
        .route("/cdn/7/master.m3u8", playlist(MULTIVARIANT_PLAYLIST))
        .route("/cdn/7/video.m3u8", get(|| async { gzip(MEDIA_PLAYLIST) }))
        .route("/cdn/7/seg-7.mp4", get(segment))
        .route("/cdn/7/seg-8.mp4", get(segment))
        .route("/cdn/7/init.mp4", get(segment))
        .route("/big.bin", get(large_segment))
        .route(
            "/masked.m3u8",
            playlist("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\npage.html\n"),
        )
        .route("/page.html", get(|| async { "WEBVTT\n\n00:00.000 --> 00:01.000\nBox, box.\n" }))
        .route("/long/{text}/{count}", get(long_uri))
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
        .layer(axum::middleware::from_fn_with_state(request_log.clone(), record_request))
        .with_state(());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, request_log)
}

async fn record_request(
    State(request_log): State<Arc<RequestLog>>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    request_log.record(request.uri(), request.headers());
    next.run(request).await
}

/// A playlist of one segment, whose query is long.
async fn long_uri(Path((text, count)): Path<(String, usize)>) -> String {
    let query = text.repeat(count);
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n/cdn/7/seg-7.mp4?t={query}\n")
}

fn gzip(text: &str) -> Response {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    ([("content-encoding", "gzip")], encoder.finish().unwrap()).into_response()
}

/// A valid VOD playlist of 1.8 MB. Gzip compresses it by a factor of forty, so the limit of decoded
/// content must be a size and not a ratio.
pub(super) fn recording() -> String {
    let token = "a".repeat(160);
    let segment = |n| format!("#EXTINF:6.000000,\nsegment-{n:05}.ts?token={token}\n");
    let segments: String = (0..9000).map(segment).collect();
    format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n{segments}#EXT-X-ENDLIST\n"
    )
}

async fn segment() -> Response {
    let body: Vec<u8> = (0..SEGMENT_BYTES).map(|n| n as u8).collect();
    ([("etag", "\"v1\"")], body).into_response()
}

/// A segment larger than the edge's `max_object`.
async fn large_segment(headers: HeaderMap) -> Response {
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

/// Answers every connection with these bytes and closes it.
pub(super) async fn serve_raw_response(response: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    address
}
