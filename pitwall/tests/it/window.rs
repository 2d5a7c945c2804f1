//! A playlist that has grown for long: how much of it `/live` shows.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::support::{Edge, eventually, fetch};

/// What the upstream's playlist is made of: its numbers, one second each, and how it ends.
#[derive(Clone, Copy)]
struct Shown {
    first: u64,
    next: u64,
    end: &'static str,
}

/// This one is tagged.
const BREAK: u64 = 102;

impl Shown {
    fn playlist(self) -> String {
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6\n\
             #EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:5\n\
             #EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00Z\n",
            self.first
        );
        for n in self.first..self.next {
            if n == BREAK {
                text += "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2027-01-15T09:00:00Z\n";
            }
            text += &format!("#EXTINF:1,\nseg-{n}.m4s\n");
        }
        text + self.end
    }
}

type Upstream = Arc<Mutex<Shown>>;

const DELTA: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n\
    #EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-SKIP:SKIPPED-SEGMENTS=13\n";

async fn answer(
    State(upstream): State<Upstream>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    match (name.as_str(), query) {
        ("live.m3u8", Some(_)) => format!("{DELTA}#EXTINF:1,\nseg-113.m4s\n").into_response(),
        ("live.m3u8", None) => upstream.lock().unwrap().playlist().into_response(),
        _ => b"\0\0\0\x18ftypiso5aaaaaaaaaaaaaaaa".repeat(100).into_response(),
    }
}

async fn edge(upstream: Upstream) -> Edge {
    let router = Router::new().route("/{name}", get(answer)).with_state(upstream);
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

async fn text(url: &str) -> String {
    let answer = fetch(url).await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.text().await.unwrap()
}

/// Without what was sealed into its links.
fn unlinked(text: &str) -> String {
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
    let upstream = Arc::new(Mutex::new(Shown { first: 100, next: 108, end: "" }));
    let edge = edge(upstream.clone()).await;
    let media = eventually("it plays", || async {
        let answer = fetch(&edge.url("/live/long/index.m3u8")).await.ok()?;
        let text = answer.text().await.ok()?;
        let media = text.lines().find(|line| line.ends_with(".m3u8"))?.to_owned();
        Some(edge.url(&format!("/live/long/{media}")))
    })
    .await;
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
    let whole = |shown: Shown| shown.playlist();
    let step = |first, next, end| Shown { first, next, end };
    for (what, shown, expected) in [
        ("short", step(100, 108, ""), whole(step(100, 108, ""))),
        ("as long as the window", step(100, 110, ""), whole(step(100, 110, ""))),
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
            "it ends",
            step(100, 115, "#EXT-X-ENDLIST\n"),
            head(104, 6, &date("09:00:02.000")) + &segments(104, 115) + "#EXT-X-ENDLIST\n",
        ),
    ] {
        *upstream.lock().unwrap() = shown;
        assert_eq!(unlinked(&text(&media).await), expected, "{what}");
        if what == "the tagged one left" {
            let delta = text(&format!("{media}?_HLS_skip=YES")).await;
            assert_eq!(unlinked(&delta), format!("{DELTA}{}", segments(113, 114)));
        }
    }
    let newest = text(&media).await;
    let newest = newest.lines().rfind(|line| !line.starts_with('#')).unwrap();
    assert_eq!(fetch(&edge.url(newest)).await.unwrap().status(), 200, "{newest}");
}
