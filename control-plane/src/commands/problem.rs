//! What can be wrong with a command, and the one place where that becomes a status.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use pitwall_upstream_map::documents::ProblemDetails;

use crate::engine::command::Refused;

pub(super) const PROBLEM: &str = "application/problem+json";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    TokenMissing,
    TokenInvalid,
    NotFound,
    MethodNotAllowed,
    BadBody(String),
    BodyTooLarge,
    NotJson,
    Refused(Refused),
    /// Another control plane leads, and this one cannot say where, or was sent here by one that
    /// does not lead either.
    StandingBy,
    /// Nobody leads: the store, which says who does, cannot be reached.
    NobodyLeads,
    /// Nobody knows yet who leads.
    Undecided,
    /// The one that leads cannot be connected to.
    LeaderSilent,
    /// It was sent the command and did not answer.
    Unanswered,
    /// The queue does not answer.
    Busy,
}

impl Problem {
    fn parts(&self) -> (StatusCode, &'static str, String) {
        let text = str::to_owned;
        match self {
            Self::TokenMissing => (
                StatusCode::UNAUTHORIZED,
                "admin-token-missing",
                text("send the admin token: Authorization: Bearer …"),
            ),
            Self::TokenInvalid => (
                StatusCode::UNAUTHORIZED,
                "admin-token-invalid",
                text("this is not the admin token, or none is configured"),
            ),
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "not-found", text("there is nothing at this path"))
            }
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                text("this path takes another method"),
            ),
            Self::BadBody(why) => (StatusCode::BAD_REQUEST, "bad-body", why.clone()),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                text("no command is as long as this"),
            ),
            Self::NotJson => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", text("a body is application/json"))
            }
            Self::Refused(refused) => refused_parts(refused),
            Self::StandingBy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "standing-by",
                text(
                    "another control plane leads, and it is not known where: [control] advertise \
                     says it. Nothing was changed",
                ),
            ),
            Self::NobodyLeads => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store-unavailable",
                text("nobody leads: the store cannot be reached. Nothing was changed"),
            ),
            Self::Undecided => (
                StatusCode::SERVICE_UNAVAILABLE,
                "standing-by",
                text("it is not decided yet which control plane leads. Nothing was changed"),
            ),
            Self::LeaderSilent => (
                StatusCode::SERVICE_UNAVAILABLE,
                "leader-silent",
                text("another control plane leads, and it cannot be reached. Nothing was changed"),
            ),
            Self::Unanswered => (
                StatusCode::GATEWAY_TIMEOUT,
                "outcome-unknown",
                text(
                    "the control plane that leads was sent this and did not answer in time: look \
                     whether it was done before you send it again",
                ),
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                text("the control plane is busy: nothing was changed"),
            ),
        }
    }
}

fn refused_parts(refused: &Refused) -> (StatusCode, &'static str, String) {
    let (status, name, detail) = match refused {
        Refused::NoExtractor => {
            (StatusCode::NOT_FOUND, "extractor-unknown", "no source has this name")
        }
        Refused::NoStream => (StatusCode::NOT_FOUND, "stream-unknown", "no stream has this id"),
        Refused::NoUpstream => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "upstream-unknown",
            "the stream has nothing else, or nothing of that source",
        ),
        Refused::Down => (StatusCode::CONFLICT, "upstream-down", "it cannot play now"),
        Refused::NoTrace => (
            StatusCode::NOT_FOUND,
            "trace-missing",
            "no run of this source has ended since the control plane started: there is a trace as \
             soon as one has",
        ),
        Refused::NotStored(why) => {
            let detail = format!("the store cannot be reached: nothing was changed ({why})");
            return (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", detail);
        }
        Refused::NotLeading => return Problem::StandingBy.parts(),
        Refused::TakingOver => (
            StatusCode::SERVICE_UNAVAILABLE,
            "taking-over",
            "this control plane has just begun to lead, and finds what plays by the last map again: \
             nothing was changed",
        ),
        Refused::Busy => return Problem::Busy.parts(),
    };
    (status, name, detail.to_owned())
}

/// As RFC 9457 has it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, detail) = self.parts();
        let body = axum::Json(ProblemDetails::new(name, status, detail));
        let content_type = HeaderValue::from_static(PROBLEM);
        let mut response = (status, [(header::CONTENT_TYPE, content_type)], body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
