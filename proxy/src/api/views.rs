//! Answers that are parts of documents, or figures from them. The control plane writes each
//! document once; what few ask for is taken out of it here.

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
    pub streams: usize,
    pub healthy_streams: usize,
    pub sources: usize,
    pub failing_sources: usize,
}

/// A document that is there.
pub fn text(document: &Document) -> Result<&str, Problem> {
    document.as_str().ok_or(Problem::Starting)
}

fn read<T: DeserializeOwned>(document: &Document) -> Result<T, Problem> {
    serde_json::from_str(text(document)?).map_err(|error| {
        // A newer control plane may write what this edge cannot read.
        tracing::warn!(%error, "a document of the map cannot be read");
        Problem::Starting
    })
}

pub fn session(map: &UpstreamMap, id: &str) -> Result<Session, Problem> {
    let schedule: Schedule = read(&map.documents.schedule)?;
    schedule.session(id).cloned().ok_or(Problem::NotFound)
}

pub fn stream(map: &UpstreamMap, id: &str) -> Result<PublicStream, Problem> {
    let streams: Streams = read(&map.documents.streams)?;
    streams.streams.into_iter().find(|stream| stream.id.as_str() == id).ok_or(Problem::NotFound)
}

/// Streams show what is on now: of any other session there is nothing to watch.
pub fn streams_of(map: &UpstreamMap, id: &str) -> Result<Streams, Problem> {
    let live = session(map, id)?.status == SessionStatus::Live;
    let mut streams: Streams = read(&map.documents.streams)?;
    if !live {
        streams.streams.clear();
    }
    Ok(streams)
}

pub fn widget(map: &UpstreamMap) -> Result<Widget, Problem> {
    let bootstrap: Bootstrap = read(&map.documents.bootstrap)?;
    let status: Status = read(&map.documents.status)?;
    let session = bootstrap.session.as_ref();
    Ok(Widget {
        session: session.map(|session| session.name.clone()),
        meeting: session.map(|session| session.meeting.clone()),
        status: session.map(|session| session.status),
        start: session.and_then(|session| session.start),
        streams: status.streams.total,
        healthy_streams: status.streams.healthy,
        sources: status.extractors.total,
        failing_sources: status.extractors.failing,
    })
}
