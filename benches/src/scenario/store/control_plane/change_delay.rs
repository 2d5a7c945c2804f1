//! The time from a failure or recovery of a source at the origin until an edge's document of the
//! stream says so.
//!
//! The document's health of the source is what the control plane has found and published. Which
//! source is active is not waited for, since an edge that fails over by itself says so before.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::time::Instant;

use super::edge_client::EdgeClient;
use super::results::ChangeDelays;
use super::{source_path, stream_id};
use crate::load::fetch;

/// Timeout until a change is at the edge: beyond the longest pause between two checks of a source
/// that fails.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(90);

const POLL_INTERVAL: Duration = Duration::from_millis(10);

const ORIGIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A document of one stream, as all builds have it.
#[derive(Debug, Deserialize)]
struct StreamDocument {
    sources: Vec<SourceState>,
}

#[derive(Debug, Deserialize)]
struct SourceState {
    name: String,
    active: bool,
    health: String,
}

impl StreamDocument {
    fn active_source(&self) -> Option<&str> {
        self.sources.iter().find(|source| source.active).map(|source| source.name.as_str())
    }

    /// A source that is not listed is not healthy.
    fn is_healthy(&self, name: &str) -> bool {
        self.sources.iter().any(|source| source.name == name && source.health == "healthy")
    }
}

/// Makes the active source of another stream fail in each round, and restores it.
pub(super) async fn measure(
    client: &EdgeClient,
    origin: SocketAddr,
    watched: usize,
    rounds: usize,
) -> anyhow::Result<ChangeDelays> {
    let mut delays = ChangeDelays::default();
    for stream in (0..watched).cycle().take(rounds) {
        let path = format!("/api/streams/{}", stream_id(stream));
        let document = fetch_document(client, &path).await?;
        let source = document.active_source().context("no source is active")?.to_owned();
        let number = source.strip_prefix("source-").and_then(|number| number.parse().ok());
        let number = number.with_context(|| format!("a source of the name {source}"))?;
        for (command, is_healthy) in [("fail", false), ("restore", true)] {
            fetch(origin, &source_path(number, command), ORIGIN_TIMEOUT)?;
            let delay = wait_for_health(client, &path, &source, is_healthy).await?;
            let seen = if is_healthy { &mut delays.recoveries } else { &mut delays.outages };
            seen.extend(delay.map(|delay| delay.as_secs_f64()));
            delays.missed += usize::from(delay.is_none());
        }
    }
    Ok(delays)
}

/// The time until the document says so; `None` when it does not within [`CHANGE_TIMEOUT`].
async fn wait_for_health(
    client: &EdgeClient,
    path: &str,
    source: &str,
    is_healthy: bool,
) -> anyhow::Result<Option<Duration>> {
    let began = Instant::now();
    while began.elapsed() < CHANGE_TIMEOUT {
        if fetch_document(client, path).await?.is_healthy(source) == is_healthy {
            return Ok(Some(began.elapsed()));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(None)
}

async fn fetch_document(client: &EdgeClient, path: &str) -> anyhow::Result<StreamDocument> {
    let response = client.get(path, None).await?;
    if response.status != 200 {
        bail!("{path}: status {}", response.status);
    }
    serde_json::from_slice(&response.body).with_context(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_health_of_a_source_is_read_from_the_document() {
        let text = r#"{"id": "feed-1", "health": "healthy", "sources": [
            {"name": "source-2", "active": false, "health": "down", "score": 0},
            {"name": "source-3", "active": true, "health": "healthy"}]}"#;
        let document: StreamDocument = serde_json::from_str(text).unwrap();
        assert_eq!(document.active_source(), Some("source-3"));
        for (name, expected) in [("source-2", false), ("source-3", true), ("source-4", false)] {
            assert_eq!(document.is_healthy(name), expected, "{name}");
        }
    }
}
