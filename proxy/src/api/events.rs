//! `/api/events`: what changes, as server-sent events.
//!
//! - What one version of the map changed ends in its `map` event, which alone has an id: that
//!   version. So whoever comes back with `Last-Event-ID`, to this edge or to another, gets every
//!   change since, or sees by the version that it has missed some and reads `/api/bootstrap`.
//! - An event says that something is different, and what it was is read where it always is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_proxy::Session;
use pitwall_upstream_map::{Health, Store, Stream, StreamId, UpstreamMap};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::answer::Answer;
use crate::drain::Draining;
use crate::problem::Problem;

/// How many versions can be caught up with.
const KEPT: usize = 128;

/// Something is said this often, so that nothing on the way takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How soon a client comes back, which then is the edge that took this one's place.
const RETRY: &str = "retry: 2000\n\n";

/// Each is an open connection.
const MOST_LISTENERS: usize = 1000;

pub struct Events {
    kept: Mutex<VecDeque<Change>>,
    newest: watch::Sender<u64>,
    listeners: AtomicUsize,
}

/// What one version of the map changed, as it is sent.
#[derive(Clone)]
struct Change {
    version: u64,
    text: Bytes,
}

/// Serialises as its data.
#[derive(Serialize)]
#[serde(untagged)]
enum Event<'a> {
    /// Another session is on or next, or this one is live, late, over or cancelled.
    Session(&'a RawValue),
    /// An upstream of a stream can no longer be played.
    SourceDied {
        stream: &'a StreamId,
        source: &'a str,
    },
    /// A stream is played from another source, or from none.
    Switched {
        stream: &'a StreamId,
        from: Option<&'a str>,
        to: Option<&'a str>,
    },
    Map {
        version: u64,
    },
}

impl Events {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::default(),
            newest: watch::Sender::new(0),
            listeners: AtomicUsize::new(0),
        })
    }

    /// Looks at each map that the store gets.
    pub async fn follow(self: Arc<Self>, store: Arc<dyn Store>) {
        let mut changes = store.changes();
        let mut known = store.current();
        while changes.changed().await.is_ok() {
            let map = store.current();
            if map.version > known.version {
                self.keep(Change::between(&known, &map));
            }
            known = map;
        }
    }

    fn keep(&self, change: Change) {
        let version = change.version;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(change);
        drop(kept);
        self.newest.send_replace(version);
    }

    /// What somebody who knows `version` does not know yet.
    fn since(&self, version: u64) -> Vec<Change> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().filter(|change| change.version > version).cloned().collect()
    }

    /// Sends what changes until the client leaves or the process stops.
    pub async fn serve(
        &self,
        session: &mut Session,
        map: &UpstreamMap,
        draining: &Draining,
    ) -> Result<()> {
        let _listener = match Listener::one_of(&self.listeners) {
            Some(listener) => listener,
            None => {
                let problem = Problem::Busy("too many listen to events");
                return Answer::problem(&problem).send(session).await;
            }
        };
        let mut response = ResponseHeader::build(StatusCode::OK, Some(6))?;
        response.insert_header(header::CONTENT_TYPE, "text/event-stream")?;
        response.insert_header(header::CACHE_CONTROL, "no-store")?;
        response.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        // nginx would keep events until it has a buffer full of them.
        response.insert_header("x-accel-buffering", "no")?;
        let headers = &session.req_header().headers;
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
        if session.req_header().method == http::Method::HEAD {
            return session.write_response_header(Box::new(response), true).await;
        }
        session.write_response_header(Box::new(response), false).await?;
        // Before the first look, so that nothing falls between it and the first wait.
        let mut newest = self.newest.subscribe();
        // A newcomer starts from the map as it is.
        let mut known = last.unwrap_or(map.version);
        let mut text = RETRY.to_owned();
        if last.is_none_or(|last| last > map.version) {
            text.push_str(&Event::Map { version: map.version }.text());
            known = map.version;
        }
        session.write_response_body(Some(text.into()), false).await?;
        loop {
            for change in self.since(known) {
                known = change.version;
                session.write_response_body(Some(change.text), false).await?;
            }
            tokio::select! {
                _ = newest.changed() => {}
                () = tokio::time::sleep(HEARTBEAT) => {
                    session.write_response_body(Some(Bytes::from_static(b":\n\n")), false).await?;
                }
                () = draining.wait() => break,
            }
        }
        session.write_response_body(None, true).await
    }
}

/// Counts a listener while it is one.
struct Listener<'a>(&'a AtomicUsize);

impl<'a> Listener<'a> {
    fn one_of(count: &'a AtomicUsize) -> Option<Self> {
        let one = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < MOST_LISTENERS).then_some(one)
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Change {
    fn between(old: &UpstreamMap, new: &UpstreamMap) -> Self {
        let mut text = String::new();
        if let Some(session) = session(new)
            && self::session(old).is_none_or(|before| before.get() != session.get())
        {
            text.push_str(&Event::Session(session).text());
        }
        let both =
            |id| (old.streams.get(id).map(Arc::as_ref), new.streams.get(id).map(Arc::as_ref));
        let streams: BTreeMap<&StreamId, (Option<&Stream>, Option<&Stream>)> =
            old.streams.keys().chain(new.streams.keys()).map(|id| (id, both(id))).collect();
        for (stream, (before, after)) in streams {
            for source in before.into_iter().flat_map(playable) {
                if !after.into_iter().flat_map(playable).any(|one| one == source) {
                    text.push_str(&Event::SourceDied { stream, source }.text());
                }
            }
            let plays = |stream: &'_ Stream| stream.active().map(|one| one.source.clone());
            let (from, to) = (before.and_then(plays), after.and_then(plays));
            if from != to {
                let (from, to) = (from.as_deref(), to.as_deref());
                text.push_str(&Event::Switched { stream, from, to }.text());
            }
        }
        text.push_str(&Event::Map { version: new.version }.text());
        Self { version: new.version, text: text.into() }
    }
}

fn playable(stream: &Stream) -> impl Iterator<Item = &str> {
    let playable = stream.upstreams.iter().filter(|one| one.health != Health::Down);
    playable.map(|one| one.source.as_str())
}

fn session(map: &UpstreamMap) -> Option<&RawValue> {
    #[derive(serde::Deserialize)]
    struct Bootstrap<'a> {
        #[serde(borrow)]
        session: &'a RawValue,
    }
    let bootstrap: Bootstrap<'_> = serde_json::from_str(map.documents.bootstrap.json()?).ok()?;
    Some(bootstrap.session)
}

impl Event<'_> {
    fn text(&self) -> String {
        // JSON as it is written here has no line breaks, which data must not have.
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
    use pitwall_upstream_map::documents::{Document, Documents};
    use serde_json::json;

    use super::*;

    /// A map of one stream with these sources, best first, and a session in this state.
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
        let bootstrap = json!({ "version": version, "session": { "status": session } });
        UpstreamMap {
            version,
            streams: serde_json::from_value(json!({ "world-feed": stream })).unwrap(),
            documents: Documents {
                bootstrap: Document::of(&bootstrap).unwrap(),
                ..Documents::default()
            },
            ..UpstreamMap::default()
        }
    }

    #[test]
    fn what_changed_between_two_maps() {
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
            let change = Change::between(&old(), &new);
            let text = String::from_utf8(change.text.to_vec()).unwrap();
            let words = text.split('\n').filter(|line| !line.is_empty()).collect::<Vec<_>>();
            let map = "event: map id: 2 data: {\"version\":2}";
            assert_eq!(words.join(" "), format!("{expected}{map}"), "{what}");
        }
    }

    #[test]
    fn whoever_comes_back_gets_what_was_missed() {
        let events = Events::new();
        for version in 1..=200 {
            events.keep(Change { version, text: Bytes::new() });
        }
        for (known, expected) in [(200, 0), (199, 1), (150, 50), (3, KEPT), (201, 0)] {
            assert_eq!(events.since(known).len(), expected, "{known}");
        }
    }
}
