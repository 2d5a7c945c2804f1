//! Two sources of one picture, and an edge that has both.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::Value;

use crate::support::{Edge, eventually, fetch};

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// How far the second one's numbers are ahead.
const OFFSET: u64 = 5_000_000;

/// Two seconds at 64 kbit/s.
const SEGMENT: usize = 16_000;

/// A live playlist at `/NAME/live.m3u8` for two sources that number the same picture each in its
/// own way, and date it. The first can be broken.
pub(crate) async fn upstream() -> (String, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(false));
    let is_broken = broken.clone();
    let playlist = |offset: u64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 2;
        let segment = |n: u64| {
            let date = jiff::Timestamp::from_second(i64::try_from(n * 2).unwrap()).unwrap();
            format!("#EXT-X-PROGRAM-DATE-TIME:{date}\n#EXTINF:2,\n{}.ts\n", n + offset)
        };
        let (first, segments) = (now - 5 + offset, (now - 5..now).map(segment));
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{}",
            segments.collect::<String>()
        )
    };
    let first = move || async move {
        match is_broken.load(Ordering::SeqCst) {
            true => (StatusCode::FORBIDDEN, String::new()),
            false => (StatusCode::OK, playlist(0)),
        }
    };
    let segment = |path: axum::extract::Path<String>| async move {
        let mut bytes = vec![0; SEGMENT];
        bytes.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
        // No two alike, as a loop's would be.
        let name = path.0.into_bytes();
        bytes[1000..1000 + name.len()].copy_from_slice(&name);
        bytes
    };
    let router = Router::new()
        .route("/first/live.m3u8", get(first))
        .route("/second/live.m3u8", get(move || async move { playlist(OFFSET) }))
        .route("/first/{segment}", get(segment))
        .route("/second/{segment}", get(segment));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://{address}"), broken)
}

/// An edge with both sources on one stream, which plays.
pub(crate) async fn edge(site: &str) -> Edge {
    let source = |name: &str, priority: u32| {
        format!(
            "[[source]]\nname = \"{name}\"\nkind = \"static\"\nfeed = \"World feed\"\n\
             url = \"{site}/{name}/live.m3u8\"\npriority = {priority}\n\
             allow_private = [\"127.0.0.0/8\"]\n"
        )
    };
    // A file of its own for the token, as everybody should have it.
    let config = |directory: &Path| {
        format!(
            "[access]\nadmin_token_file = {:?}\n[schedule]\nproviders = []\n{}{}",
            directory.join("admin.token"),
            source("first", 1),
            source("second", 0)
        )
    };
    let edge = Edge::start_with("", |directory| {
        std::fs::write(directory.join("admin.token"), TOKEN).unwrap();
        std::fs::write(directory.join("pitwall.toml"), config(directory)).unwrap();
    })
    .await;
    eventually("both sources are there", || async {
        let stream = json(&edge, "/api/streams/world-feed").await?;
        let sources = stream["sources"].as_array()?.clone();
        (sources.len() == 2 && sources.iter().all(|one| one["health"] == "healthy")).then_some(())
    })
    .await;
    edge
}

pub(crate) async fn json(edge: &Edge, path: &str) -> Option<Value> {
    let answer = fetch(&edge.url(path)).await.ok()?;
    if answer.status() != 200 {
        return None;
    }
    serde_json::from_str(&answer.text().await.ok()?).ok()
}
