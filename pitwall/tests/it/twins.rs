//! Two sources of one picture, and an edge that has both.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path as Named, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

use crate::support::{Edge, eventually, fetch};

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// How far the second one's numbers are ahead.
const OFFSET: u64 = 5_000_000;

/// What they claim, whatever they do: a stream has the longest of all.
const TARGETS: [u64; 2] = [2, 3];
pub(crate) const LONGEST: u64 = 3;

/// The same picture twice.
const MASTER: &str = "#EXTM3U\n\
    #EXT-X-STREAM-INF:BANDWIDTH=64000,RESOLUTION=1280x720,CODECS=\"avc1.64001f\"\nhigh.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=64000,RESOLUTION=320x180,CODECS=\"avc1.64000d\"\nlow.m3u8\n";

/// Two seconds at 64 kbit/s.
const SEGMENT: usize = 16_000;

/// What the twins do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Mood {
    #[default]
    Fine,
    Refused,
    /// Since then.
    Frozen(u64),
    /// Since then; it says so.
    Ended(u64),
    /// It counts anew, from then on.
    Anew(u64),
    /// It announces segments that it has not, since then.
    Hollow(u64),
    /// Segments come long after they were asked for, since then.
    Slow(u64),
}

/// Longer than a poll waits for what is new.
const SLOW: Duration = Duration::from_millis(1500);

#[derive(Default)]
pub(crate) struct Twins {
    moods: Mutex<[Mood; 2]>,
    /// Once: only the first is, and it counts as broken.
    pub(crate) broken: AtomicBool,
    /// The second one is fragmented MP4, as far as its playlist tells.
    pub(crate) fragmented: AtomicBool,
}

/// Segments there have been.
pub(crate) fn segments_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 2
}

impl Twins {
    /// 0 is the first.
    pub(crate) fn set(&self, twin: usize, mood: Mood) {
        self.moods.lock().unwrap()[twin] = mood;
    }

    fn mood(&self, twin: usize) -> Mood {
        match self.broken.load(Ordering::SeqCst) && twin == 0 {
            true => Mood::Refused,
            false => self.moods.lock().unwrap()[twin],
        }
    }

    fn playlist(&self, twin: usize) -> Response {
        let now = segments_now();
        let offset = if twin == 0 { 0 } else { OFFSET };
        let (next, shift, end) = match self.mood(twin) {
            Mood::Refused => return StatusCode::FORBIDDEN.into_response(),
            Mood::Fine | Mood::Hollow(_) | Mood::Slow(_) => (now, 0, ""),
            Mood::Frozen(since) => (since, 0, ""),
            Mood::Ended(since) => (since, 0, "#EXT-X-ENDLIST\n"),
            Mood::Anew(since) => (now, since - 10, ""),
        };
        let map = match self.fragmented.load(Ordering::SeqCst) && twin == 1 {
            true => "#EXT-X-MAP:URI=\"init.mp4\"\n",
            false => "",
        };
        let segment = |n: u64| {
            let date = jiff::Timestamp::from_second(i64::try_from(n * 2).unwrap()).unwrap();
            format!("#EXT-X-PROGRAM-DATE-TIME:{date}\n#EXTINF:2,\n{}.ts\n", n + offset)
        };
        let segments: String = (next - 5..next).map(segment).collect();
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}\n{map}{segments}{end}",
            TARGETS[twin],
            next - 5 + offset - shift
        )
        .into_response()
    }
}

async fn answer(
    State(twins): State<Arc<Twins>>,
    Named((name, file)): Named<(String, String)>,
) -> Response {
    let twin = usize::from(name != "first");
    match file.as_str() {
        "master.m3u8" => return MASTER.into_response(),
        playlist if playlist.ends_with(".m3u8") => return twins.playlist(twin),
        _ => {}
    }
    let number = file.split_once('.').and_then(|(number, _)| number.parse::<u64>().ok());
    match (twins.mood(twin), number) {
        (Mood::Refused, _) => return StatusCode::FORBIDDEN.into_response(),
        (Mood::Hollow(since), Some(n)) if n >= since => {
            return StatusCode::NOT_FOUND.into_response();
        }
        (Mood::Slow(since), Some(n)) if n >= since => tokio::time::sleep(SLOW).await,
        _ => {}
    }
    let mut bytes = vec![0; SEGMENT];
    bytes.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
    // No two alike, as a loop's would be.
    bytes[1000..1000 + file.len()].copy_from_slice(file.as_bytes());
    bytes.into_response()
}

/// A live playlist at `/NAME/live.m3u8`, and two in `/NAME/master.m3u8`, for two sources that number the same picture each in its
/// own way, and date it.
pub(crate) async fn upstream() -> (String, Arc<Twins>) {
    let twins = Arc::new(Twins::default());
    let router = Router::new().route("/{name}/{file}", get(answer)).with_state(twins.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://{address}"), twins)
}

/// Both of them, the first one preferred.
pub(crate) fn sources(site: &str, playlist: &str) -> String {
    let source = |name: &str, priority: u32| {
        format!(
            "[[source]]\nname = \"{name}\"\nkind = \"static\"\nfeed = \"World feed\"\n\
             url = \"{site}/{name}/{playlist}\"\npriority = {priority}\n\
             allow_private = [\"127.0.0.0/8\"]\n"
        )
    };
    source("first", 1) + &source("second", 0)
}

/// An edge with both sources on one stream, which plays.
pub(crate) async fn edge(site: &str) -> Edge {
    edge_of(site, "live.m3u8").await
}

pub(crate) async fn edge_of(site: &str, playlist: &str) -> Edge {
    // A file of its own for the token, as everybody should have it.
    let config = |directory: &Path| {
        format!(
            "[access]\nadmin_token_file = {:?}\n[schedule]\nproviders = []\n{}",
            directory.join("admin.token"),
            sources(site, playlist)
        )
    };
    let edge = Edge::start_with("", |directory| {
        std::fs::write(directory.join("admin.token"), TOKEN).unwrap();
        std::fs::write(directory.join("pitwall.toml"), config(directory)).unwrap();
    })
    .await;
    both_are_there(&edge.url("")).await;
    edge
}

/// The first one plays, and the second could.
pub(crate) async fn both_are_there(base: &str) {
    eventually("both sources are there", || async {
        let stream = json(&format!("{base}/api/streams/world-feed")).await?;
        let sources = stream["sources"].as_array()?.clone();
        let healthy = sources.iter().all(|one| one["health"] == "healthy");
        let first = sources.iter().find(|one| one["active"] == true)?["name"] == "first";
        (sources.len() == 2 && healthy && first).then_some(())
    })
    .await;
}

pub(crate) async fn json(url: &str) -> Option<Value> {
    let answer = fetch(url).await.ok()?;
    if answer.status() != 200 {
        return None;
    }
    serde_json::from_str(&answer.text().await.ok()?).ok()
}
