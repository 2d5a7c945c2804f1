//! [`OPERATIONS`]: the table of API operations. Routing, the OpenAPI document and the tests that
//! walk it follow from it, so that a new operation is a new row.

use percent_encoding::percent_decode_str;
use pitwall_upstream_map::documents::{
    Activity, Bootstrap, Explanation, Extractors, PublicStream, Schedule, Session, Status, Streams,
};

use super::composed_documents::Widget;
use super::schema::{SchemaFn, any_object_schema, schema_of};
use crate::http::problem::Problem;
use crate::http::query::Query;

/// A parsed API request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiRequest {
    Document(DocumentKind),
    Session(String),
    /// All streams, or those of the session with this id.
    Streams(Option<String>),
    Stream(String),
    Explain(String),
    Widget,
    Events,
    OpenApi,
    Health,
    Ready,
    /// CMCD reports, which players post.
    Report,
    /// A command, with the methods of its path as `Allow` lists them. It is forwarded to the
    /// control plane, which checks everything else.
    Command(&'static str),
}

/// A document that is served whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    Bootstrap,
    Schedule,
    Extractors,
    Status,
    Activity,
    Calendar,
    Guide,
    IptvPlaylist,
}

/// An operation of the API: a `GET`.
pub struct Operation {
    /// Path template with at most one `{name}`, which is a whole path segment.
    pub path: &'static str,
    /// OpenAPI `operationId`.
    pub id: &'static str,
    pub summary: &'static str,
    /// A query parameter and its description.
    pub query_parameter: Option<(&'static str, &'static str)>,
    pub response: ResponseContent,
    /// Statuses of errors, except 401 and 405.
    pub error_statuses: &'static [u16],
    parse: fn(&str, &Query<'_>) -> Result<ApiRequest, Problem>,
}

/// What a response of status 200 holds.
pub enum ResponseContent {
    Json(SchemaFn),
    /// Text of this content type.
    Text(&'static str),
}

/// The status of operations that need a map, before the first one.
const NO_MAP_STATUS: u16 = 503;

pub static OPERATIONS: &[Operation] = &[
    Operation {
        path: "/api/bootstrap",
        id: "bootstrap",
        summary: "All the page needs to start watching",
        query_parameter: None,
        response: ResponseContent::Json(schema_of::<Bootstrap>),
        error_statuses: &[NO_MAP_STATUS],
        parse: |_, _| Ok(ApiRequest::Document(DocumentKind::Bootstrap)),
    },
    Operation {
        path: "/api/schedule",
        id: "schedule",
        summary: "Meetings and their sessions",
        query_parameter: None,
        response: ResponseContent::Json(schema_of::<Schedule>),
        error_statuses: &[NO_MAP_STATUS],
        parse: |_, _| Ok(ApiRequest::Document(DocumentKind::Schedule)),
    },
    Operation {
        path: "/api/sessions/{id}",
        id: "session",
        summary: "One session, also under an id that it had before it was renamed or moved",
        query_parameter: None,
        response: ResponseContent::Json(schema_of::<Session>),
        error_statuses: &[404, NO_MAP_STATUS],
        parse: |id, _| Ok(ApiRequest::Session(id.to_owned())),
    },
    Operation {
        path: "/api/streams",
        id: "streams",
        summary: "What can be watched, and how well; what is known and down, with since when and why",
        query_parameter: Some((
            "session",
            "Only what can be watched of this session: nothing unless it is live",
        )),
        response: ResponseContent::Json(schema_of::<Streams>),
        error_statuses: &[400, 404, NO_MAP_STATUS],
        parse: |_, query| {
            let session = query.get("session")?;
            Ok(ApiRequest::Streams(session.map(std::borrow::Cow::into_owned)))
        },
    },
    Operation {
        path: "/api/streams/{id}",
        id: "stream",
        summary: "One stream",
        query_parameter: None,
        response: ResponseContent::Json(schema_of::<PublicStream>),
        error_statuses: &[404, NO_MAP_STATUS],
        parse: |id, _| Ok(ApiRequest::Stream(id.to_owned())),
    },
    Operation {
        path: "/api/streams/{id}/explain",
        id: "explain",
        summary: "Why a stream's sources stand in their order",
        query_parameter: None,
        response: ResponseContent::Json(schema_of::<Explanation>),
        error_statuses: &[404, NO_MAP_STATUS],
        parse: |id, _| Ok(ApiRequest::Explain(id.to_owned())),
    },
    Operation {
        path: "/api/extractors",
        id: "extractors",
        summary: "How the sources' last runs ended",
        query_parameter: None,
        response: ResponseContent::Json(schema_of::<Extractors>),
        error_statuses: &[NO_MAP_STATUS],
        parse: |_, _| Ok(ApiRequest::Document(DocumentKind::Extractors)),
    },
    Operation {
        path: "/api/status",
        id: "status",
        summary: "How the control plane fares",
        query_parameter: None,
        response: ResponseContent::Json(schema_of::<Status>),
        error_statuses: &[NO_MAP_STATUS],
        parse: |_, _| Ok(ApiRequest::Document(DocumentKind::Status)),
    },
    Operation {
        path: "/api/activity",
        id: "activity",
        summary: "When streams were checked and sources asked, every half a minute",
        query_parameter: None,
        response: ResponseContent::Json(schema_of::<Activity>),
        error_statuses: &[NO_MAP_STATUS],
        parse: |_, _| Ok(ApiRequest::Document(DocumentKind::Activity)),
    },
    Operation {
        path: "/api/widget",
        id: "widget",
        summary: "A few figures for a dashboard",
        query_parameter: None,
        response: ResponseContent::Json(schema_of::<Widget>),
        error_statuses: &[NO_MAP_STATUS],
        parse: |_, _| Ok(ApiRequest::Widget),
    },
    Operation {
        path: "/api/events",
        id: "events",
        summary: "Server-sent events: session, source-died, switched, and last, with its version \
                  for an id, map; Last-Event-ID catches up",
        query_parameter: None,
        response: ResponseContent::Text("text/event-stream"),
        error_statuses: &[503],
        parse: |_, _| Ok(ApiRequest::Events),
    },
    Operation {
        path: "/api/openapi.json",
        id: "openapi",
        summary: "This document",
        query_parameter: None,
        response: ResponseContent::Json(any_object_schema),
        error_statuses: &[],
        parse: |_, _| Ok(ApiRequest::OpenApi),
    },
    Operation {
        path: "/calendar.ics",
        id: "calendar",
        summary: "Sessions, for calendars",
        query_parameter: None,
        response: ResponseContent::Text("text/calendar; charset=utf-8"),
        error_statuses: &[NO_MAP_STATUS],
        parse: |_, _| Ok(ApiRequest::Document(DocumentKind::Calendar)),
    },
    Operation {
        path: "/iptv/playlist.m3u",
        id: "channels",
        summary: "Streams, for players of channels",
        query_parameter: None,
        response: ResponseContent::Text("audio/x-mpegurl"),
        error_statuses: &[NO_MAP_STATUS],
        parse: |_, _| Ok(ApiRequest::Document(DocumentKind::IptvPlaylist)),
    },
    Operation {
        path: "/iptv/guide.xml",
        id: "guide",
        summary: "Their programme, in XMLTV",
        query_parameter: None,
        response: ResponseContent::Text("application/xml; charset=utf-8"),
        error_statuses: &[NO_MAP_STATUS],
        parse: |_, _| Ok(ApiRequest::Document(DocumentKind::Guide)),
    },
    Operation {
        path: "/healthz",
        id: "healthy",
        summary: "The process lives",
        query_parameter: None,
        response: ResponseContent::Text("text/plain"),
        error_statuses: &[],
        parse: |_, _| Ok(ApiRequest::Health),
    },
    Operation {
        path: "/readyz",
        id: "ready",
        summary: "It has a map and is not about to stop",
        query_parameter: None,
        response: ResponseContent::Text("text/plain"),
        error_statuses: &[503],
        parse: |_, _| Ok(ApiRequest::Ready),
    },
];

/// Commands, which are forwarded to the control plane, with the methods of each path; the control
/// plane's own OpenAPI document describes them.
const COMMAND_ROUTES: [(&str, &str); 13] = [
    ("/api/extractors/{name}/run", "POST"),
    ("/api/extractors/{name}/trace", "GET, HEAD"),
    ("/api/streams/{id}/switch", "POST"),
    ("/api/viewers", "GET, HEAD"),
    ("/api/sources", "GET, HEAD"),
    ("/api/sources/{name}", "GET, HEAD, PUT, DELETE"),
    ("/api/sources/{name}/check", "POST"),
    ("/api/sources/{name}/trial", "POST"),
    ("/api/trials/{id}", "GET, HEAD"),
    ("/api/overrides", "GET, HEAD, PUT"),
    ("/api/overrides/check", "POST"),
    ("/api/notifications/test", "POST"),
    ("/api/reload", "POST"),
];

/// Where players post CMCD reports.
pub const REPORTS_PATH: &str = "/api/cmcd";

/// Parses a request for an API path; `None` for a path that is none.
pub fn parse_request(path: &str, query: &Query<'_>) -> Option<Result<ApiRequest, Problem>> {
    let command =
        COMMAND_ROUTES.iter().find(|(template, _)| match_template(template, path).is_some());
    if let Some((_, methods)) = command {
        return Some(Ok(ApiRequest::Command(methods)));
    }
    if path == REPORTS_PATH {
        return Some(Ok(ApiRequest::Report));
    }
    OPERATIONS.iter().find_map(|operation| {
        let value = match_template(operation.path, path)?;
        let value = percent_decode_str(value).decode_utf8().map_err(|_| Problem::NotFound);
        Some(value.and_then(|value| (operation.parse)(&value, query)))
    })
}

/// The path segment that stands for the template's `{name}`, empty for a template without one;
/// `None` when the path does not match.
fn match_template<'a>(template: &str, path: &'a str) -> Option<&'a str> {
    let mut value = "";
    let (mut templates, mut segments) = (template.split('/'), path.split('/'));
    loop {
        match (templates.next(), segments.next()) {
            (None, None) => return Some(value),
            (Some(template), Some(segment)) if template.starts_with('{') && !segment.is_empty() => {
                value = segment;
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
    fn paths_are_parsed_into_requests() {
        let session = Some(Ok(ApiRequest::Session("2026:monaco:monaco:R".to_owned())));
        for (path, query, expected) in [
            ("/api/bootstrap", "", Some(Ok(ApiRequest::Document(DocumentKind::Bootstrap)))),
            ("/api/activity", "", Some(Ok(ApiRequest::Document(DocumentKind::Activity)))),
            ("/api/sessions/2026:monaco:monaco:R", "", session.clone()),
            ("/api/sessions/2026%3Amonaco%3Amonaco%3AR", "", session),
            ("/api/sessions/%ff", "", Some(Err(Problem::NotFound))),
            ("/api/sessions/", "", None),
            ("/api/streams", "", Some(Ok(ApiRequest::Streams(None)))),
            (
                "/api/streams",
                "session=a%3Ab",
                Some(Ok(ApiRequest::Streams(Some("a:b".to_owned())))),
            ),
            ("/api/streams/w", "", Some(Ok(ApiRequest::Stream("w".to_owned())))),
            ("/api/streams/w/explain", "", Some(Ok(ApiRequest::Explain("w".to_owned())))),
            ("/api/streams/w/switch", "", Some(Ok(ApiRequest::Command("POST")))),
            ("/api/extractors/club/trace", "", Some(Ok(ApiRequest::Command("GET, HEAD")))),
            ("/api/sources/a", "", Some(Ok(ApiRequest::Command("GET, HEAD, PUT, DELETE")))),
            ("/api/sources/a/check", "", Some(Ok(ApiRequest::Command("POST")))),
            ("/api/extractors/club/other", "", None),
            ("/api/cmcd", "key=x", Some(Ok(ApiRequest::Report))),
            ("/calendar.ics", "", Some(Ok(ApiRequest::Document(DocumentKind::Calendar)))),
            ("/api", "", None),
            ("/api/nothing", "", None),
            ("/", "", None),
        ] {
            assert_eq!(parse_request(path, &Query(query)), expected, "{path}?{query}");
        }
    }
}
