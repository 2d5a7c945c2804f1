//! A stream whose only remaining source has longer segments: EXT-X-TARGETDURATION must not change
//! (RFC 8216, 6.2.1), so the playlist answers 404 for a while, until players have started over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::time::Instant;

use crate::cluster::{ADMIN_TOKEN, Cluster, empty_directory};
use crate::support::{client, eventually, fetch};
use crate::twin_sources::{sources, wait_for_both_sources};
use crate::viewer::{Viewer, find_media_playlist};

/// Segment durations of the first and the second source, in seconds.
const SEGMENT_SECONDS: [u64; 2] = [1, 3];

/// Size of a segment per second: 64 kbit/s.
const BYTES_PER_SECOND: usize = 8_000;

/// Two sources; at first only the first one is available.
#[derive(Default)]
struct Upstream {
    second_is_there: AtomicBool,
    first_is_gone: AtomicBool,
}

async fn respond(
    State(upstream): State<Arc<Upstream>>,
    Path((name, file)): Path<(String, String)>,
) -> Response {
    let is_first = name == "first";
    let seconds = SEGMENT_SECONDS[usize::from(!is_first)];
    let is_there = match is_first {
        true => !upstream.first_is_gone.load(Ordering::SeqCst),
        false => upstream.second_is_there.load(Ordering::SeqCst),
    };
    if !is_there {
        return StatusCode::FORBIDDEN.into_response();
    }
    if file != "live.m3u8" {
        let mut bytes = vec![0; BYTES_PER_SECOND * usize::try_from(seconds).unwrap()];
        bytes.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
        bytes[1000..1000 + file.len()].copy_from_slice(file.as_bytes());
        return bytes.into_response();
    }
    let next = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / seconds;
    let segment = |n: u64| {
        let date = jiff::Timestamp::from_second(i64::try_from(n * seconds).unwrap()).unwrap();
        format!("#EXT-X-PROGRAM-DATE-TIME:{date}\n#EXTINF:{seconds},\n{n}.ts\n")
    };
    let segments: String = (next - 6..next).map(segment).collect();
    format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:{seconds}\n#EXT-X-MEDIA-SEQUENCE:{}\n{segments}",
        next - 6
    )
    .into_response()
}

async fn start_upstream() -> (String, Arc<Upstream>) {
    let upstream = Arc::new(Upstream::default());
    let router = Router::new().route("/{name}/{file}", get(respond)).with_state(upstream.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://{address}"), upstream)
}

/// The target duration of a playlist, `None` when it answers 404.
async fn target_duration(url: &str) -> Option<u64> {
    let response = fetch(url).await.unwrap();
    assert!(matches!(response.status().as_u16(), 200 | 404), "{url}: {}", response.status());
    let found = response.status() == 200;
    let text = response.text().await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix("#EXT-X-TARGETDURATION:"));
    assert_eq!(value.is_some(), found, "{text}");
    value.map(|value| value.parse().unwrap())
}

/// Polls until the playlist answers 404 and then 200 with the new target duration; the time
/// between.
async fn wait_for_restart(base: String) -> Duration {
    let url = find_media_playlist(&base).await;
    let [before, after] = SEGMENT_SECONDS;
    eventually("it is gone", || async {
        let current = target_duration(&url).await;
        assert!(current.is_none_or(|value| value == before), "{current:?} while a player watches");
        current.is_none().then_some(())
    })
    .await;
    let gone = Instant::now();
    eventually("it is there anew", || async {
        // The multivariant playlist stays available, so that a player can start meanwhile.
        assert_eq!(find_media_playlist(&base).await, url);
        let current = target_duration(&url).await?;
        assert_eq!(current, after);
        Some(())
    })
    .await;
    gone.elapsed()
}

#[tokio::test]
async fn players_start_over_when_only_longer_segments_are_left() {
    let (upstream_url, upstream) = start_upstream().await;
    let (cluster, _redis, control) =
        Cluster::with(&sources(&upstream_url, "live.m3u8")).start_with_leader().await;
    let edges = [(); 2].map(|()| cluster.start_edge(control.address, empty_directory()));
    for edge in &edges {
        edge.wait_until_connected().await;
        edge.wait_for_stream().await;
    }
    let mut urls = Vec::new();
    for edge in &edges {
        urls.push(find_media_playlist(&edge.url("")).await);
    }
    let mut player = Viewer::default();
    player.watch_for(Duration::from_secs(1), &urls).await;
    // The second source is found during playback, which continues with the first one's target
    // duration.
    upstream.second_is_there.store(true, Ordering::SeqCst);
    let run = client().post(edges[0].url("/api/extractors/second/run")).bearer_auth(ADMIN_TOKEN);
    assert_eq!(run.send().await.unwrap().status(), 202);
    for edge in &edges {
        wait_for_both_sources(&edge.url("")).await;
    }
    player.watch_for(Duration::from_secs(1), &urls).await;
    assert_eq!(player.target_durations(), [SEGMENT_SECONDS[0]; 2]);

    upstream.first_is_gone.store(true, Ordering::SeqCst);
    let outages = edges.iter().map(|edge| wait_for_restart(edge.url("")));
    for outage in futures::future::join_all(outages).await {
        // The playlist is unavailable for one and a half target durations, rounded up to whole
        // seconds.
        assert!(outage < Duration::from_secs(4), "{outage:?}");
    }
    let mut new_player = Viewer::default();
    let is_further = |player: &Viewer| player.last() >= player.first() + 6;
    new_player.watch_until("on", &urls, is_further).await;
    assert_eq!(new_player.target_durations(), [SEGMENT_SECONDS[1]; 2]);
    assert_eq!(new_player.discontinuity_sequence(), 1);
    assert!(new_player.last() > player.last(), "{} {}", new_player.last(), player.last());
    for number in new_player.first()..=player.last() {
        assert_eq!(new_player.line(number), player.line(number), "{number}: what was seen stays");
    }
    new_player.assert_no_gap();
}
