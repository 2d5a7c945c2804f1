//! Answers that are parts of documents, or figures from them. The control plane writes each
//! document once; what few ask for is taken out of it here, where it is read once as well.

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

use crate::problem::Problem;

/// `GET /api/widget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Widget {
    /// The session that is live, else the next one.
    pub session: Option<String>,
    pub meeting: Option<String>,
    pub status: Option<SessionStatus>,
    pub start: Option<Timestamp>,
    /// Known ones, those that are down included.
    pub streams: usize,
    pub healthy_streams: usize,
    pub down_streams: usize,
    pub sources: usize,
    pub failing_sources: usize,
}

/// A document that is there.
pub fn text(document: &Document) -> Result<&str, Problem> {
    document.as_str().ok_or(Problem::Starting)
}

/// The documents of the current map, each read when it is first asked for, and once.
#[derive(Default)]
pub struct Views(ArcSwapOption<Read>);

/// Of one map.
pub struct Read {
    map: Arc<UpstreamMap>,
    bootstrap: OnceLock<Result<Bootstrap, Problem>>,
    schedule: OnceLock<Result<Schedule, Problem>>,
    streams: OnceLock<Result<Streams, Problem>>,
    status: OnceLock<Result<Status, Problem>>,
}

impl Views {
    pub fn of(&self, map: &Arc<UpstreamMap>) -> Arc<Read> {
        if let Some(read) = self.0.load_full().filter(|read| Arc::ptr_eq(&read.map, map)) {
            return read;
        }
        let read = Arc::new(Read {
            map: map.clone(),
            bootstrap: OnceLock::new(),
            schedule: OnceLock::new(),
            streams: OnceLock::new(),
            status: OnceLock::new(),
        });
        self.0.store(Some(read.clone()));
        read
    }
}

fn once<'a, T: DeserializeOwned>(
    read: &'a OnceLock<Result<T, Problem>>,
    document: &Document,
) -> Result<&'a T, Problem> {
    let parse = || {
        serde_json::from_str(text(document)?).map_err(|error| {
            // A newer control plane may write what this edge cannot read.
            tracing::warn!(%error, "a document of the map cannot be read");
            Problem::Starting
        })
    };
    read.get_or_init(parse).as_ref().map_err(Problem::clone)
}

impl Read {
    pub fn bootstrap(&self) -> Result<&Bootstrap, Problem> {
        once(&self.bootstrap, &self.map.documents.bootstrap)
    }

    fn schedule(&self) -> Result<&Schedule, Problem> {
        once(&self.schedule, &self.map.documents.schedule)
    }

    pub fn streams(&self) -> Result<&Streams, Problem> {
        once(&self.streams, &self.map.documents.streams)
    }

    pub fn session(&self, id: &str) -> Result<&Session, Problem> {
        self.schedule()?.session(id).ok_or(Problem::NotFound)
    }

    pub fn stream(&self, id: &str) -> Result<&PublicStream, Problem> {
        let mut streams = self.streams()?.streams.iter();
        streams.find(|stream| stream.id.as_str() == id).ok_or(Problem::NotFound)
    }

    /// Streams show what is on now: of any other session there is nothing to watch.
    pub fn streams_of(&self, id: &str) -> Result<Streams, Problem> {
        let live = self.session(id)?.status == SessionStatus::Live;
        let mut streams = self.streams()?.clone();
        if !live {
            streams.streams.clear();
        }
        Ok(streams)
    }

    pub fn widget(&self) -> Result<Widget, Problem> {
        let bootstrap = self.bootstrap()?;
        let status = once(&self.status, &self.map.documents.status)?;
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
        let documents = Documents { schedule: Document::text(schedule), ..Documents::default() };
        Arc::new(UpstreamMap { version: 1, documents, ..UpstreamMap::default() })
    }

    #[test]
    fn a_document_is_read_once_for_each_map() {
        let (views, first) = (Views::default(), map(r#"{"meetings": []}"#));
        let read = views.of(&first);
        assert_eq!(read.session("x").err(), Some(Problem::NotFound));
        let again = views.of(&first);
        assert!(Arc::ptr_eq(&read, &again) && again.schedule.get().is_some());
        assert!(again.streams.get().is_none(), "what nobody asks for is not read");
        let second = views.of(&map("{"));
        assert_eq!(second.session("x").err(), Some(Problem::Starting), "cannot be read");
        assert!(!Arc::ptr_eq(&read, &second));
    }
}
