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

/// 200 000 bytes of a transport stream.
fn ts() -> Vec<u8> {
    (0..200_000).map(|at| if at % 188 == 0 { 0x47 } else { 0 }).collect()
}

/// What is served, by path below `/cdn`.
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
        "half.m3u8" => {
            format!("{}#EXT-X-STREAM-INF:BANDWIDTH=1\nmissing.m3u8\n", variant("good.m3u8")).into()
        }
        "encrypted.m3u8" => media("new.aac")
            .replace("#EXT-X-MEDIA-S", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MEDIA-S")
            .into(),
        "huge.m3u8" => vec![b'#'; 3 << 20],
        _ => return None,
    })
}

async fn serve(Path(path): Path<String>, headers: HeaderMap) -> Response {
    if headers.get("referer").is_none() {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(body) = body(&path) else { return StatusCode::NOT_FOUND.into_response() };
    // Segments come in part, as they are asked for.
    if path == "new.jpg" {
        assert_eq!(headers["range"], "bytes=0-65535");
        let range = [("content-range", format!("bytes 0-65535/{}", body.len()))];
        return (StatusCode::PARTIAL_CONTENT, range, body[..1 << 16].to_vec()).into_response();
    }
    body.into_response()
}

/// Requests that are being answered, and how many there have been at once.
#[derive(Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// In time that stands still, this is over when nothing else can happen: what is sent together is
/// there together.
async fn far_away(State(load): State<Arc<Load>>, request: Request, next: Next) -> Response {
    load.most.fetch_max(load.now.fetch_add(1, Relaxed) + 1, Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let response = next.run(request).await;
    load.now.fetch_sub(1, Relaxed);
    response
}

struct Site {
    address: SocketAddr,
    fetcher: Arc<Fetcher>,
    source: Source,
}

fn router() -> Router {
    let canonical =
        |Path(path): Path<String>| async move { Redirect::temporary(&format!("/cdn/{path}")) };
    Router::new().route("/hls/{path}", get(canonical)).route("/cdn/{path}", get(serve))
}

impl Site {
    async fn start() -> Self {
        Self::of("", router()).await
    }

    /// A site whose `[[source]]` has these keys as well.
    async fn of(keys: &str, router: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let text = format!(
            "[[source]]\nname='a'\nkind='static'\nfeed='f'\nallow_private=['127.0.0.0/8']\nurl='http://{address}/'\n{keys}"
        );
        let source = Source::parse_file(&text).unwrap().remove(0);
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

    async fn check(&self, path: &str) -> Result<Checked, CheckError> {
        check(&self.fetcher, &self.source, &self.candidate(path)).await
    }
}

#[tokio::test]
async fn a_master_and_all_its_renditions() {
    let site = Site::start().await;
    let checked = site.check("master.m3u8").await.unwrap();
    let got: Vec<_> = checked
        .renditions
        .iter()
        .map(|r| format!("{} {} {}", r.id.0, r.container.extension(), r.playlist.path()))
        .collect();
    // Disguised as pictures, found below the URL that redirected there.
    assert_eq!(
        got,
        [
            "v720-avc ts /cdn/720.m3u8",
            "v360-avc ts /cdn/360.m3u8",
            "a-en aac /cdn/audio.m3u8",
            "s-de vtt /cdn/subs.m3u8"
        ]
    );
    let head = Head { sequence: 8, target: Duration::from_secs(4), date: None };
    assert_eq!(checked.head, head);
    let heads: Vec<_> = checked.heads.iter().map(|(id, head)| (id.0.as_str(), *head)).collect();
    assert_eq!(heads, [("v720-avc", head), ("v360-avc", head), ("a-en", head)], "what moves");
    assert!(checked.sample.latency > Duration::ZERO);
    assert_eq!(checked.sample.bit_rate, Some(400_000));
}

#[tokio::test]
async fn streams_that_are_as_good_as_any() {
    let site = Site::start().await;
    let alone = site.check("good.m3u8").await.unwrap();
    assert_eq!(alone.renditions.len(), 1);
    assert_eq!(alone.renditions[0].id.0, "v");
    assert_eq!(alone.renditions[0].container, Container::MpegTs);
    assert_eq!(alone.renditions[0].bandwidth, Some(400_000), "200 000 bytes in four seconds");
    let half = site.check("half.m3u8").await.unwrap();
    assert_eq!(half.renditions.len(), 1, "what is broken is left out");
    let encrypted = site.check("encrypted.m3u8").await.unwrap();
    assert_eq!(encrypted.renditions[0].container, Container::PackedAudio, "going by its name");
}

#[tokio::test]
async fn what_is_excluded() {
    let site = Site::start().await;
    for (path, expected, fault) in [
        ("missing.m3u8", "the playlist was answered with 404", Fault::Definite),
        ("page.m3u8", "not a playlist: an HTML page instead of #EXTM3U", Fault::Passing),
        ("blank.m3u8", "the playlist is empty", Fault::Passing),
        ("huge.m3u8", "the upstream's answer is too large", Fault::Passing),
        ("bare.m3u8", "the playlist has no segments", Fault::Passing),
        ("ended.m3u8", "the playlist has ended", Fault::Definite),
        ("slow.m3u8", "a target duration of 900 s is not that of a live stream", Fault::Passing),
        ("dead-segment.m3u8", "the newest segment was answered with 404", Fault::Passing),
        ("page-segment.m3u8", "the newest segment is an HTML page", Fault::Passing),
        ("text-segment.m3u8", "the newest segment is nothing that players know", Fault::Passing),
        ("blank-segment.m3u8", "the newest segment is empty", Fault::Passing),
        ("private-segment.m3u8", "the target is not allowed by the address policy", Fault::Passing),
        ("over-to-ended.m3u8", "the playlist has ended", Fault::Definite),
        (
            "over-to-master.m3u8",
            "a master playlist where a media playlist should be",
            Fault::Passing,
        ),
        ("over-to-dead.m3u8", "the playlist was answered with 404", Fault::Definite),
        ("nothing.m3u8", "the master playlist offers nothing", Fault::Passing),
    ] {
        let error = site.check(path).await.err().unwrap_or_else(|| panic!("{path} passed"));
        assert_eq!((error.message.as_str(), error.fault), (expected, fault), "{path}");
    }
    let mut candidate = site.candidate("good.m3u8");
    candidate.headers.clear();
    let error = check(&site.fetcher, &site.source, &candidate).await.err().unwrap();
    let expected = ("the playlist was answered with 403", Fault::Refused);
    assert_eq!((error.message.as_str(), error.fault), expected);
}

#[tokio::test]
async fn looking_again() {
    let site = Site::start().await;
    let candidate = site.candidate("master.m3u8");
    let checked = site.check("master.m3u8").await.unwrap();
    let again = recheck(&site.fetcher, &site.source, &candidate, &checked).await.unwrap();
    assert_eq!(again.renditions.len(), 4);
    // What is known leads nowhere any more; the canonical URL still does.
    let mut lost = checked.clone();
    lost.renditions[0].playlist =
        Url::parse(&format!("http://{}/cdn/gone.m3u8", site.address)).unwrap();
    let again = recheck(&site.fetcher, &site.source, &candidate, &lost).await.unwrap();
    assert_eq!(again.renditions[0].playlist.path(), "/cdn/720.m3u8");
    // So it is for each of them, not only for the best.
    let mut lost = checked.clone();
    lost.renditions[1].playlist =
        Url::parse(&format!("http://{}/cdn/ended.m3u8", site.address)).unwrap();
    let again = recheck(&site.fetcher, &site.source, &candidate, &lost).await.unwrap();
    assert_eq!(again.renditions[1].playlist.path(), "/cdn/360.m3u8");
    let half = site.check("half.m3u8").await.unwrap();
    let mut broken = half.clone();
    broken.renditions.push(lost.renditions[1].clone());
    let again = recheck(&site.fetcher, &site.source, &site.candidate("half.m3u8"), &broken).await;
    assert_eq!(again.unwrap().renditions.len(), 1, "what is broken is left out again");
}

/// A find, its successor and what plays are looked at together.
#[tokio::test(start_paused = true)]
async fn a_source_is_sent_so_many_requests_at_once() {
    for (keys, allowed) in [("", None), ("connections = 1", Some(1)), ("connections = 2", Some(2))]
    {
        let load = Arc::new(Load::default());
        let far = router().layer(from_fn_with_state(load.clone(), far_away));
        let site = Site::of(keys, far).await;
        let (fetcher, source) = (&site.fetcher, &site.source);
        let candidate = site.candidate("master.m3u8");
        let checked = check(fetcher, source, &candidate).await.unwrap();
        let stale = Checked {
            sample: Sample { taken: checked.sample.taken - RESAMPLE, ..checked.sample.clone() },
            ..checked
        };
        let copy = source.clone();
        let (one, two, three) = tokio::join!(
            check(fetcher, source, &candidate),
            check(fetcher, &copy, &candidate),
            recheck(fetcher, source, &candidate, &stale),
        );
        assert!([one, two, three].iter().all(Result::is_ok), "{keys}");
        let most = load.most.load(Relaxed);
        match allowed {
            Some(allowed) => assert_eq!(most, allowed, "{keys}"),
            None => assert!(most > 6, "{most} of three checks at once"),
        }
    }
}
