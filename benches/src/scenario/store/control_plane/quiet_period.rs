//! SharedDocuments that are requested again and again while nothing happens: how often they are sent
//! again, and what is written to Redis for them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::HeaderValue;
use serde::Deserialize;
use tokio::time::MissedTickBehavior;

use super::edge_client::EdgeClient;
use super::results::{DocumentResponseCounts, QuietPeriodFigures};
use super::stream_id;
use crate::process::Process;
use crate::resource_usage::process_cpu_seconds;
use crate::scenario::store::redis::RedisServer;

const REQUEST_INTERVAL: Duration = Duration::from_secs(1);

/// SharedDocuments that are the same for all streams.
const DOCUMENTS: [&str; 9] = [
    "/api/bootstrap",
    "/api/schedule",
    "/api/streams",
    "/api/extractors",
    "/api/status",
    "/api/widget",
    "/calendar.ics",
    "/iptv/guide.xml",
    "/iptv/playlist.m3u",
];

/// SharedDocuments of one stream.
const STREAM_DOCUMENTS: [&str; 2] = ["/api/streams/{id}", "/api/streams/{id}/explain"];

const SESSION_DOCUMENT: &str = "/api/sessions/{id}";

/// A document that is requested with the validator of its last response.
struct RevalidatedDocument {
    /// Its route.
    name: &'static str,
    path: String,
    etag: Option<HeaderValue>,
}

pub(super) async fn measure(
    client: &EdgeClient,
    (control_plane, redis): (&Process, &RedisServer),
    watched: usize,
    duration: Duration,
) -> anyhow::Result<QuietPeriodFigures> {
    let mut documents = list_documents(watched, current_session_id(client).await?.as_deref());
    // The first responses, without a validator, are not counted.
    request_all(client, &mut documents, &mut BTreeMap::new()).await;
    let mut responses = BTreeMap::new();
    let (began, redis_before) = (Instant::now(), redis.received_bytes()?);
    let cpu_before = process_cpu_seconds(control_plane.id())?;
    let mut ticks = tokio::time::interval(REQUEST_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < duration {
        ticks.tick().await;
        request_all(client, &mut documents, &mut responses).await;
    }
    Ok(QuietPeriodFigures {
        seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: process_cpu_seconds(control_plane.id())? - cpu_before,
        redis_bytes: redis.received_bytes()? - redis_before,
        documents: responses.into_values().collect(),
    })
}

fn list_documents(watched: usize, session: Option<&str>) -> Vec<RevalidatedDocument> {
    let document = |name, path| RevalidatedDocument { name, path, etag: None };
    let mut documents: Vec<_> =
        DOCUMENTS.iter().map(|path| document(*path, (*path).to_owned())).collect();
    documents
        .extend(session.map(|id| document(SESSION_DOCUMENT, SESSION_DOCUMENT.replace("{id}", id))));
    for name in STREAM_DOCUMENTS {
        let paths = (0..watched).map(|number| name.replace("{id}", &stream_id(number)));
        documents.extend(paths.map(|path| document(name, path)));
    }
    documents
}

/// The id of the session that is live, in the bootstrap document.
async fn current_session_id(client: &EdgeClient) -> anyhow::Result<Option<String>> {
    #[derive(Deserialize)]
    struct Bootstrap {
        session: Option<Session>,
    }
    #[derive(Deserialize)]
    struct Session {
        id: String,
    }
    let response = client.get("/api/bootstrap", None).await?;
    let bootstrap: Bootstrap = serde_json::from_slice(&response.body)?;
    Ok(bootstrap.session.map(|session| session.id))
}

/// Requests every document once and counts the responses by route.
async fn request_all(
    client: &EdgeClient,
    documents: &mut [RevalidatedDocument],
    responses: &mut BTreeMap<&'static str, DocumentResponseCounts>,
) {
    for document in documents {
        let response = client.get(&document.path, document.etag.as_ref()).await;
        let counts = responses.entry(document.name).or_insert_with(|| DocumentResponseCounts {
            document: document.name.to_owned(),
            ..DocumentResponseCounts::default()
        });
        counts.requests += 1;
        match response {
            Ok(response) if response.status == 200 => {
                counts.bytes += response.body.len() as u64;
                document.etag = response.etag;
            }
            Ok(response) if response.status == 304 => counts.not_modified += 1,
            Ok(_) | Err(_) => counts.failures += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_watched_stream_has_documents_of_its_own() {
        let documents = list_documents(2, Some("2026:club-race"));
        let paths: Vec<_> = documents.iter().map(|document| document.path.as_str()).collect();
        assert_eq!(paths.len(), DOCUMENTS.len() + 1 + 2 * STREAM_DOCUMENTS.len());
        for path in ["/api/status", "/api/sessions/2026:club-race", "/api/streams/feed-1/explain"] {
            assert!(paths.contains(&path), "{path} in {paths:?}");
        }
        assert_eq!(list_documents(0, None).len(), DOCUMENTS.len());
    }
}
