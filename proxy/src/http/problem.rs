//! [`Problem`]: the errors of requests, and the one place that maps them to HTTP statuses.

use std::fmt;

use http::StatusCode;
use pitwall_fetch::{FailureReason, FetchError, FetchErrorKind};
use pitwall_upstream_map::StreamId;
use pitwall_upstream_map::documents::ProblemDetails;

/// Why a request fails. `Display` gives the `detail` that clients see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    BadUrl(&'static str),
    /// A delivery directive that the playlist offers has a value that cannot be honoured.
    BadDirective(&'static str),
    /// The request presents neither the access key nor a cookie or a token.
    KeyMissing,
    KeyInvalid,
    KeyExpired,
    /// The request presents a wrong admin token, and no key or cookie.
    AdminTokenInvalid,
    /// The link has neither `url=` nor `u=`.
    SealMissing,
    SealInvalid,
    SealExpired,
    TargetDenied,
    NotFound,
    /// With the methods that are allowed, for `Allow`.
    MethodNotAllowed(&'static str),
    BodyNotAllowed,
    BadBody(&'static str),
    BodyTooLarge,
    /// The content type of posted reports is none that CMCD reports are parsed from.
    UnsupportedReportType,
    UriTooLong,
    HeadersTooLarge,
    /// The upstream's error status, which becomes the status of the response.
    UpstreamStatus(StatusCode),
    /// The upstream's response is not what it should be.
    UpstreamInvalid(String),
    UpstreamUnreachable(String),
    UpstreamTimeout,
    /// Nothing can be played now; the client may retry.
    Unavailable(&'static str),
    /// All upstreams of a known stream are down.
    StreamDown(StreamId),
    /// This edge has no map yet, or lacks a document of it.
    Starting,
    /// This edge is draining.
    Stopping,
    /// This edge lacks the key that the newest map is encrypted with.
    MapUnreadable,
    /// A limit of all clients is reached.
    Busy(&'static str),
    /// A limit of this client is reached.
    TooManyRequests(&'static str),
    /// No control plane received the command.
    ControlUnreachable,
    /// A control plane was sent a command and did not answer: it may have executed the command.
    CommandOutcomeUnknown,
}

impl Problem {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadUrl(_) | Self::BadDirective(_) | Self::BadBody(_) => StatusCode::BAD_REQUEST,
            Self::KeyMissing | Self::KeyInvalid | Self::KeyExpired | Self::AdminTokenInvalid => {
                StatusCode::UNAUTHORIZED
            }
            Self::SealMissing | Self::SealInvalid | Self::SealExpired => StatusCode::UNAUTHORIZED,
            Self::TargetDenied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyNotAllowed | Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedReportType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UpstreamStatus(status) => *status,
            Self::UpstreamInvalid(_) | Self::UpstreamUnreachable(_) => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout | Self::CommandOutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
            Self::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_)
            | Self::StreamDown(_)
            | Self::Starting
            | Self::Stopping
            | Self::MapUnreadable
            | Self::Busy(_)
            | Self::ControlUnreachable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The problem's type in `application/problem+json`. It is stable, as clients and dashboards
    /// match on it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BadUrl(_) => "bad-url",
            Self::BadDirective(_) => "bad-directive",
            Self::KeyMissing => "key-missing",
            Self::KeyInvalid => "key-invalid",
            Self::KeyExpired => "key-expired",
            Self::AdminTokenInvalid => "admin-token-invalid",
            Self::SealMissing => "seal-missing",
            Self::SealInvalid => "seal-invalid",
            Self::SealExpired => "seal-expired",
            Self::TargetDenied => "target-denied",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed(_) => "method-not-allowed",
            Self::BodyNotAllowed => "body-not-allowed",
            Self::BadBody(_) => "bad-body",
            Self::BodyTooLarge => "body-too-large",
            Self::UnsupportedReportType => "not-cmcd",
            Self::UriTooLong => "uri-too-long",
            Self::HeadersTooLarge => "headers-too-large",
            Self::UpstreamStatus(_) => "upstream-status",
            Self::UpstreamInvalid(_) => "upstream-invalid",
            Self::UpstreamUnreachable(_) => "upstream-unreachable",
            Self::UpstreamTimeout => "upstream-timeout",
            Self::Unavailable(_) | Self::StreamDown(_) => "unavailable",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::MapUnreadable => "map-unreadable",
            Self::Busy(_) => "busy",
            Self::TooManyRequests(_) => "too-many-requests",
            Self::ControlUnreachable => "control-unreachable",
            Self::CommandOutcomeUnknown => "outcome-unknown",
        }
    }

    /// Whether an upstream's status (401, 403, 404, 410) is that of a link that has worked before
    /// and has expired.
    pub fn is_link_expired(&self) -> bool {
        matches!(self, Self::UpstreamStatus(status) if matches!(status.as_u16(), 401 | 403 | 404 | 410))
    }

    /// The problem details object (RFC 9457) as JSON.
    pub fn to_json(&self) -> String {
        let details = ProblemDetails::new(self.name(), self.status(), self.to_string());
        serde_json::to_string(&details).unwrap_or_default()
    }

    /// Whether the edge may succeed by another attempt, with this upstream or another one.
    pub fn can_edge_retry(&self) -> bool {
        matches!(
            self,
            Self::UpstreamStatus(_)
                | Self::UpstreamInvalid(_)
                | Self::UpstreamUnreachable(_)
                | Self::UpstreamTimeout
                | Self::TargetDenied
                | Self::Unavailable(_)
                | Self::StreamDown(_)
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(why) => write!(f, "The URL cannot be used: {why}."),
            Self::BadDirective(why) => write!(f, "The playlist cannot be given so: {why}."),
            Self::KeyMissing => {
                f.write_str("Show the key once: open this address with ?key= and the key.")
            }
            Self::KeyInvalid => f.write_str("This is not the key, nor a token for this."),
            Self::KeyExpired => f.write_str("This token has ended: show the key again."),
            Self::SealMissing => f.write_str("The link names no target: it needs url= or u=."),
            Self::SealInvalid => f.write_str("The link's seal was not made here for this path."),
            Self::SealExpired => f.write_str("The link is too old: load its playlist again."),
            Self::TargetDenied => f.write_str("This target may not be reached through here."),
            Self::NotFound => f.write_str("There is nothing here."),
            Self::MethodNotAllowed(allowed) => write!(f, "What works here: {allowed}."),
            Self::BodyNotAllowed => f.write_str("A request for media carries no body."),
            Self::BadBody(why) => write!(f, "The body cannot be read: {why}."),
            Self::BodyTooLarge => f.write_str("The body is longer than 64 KiB."),
            Self::UnsupportedReportType => {
                f.write_str("Reports are application/cmcd, application/json or text/plain.")
            }
            Self::UriTooLong => f.write_str("The URL is longer than 16 KiB."),
            Self::HeadersTooLarge => {
                f.write_str("The request has more than 100 headers, or more than 32 KiB of them.")
            }
            Self::UpstreamStatus(status) => write!(f, "The upstream answered {status}."),
            Self::UpstreamInvalid(why) => write!(f, "The upstream's answer cannot be used: {why}."),
            Self::UpstreamUnreachable(why) => write!(f, "The upstream cannot be reached: {why}."),
            Self::UpstreamTimeout => f.write_str("The upstream did not answer in time."),
            Self::Unavailable(why) => write!(f, "Nothing can be played right now: {why}."),
            Self::StreamDown(stream) => {
                write!(f, "{stream} is known; all its sources are down. Ask again soon.")
            }
            Self::Starting => f.write_str("The control plane is still making its first map."),
            Self::Stopping => f.write_str("This edge is shutting down."),
            Self::MapUnreadable => f.write_str("This edge cannot read what is published."),
            Self::Busy(why) => write!(f, "Not now: {why}."),
            Self::TooManyRequests(why) => f.write_str(why),
            Self::ControlUnreachable => {
                f.write_str("No control plane can be reached: nothing was changed.")
            }
            Self::CommandOutcomeUnknown => f.write_str(
                "A control plane was sent this and did not answer in time: look whether it was done \
                 before you send it again.",
            ),
            Self::AdminTokenInvalid => f.write_str("This is not the admin token."),
        }
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        match error.kind {
            FetchErrorKind::BadUrl(why) => Self::BadUrl(why),
            FetchErrorKind::Denied => Self::TargetDenied,
            FetchErrorKind::Resolve => {
                Self::UpstreamUnreachable("its name does not resolve".to_owned())
            }
            FetchErrorKind::Connect => {
                let why = error.reason.and_then(FailureReason::public_text);
                Self::UpstreamUnreachable(why.unwrap_or("the connection failed").to_owned())
            }
            FetchErrorKind::Tls => Self::UpstreamUnreachable(error.public_text()),
            FetchErrorKind::TooManyRedirects | FetchErrorKind::BadRedirect => {
                Self::UpstreamInvalid("its redirects cannot be followed".to_owned())
            }
            FetchErrorKind::TooLarge => Self::UpstreamInvalid("it is too large".to_owned()),
            FetchErrorKind::Body => Self::UpstreamInvalid("it broke off".to_owned()),
            FetchErrorKind::Timeout => Self::UpstreamTimeout,
        }
    }
}

/// The problem of an upstream response whose status is not the expected one.
pub fn upstream_status_problem(status: StatusCode) -> Problem {
    if status.is_client_error() || status.is_server_error() {
        Problem::UpstreamStatus(status)
    } else {
        Problem::UpstreamInvalid(format!("its status is {status}"))
    }
}
