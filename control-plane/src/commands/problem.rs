//! [`Problem`]: why a command failed, and the only mapping to HTTP statuses.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use pitwall_upstream_map::documents::ProblemDetails;

use crate::config_files::FileError;
use crate::model::command::CommandError;

pub(super) const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    TokenMissing,
    TokenInvalid,
    /// The command was signed this many seconds ago by this control plane's clock, which may be
    /// negative.
    SignatureExpired {
        age: i64,
    },
    /// A command with this signature was executed already.
    SignatureReplayed,
    NotFound,
    MethodNotAllowed,
    BadBody(String),
    BodyTooLarge,
    NotJson,
    CommandFailed(CommandError),
    FileRefused(FileError),
    /// No trial has this id, or it was long ago.
    TrialUnknown,
    /// As many trials run as may.
    TrialsBusy,
    /// A task of this process failed.
    Failed,
    /// Another control plane leads, and its address is unknown here.
    StandingBy,
    /// No control plane is known to lead, as the store cannot be reached.
    NoLeader,
    /// It is not decided yet which control plane leads, or a forwarded command reached one that
    /// does not.
    LeaderUndecided,
    /// No connection to the leader could be made.
    LeaderUnreachable,
    /// The leader was sent the command and did not respond in time.
    OutcomeUnknown,
    /// The engine does not reply.
    Busy,
}

impl Problem {
    fn response_parts(&self) -> (StatusCode, &'static str, String) {
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
            Self::SignatureExpired { age } => (
                StatusCode::UNAUTHORIZED,
                "signature-expired",
                format!(
                    "the command was signed {age} s ago by the control plane's clock, and 60 s are \
                     accepted: set the clocks of edge and control plane. Nothing was changed"
                ),
            ),
            Self::SignatureReplayed => (
                StatusCode::UNAUTHORIZED,
                "signature-replayed",
                text("this command came before: somebody repeats it. Nothing was changed"),
            ),
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "not-found", text("there is nothing at this path"))
            }
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                text("this path takes another method"),
            ),
            Self::BadBody(reason) => (StatusCode::BAD_REQUEST, "bad-body", reason.clone()),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                text("no command is as long as this"),
            ),
            Self::NotJson => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", text("a body is application/json"))
            }
            Self::CommandFailed(error) => command_error_parts(error),
            Self::FileRefused(error) => file_error_parts(error),
            Self::TrialUnknown => (
                StatusCode::NOT_FOUND,
                "trial-unknown",
                text("no trial has this id, or it was too long ago: start another one"),
            ),
            Self::TrialsBusy => (
                StatusCode::CONFLICT,
                "trials-busy",
                text("other trials run: wait until one has ended"),
            ),
            Self::Failed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "failed",
                text("the control plane failed: its log says more"),
            ),
            Self::StandingBy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "standing-by",
                text(
                    "another control plane leads, and it is not known where: [control] advertise \
                     says it. Nothing was changed",
                ),
            ),
            Self::NoLeader => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store-unavailable",
                text("nobody leads: the store cannot be reached. Nothing was changed"),
            ),
            Self::LeaderUndecided => (
                StatusCode::SERVICE_UNAVAILABLE,
                "standing-by",
                text("it is not decided yet which control plane leads. Nothing was changed"),
            ),
            Self::LeaderUnreachable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "leader-silent",
                text("another control plane leads, and it cannot be reached. Nothing was changed"),
            ),
            Self::OutcomeUnknown => (
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

fn command_error_parts(error: &CommandError) -> (StatusCode, &'static str, String) {
    let (status, name, detail) = match error {
        CommandError::NoExtractor => {
            (StatusCode::NOT_FOUND, "extractor-unknown", "no source has this name")
        }
        CommandError::NoStream => {
            (StatusCode::NOT_FOUND, "stream-unknown", "no stream has this id")
        }
        CommandError::NoUpstream => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "upstream-unknown",
            "the stream has nothing else, or nothing of that source",
        ),
        CommandError::UpstreamDown => (StatusCode::CONFLICT, "upstream-down", "it cannot play now"),
        CommandError::NoTrace => (
            StatusCode::NOT_FOUND,
            "trace-missing",
            "no run of this source has ended since the control plane started: there is a trace as \
             soon as one has",
        ),
        CommandError::StoreUnavailable(reason) => {
            let detail = format!("the store cannot be reached: nothing was changed ({reason})");
            return (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", detail);
        }
        CommandError::NotLeading => return Problem::StandingBy.response_parts(),
        CommandError::TakingOver => (
            StatusCode::SERVICE_UNAVAILABLE,
            "taking-over",
            "this control plane has just begun to lead, and finds what plays by the last map again: \
             nothing was changed",
        ),
        CommandError::Busy => return Problem::Busy.response_parts(),
    };
    (status, name, detail.to_owned())
}

fn file_error_parts(error: &FileError) -> (StatusCode, &'static str, String) {
    match error {
        FileError::NotConfigured(why) => {
            (StatusCode::NOT_FOUND, "file-not-configured", (*why).to_owned())
        }
        FileError::Unknown(name) => (
            StatusCode::NOT_FOUND,
            "source-file-unknown",
            format!("sources/ has no file {name}.toml"),
        ),
        FileError::ReadOnly(why) => (
            StatusCode::FORBIDDEN,
            "file-read-only",
            format!("the file cannot be changed here: {why}"),
        ),
        FileError::BadName(name) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad-name",
            format!("{name:?} is not a name: use [a-z0-9_-], at most 64 characters"),
        ),
        FileError::PreconditionMissing => (
            StatusCode::PRECONDITION_REQUIRED,
            "version-missing",
            "send the version that you change, as it was read: If-Match: \"…\"; for a new file \
             If-None-Match: *"
                .to_owned(),
        ),
        FileError::Changed => (
            StatusCode::PRECONDITION_FAILED,
            "file-changed",
            "the file is not the one that was read: somebody else has changed, made or removed it. \
             Read it again"
                .to_owned(),
        ),
        FileError::NameTaken { name, location } => (
            StatusCode::CONFLICT,
            "source-name-taken",
            format!("name: {location} has a source {name:?} already"),
        ),
        FileError::Invalid(invalid) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "file-invalid", invalid.to_string())
        }
        FileError::Io(why) => (StatusCode::INTERNAL_SERVER_ERROR, "file-failed", why.clone()),
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        Self::FileRefused(error)
    }
}

/// Problem details by RFC 9457.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, detail) = self.response_parts();
        let body = axum::Json(ProblemDetails::new(name, status, detail));
        let content_type = HeaderValue::from_static(PROBLEM_CONTENT_TYPE);
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
