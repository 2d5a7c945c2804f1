use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use pitwall_fetch::Timeouts;

use super::*;
use crate::extract::ConfiguredSource;

mod init_section;

const MASTER: &str = "#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",URI=\"audio.m3u8\"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"Deutsch\",LANGUAGE=\"de\",URI=\"subs.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720,CODECS=\"avc1.640020\",AUDIO=\"a\",SUBTITLES=\"s\"
720.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=640x360,CODECS=\"avc1.4d401e\",AUDIO=\"a\"
360.m3u8
";

fn media(segment: &str) -> String {
    let (_, extension) = segment.rsplit_once('.').unwrap();
    format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:4,\nold.{extension}\n#EXTINF:4,\n{segment}\n"
    )
}

fn variant(child: &str) -> String {
    format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000,RESOLUTION=640x360\n{child}\n")
}

/// A transport stream of 200 000 bytes.
fn ts() -> Vec<u8> {
    (0..200_000).map(|at| if at % 188 == 0 { 0x47 } else { 0 }).collect()
}

/// The bodies by path below `/cdn`.
fn body(path: &str) -> Option<Vec<u8>> {
    Some(match path {
        "master.m3u8" => MASTER.into(),
        "720.m3u8" | "360.m3u8" | "good.m3u8" => media("new.jpg").into(),
        "audio.m3u8" => media("new.aac").into(),
        "subs.m3u8" => media("new.vtt").into(),
        "new.jpg" => ts(),
        "new.aac" => b"ID3\x04 audio".to_vec(),
        "new.vtt" => b"WEBVTT\n".to_vec(),
        "page.m3u8" | "page.ts" => b"<!doctype html><title>Blocked</title>".to_vec(),
        "blank.m3u8" | "blank.ts" => Vec::new(),
        "ended.m3u8" => format!("{}#EXT-X-ENDLIST\n", media("new.jpg")).into(),
        "bare.m3u8" => b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n".to_vec(),
        "dead-segment.m3u8" => media("missing.ts").into(),
        "page-segment.m3u8" => media("page.ts").into(),
        "text-segment.m3u8" => media("new.vtt").replace("new.vtt", "sorry.ts").into(),
        "sorry.ts" => b"Access denied".to_vec(),
        "slow.m3u8" => media("new.jpg").replace("DURATION:4", "DURATION:900").into(),
        "blank-segment.m3u8" => media("blank.ts").into(),
        "private-segment.m3u8" => media("http://10.0.0.1/x.ts").into(),
        "over-to-ended.m3u8" => variant("ended.m3u8").into(),
        "over-to-master.m3u8" => variant("master.m3u8").into(),
        "over-to-dead.m3u8" => variant("missing.m3u8").into(),
        "nothing.m3u8" => b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n".to_vec(),
        "unrated.m3u8" => variant("good.m3u8").replace("BANDWIDTH=1000,", "").into(),
        "half.m3u8" => {
            format!("{}#EXT-X-STREAM-INF:BANDWIDTH=1\nmissing.m3u8\n", variant("good.m3u8")).into()
        }
        "encrypted.m3u8" => media("new.aac")
            .replace("#EXT-X-MEDIA-S", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MEDIA-S")
            .into(),
        "huge.m3u8" => vec![b'#'; 17 << 20],
        _ => return None,
    })
}

async fn serve(Path(path): Path<String>, headers: HeaderMap) -> Response {
    if headers.get("referer").is_none() {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(body) = body(&path) else { return StatusCode::NOT_FOUND.into_response() };
    // Segments must be requested with a range.
    if path == "new.jpg" {
        assert_eq!(headers["range"], "bytes=0-65535");
        let range = [("content-range", format!("bytes 0-65535/{}", body.len()))];
        return (StatusCode::PARTIAL_CONTENT, range, body[..1 << 16].to_vec()).into_response();
    }
    body.into_response()
}

/// Number of requests in progress, and its peak.
#[derive(Default)]
struct RequestConcurrency {
    current: AtomicUsize,
    peak: AtomicUsize,
}

/// Holds each request for 50 ms. With paused time the sleep ends only when nothing else can happen,
/// so concurrent requests are certain to overlap.
async fn delay_and_count(
    State(load): State<Arc<RequestConcurrency>>,
    request: Request,
    next: Next,
) -> Response {
    load.peak.fetch_max(load.current.fetch_add(1, Relaxed) + 1, Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let response = next.run(request).await;
    load.current.fetch_sub(1, Relaxed);
    response
}

struct TestOrigin {
    address: SocketAddr,
    fetcher: Arc<Fetcher>,
    source: ConfiguredSource,
}

fn router() -> Router {
    let canonical =
        |Path(path): Path<String>| async move { Redirect::temporary(&format!("/cdn/{path}")) };
    Router::new().route("/hls/{path}", get(canonical)).route("/cdn/{path}", get(serve))
}

impl TestOrigin {
    async fn start() -> Self {
        Self::start_with("", router()).await
    }

    /// An origin whose `[[source]]` has further keys.
    async fn start_with(keys: &str, router: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let text = format!(
            "[[source]]\nname='a'\nkind='static'\nfeed='f'\nallow_private=['127.0.0.0/8']\nurl='http://{address}/'\n{keys}"
        );
        let source = ConfiguredSource::parse_file(&text).unwrap().remove(0);
        let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
        Self { address, fetcher, source }
    }

    fn candidate(&self, path: &str) -> Candidate {
        Candidate {
            position: 0,
            feed: "World feed".into(),
            label: None,
            playlist: Url::parse(&format!("http://{}/hls/{path}?token=secret", self.address))
                .unwrap(),
            headers: vec![("Referer".into(), "https://page.example/".into())],
            expires_at: None,
        }
    }

    async fn check(&self, path: &str) -> Result<CheckFindings, CheckError> {
        check_candidate(&self.fetcher, &self.source, &self.candidate(path)).await
    }
}

#[tokio::test]
async fn a_multivariant_playlist_and_all_its_renditions() {
    let origin = TestOrigin::start().await;
    let findings = origin.check("master.m3u8").await.unwrap();
    let got: Vec<_> = findings
        .renditions
        .iter()
        .map(|r| format!("{} {} {}", r.id.0, r.container.extension(), r.playlist.path()))
        .collect();
    // The segments are disguised as pictures; URIs resolve against the URL after the redirect.
    assert_eq!(
        got,
        [
            "v720-avc ts /cdn/720.m3u8",
            "v360-avc ts /cdn/360.m3u8",
            "a-en aac /cdn/audio.m3u8",
            "s-de vtt /cdn/subs.m3u8"
        ]
    );
    let bandwidths: Vec<_> = findings.renditions.iter().map(|one| one.bandwidth).collect();
    assert_eq!(bandwidths, [Some(3_000_000), Some(900_000), Some(20), None], "audio is measured");
    let live_edge =
        LiveEdge { last_sequence: 8, target_duration: Duration::from_secs(4), ends_at: None };
    assert_eq!(findings.live_edge, live_edge);
    let live_edges: Vec<_> =
        findings.live_edges.iter().map(|(id, live_edge)| (id.0.as_str(), *live_edge)).collect();
    assert_eq!(
        live_edges,
        [("v720-avc", live_edge), ("v360-avc", live_edge), ("a-en", live_edge)],
        "what moves"
    );
    assert!(findings.sample.latency > Duration::ZERO);
    assert_eq!(findings.sample.bit_rate, Some(400_000));
}

#[tokio::test]
async fn media_playlists_partial_and_encrypted_streams_pass() {
    let origin = TestOrigin::start().await;
    let alone = origin.check("good.m3u8").await.unwrap();
    assert_eq!(alone.renditions.len(), 1);
    assert_eq!(alone.renditions[0].id.0, "v");
    assert_eq!(alone.renditions[0].container, Container::MpegTs);
    assert_eq!(alone.renditions[0].bandwidth, Some(400_000), "200 000 bytes in four seconds");
    let unrated = origin.check("unrated.m3u8").await.unwrap();
    assert_eq!(unrated.renditions[0].bandwidth, Some(400_000), "what BANDWIDTH should have said");
    let half = origin.check("half.m3u8").await.unwrap();
    assert_eq!(half.renditions.len(), 1, "what is broken is left out");
    let encrypted = origin.check("encrypted.m3u8").await.unwrap();
    assert_eq!(encrypted.renditions[0].container, Container::PackedAudio, "going by its name");
}

#[tokio::test]
async fn unplayable_candidates_are_rejected() {
    let origin = TestOrigin::start().await;
    for (path, expected, kind) in [
        ("missing.m3u8", "the playlist was answered with 404", CheckFailureKind::Permanent),
        (
            "page.m3u8",
            "not a playlist: an HTML page instead of #EXTM3U",
            CheckFailureKind::Transient,
        ),
        ("blank.m3u8", "the playlist is empty", CheckFailureKind::Transient),
        ("huge.m3u8", "the upstream's answer is too large", CheckFailureKind::Transient),
        ("bare.m3u8", "the playlist has no segments", CheckFailureKind::Transient),
        ("ended.m3u8", "the playlist has ended", CheckFailureKind::Permanent),
        (
            "slow.m3u8",
            "a target duration of 900 s is not that of a live stream",
            CheckFailureKind::Transient,
        ),
        (
            "dead-segment.m3u8",
            "the newest segment was answered with 404",
            CheckFailureKind::Transient,
        ),
        ("page-segment.m3u8", "the newest segment is an HTML page", CheckFailureKind::Transient),
        (
            "text-segment.m3u8",
            "the newest segment is nothing that players know",
            CheckFailureKind::Transient,
        ),
        ("blank-segment.m3u8", "the newest segment is empty", CheckFailureKind::Transient),
        (
            "private-segment.m3u8",
            "the target is not allowed by the address policy",
            CheckFailureKind::Transient,
        ),
        ("over-to-ended.m3u8", "the playlist has ended", CheckFailureKind::Permanent),
        (
            "over-to-master.m3u8",
            "a master playlist where a media playlist should be",
            CheckFailureKind::Transient,
        ),
        ("over-to-dead.m3u8", "the playlist was answered with 404", CheckFailureKind::Permanent),
        ("nothing.m3u8", "the master playlist offers nothing", CheckFailureKind::Transient),
    ] {
        let error = origin.check(path).await.err().unwrap_or_else(|| panic!("{path} passed"));
        assert_eq!((error.message.as_str(), error.kind), (expected, kind), "{path}");
    }
    let mut candidate = origin.candidate("good.m3u8");
    candidate.headers.clear();
    let error = check_candidate(&origin.fetcher, &origin.source, &candidate).await.err().unwrap();
    let expected = ("the playlist was answered with 403", CheckFailureKind::TokenRejected);
    assert_eq!((error.message.as_str(), error.kind), expected);
}

#[tokio::test]
async fn recheck_falls_back_to_the_playlist_url() {
    let origin = TestOrigin::start().await;
    let candidate = origin.candidate("master.m3u8");
    let findings = origin.check("master.m3u8").await.unwrap();
    let rechecked =
        recheck_candidate(&origin.fetcher, &origin.source, &candidate, &findings).await.unwrap();
    assert_eq!(rechecked.renditions.len(), 4);
    // The known playlist URL is gone, but the candidate's playlist URL still leads to the
    // rendition.
    let mut lost = findings.clone();
    lost.renditions[0].playlist =
        Url::parse(&format!("http://{}/cdn/gone.m3u8", origin.address)).unwrap();
    let rechecked =
        recheck_candidate(&origin.fetcher, &origin.source, &candidate, &lost).await.unwrap();
    assert_eq!(rechecked.renditions[0].playlist.path(), "/cdn/720.m3u8");
    // The same for a rendition other than the best.
    let mut lost = findings.clone();
    lost.renditions[1].playlist =
        Url::parse(&format!("http://{}/cdn/ended.m3u8", origin.address)).unwrap();
    let rechecked =
        recheck_candidate(&origin.fetcher, &origin.source, &candidate, &lost).await.unwrap();
    assert_eq!(rechecked.renditions[1].playlist.path(), "/cdn/360.m3u8");
    let half = origin.check("half.m3u8").await.unwrap();
    let mut broken = half.clone();
    broken.renditions.push(lost.renditions[1].clone());
    let rechecked =
        recheck_candidate(&origin.fetcher, &origin.source, &origin.candidate("half.m3u8"), &broken)
            .await;
    assert_eq!(rechecked.unwrap().renditions.len(), 1, "what is broken is left out again");
}

/// A master playlist opens a session, without which everything below it is refused.
#[tokio::test]
async fn a_session_lasts_until_it_is_refused() {
    let session = Arc::new(AtomicUsize::new(1));
    let serve = |State(session): State<Arc<AtomicUsize>>,
                 Path(path): Path<String>,
                 headers: HeaderMap| async move {
        let cookie = format!("session={}", session.load(Relaxed));
        let is_known = headers.get("cookie").is_some_and(|value| *value == *cookie);
        match &*path {
            "master.m3u8" => {
                let field = format!("{cookie}; Path=/hls/live; HttpOnly");
                ([("set-cookie", field)], variant("live/v.m3u8")).into_response()
            }
            _ if !is_known => StatusCode::FORBIDDEN.into_response(),
            "live/v.m3u8" => media("new.ts").into_response(),
            _ => ts().into_response(),
        }
    };
    let router = Router::new().route("/hls/{*path}", get(serve)).with_state(session.clone());
    let origin = TestOrigin::start_with("", router).await;
    let set_cookies = |findings: &CheckFindings| {
        let [(url, field)] = &findings.set_cookies[..] else { panic!("one cookie") };
        assert_eq!(url.as_str(), format!("http://{}/hls/master.m3u8", origin.address));
        field.clone()
    };
    let mut findings = origin.check("master.m3u8").await.unwrap();
    for number in [1, 1, 2] {
        session.store(number, Relaxed);
        findings.sample.taken_at -= SAMPLE_MAX_AGE;
        let candidate = origin.candidate("master.m3u8");
        let rechecked = recheck_candidate(&origin.fetcher, &origin.source, &candidate, &findings);
        findings = rechecked.await.unwrap();
        let expected = format!("session={number}; Path=/hls/live; HttpOnly");
        assert_eq!(set_cookies(&findings), expected);
    }
}

/// Servers that know no ranges, or answer with another success than 200.
#[tokio::test]
async fn segments_are_sampled_as_players_read_them() {
    let ranged = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n#EXT-X-BYTERANGE:1880@940\na.ts\n";
    let far = ranged.replace("@940", "@4000000");
    for (case, playlist, range_status, segment_status, is_known) in [
        ("range ignored", media("a.ts"), 200, 200, true),
        ("range refused", media("a.ts"), 416, 200, true),
        ("range not implemented", media("a.ts"), 501, 203, true),
        ("segment of a file", ranged.to_owned(), 200, 200, true),
        ("segment far inside a file", far, 200, 200, false),
    ] {
        let serve = move |Path(path): Path<String>, headers: HeaderMap| {
            let playlist = playlist.clone();
            let status = |code: u16| StatusCode::from_u16(code).unwrap();
            async move {
                if path == "m.m3u8" {
                    return (status(203), playlist).into_response();
                }
                assert_eq!(headers["accept-encoding"], "identity");
                if headers.contains_key("range") && range_status != 200 {
                    return status(range_status).into_response();
                }
                (status(segment_status), ts()).into_response()
            }
        };
        let origin = TestOrigin::start_with("", Router::new().route("/hls/{path}", get(serve)));
        let sample = origin.await.check("m.m3u8").await.unwrap().sample;
        assert_eq!(sample.container.is_some(), is_known, "{case}");
        assert!(sample.bit_rate.is_some(), "{case}");
    }
}

/// Checks of a new candidate, of its copy and of an active upstream run together.
#[tokio::test(start_paused = true)]
async fn concurrent_requests_to_a_source_are_limited() {
    for (keys, allowed) in [("", None), ("connections = 1", Some(1)), ("connections = 2", Some(2))]
    {
        let load = Arc::new(RequestConcurrency::default());
        let slow_router = router().layer(from_fn_with_state(load.clone(), delay_and_count));
        let origin = TestOrigin::start_with(keys, slow_router).await;
        let (fetcher, source) = (&origin.fetcher, &origin.source);
        let candidate = origin.candidate("master.m3u8");
        let findings = check_candidate(fetcher, source, &candidate).await.unwrap();
        let stale = CheckFindings {
            sample: SegmentSample {
                taken_at: findings.sample.taken_at - SAMPLE_MAX_AGE,
                ..findings.sample.clone()
            },
            ..findings
        };
        let copy = source.clone();
        let (one, two, three) = tokio::join!(
            check_candidate(fetcher, source, &candidate),
            check_candidate(fetcher, &copy, &candidate),
            recheck_candidate(fetcher, source, &candidate, &stale),
        );
        assert!([one, two, three].iter().all(Result::is_ok), "{keys}");
        let peak = load.peak.load(Relaxed);
        match allowed {
            Some(allowed) => assert_eq!(peak, allowed, "{keys}"),
            None => assert!(peak > 6, "{peak} of three checks at once"),
        }
    }
}
