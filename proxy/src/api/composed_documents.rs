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
mod tests;
