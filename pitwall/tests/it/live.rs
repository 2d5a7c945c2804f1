//! `/live`: a stream of a static source, and its responses while its upstream fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::support::{Edge, eventually, fetch};

const MULTIVARIANT_PLAYLIST: &str = "#EXTM3U\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",URI=\"a.m3u8\"\n\
    #EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=10,BANDWIDTH=3000,RESOLUTION=1280x720,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"a\"\nhigh.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1000,RESOLUTION=320x180,CODECS=\"avc1.64000d,mp4a.40.2\",AUDIO=\"a\"\nlow.m3u8\n";

pub(crate) struct Upstream {
    /// The `Referer` of every request.
    referers: std::sync::Mutex<Vec<Option<String>>>,
    works: AtomicBool,
    sequence: AtomicUsize,
    polls: AtomicUsize,
    peers: std::sync::Mutex<std::collections::HashSet<SocketAddr>>,
}

async fn media(
    State(upstream): State<Arc<Upstream>>,
    Path(name): Path<String>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Response {
    if !name.ends_with(".m3u8") {
        return segment().into_response();
    }
    upstream.polls.fetch_add(1, Ordering::SeqCst);
    upstream.peers.lock().unwrap().insert(peer);
    if !upstream.works.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let first = upstream.sequence.fetch_add(1, Ordering::SeqCst);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
         #EXT-X-MAP:URI=\"init.mp4\"\n"
    );
    for n in first..first + 3 {
        text.push_str(&format!("#EXTINF:1,\nseg-{n}.m4s\n"));
    }
    text.into_response()
}

fn segment() -> Vec<u8> {
    b"\0\0\0\x18ftypiso5aaaaaaaaaaaaaaaa".repeat(100)
}

async fn record_request(
    State(upstream): State<Arc<Upstream>>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let referer = request.headers().get("referer");
    let referer = referer.map(|referer| referer.to_str().unwrap().to_owned());
    upstream.referers.lock().unwrap().push(referer);
    next.run(request).await
}

pub(crate) async fn start_upstream() -> (SocketAddr, Arc<Upstream>) {
    let upstream = Arc::new(Upstream {
        works: AtomicBool::new(true),
        sequence: AtomicUsize::new(7),
        polls: AtomicUsize::new(0),
        peers: std::sync::Mutex::default(),
        referers: std::sync::Mutex::default(),
    });
    let router = Router::new()
        .route("/live/master.m3u8", get(|| async { MULTIVARIANT_PLAYLIST }))
        .route("/live/{rendition}", get(media))
        .fallback(|| async { segment() })
        .layer(axum::middleware::from_fn_with_state(upstream.clone(), record_request))
        .with_state(upstream.clone())
        .into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, upstream)
}

async fn start_edge(address: SocketAddr) -> Edge {
    let config = format!(
        "[schedule]\nproviders = []\n[[source]]\nname = \"s\"\nkind = \"static\"\n\
         feed = \"World feed\"\nurl = \"http://{address}/live/master.m3u8\"\n\
         allow_private = [\"127.0.0.0/8\"]\nheaders = {{ Referer = \"https://club.test/\" }}\n"
    );
    let edge = Edge::start(&config).await;
    let url = edge.url("/live/world-feed/index.m3u8");
    eventually("the stream is there", || async {
        fetch(&url).await.ok().filter(|response| response.status() == 200)
    })
    .await;
    edge
}

/// The media sequence number of a playlist.
fn media_sequence(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    line.unwrap().parse().unwrap()
}

async fn fetch_text(edge: &Edge, path: &str) -> String {
    fetch(&edge.url(path)).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn choosing_a_rendition_keeps_its_audio() {
    let (address, _) = start_upstream().await;
    let edge = start_edge(address).await;
    let all = fetch_text(&edge, "/live/world-feed/index.m3u8").await;
    // BANDWIDTH is parsed correctly after AVERAGE-BANDWIDTH, whose name contains it.
    assert!(all.contains("BANDWIDTH=3000,AVERAGE-BANDWIDTH=10"), "{all}");
    let low = fetch_text(&edge, "/live/world-feed/index.m3u8?rendition=v180-avc").await;
    assert!(low.contains("v180-avc.m3u8") && !low.contains("v720-avc.m3u8"), "{low}");
    assert!(low.contains("TYPE=AUDIO") && low.contains(",AUDIO=\"a\""), "{low}");
    let unknown = fetch(&edge.url("/live/world-feed/index.m3u8?rendition=v1")).await.unwrap();
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn concurrent_polls_share_one_upstream_request_and_few_connections() {
    let (address, upstream) = start_upstream().await;
    let edge = start_edge(address).await;
    let url = edge.url("/live/world-feed/v180-avc.m3u8");
    // A round that begins within `max_age` of the last poll needs none.
    for polls_expected in [1..=4, 0..=4, 0..=4] {
        let polls = upstream.polls.load(Ordering::SeqCst);
        let requests = (0..100).map(|_| fetch(&url));
        for response in futures::future::join_all(requests).await {
            assert_eq!(response.unwrap().status(), 200);
        }
        let polled = upstream.polls.load(Ordering::SeqCst) - polls;
        // `max_age` (here a quarter of the target duration) may expire while the requests run.
        assert!(polls_expected.contains(&polled), "{polled} polls upstream for 100 here");
    }
    let connections = upstream.peers.lock().unwrap().len();
    assert!(connections <= 8, "{connections} connections, where a few are enough");
}

#[tokio::test]
async fn a_short_outage_is_bridged_for_three_target_durations() {
    let (address, upstream) = start_upstream().await;
    let edge = start_edge(address).await;
    let url = edge.url("/live/world-feed/v720-avc.m3u8");
    let poll = || async { fetch(&url).await.unwrap() };
    let good = poll().await.text().await.unwrap();
    upstream.works.store(false, Ordering::SeqCst);
    // A reused response carries `Age`.
    let stale = eventually("the last good playlist with its age", || async {
        let response = poll().await;
        assert_eq!(response.status(), 200, "a blip showed");
        response.headers().contains_key("age").then_some(response)
    })
    .await;
    assert_eq!(stale.text().await.unwrap(), good, "the last good playlist is served unchanged");
    let refused = eventually("an honest error", || async {
        let response = poll().await;
        (response.status() != 200).then_some(response)
    })
    .await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "urn:pitwall:problem:unavailable");
    upstream.works.store(true, Ordering::SeqCst);
    let back =
        eventually("it comes back", || async { Some(poll().await).filter(|a| a.status() == 200) })
            .await;
    let back = media_sequence(&back.text().await.unwrap());
    assert!(back > media_sequence(&good), "{back} after the outage");
}

#[tokio::test]
async fn a_sources_headers_go_with_every_request() {
    let (address, upstream) = start_upstream().await;
    let edge = start_edge(address).await;
    let media = fetch_text(&edge, "/live/world-feed/v720-avc.m3u8").await;
    let segment = media.lines().find(|line| line.starts_with("/live/")).unwrap().to_owned();
    upstream.referers.lock().unwrap().clear();
    assert_eq!(fetch(&edge.url(&segment)).await.unwrap().status(), 200);
    let referers = upstream.referers.lock().unwrap().clone();
    assert!(!referers.is_empty());
    assert!(referers.iter().all(|referer| referer.as_deref() == Some("https://club.test/")));
}

/// Links are relative, so that no field of a request can make them lead to another host.
#[tokio::test]
async fn forwarded_hosts_change_no_link() {
    let (address, _) = start_upstream().await;
    let edge = start_edge(address).await;
    // Each of these playlists has links in lines and in attributes of tags.
    for (path, in_attribute) in [
        ("/live/world-feed/index.m3u8", "#EXT-X-MEDIA:"),
        ("/live/world-feed/v720-avc.m3u8", "#EXT-X-MAP:"),
    ] {
        let response = crate::support::client()
            .get(edge.url(path))
            .header("x-forwarded-host", "evil.test")
            .header("x-forwarded-proto", "ftp")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let text = response.text().await.unwrap();
        let is_link = |line: &str| line.starts_with(in_attribute) && line.contains("URI=\"");
        assert!(text.lines().any(is_link), "{path} has a link in {in_attribute} {text}");
        for forbidden in ["//", "evil", &address.to_string(), "init.mp4\"", "seg-"] {
            assert!(!text.contains(forbidden), "{path} contains {forbidden}: {text}");
        }
    }
}

/// A master playlist opens a session, without which its playlists and segments are refused. The
/// edge plays with the session of the check.
#[tokio::test]
async fn a_session_that_the_master_playlist_opens_is_kept() {
    let is_known = |headers: &axum::http::HeaderMap| {
        headers.get("cookie").is_some_and(|cookie| cookie == "mine=1; session=7")
    };
    let sequence = Arc::new(AtomicUsize::new(7));
    let below = move |Path(name): Path<String>, headers: axum::http::HeaderMap| {
        let first = sequence.fetch_add(1, Ordering::SeqCst);
        async move {
            if !is_known(&headers) {
                return StatusCode::FORBIDDEN.into_response();
            }
            if !name.ends_with(".m3u8") {
                return segment().into_response();
            }
            let segments: String =
                (first..first + 3).map(|n| format!("#EXTINF:1,\n{n}.m4s\n")).collect();
            format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
                 #EXT-X-MAP:URI=\"init.mp4\"\n{segments}"
            )
            .into_response()
        }
    };
    let master = || async {
        let session = [("set-cookie", "session=7; Path=/live/media; HttpOnly")];
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=3000,RESOLUTION=1280x720\nmedia/v.m3u8\n";
        (session, text)
    };
    let router = Router::new()
        .route("/live/master.m3u8", get(master))
        .route("/live/media/{name}", get(below));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let config = format!(
        "[schedule]\nproviders = []\n[[source]]\nname = \"s\"\nkind = \"static\"\n\
         feed = \"World feed\"\nurl = \"http://{address}/live/master.m3u8\"\n\
         allow_private = [\"127.0.0.0/8\"]\nheaders = {{ Cookie = \"mine=1\" }}\n"
    );
    let edge = Edge::start(&config).await;
    let url = edge.url("/live/world-feed/v720.m3u8");
    let playlist = eventually("the stream plays", || async {
        fetch(&url).await.ok().filter(|response| response.status() == 200)
    })
    .await
    .text()
    .await
    .unwrap();
    let link = playlist.lines().find(|line| line.contains(".m4s")).unwrap();
    let response = fetch(&edge.url(link)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.bytes().await.unwrap(), segment());
}
