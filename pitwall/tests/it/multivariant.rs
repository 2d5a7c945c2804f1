//! The multivariant playlist of a stream: a source's in, ours out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::support::{Edge, eventually, fetch};

/// Name of the source, its multivariant playlist, and the one of its stream.
const PLAYLISTS: &[(&str, &str, &str)] = &[
    (
        "everything",
        r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-START:TIME-OFFSET=-6
#EXT-X-SESSION-DATA:DATA-ID="com.example.title",VALUE="Race"
#EXT-X-SESSION-DATA:DATA-ID="com.example.terms",VALUE="https://terms.example/"
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key",KEYFORMAT="com.apple.streamingkeydelivery"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="Described",LANGUAGE="en",ASSOC-LANGUAGE="fr",DEFAULT=YES,AUTOSELECT=YES,CHARACTERISTICS="public.accessibility.describes-video",CHANNELS="2",URI="a.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="English",LANGUAGE="en",INSTREAM-ID="CC1",DEFAULT=YES,AUTOSELECT=YES
#EXT-X-STREAM-INF:BANDWIDTH=160000,AVERAGE-BANDWIDTH=150000,RESOLUTION=1280x720,FRAME-RATE=50,CODECS="hvc1.2.4.L93.B0,mp4a.40.2",SUPPLEMENTAL-CODECS="dvh1.08.07/db4h",VIDEO-RANGE=PQ,HDCP-LEVEL=NONE,SCORE=2.5,AUDIO="aud",CLOSED-CAPTIONS="cc"
v.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=150000,RESOLUTION=1280x720,FRAME-RATE=50,CODECS="hvc1.1.4.L93.B0,mp4a.40.2",VIDEO-RANGE=SDR,AUDIO="aud",CLOSED-CAPTIONS="cc"
w.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=30000,RESOLUTION=1280x720,CODECS="hvc1.2.4.L93.B0",VIDEO-RANGE=PQ,URI="i.m3u8"
"#,
        r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-START:TIME-OFFSET=-6
#EXT-X-SESSION-DATA:DATA-ID="com.example.title",VALUE="Race"
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,KEYFORMAT="com.apple.streamingkeydelivery",URI="skd://key"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,INSTREAM-ID="CC1"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="Described",DEFAULT=YES,AUTOSELECT=YES,LANGUAGE="en",CHANNELS="2",ASSOC-LANGUAGE="fr",CHARACTERISTICS="public.accessibility.describes-video",URI="a-en.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=160000,AVERAGE-BANDWIDTH=150000,CODECS="hvc1.2.4.L93.B0,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=50.000,SUPPLEMENTAL-CODECS="dvh1.08.07/db4h",VIDEO-RANGE=PQ,HDCP-LEVEL=NONE,SCORE=2.5,CLOSED-CAPTIONS="cc",AUDIO="aud"
v720p50-hevc-pq.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=150000,CODECS="hvc1.1.4.L93.B0,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=50.000,VIDEO-RANGE=SDR,CLOSED-CAPTIONS="cc",AUDIO="aud"
v720p50-hevc.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=30000,RESOLUTION=1280x720,CODECS="hvc1.2.4.L93.B0",VIDEO-RANGE=PQ,URI="i720-hevc-everything.m3u8"
"#,
    ),
    (
        "audio-inside",
        r#"#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Espanol",LANGUAGE="es",AUTOSELECT=YES,URI="es.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2",AUDIO="aac",CLOSED-CAPTIONS=NONE
v.m3u8
"#,
        r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Espanol",DEFAULT=NO,AUTOSELECT=YES,LANGUAGE="es",URI="a-es.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=600000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,CLOSED-CAPTIONS=NONE,AUDIO="aac"
v720-avc.m3u8
"#,
    ),
    (
        "unknown",
        r#"#EXTM3U
#EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=500000,BANDWIDTH=0,REQ-FUTURE=YES,X-NOTE="7 cars",X-CDN="eu.cdn.example",VIDEO="no-members",STABLE-VARIANT-ID="a",PATHWAY-ID="CDN-A"
v.m3u8
#EXT-X-CONTENT-STEERING:SERVER-URI="https://steering.example/",PATHWAY-ID="CDN-A"
"#,
        r#"#EXTM3U
#EXT-X-VERSION:12
#EXT-X-STREAM-INF:BANDWIDTH=500000,AVERAGE-BANDWIDTH=500000,REQ-FUTURE=YES,X-NOTE="7 cars",STABLE-VARIANT-ID="a"
v.m3u8
"#,
    ),
];

async fn serve(
    State(sequence): State<Arc<AtomicUsize>>,
    Path((source, name)): Path<(String, String)>,
) -> Response {
    if name == "master.m3u8" {
        let playlist = PLAYLISTS.iter().find(|playlist| playlist.0 == source);
        return playlist.unwrap().1.into_response();
    }
    if !name.ends_with(".m3u8") {
        return b"\0\0\0\x18ftypiso5aaaaaaaaaaaaaaaa".repeat(1000).into_response();
    }
    let first = sequence.fetch_add(1, Ordering::SeqCst);
    let kind = if name == "i.m3u8" { "#EXT-X-I-FRAMES-ONLY\n" } else { "" };
    let segments = (first..first + 3).map(|n| format!("#EXTINF:1,\nseg-{n}.m4s\n"));
    format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n{kind}\
         #EXT-X-MAP:URI=\"init.mp4\"\n{}",
        segments.collect::<String>()
    )
    .into_response()
}

async fn start_edge() -> Edge {
    let router = Router::new().route("/{source}/{name}", get(serve)).with_state(Arc::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let sources = PLAYLISTS.iter().map(|(source, ..)| {
        format!(
            "[[source]]\nname = \"{source}\"\nkind = \"static\"\nfeed = \"{source}\"\n\
             url = \"http://{address}/{source}/master.m3u8\"\nallow_private = [\"127.0.0.0/8\"]\n"
        )
    });
    Edge::start(&format!("[schedule]\nproviders = []\n{}", sources.collect::<String>())).await
}

/// The body of a response with status 200.
async fn fetch_text(url: &str) -> Option<String> {
    let response = fetch(url).await.ok().filter(|response| response.status() == 200)?;
    response.text().await.ok()
}

#[tokio::test]
async fn nothing_is_lost_of_a_multivariant_playlist() {
    let edge = start_edge().await;
    for (source, _, expected) in PLAYLISTS {
        let url = edge.url(&format!("/live/{source}/index.m3u8"));
        let text = eventually("the stream is there", || fetch_text(&url)).await;
        assert_eq!(text, *expected, "{source}");
    }
    let i_frames = fetch_text(&edge.url("/live/everything/i720-hevc-everything.m3u8")).await;
    let i_frames = i_frames.unwrap();
    assert!(i_frames.contains("#EXT-X-I-FRAMES-ONLY\n"), "{i_frames}");
    let segment = i_frames.lines().find(|line| line.starts_with("/relay/")).unwrap();
    assert_eq!(fetch(&edge.url(segment)).await.unwrap().status(), 200);
    let missing = fetch(&edge.url("/live/everything/i720-hevc-another.m3u8")).await.unwrap();
    assert_eq!(missing.status(), 404);
}
