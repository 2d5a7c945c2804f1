//! [`DocumentViews`]: documents that the edge makes of the published ones: lists, which are joined
//! as text, and extracts. Each is made at most once for a map.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use pitwall_upstream_map::UpstreamMap;
use pitwall_upstream_map::documents::{
    PublicDocument, Schedule, Session, SessionStatus, SharedDocuments, Status,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::local_overrides::LocalOverrides;
use crate::http::problem::Problem;

/// A few figures for a dashboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Widget {
    /// The name of the session that is live, else of the next one.
    pub session: Option<String>,
    pub meeting: Option<String>,
    pub status: Option<SessionStatus>,
    pub start: Option<Timestamp>,
    /// All known streams, those that are down included.
    pub streams: usize,
    pub healthy_streams: usize,
    pub down_streams: usize,
    pub sources: usize,
    pub failing_sources: usize,
}

/// The composed documents of the last map that was requested.
#[derive(Default)]
pub struct DocumentViews(ArcSwapOption<ComposedDocuments>);

/// The documents that are made of those of one map, each when it is first requested.
///
/// All methods fail with [`Problem::Starting`] while the control plane has published no documents.
pub struct ComposedDocuments {
    map: Arc<UpstreamMap>,
    bootstrap: OnceLock<PublicDocument>,
    streams: OnceLock<PublicDocument>,
    extractors: OnceLock<PublicDocument>,
    schedule: OnceLock<Result<Schedule, Problem>>,
    widget: OnceLock<Result<PublicDocument, Problem>>,
}

impl DocumentViews {
    /// The documents of `map`, which replaces the previous map if it is another one.
    pub fn for_map(&self, map: &Arc<UpstreamMap>) -> Arc<ComposedDocuments> {
        let current = self.0.load_full();
        if let Some(documents) = current.filter(|current| Arc::ptr_eq(&current.map, map)) {
            return documents;
        }
        let documents = Arc::new(ComposedDocuments {
            map: map.clone(),
            bootstrap: OnceLock::new(),
            streams: OnceLock::new(),
            extractors: OnceLock::new(),
            schedule: OnceLock::new(),
            widget: OnceLock::new(),
        });
        self.0.store(Some(documents.clone()));
        documents
    }
}

impl ComposedDocuments {
    /// `GET /api/bootstrap`, as this edge plays the streams.
    pub fn bootstrap(&self, overrides: &LocalOverrides<'_>) -> Result<PublicDocument, Problem> {
        let session = self.published_documents()?.session.as_str().unwrap_or("null");
        let version = self.lists_version();
        let compose = |streams| {
            format!("{{\"version\":{version},\"session\":{session},\"streams\":{streams}}}")
        };
        Ok(self.compose_streams(&self.bootstrap, overrides, compose))
    }

    /// `GET /api/streams`, as this edge plays them.
    pub fn streams(&self, overrides: &LocalOverrides<'_>) -> Result<PublicDocument, Problem> {
        self.published_documents()?;
        let version = self.lists_version();
        let compose = |streams| format!("{{\"version\":{version},\"streams\":{streams}}}");
        Ok(self.compose_streams(&self.streams, overrides, compose))
    }

    /// The streams of a session: all of them while it is live, else none, as streams show only what
    /// is live.
    pub fn session_streams(
        &self,
        id: &str,
        overrides: &LocalOverrides<'_>,
    ) -> Result<PublicDocument, Problem> {
        match self.session(id)?.status {
            SessionStatus::Live => self.streams(overrides),
            _ => {
                let version = self.lists_version();
                Ok(PublicDocument::from_text(format!("{{\"version\":{version},\"streams\":[]}}")))
            }
        }
    }

    /// `GET /api/streams/{id}`, as this edge plays the stream.
    pub fn stream(
        &self,
        id: &str,
        overrides: &LocalOverrides<'_>,
    ) -> Result<PublicDocument, Problem> {
        self.published_documents()?;
        let stream = self.map.streams.get(id).ok_or(Problem::NotFound)?;
        Ok(overrides.apply_to_stream_document(stream))
    }

    /// `GET /api/streams/{id}/explain`.
    pub fn explanation(&self, id: &str) -> Result<PublicDocument, Problem> {
        self.published_documents()?;
        Ok(self.map.streams.get(id).ok_or(Problem::NotFound)?.explanation.clone())
    }

    /// `GET /api/extractors`.
    pub fn extractors(&self) -> Result<PublicDocument, Problem> {
        let extractors = &self.published_documents()?.extractors;
        let compose = || {
            let mut extractors: Vec<_> = extractors.values().collect();
            // The sort is stable: sources of one position stay in the order of their names.
            extractors.sort_by_key(|extractor| extractor.position);
            let list = join(extractors.iter().map(|extractor| &extractor.status));
            PublicDocument::from_text(format!("{{\"extractors\":{list}}}"))
        };
        Ok(self.extractors.get_or_init(compose).clone())
    }

    /// The session with this id, present or former.
    pub fn session(&self, id: &str) -> Result<&Session, Problem> {
        let schedule = self.schedule.get_or_init(|| parse(&self.map.documents.schedule));
        schedule.as_ref().map_err(Problem::clone)?.find_session(id).ok_or(Problem::NotFound)
    }

    /// `GET /api/widget`.
    pub fn widget(&self) -> Result<PublicDocument, Problem> {
        self.widget.get_or_init(|| self.compose_widget()).clone()
    }

    fn compose_widget(&self) -> Result<PublicDocument, Problem> {
        let documents = self.published_documents()?;
        let session: Option<Session> = parse(&documents.session)?;
        let session = session.as_ref();
        let status: Status = parse(&documents.status)?;
        let widget = Widget {
            session: session.map(|session| session.name.clone()),
            meeting: session.map(|session| session.meeting.clone()),
            status: session.map(|session| session.status),
            start: session.and_then(|session| session.start),
            streams: status.streams.total,
            healthy_streams: status.streams.healthy,
            down_streams: status.streams.down,
            sources: status.extractors.total,
            failing_sources: status.extractors.failing,
        };
        PublicDocument::from_value(&widget).map_err(|_| Problem::Starting)
    }

    /// The version of the map in which the lists last changed. An older control plane tells none.
    fn lists_version(&self) -> &str {
        self.map.documents.version.as_str().unwrap_or("0")
    }

    /// The published documents. Every control plane publishes its status: without one it is unknown
    /// which streams and sources there are, so that no list may be empty and no stream a 404.
    fn published_documents(&self) -> Result<&SharedDocuments, Problem> {
        let documents = &self.map.documents;
        documents.status.as_str().map(|_| documents).ok_or(Problem::Starting)
    }

    /// A document with the list of streams. All requests share it, except while this edge plays
    /// other sources than the map says.
    fn compose_streams(
        &self,
        shared: &OnceLock<PublicDocument>,
        overrides: &LocalOverrides<'_>,
        compose: impl Fn(String) -> String,
    ) -> PublicDocument {
        let compose = || {
            let streams = self.map.streams_in_order().into_iter();
            let documents: Vec<_> =
                streams.map(|stream| overrides.apply_to_stream_document(stream)).collect();
            PublicDocument::from_text(compose(join(&documents)))
        };
        if overrides.is_empty() { shared.get_or_init(compose).clone() } else { compose() }
    }
}

/// A JSON array of documents. One that is not published, as in the map of an older control plane,
/// is left out.
fn join<'a>(documents: impl IntoIterator<Item = &'a PublicDocument>) -> String {
    let texts: Vec<_> = documents.into_iter().filter_map(PublicDocument::as_str).collect();
    format!("[{}]", texts.join(","))
}

fn parse<T: DeserializeOwned>(document: &PublicDocument) -> Result<T, Problem> {
    serde_json::from_str(document.as_str().ok_or(Problem::Starting)?).map_err(|error| {
        // A newer control plane may publish a document of another form.
        tracing::warn!(
            %error,
            "a document of the map cannot be parsed: update this edge to the control plane's version"
        );
        Problem::Starting
    })
}

#[cfg(test)]
mod tests {
    use pitwall_upstream_map::documents::ExtractorDocument;
    use pitwall_upstream_map::{Stream, StreamId, Upstream};
    use serde_json::json;

    use super::*;
    use crate::api::local_overrides::ActiveUpstreamFn;

    /// A stream that two sources play, the first of which is active.
    fn stream(id: &str, position: (usize, usize), public: bool) -> (StreamId, Arc<Stream>) {
        let source = |name: &str, active| {
            json!({
                "name": name, "kind": "static", "active": active, "health": "healthy", "score": 1.0,
            })
        };
        let document = json!({
            "id": id, "feed": id, "playlist": "", "health": "healthy", "renditions": [],
            "sources": [source("a", true), source("b", false)],
        });
        let public = if public { document.to_string() } else { String::new() };
        let upstream = |source: &str| {
            json!({
                "source": source, "profile": source, "generation": 1, "health": "healthy",
                "playlist": "https://a.example/m.m3u8", "expires_at": null, "score": 1.0,
                "renditions": [],
            })
        };
        let stream = json!({
            "id": id, "feed": id, "position": position, "upstreams": [upstream("a"), upstream("b")],
            "public": public,
            "explanation": "{\"viewers\":0}",
        });
        let stream: Stream = serde_json::from_value(stream).unwrap();
        (stream.id.clone(), Arc::new(stream))
    }

    fn map(version: u64, streams: &[(StreamId, Arc<Stream>)]) -> Arc<UpstreamMap> {
        let extractor = |(name, position): (&str, usize)| {
            let status = PublicDocument::from_text(format!("{{\"name\":\"{name}\"}}"));
            (name.to_owned(), Arc::new(ExtractorDocument { position, status }))
        };
        let session = json!({
            "id": "s", "code": "race", "name": "Race", "meeting": "Lakeside", "start": null,
            "date": "2026-11-29", "time_known": false, "end": null, "end_estimated": false,
            "live_from": null, "live_until": null, "source": "ics", "revision": 1,
            "status": "live",
        });
        let mut past = session.clone();
        past["id"] = "past".into();
        past["status"] = "past".into();
        let meeting = json!({
            "id": "m", "name": "Lakeside", "round": null, "circuit": { "id": "c", "name": "C" },
            "sessions": [session, past],
        });
        let status = json!({
            "started_at": "2026-11-29T00:00:00Z", "schedule": {},
            "streams": { "total": 3, "healthy": 2, "down": 1 },
            "extractors": { "total": 2, "failing": 1 },
        });
        let documents = SharedDocuments {
            session: PublicDocument::from_value(&session).unwrap(),
            version: PublicDocument::from_text("7"),
            schedule: PublicDocument::from_value(&json!({ "meetings": [meeting] })).unwrap(),
            status: PublicDocument::from_value(&status).unwrap(),
            extractors: [("beta", 1), ("zeta", 0), ("alpha", 1)].map(extractor).into(),
            ..SharedDocuments::default()
        };
        let streams = streams.iter().cloned().collect();
        Arc::new(UpstreamMap { version, streams, documents, ..UpstreamMap::default() })
    }

    /// This edge plays everything as the map says.
    fn published<'s>(_: &UpstreamMap, stream: &'s Stream) -> Option<&'s Upstream> {
        stream.active_upstream()
    }

    /// This edge plays `late` from its second source.
    fn second<'s>(_: &UpstreamMap, stream: &'s Stream) -> Option<&'s Upstream> {
        stream.upstreams.get(usize::from(stream.feed == "late"))
    }

    fn json_of(document: Result<PublicDocument, Problem>) -> serde_json::Value {
        serde_json::from_str(document.unwrap().as_str().unwrap()).unwrap()
    }

    #[test]
    fn lists_are_in_the_order_of_position_then_name() {
        let streams = [
            stream("late", (1, 0), true),
            stream("b-side", (0, 2), true),
            stream("older", (0, 0), false),
            stream("a-side", (0, 2), true),
        ];
        let map = map(1, &streams);
        let documents = DocumentViews::default().for_map(&map);
        for (active_upstream, expected) in [
            (&published as ActiveUpstreamFn<'_>, [("a-side", "a"), ("b-side", "a"), ("late", "a")]),
            (&second, [("a-side", "a"), ("b-side", "a"), ("late", "b")]),
        ] {
            let overrides = LocalOverrides::for_map(&map, active_upstream);
            let bootstrap = json_of(documents.bootstrap(&overrides));
            assert_eq!(bootstrap["session"]["name"], "Race");
            assert_eq!(bootstrap["version"], 7);
            for list in [
                &bootstrap,
                &json_of(documents.streams(&overrides)),
                &json_of(documents.session_streams("s", &overrides)),
            ] {
                let list = list["streams"].as_array().unwrap().iter().map(|stream| {
                    let sources = stream["sources"].as_array().unwrap();
                    let active = sources.iter().find(|source| source["active"] == true).unwrap();
                    (stream["id"].as_str().unwrap(), active["name"].as_str().unwrap())
                });
                assert_eq!(list.collect::<Vec<_>>(), expected);
            }
            assert_eq!(
                json_of(documents.session_streams("past", &overrides)),
                json!({ "version": 7, "streams": [] })
            );
            let late = json_of(documents.stream("late", &overrides));
            assert_eq!(late["sources"][1]["active"], expected[2].1 == "b");
        }
        let names = ["zeta", "alpha", "beta"].map(|name| json!({ "name": name }));
        assert_eq!(json_of(documents.extractors()), json!({ "extractors": names }));
        assert_eq!(json_of(documents.explanation("late")), json!({ "viewers": 0 }));
        let widget = json_of(documents.widget());
        assert_eq!([&widget["session"], &widget["status"]], ["Race", "live"]);
        assert_eq!([&widget["streams"], &widget["failing_sources"]], [3, 1]);
    }

    #[test]
    fn requests_share_a_text_and_maps_an_entity_tag() {
        let streams = [stream("world", (0, 0), true)];
        let views = DocumentViews::default();
        let (first, second) = (map(1, &streams), map(2, &streams));
        let of = |map: &Arc<UpstreamMap>| {
            let overrides = LocalOverrides::for_map(map, &published);
            let documents = views.for_map(map);
            [
                documents.bootstrap(&overrides),
                documents.streams(&overrides),
                documents.extractors(),
                documents.widget(),
                documents.stream("world", &overrides),
            ]
            .map(|document| document.unwrap())
        };
        let text = |document: &PublicDocument| document.as_str().unwrap().as_ptr();
        let documents = of(&first);
        assert_eq!(documents.each_ref().map(text), of(&first).each_ref().map(text));
        let next = of(&second);
        assert_eq!(
            documents.each_ref().map(PublicDocument::etag),
            next.each_ref().map(PublicDocument::etag)
        );
        let [.., stream] = &next;
        assert_eq!(text(stream), text(&streams[0].1.public), "no copy of what is published");
    }

    #[test]
    fn what_cannot_be_known_before_the_first_map_is_a_problem() {
        let (empty, views) = (Arc::new(UpstreamMap::default()), DocumentViews::default());
        let overrides = LocalOverrides::for_map(&empty, &published);
        let documents = views.for_map(&empty);
        for document in [
            documents.bootstrap(&overrides),
            documents.streams(&overrides),
            documents.stream("world", &overrides),
            documents.explanation("world"),
            documents.extractors(),
            documents.widget(),
            documents.session_streams("s", &overrides),
        ] {
            assert_eq!(document, Err(Problem::Starting));
        }
        let map = map(1, &[]);
        let documents = views.for_map(&map);
        for document in [
            documents.stream("world", &overrides),
            documents.explanation("world"),
            documents.session_streams("x", &overrides),
        ] {
            assert_eq!(document, Err(Problem::NotFound));
        }
    }
}
