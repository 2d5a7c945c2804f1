//! The window of `/live`: the oldest segments of a long upstream playlist are removed.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::support::{Edge, eventually, fetch};

/// The upstream's playlist: segments `first..next` of one second each, and its last lines.
#[derive(Clone, Copy)]
struct UpstreamPlaylist {
    first: u64,
    next: u64,
    end: &'static str,
}

/// The segment that follows EXT-X-DISCONTINUITY.
const DISCONTINUITY_NUMBER: u64 = 102;

impl UpstreamPlaylist {
    fn playlist(self) -> String {
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6\n\
             #EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:5\n\
             #EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00Z\n",
            self.first
        );
        for n in self.first..self.next {
            if n == DISCONTINUITY_NUMBER {
                text += "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2027-01-15T09:00:00Z\n";
            }
            text += &format!("#EXTINF:1,\nseg-{n}.m4s\n");
        }
        text + self.end
    }
}

type Upstream = Arc<Mutex<UpstreamPlaylist>>;

async fn respond(State(upstream): State<Upstream>, Path(name): Path<String>) -> Response {
    match name.as_str() {
        "live.m3u8" => upstream.lock().unwrap().playlist().into_response(),
        "seg-102.m4s" => StatusCode::NOT_FOUND.into_response(),
        _ => b"\0\0\0\x18ftypiso5aaaaaaaaaaaaaaaa".repeat(100).into_response(),
    }
}

async fn start_edge(upstream: Upstream) -> Edge {
    let router = Router::new().route("/{name}", get(respond)).with_state(upstream);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Edge::start(&format!(
        "[edge.playlist]\nmax_age = \"0s\"\nwindow = \"10s\"\n[schedule]\nproviders = []\n\
         [[source]]\nname = \"long\"\nkind = \"static\"\nfeed = \"Long\"\n\
         url = \"http://{address}/live.m3u8\"\nallow_private = [\"127.0.0.0/8\"]\n"
    ))
    .await
}

/// The media playlist's URL, once the stream plays.
async fn media_url(edge: &Edge) -> String {
    eventually("it plays", || async {
        let response = fetch(&edge.url("/live/long/index.m3u8")).await.ok()?;
        let text = response.text().await.ok()?;
        let media = text.lines().find(|line| line.ends_with(".m3u8"))?.to_owned();
        Some(edge.url(&format!("/live/long/{media}")))
    })
    .await
}

async fn fetch_text(url: &str) -> String {
    let response = fetch(url).await.unwrap();
    assert_eq!(response.status(), 200, "{url}");
    response.text().await.unwrap()
}

/// The playlist with the upstream's URIs instead of sealed links.
fn strip_links(text: &str) -> String {
    let line = |line: &str| match line.split_once("URI=\"") {
        Some((tag, _)) => format!("{tag}URI=\"init.mp4\"\n"),
        None => match line.rsplit_once('/').filter(|_| !line.starts_with('#')) {
            Some((_, name)) => format!("seg-{}\n", name.split('?').next().unwrap()),
            None => format!("{line}\n"),
        },
    };
    text.lines().map(line).collect()
}

#[tokio::test]
async fn the_oldest_leave_a_long_playlist_and_do_not_come_back() {
    let upstream = Arc::new(Mutex::new(UpstreamPlaylist { first: 100, next: 108, end: "" }));
    let edge = start_edge(upstream.clone()).await;
    let media = media_url(&edge).await;
    let head = |number: u64, discontinuities: u64, date: &str| {
        format!(
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{number}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n{date}"
        )
    };
    let segments = |from: u64, to: u64| -> String {
        (from..to).map(|n| format!("#EXTINF:1,\nseg-{n}.m4s\n")).collect()
    };
    let map = "#EXT-X-MAP:URI=\"init.mp4\"\n";
    let date = |time: &str| format!("{map}#EXT-X-PROGRAM-DATE-TIME:2027-01-15T{time}Z\n");
    let tagged = format!("#EXT-X-DISCONTINUITY\n{}", date("09:00:00"));
    let unchanged = |playlist: UpstreamPlaylist| playlist.playlist();
    let step = |first, next, end| UpstreamPlaylist { first, next, end };
    for (what, playlist, expected) in [
        ("short", step(100, 108, ""), unchanged(step(100, 108, ""))),
        ("as long as the window", step(100, 110, ""), unchanged(step(100, 110, ""))),
        (
            "one left",
            step(100, 111, ""),
            head(101, 5, &date("08:00:01.000"))
                + &segments(101, 102)
                + &tagged.replacen('\n', "\n#EXT-X-KEY:METHOD=NONE\n", 1)
                + &segments(102, 111),
        ),
        (
            "the tagged one is first",
            step(100, 112, ""),
            head(102, 5, &tagged) + &segments(102, 112),
        ),
        (
            "the tagged one left",
            step(100, 114, ""),
            head(104, 6, &date("09:00:02.000")) + &segments(104, 114),
        ),
        (
            // An encoder that is restarted writes EXT-X-ENDLIST too: players are told a minute later.
            "it ends",
            step(100, 115, "#EXT-X-ENDLIST\n"),
            head(105, 6, &date("09:00:03.000")) + &segments(105, 115),
        ),
    ] {
        *upstream.lock().unwrap() = playlist;
        assert_eq!(strip_links(&fetch_text(&media).await), expected, "{what}");
        let delta = match what {
            // The source offers delta updates, which the edge makes itself.
            "as long as the window" => {
                let control = "CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6\n";
                "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n#EXT-X-SERVER-CONTROL:"
                    .to_owned()
                    + control
                    + "#EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-DISCONTINUITY-SEQUENCE:5\n\
                       #EXT-X-SKIP:SKIPPED-SEGMENTS=4\n"
                    + map
                    + &segments(104, 110)
            }
            // A playlist that is written anew and short offers none.
            "the tagged one left" => expected,
            _ => continue,
        };
        let skipped = fetch_text(&format!("{media}?_HLS_skip=YES")).await;
        assert_eq!(strip_links(&skipped), delta, "{what}");
    }
    let newest = fetch_text(&media).await;
    let newest = newest.lines().rfind(|line| !line.starts_with('#')).unwrap();
    assert_eq!(fetch(&edge.url(newest)).await.unwrap().status(), 200, "{newest}");
}

/// A source lists what it no longer has: after the first viewer who is refused it, nobody is sent there.
#[tokio::test]
async fn a_segment_that_is_gone_leaves_the_playlist_with_all_before_it() {
    let upstream = Arc::new(Mutex::new(UpstreamPlaylist { first: 100, next: 110, end: "" }));
    let edge = start_edge(upstream.clone()).await;
    let media = media_url(&edge).await;
    let text = fetch_text(&media).await;
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:100\n"), "{text}");
    let link = text.lines().find(|line| line.contains("/102.")).unwrap();
    assert_eq!(fetch(&edge.url(link)).await.unwrap().status(), 404);
    for (next, first) in [(110, 103), (111, 103), (114, 104)] {
        *upstream.lock().unwrap() = UpstreamPlaylist { first: 100, next, end: "" };
        let text = fetch_text(&media).await;
        assert!(text.contains(&format!("#EXT-X-MEDIA-SEQUENCE:{first}\n")), "{next}: {text}");
        let last = text.lines().rfind(|line| !line.starts_with('#')).unwrap();
        assert!(last.contains(&format!("/{}.", next - 1)), "{next}: {text}");
    }
}
