//! [`TwinSources`]: two sources of one programme, and an edge that has both.

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

pub(crate) const ADMIN_TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Difference of the media sequence numbers of the second source to those of the first.
const SECOND_SOURCE_OFFSET: u64 = 5_000_000;

/// EXT-X-TARGETDURATION of each source; a stream's is the greatest of its sources'.
const TARGET_DURATIONS: [u64; 2] = [2, 3];
pub(crate) const TARGET_DURATION_MAX: u64 = 3;

/// Two variants with the same media.
const MULTIVARIANT_PLAYLIST: &str = "#EXTM3U\n\
    #EXT-X-STREAM-INF:BANDWIDTH=64000,RESOLUTION=1280x720,CODECS=\"avc1.64001f\"\nhigh.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=64000,RESOLUTION=320x180,CODECS=\"avc1.64000d\"\nlow.m3u8\n";

/// Two seconds at 64 kbit/s.
const SEGMENT_BYTES: usize = 16_000;

/// The behaviour of one of the sources; `u64` values are of [`segments_now`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum SourceState {
    #[default]
    Healthy,
    Refusing,
    /// The playlist has not changed since then.
    Frozen(u64),
    /// The playlist has EXT-X-ENDLIST and has not changed since then.
    Ended(u64),
    /// The media sequence number started over at 10 at that time.
    Restarted(u64),
    /// Segments from this number on are in the playlist but response 404.
    MissingSegments(u64),
    /// Segments from this number on are delayed by [`SLOW_SEGMENT_DELAY`].
    SlowSegments(u64),
}

/// Longer than a poll waits for a new segment.
const SLOW_SEGMENT_DELAY: Duration = Duration::from_millis(1500);

#[derive(Default)]
pub(crate) struct TwinSources {
    states: Mutex<[SourceState; 2]>,
    /// Whether the first source refuses requests, whatever its state.
    pub(crate) broken: AtomicBool,
    /// Whether the second source's playlist has EXT-X-MAP, so that it passes for fragmented MP4.
    pub(crate) fragmented: AtomicBool,
}

/// The number of segments since 1970.
pub(crate) fn segments_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 2
}

impl TwinSources {
    /// Sets the state of the first (0) or second (1) source.
    pub(crate) fn set_state(&self, twin: usize, state: SourceState) {
        self.states.lock().unwrap()[twin] = state;
    }

    fn state_of(&self, twin: usize) -> SourceState {
        match self.broken.load(Ordering::SeqCst) && twin == 0 {
            true => SourceState::Refusing,
            false => self.states.lock().unwrap()[twin],
        }
    }

    fn playlist(&self, twin: usize) -> Response {
        let now = segments_now();
        let offset = if twin == 0 { 0 } else { SECOND_SOURCE_OFFSET };
        let (next, shift, end) = match self.state_of(twin) {
            SourceState::Refusing => return StatusCode::FORBIDDEN.into_response(),
            SourceState::Healthy
            | SourceState::MissingSegments(_)
            | SourceState::SlowSegments(_) => (now, 0, ""),
            SourceState::Frozen(since) => (since, 0, ""),
            SourceState::Ended(since) => (since, 0, "#EXT-X-ENDLIST\n"),
            SourceState::Restarted(since) => (now, since - 10, ""),
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
            TARGET_DURATIONS[twin],
            next - 5 + offset - shift
        )
        .into_response()
    }
}

async fn respond(
    State(twins): State<Arc<TwinSources>>,
    Named((name, file)): Named<(String, String)>,
) -> Response {
    let twin = usize::from(name != "first");
    match file.as_str() {
        "master.m3u8" => return MULTIVARIANT_PLAYLIST.into_response(),
        playlist if playlist.ends_with(".m3u8") => return twins.playlist(twin),
        _ => {}
    }
    let number = file.split_once('.').and_then(|(number, _)| number.parse::<u64>().ok());
    match (twins.state_of(twin), number) {
        (SourceState::Refusing, _) => return StatusCode::FORBIDDEN.into_response(),
        (SourceState::MissingSegments(since), Some(n)) if n >= since => {
            return StatusCode::NOT_FOUND.into_response();
        }
        (SourceState::SlowSegments(since), Some(n)) if n >= since => {
            tokio::time::sleep(SLOW_SEGMENT_DELAY).await
        }
        _ => {}
    }
    let mut bytes = vec![0; SEGMENT_BYTES];
    bytes.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
    // Segments differ, since identical ones would be taken for a loop.
    bytes[1000..1000 + file.len()].copy_from_slice(file.as_bytes());
    bytes.into_response()
}

/// Serves both sources, `first` and `second`, each with `/{name}/live.m3u8` and with
/// `/{name}/master.m3u8`, which lists two variants; the base URL. The sources number the same
/// programme differently and date its segments alike.
pub(crate) async fn start_upstream() -> (String, Arc<TwinSources>) {
    let twins = Arc::new(TwinSources::default());
    let router = Router::new().route("/{name}/{file}", get(respond)).with_state(twins.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://{address}"), twins)
}

/// Configuration of both sources, the first one preferred.
pub(crate) fn sources(upstream_url: &str, playlist: &str) -> String {
    let source = |name: &str, priority: u32| {
        format!(
            "[[source]]\nname = \"{name}\"\nkind = \"static\"\nfeed = \"World feed\"\n\
             url = \"{upstream_url}/{name}/{playlist}\"\npriority = {priority}\n\
             allow_private = [\"127.0.0.0/8\"]\n"
        )
    };
    source("first", 1) + &source("second", 0)
}

/// Starts an edge with both sources and waits until both are healthy.
pub(crate) async fn start_edge(upstream_url: &str) -> Edge {
    start_edge_with_playlist(upstream_url, "live.m3u8").await
}

pub(crate) async fn start_edge_with_playlist(upstream_url: &str, playlist: &str) -> Edge {
    // The admin token is in its own file in the edge's directory.
    let config = |directory: &Path| {
        format!(
            "[access]\nadmin_token_file = {:?}\n[schedule]\nproviders = []\n{}",
            directory.join("admin.token"),
            sources(upstream_url, playlist)
        )
    };
    let edge = Edge::start_with("", |directory| {
        std::fs::write(directory.join("admin.token"), ADMIN_TOKEN).unwrap();
        std::fs::write(directory.join("pitwall.toml"), config(directory)).unwrap();
    })
    .await;
    wait_for_both_sources(&edge.url("")).await;
    edge
}

/// Waits until both sources are healthy and the first one is active.
pub(crate) async fn wait_for_both_sources(base: &str) {
    eventually("both sources are there", || async {
        let stream = fetch_json(&format!("{base}/api/streams/world-feed")).await?;
        let sources = stream["sources"].as_array()?.clone();
        let healthy = sources.iter().all(|source| source["health"] == "healthy");
        let first = sources.iter().find(|source| source["active"] == true)?["name"] == "first";
        (sources.len() == 2 && healthy && first).then_some(())
    })
    .await;
}

pub(crate) async fn fetch_json(url: &str) -> Option<Value> {
    let response = fetch(url).await.ok()?;
    if response.status() != 200 {
        return None;
    }
    serde_json::from_str(&response.text().await.ok()?).ok()
}
