//! [`DocumentViews`]: parts of the published documents, and figures from them, for the operations
//! that serve no whole document. Each document of a map is parsed at most once.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use pitwall_upstream_map::UpstreamMap;
use pitwall_upstream_map::documents::{
    Bootstrap, Document, PublicStream, Schedule, Session, SessionStatus, Status, Streams,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

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

/// The text of a document.
///
/// # Errors
/// [`Problem::Starting`] while the document is not published yet.
pub fn document_text(document: &Document) -> Result<&str, Problem> {
    document.as_str().ok_or(Problem::Starting)
}

/// The parsed documents of the last map that was requested.
#[derive(Default)]
pub struct DocumentViews(ArcSwapOption<ParsedDocuments>);

/// The documents of one map, each parsed when it is first requested.
pub struct ParsedDocuments {
    map: Arc<UpstreamMap>,
    bootstrap: OnceLock<Result<Bootstrap, Problem>>,
    schedule: OnceLock<Result<Schedule, Problem>>,
    streams: OnceLock<Result<Streams, Problem>>,
    status: OnceLock<Result<Status, Problem>>,
}

impl DocumentViews {
    /// The documents of `map`, which replaces the previous map if it is another one.
    pub fn for_map(&self, map: &Arc<UpstreamMap>) -> Arc<ParsedDocuments> {
        let current = self.0.load_full();
        if let Some(documents) = current.filter(|current| Arc::ptr_eq(&current.map, map)) {
            return documents;
        }
        let documents = Arc::new(ParsedDocuments {
            map: map.clone(),
            bootstrap: OnceLock::new(),
            schedule: OnceLock::new(),
            streams: OnceLock::new(),
            status: OnceLock::new(),
        });
        self.0.store(Some(documents.clone()));
        documents
    }
}

fn parse_once<'a, T: DeserializeOwned>(
    parsed: &'a OnceLock<Result<T, Problem>>,
    document: &Document,
) -> Result<&'a T, Problem> {
    let parse = || {
        serde_json::from_str(document_text(document)?).map_err(|error| {
            // A newer control plane may publish a document of another form.
            tracing::warn!(
                %error,
                "a document of the map cannot be parsed: update this edge to the control plane's version"
            );
            Problem::Starting
        })
    };
    parsed.get_or_init(parse).as_ref().map_err(Problem::clone)
}

impl ParsedDocuments {
    pub fn bootstrap(&self) -> Result<&Bootstrap, Problem> {
        parse_once(&self.bootstrap, &self.map.documents.bootstrap)
    }

    fn schedule(&self) -> Result<&Schedule, Problem> {
        parse_once(&self.schedule, &self.map.documents.schedule)
    }

    pub fn streams(&self) -> Result<&Streams, Problem> {
        parse_once(&self.streams, &self.map.documents.streams)
    }

    /// The session with this id, present or former.
    pub fn session(&self, id: &str) -> Result<&Session, Problem> {
        self.schedule()?.session(id).ok_or(Problem::NotFound)
    }

    pub fn stream(&self, id: &str) -> Result<&PublicStream, Problem> {
        let mut streams = self.streams()?.streams.iter();
        streams.find(|stream| stream.id.as_str() == id).ok_or(Problem::NotFound)
    }

    /// The streams of a session: all of them while it is live, else none, as streams show only what
    /// is live.
    pub fn session_streams(&self, id: &str) -> Result<Streams, Problem> {
        let live = self.session(id)?.status == SessionStatus::Live;
        let mut streams = self.streams()?.clone();
        if !live {
            streams.streams.clear();
        }
        Ok(streams)
    }

    pub fn widget(&self) -> Result<Widget, Problem> {
        let bootstrap = self.bootstrap()?;
        let status = parse_once(&self.status, &self.map.documents.status)?;
        let session = bootstrap.session.as_ref();
        Ok(Widget {
            session: session.map(|session| session.name.clone()),
            meeting: session.map(|session| session.meeting.clone()),
            status: session.map(|session| session.status),
            start: session.and_then(|session| session.start),
            streams: status.streams.total,
            healthy_streams: status.streams.healthy,
            down_streams: status.streams.down,
            sources: status.extractors.total,
            failing_sources: status.extractors.failing,
        })
    }
}

#[cfg(test)]
mod tests {
    use pitwall_upstream_map::documents::Documents;

    use super::*;

    fn map(schedule: &str) -> Arc<UpstreamMap> {
        let documents =
            Documents { schedule: Document::from_text(schedule), ..Documents::default() };
        Arc::new(UpstreamMap { version: 1, documents, ..UpstreamMap::default() })
    }

    #[test]
    fn a_document_is_parsed_once_per_map() {
        let (views, first) = (DocumentViews::default(), map(r#"{"meetings": []}"#));
        let documents = views.for_map(&first);
        assert_eq!(documents.session("x").err(), Some(Problem::NotFound));
        let same = views.for_map(&first);
        assert!(Arc::ptr_eq(&documents, &same) && same.schedule.get().is_some());
        assert!(same.streams.get().is_none(), "a document that is not requested is not parsed");
        let second = views.for_map(&map("{"));
        assert_eq!(second.session("x").err(), Some(Problem::Starting), "it cannot be parsed");
        assert!(!Arc::ptr_eq(&documents, &second));
    }
}
