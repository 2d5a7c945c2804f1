//! The table of operations. A new one is a row here; routing, the OpenAPI document and the tests
//! that walk it follow.

use http::Method;
use percent_encoding::percent_decode_str;
use pitwall_upstream_map::documents::{
    Bootstrap, Explanation, Extractors, PublicStream, Schedule, Session, Status, Streams,
};

use super::openapi::{SchemaOf, schema_of};
use super::views::Widget;
use crate::problem::Problem;
use crate::route::Query;

/// What a request to one of the operations wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Document(Document),
    Session(String),
    /// All of them, or those of a session.
    Streams(Option<String>),
    Stream(String),
    Explain(String),
    Widget,
    Events,
    OpenApi,
    Health,
    Ready,
    /// What players post of how they fare.
    Report,
    /// For the control plane, which has its own word on everything but the method.
    Command(Method),
}

/// Answered as the control plane wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    Bootstrap,
    Schedule,
    Extractors,
    Status,
    Calendar,
    Guide,
    Playlist,
}

pub struct Operation {
    /// With at most one `{name}`, which is a whole segment.
    pub path: &'static str,
    pub id: &'static str,
    pub summary: &'static str,
    /// A query parameter, and what it is for.
    pub query: Option<(&'static str, &'static str)>,
    pub answer: Body,
    /// Other than that of a wrong method.
    pub refusals: &'static [u16],
    ask: fn(&str, &Query<'_>) -> Result<Ask, Problem>,
}

pub enum Body {
    Json(SchemaOf),
    Text(&'static str),
}

/// Before the first map there is nothing to answer from.
const NO_MAP: u16 = 503;

pub static OPERATIONS: &[Operation] = &[
    Operation {
        path: "/api/bootstrap",
        id: "bootstrap",
        summary: "All the page needs to start watching",
        query: None,
        answer: Body::Json(schema_of::<Bootstrap>),
        refusals: &[NO_MAP],
        ask: |_, _| Ok(Ask::Document(Document::Bootstrap)),
    },
    Operation {
        path: "/api/schedule",
        id: "schedule",
        summary: "Meetings and their sessions",
        query: None,
        answer: Body::Json(schema_of::<Schedule>),
        refusals: &[NO_MAP],
        ask: |_, _| Ok(Ask::Document(Document::Schedule)),
    },
    Operation {
        path: "/api/sessions/{id}",
        id: "session",
        summary: "One session, also under an id that it had before it was renamed or moved",
        query: None,
        answer: Body::Json(schema_of::<Session>),
        refusals: &[404, NO_MAP],
        ask: |id, _| Ok(Ask::Session(id.to_owned())),
    },
    Operation {
        path: "/api/streams",
        id: "streams",
        summary: "What can be watched, and how well; what is known and down, with since when and why",
        query: Some((
            "session",
            "Only what can be watched of this session: nothing unless it is live",
        )),
        answer: Body::Json(schema_of::<Streams>),
        refusals: &[400, 404, NO_MAP],
        ask: |_, query| {
            let session = query.get("session")?;
            Ok(Ask::Streams(session.map(std::borrow::Cow::into_owned)))
        },
    },
    Operation {
        path: "/api/streams/{id}",
        id: "stream",
        summary: "One stream",
        query: None,
        answer: Body::Json(schema_of::<PublicStream>),
        refusals: &[404, NO_MAP],
        ask: |id, _| Ok(Ask::Stream(id.to_owned())),
    },
    Operation {
        path: "/api/streams/{id}/explain",
        id: "explain",
        summary: "Why a stream's sources stand in their order",
        query: None,
        answer: Body::Json(schema_of::<Explanation>),
        refusals: &[404, NO_MAP],
        ask: |id, _| Ok(Ask::Explain(id.to_owned())),
    },
    Operation {
        path: "/api/extractors",
        id: "extractors",
        summary: "The sources' last runs",
        query: None,
        answer: Body::Json(schema_of::<Extractors>),
        refusals: &[NO_MAP],
        ask: |_, _| Ok(Ask::Document(Document::Extractors)),
    },
    Operation {
        path: "/api/status",
        id: "status",
        summary: "How the control plane fares",
        query: None,
        answer: Body::Json(schema_of::<Status>),
        refusals: &[NO_MAP],
        ask: |_, _| Ok(Ask::Document(Document::Status)),
    },
    Operation {
        path: "/api/widget",
        id: "widget",
        summary: "A few figures for a dashboard",
        query: None,
        answer: Body::Json(schema_of::<Widget>),
        refusals: &[NO_MAP],
        ask: |_, _| Ok(Ask::Widget),
    },
    Operation {
        path: "/api/events",
        id: "events",
        summary: "Server-sent events: session, source-died, switched, and last, with its version \
                  for an id, map; Last-Event-ID catches up",
        query: None,
        answer: Body::Text("text/event-stream"),
        refusals: &[503],
        ask: |_, _| Ok(Ask::Events),
    },
    Operation {
        path: "/api/openapi.json",
        id: "openapi",
        summary: "This document",
        query: None,
        answer: Body::Json(super::openapi::any_object),
        refusals: &[],
        ask: |_, _| Ok(Ask::OpenApi),
    },
    Operation {
        path: "/calendar.ics",
        id: "calendar",
        summary: "Sessions, for calendars",
        query: None,
        answer: Body::Text("text/calendar; charset=utf-8"),
        refusals: &[NO_MAP],
        ask: |_, _| Ok(Ask::Document(Document::Calendar)),
    },
    Operation {
        path: "/iptv/playlist.m3u",
        id: "channels",
        summary: "Streams, for players of channels",
        query: None,
        answer: Body::Text("audio/x-mpegurl"),
        refusals: &[NO_MAP],
        ask: |_, _| Ok(Ask::Document(Document::Playlist)),
    },
    Operation {
        path: "/iptv/guide.xml",
        id: "guide",
        summary: "Their programme, in XMLTV",
        query: None,
        answer: Body::Text("application/xml; charset=utf-8"),
        refusals: &[NO_MAP],
        ask: |_, _| Ok(Ask::Document(Document::Guide)),
    },
    Operation {
        path: "/healthz",
        id: "healthy",
        summary: "The process lives",
        query: None,
        answer: Body::Text("text/plain"),
        refusals: &[],
        ask: |_, _| Ok(Ask::Health),
    },
    Operation {
        path: "/readyz",
        id: "ready",
        summary: "It has a map and is not about to stop",
        query: None,
        answer: Body::Text("text/plain"),
        refusals: &[503],
        ask: |_, _| Ok(Ask::Ready),
    },
];

/// What the control plane answers, and what with. It describes them itself.
const COMMANDS: [(&str, Method); 3] = [
    ("/api/extractors/{name}/run", Method::POST),
    ("/api/extractors/{name}/trace", Method::GET),
    ("/api/streams/{id}/switch", Method::POST),
];

pub const REPORTS: &str = "/api/cmcd";

/// What is asked for at a path; `None` where nothing of this kind is.
pub fn find(path: &str, query: &Query<'_>) -> Option<Result<Ask, Problem>> {
    let command = COMMANDS.iter().find(|(template, _)| parameter(template, path).is_some());
    if let Some((_, method)) = command {
        return Some(Ok(Ask::Command(method.clone())));
    }
    if path == REPORTS {
        return Some(Ok(Ask::Report));
    }
    OPERATIONS.iter().find_map(|operation| {
        let given = parameter(operation.path, path)?;
        let given = percent_decode_str(given).decode_utf8().map_err(|_| Problem::NotFound);
        Some(given.and_then(|given| (operation.ask)(&given, query)))
    })
}

/// What stands for the `{name}` of a template; empty where it has none. `None`: another path.
fn parameter<'a>(template: &str, path: &'a str) -> Option<&'a str> {
    let mut given = "";
    let (mut templates, mut segments) = (template.split('/'), path.split('/'));
    loop {
        match (templates.next(), segments.next()) {
            (None, None) => return Some(given),
            (Some(template), Some(segment)) if template.starts_with('{') && !segment.is_empty() => {
                given = segment;
            }
            (Some(template), Some(segment)) if template == segment => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        let session = Some(Ok(Ask::Session("2026:monaco:monaco:R".to_owned())));
        for (path, query, expected) in [
            ("/api/bootstrap", "", Some(Ok(Ask::Document(Document::Bootstrap)))),
            ("/api/sessions/2026:monaco:monaco:R", "", session.clone()),
            ("/api/sessions/2026%3Amonaco%3Amonaco%3AR", "", session),
            ("/api/sessions/%ff", "", Some(Err(Problem::NotFound))),
            ("/api/sessions/", "", None),
            ("/api/streams", "", Some(Ok(Ask::Streams(None)))),
            ("/api/streams", "session=a%3Ab", Some(Ok(Ask::Streams(Some("a:b".to_owned()))))),
            ("/api/streams/w", "", Some(Ok(Ask::Stream("w".to_owned())))),
            ("/api/streams/w/explain", "", Some(Ok(Ask::Explain("w".to_owned())))),
            ("/api/streams/w/switch", "", Some(Ok(Ask::Command(Method::POST)))),
            ("/api/extractors/club/trace", "", Some(Ok(Ask::Command(Method::GET)))),
            ("/api/extractors/club/other", "", None),
            ("/api/cmcd", "key=x", Some(Ok(Ask::Report))),
            ("/calendar.ics", "", Some(Ok(Ask::Document(Document::Calendar)))),
            ("/api", "", None),
            ("/api/nothing", "", None),
            ("/", "", None),
        ] {
            assert_eq!(find(path, &Query(query)), expected, "{path}?{query}");
        }
    }
}
