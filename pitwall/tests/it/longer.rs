//! A stream of which only a source with longer segments is left: a target duration cannot change, so
//! that every player has to begin anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::time::Instant;

use crate::cluster::{Cluster, TOKEN, empty};
use crate::support::{client, eventually, fetch};
use crate::twins::{both_are_there, sources};
use crate::viewer::{Viewer, media};

/// In seconds: of the first source, and of the second.
const SEGMENTS: [u64; 2] = [1, 3];

/// At 64 kbit/s.
const SECOND: usize = 8_000;

/// First there is only the first, then both, then only the second.
#[derive(Default)]
struct Upstream {
    second_is_there: AtomicBool,
    first_is_gone: AtomicBool,
}

async fn answer(
    State(upstream): State<Arc<Upstream>>,
    Path((name, file)): Path<(String, String)>,
) -> Response {
    let is_first = name == "first";
    let seconds = SEGMENTS[usize::from(!is_first)];
    let is_there = match is_first {
        true => !upstream.first_is_gone.load(Ordering::SeqCst),
        false => upstream.second_is_there.load(Ordering::SeqCst),
    };
    if !is_there {
        return StatusCode::FORBIDDEN.into_response();
    }
    if file != "live.m3u8" {
        let mut bytes = vec![0; SECOND * usize::try_from(seconds).unwrap()];
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

async fn upstream() -> (String, Arc<Upstream>) {
    let upstream = Arc::new(Upstream::default());
    let router = Router::new().route("/{name}/{file}", get(answer)).with_state(upstream.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://{address}"), upstream)
}

/// Of a playlist, unless it is gone.
async fn target_duration(url: &str) -> Option<u64> {
    let answer = fetch(url).await.unwrap();
    assert!(matches!(answer.status().as_u16(), 200 | 404), "{url}: {}", answer.status());
    let found = answer.status() == 200;
    let text = answer.text().await.unwrap();
    let told = text.lines().find_map(|line| line.strip_prefix("#EXT-X-TARGETDURATION:"));
    assert_eq!(told.is_some(), found, "{text}");
    told.map(|told| told.parse().unwrap())
}

/// Polls as a player does, until the playlist has been gone and is there anew.
async fn comes_anew(base: String) -> Duration {
    let url = media(&base).await;
    let [before, after] = SEGMENTS;
    eventually("it is gone", || async {
        let told = target_duration(&url).await;
        assert!(told.is_none_or(|told| told == before), "{told:?} while a player watches");
        told.is_none().then_some(())
    })
    .await;
    let gone = Instant::now();
    eventually("it is there anew", || async {
        // A player that begins now finds the stream there.
        assert_eq!(media(&base).await, url);
        let told = target_duration(&url).await?;
        assert_eq!(told, after);
        Some(())
    })
    .await;
    gone.elapsed()
}

#[tokio::test]
async fn players_begin_anew_where_only_longer_segments_are_left() {
    let (site, upstream) = upstream().await;
    let (cluster, _redis, control) = Cluster::with(&sources(&site, "live.m3u8")).led().await;
    let edges = [(); 2].map(|()| cluster.edge(control.address, empty()));
    for edge in &edges {
        edge.is_connected().await;
        edge.is_there().await;
    }
    let mut urls = Vec::new();
    for edge in &edges {
        urls.push(media(&edge.url("")).await);
    }
    let mut player = Viewer::default();
    player.watch_for(Duration::from_secs(1), &urls).await;
    // It is found while players watch, and they go on without it.
    upstream.second_is_there.store(true, Ordering::SeqCst);
    let run = client().post(edges[0].url("/api/extractors/second/run")).bearer_auth(TOKEN);
    assert_eq!(run.send().await.unwrap().status(), 202);
    for edge in &edges {
        both_are_there(&edge.url("")).await;
    }
    player.watch_for(Duration::from_secs(1), &urls).await;
    assert_eq!(player.target_durations(), [SEGMENTS[0]; 2]);

    upstream.first_is_gone.store(true, Ordering::SeqCst);
    let gone = edges.iter().map(|edge| comes_anew(edge.url("")));
    for gone in futures::future::join_all(gone).await {
        // One and a half target durations, told in whole seconds.
        assert!(gone < Duration::from_secs(4), "{gone:?}");
    }
    let mut anew = Viewer::default();
    let is_further = |player: &Viewer| player.last() >= player.first() + 6;
    anew.watch_until("on", &urls, is_further).await;
    assert_eq!(anew.target_durations(), [SEGMENTS[1]; 2]);
    assert_eq!(anew.discontinuity(), 1);
    assert!(anew.last() > player.last(), "{} {}", anew.last(), player.last());
    for number in anew.first()..=player.last() {
        assert_eq!(anew.line(number), player.line(number), "{number}: what was seen stays");
    }
    anew.has_seen_all();
}
