//! `/api/events`: changes of the map, as server-sent events.
//!
//! - The events of one map version end in its `map` event, which alone has an id: that version. So
//!   a client that reconnects with `Last-Event-ID`, to this edge or to another, gets every change
//!   since, or sees by the version that it has missed some and reads `/api/bootstrap`.
//! - An event only says that something has changed; its new state is read from the API.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pitwall_upstream_map::trace_context::X_REQUEST_ID;
use pitwall_upstream_map::{Health, Store, Stream, StreamId, UpstreamMap};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::drain::DrainSignal;
use crate::http::request_id::RequestId;
use crate::http::response::frame_unknown_length;

/// How many map versions a client can catch up with.
const HISTORY_MAX_VERSIONS: usize = 128;

/// How often a comment is sent, so that no proxy on the way closes the connection as idle.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// How soon, in milliseconds, a client reconnects: after a drain, to the edge that replaced this
/// one.
const RETRY_FIELD: &str = "retry: 2000\n\n";

/// The recent changes of the map.
pub struct EventBroadcaster {
    history: Mutex<VecDeque<MapChangeEvents>>,
    newest_version: watch::Sender<u64>,
}

/// The events of one map version, as they are sent.
#[derive(Clone)]
struct MapChangeEvents {
    version: u64,
    text: Bytes,
}

/// An event, which serialises as its data.
#[derive(Serialize)]
#[serde(untagged)]
enum Event<'a> {
    /// The session document differs: another one is live or next, or the same one started, moved,
    /// ended or was cancelled.
    Session(&'a RawValue),
    /// An upstream of a stream is down or gone.
    SourceDied { stream: &'a StreamId, source: &'a str },
    /// A stream's active source changed; `None` is no source.
    Switched { stream: &'a StreamId, from: Option<&'a str>, to: Option<&'a str> },
    /// The last event of a map version.
    Map { version: u64 },
}

impl EventBroadcaster {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { history: Mutex::default(), newest_version: watch::Sender::new(0) })
    }

    /// Records the changes of each map that the store receives, until the store is gone.
    pub async fn watch_store(self: Arc<Self>, store: Arc<dyn Store>) {
        let mut changes = store.subscribe_versions();
        let mut previous = store.map();
        while changes.changed().await.is_ok() {
            let map = store.map();
            if map.version > previous.version {
                self.record_change(MapChangeEvents::between(&previous, &map));
            }
            previous = map;
        }
    }

    fn record_change(&self, change: MapChangeEvents) {
        let version = change.version;
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if history.len() == HISTORY_MAX_VERSIONS {
            history.pop_front();
        }
        history.push_back(change);
        drop(history);
        self.newest_version.send_replace(version);
    }

    /// The changes of all map versions after `version` that are still in the history, oldest first.
    fn changes_since(&self, version: u64) -> Vec<MapChangeEvents> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.iter().filter(|change| change.version > version).cloned().collect()
    }

    /// Sends events until the client leaves or the process drains. `request_id`: sent back in the
    /// header.
    ///
    /// # Errors
    /// The client has left, or cannot be written to.
    pub async fn serve(
        &self,
        session: &mut ServerSession,
        map: &UpstreamMap,
        drain_signal: &DrainSignal,
        request_id: &RequestId,
    ) -> Result<()> {
        let mut response = ResponseHeader::build(StatusCode::OK, Some(8))?;
        response.insert_header(header::CONTENT_TYPE, "text/event-stream")?;
        response.insert_header(header::CACHE_CONTROL, "no-store")?;
        response.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        // Without this nginx buffers events until its buffer is full.
        response.insert_header("x-accel-buffering", "no")?;
        frame_unknown_length(session, &mut response)?;
        response.insert_header(X_REQUEST_ID, request_id.id.clone())?;
        let headers = &session.req_header().headers;
        let last_event_id =
            headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
        if session.req_header().method == http::Method::HEAD {
            return session.write_response_header(Box::new(response)).await;
        }
        // The stream ends in a drain, with the connection; a client that was told otherwise might have
        // sent its next request by then.
        session.set_keepalive(None);
        session.write_response_header(Box::new(response)).await?;
        // Subscribed before the history is read, so that no change falls between the two.
        let mut newest = self.newest_version.subscribe();
        // A client without an id starts from the current map; so does one whose id is newer.
        let mut known_version = last_event_id.unwrap_or(map.version);
        let mut text = RETRY_FIELD.to_owned();
        if last_event_id.is_none_or(|id| id > map.version) {
            text.push_str(&Event::Map { version: map.version }.to_sse());
            known_version = map.version;
        }
        session.write_response_body(text.into(), false).await?;
        loop {
            for change in self.changes_since(known_version) {
                known_version = change.version;
                session.write_response_body(change.text, false).await?;
            }
            tokio::select! {
                _ = newest.changed() => {}
                () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {
                    session.write_response_body(Bytes::from_static(b":\n\n"), false).await?;
                }
                _ = drain_signal.wait_until_draining() => break,
                // A client that has left gives its place back at once.
                left = session.read_body_or_idle(true) => {
                    return left.map(drop);
                }
            }
        }
        session.write_response_body(Bytes::new(), true).await
    }
}

impl MapChangeEvents {
    /// The events that lead from one map to the next: the session's, the streams', then `map`.
    fn between(old: &UpstreamMap, new: &UpstreamMap) -> Self {
        let mut text = String::new();
        if old.documents.session != new.documents.session
            && let Some(session) = session_json(new)
        {
            text.push_str(&Event::Session(session).to_sse());
        }
        let ids: BTreeSet<&StreamId> = old.streams.keys().chain(new.streams.keys()).collect();
        for stream in ids {
            let (before, after) = match (old.streams.get(stream), new.streams.get(stream)) {
                // Maps share what no publication has changed.
                (Some(before), Some(after)) if Arc::ptr_eq(before, after) => continue,
                (before, after) => (before.map(Arc::as_ref), after.map(Arc::as_ref)),
            };
            for source in before.into_iter().flat_map(playable_sources) {
                if !after.into_iter().flat_map(playable_sources).any(|one| one == source) {
                    text.push_str(&Event::SourceDied { stream, source }.to_sse());
                }
            }
            let active_source = |stream: &'_ Stream| {
                stream.active_upstream().map(|upstream| upstream.source.clone())
            };
            let (from, to) = (before.and_then(active_source), after.and_then(active_source));
            if from != to {
                let (from, to) = (from.as_deref(), to.as_deref());
                text.push_str(&Event::Switched { stream, from, to }.to_sse());
            }
        }
        text.push_str(&Event::Map { version: new.version }.to_sse());
        Self { version: new.version, text: text.into() }
    }
}

/// The sources of a stream's upstreams that are not down.
fn playable_sources(stream: &Stream) -> impl Iterator<Item = &str> {
    let playable = stream.upstreams.iter().filter(|one| one.health != Health::Down);
    playable.map(|one| one.source.as_str())
}

/// The current or next session, `null` if there is none; `None` before the first map.
fn session_json(map: &UpstreamMap) -> Option<&RawValue> {
    serde_json::from_str(map.documents.session.as_str()?).ok()
}

impl Event<'_> {
    fn to_sse(&self) -> String {
        // `serde_json` writes no line breaks, which would end the data field.
        let data = serde_json::to_string(self).unwrap_or_default();
        match self {
            Self::Session(_) => format!("event: session\ndata: {data}\n\n"),
            Self::SourceDied { .. } => format!("event: source-died\ndata: {data}\n\n"),
            Self::Switched { .. } => format!("event: switched\ndata: {data}\n\n"),
            Self::Map { version } => format!("event: map\nid: {version}\ndata: {data}\n\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use pitwall_upstream_map::documents::{PublicDocument, SharedDocuments};
    use serde_json::json;

    use super::*;

    /// A map of one stream with these sources and their health, best first, and a session of this
    /// status.
    fn map(version: u64, sources: &[(&str, &str)], session: &str) -> UpstreamMap {
        let upstreams: Vec<_> = sources
            .iter()
            .map(|(source, health)| {
                json!({
                    "source": source, "profile": source, "generation": 1, "health": health,
                    "playlist": "https://cdn.example.com/m.m3u8", "expires_at": null,
                    "score": 1.0, "renditions": [],
                })
            })
            .collect();
        let stream = json!({ "id": "world-feed", "feed": "World feed", "upstreams": upstreams });
        UpstreamMap {
            version,
            streams: serde_json::from_value(json!({ "world-feed": stream })).unwrap(),
            documents: SharedDocuments {
                session: PublicDocument::from_value(&json!({ "status": session })).unwrap(),
                ..SharedDocuments::default()
            },
            ..UpstreamMap::default()
        }
    }

    #[test]
    fn a_map_change_names_the_dead_sources_the_switch_and_the_session() {
        let old = || map(1, &[("a", "healthy"), ("b", "healthy")], "live");
        let died = r#"event: source-died data: {"stream":"world-feed","source":"a"} "#;
        for (what, new, expected) in [
            ("nothing", map(2, &[("a", "healthy"), ("b", "healthy")], "live"), String::new()),
            (
                "the best one",
                map(2, &[("a", "down"), ("b", "healthy")], "live"),
                format!(
                    "{died}event: switched data: \
                     {{\"stream\":\"world-feed\",\"from\":\"a\",\"to\":\"b\"}} "
                ),
            ),
            (
                "all of them",
                map(2, &[("a", "down")], "live"),
                format!(
                    "{died}event: source-died data: \
                     {{\"stream\":\"world-feed\",\"source\":\"b\"}} event: switched data: \
                     {{\"stream\":\"world-feed\",\"from\":\"a\",\"to\":null}} "
                ),
            ),
            (
                "their order",
                map(2, &[("b", "healthy"), ("a", "degraded")], "live"),
                "event: switched data: {\"stream\":\"world-feed\",\"from\":\"a\",\"to\":\"b\"} "
                    .to_owned(),
            ),
            (
                "the session",
                map(2, &[("a", "healthy"), ("b", "healthy")], "past"),
                "event: session data: {\"status\":\"past\"} ".to_owned(),
            ),
        ] {
            let change = MapChangeEvents::between(&old(), &new);
            let text = String::from_utf8(change.text.to_vec()).unwrap();
            let fields = text.split('\n').filter(|line| !line.is_empty()).collect::<Vec<_>>();
            let map = "event: map id: 2 data: {\"version\":2}";
            assert_eq!(fields.join(" "), format!("{expected}{map}"), "{what}");
        }
    }

    #[test]
    fn a_reconnecting_client_gets_the_changes_that_it_missed() {
        let events = EventBroadcaster::new();
        for version in 1..=200 {
            events.record_change(MapChangeEvents { version, text: Bytes::new() });
        }
        for (known, expected) in
            [(200, 0), (199, 1), (150, 50), (3, HISTORY_MAX_VERSIONS), (201, 0)]
        {
            assert_eq!(events.changes_since(known).len(), expected, "{known}");
        }
    }
}
