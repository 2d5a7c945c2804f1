//! What can be wrong with a request, and the one place where that becomes a status.

use std::fmt;

use http::StatusCode;
use pitwall_fetch::{FetchError, Kind, Reason};
use pitwall_upstream_map::StreamId;
use pitwall_upstream_map::documents::ProblemDetails;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    BadUrl(&'static str),
    /// Neither the key, nor a cookie or a token.
    KeyMissing,
    KeyInvalid,
    KeyExpired,
    /// Of a request that shows nothing else.
    AdminTokenInvalid,
    /// Neither `url=` nor `u=`.
    SealMissing,
    SealInvalid,
    SealExpired,
    TargetDenied,
    NotFound,
    /// With those that are.
    MethodNotAllowed(&'static str),
    BodyNotAllowed,
    BadBody(&'static str),
    BodyTooLarge,
    /// It is of no kind that is read here.
    NotCmcd,
    UriTooLong,
    HeadersTooLarge,
    /// The upstream's own refusal, passed on with its meaning.
    UpstreamStatus(StatusCode),
    /// The upstream answered with something that is not what it should be.
    UpstreamInvalid(String),
    UpstreamUnreachable(String),
    UpstreamTimeout,
    /// Nothing plays now; worth asking again.
    Unavailable(&'static str),
    /// Of a stream that is known, nothing plays now.
    StreamDown(StreamId),
    /// The first map is still being made, or this is no longer the place to ask.
    Starting,
    Stopping,
    /// What the control plane publishes is sealed with a key that this edge does not have.
    MapUnreadable,
    Busy(&'static str),
    TooManyRequests,
    ControlUnreachable,
    /// A control plane was sent a command and does not answer.
    OutcomeUnknown,
}

impl Problem {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadUrl(_) | Self::BadBody(_) => StatusCode::BAD_REQUEST,
            Self::KeyMissing | Self::KeyInvalid | Self::KeyExpired | Self::AdminTokenInvalid => {
                StatusCode::UNAUTHORIZED
            }
            Self::SealMissing | Self::SealInvalid | Self::SealExpired => StatusCode::UNAUTHORIZED,
            Self::TargetDenied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyNotAllowed | Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotCmcd => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UpstreamStatus(status) => *status,
            Self::UpstreamInvalid(_) | Self::UpstreamUnreachable(_) => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout | Self::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_)
            | Self::StreamDown(_)
            | Self::Starting
            | Self::Stopping
            | Self::MapUnreadable
            | Self::Busy(_)
            | Self::ControlUnreachable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Stable: clients and dashboards match on it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BadUrl(_) => "bad-url",
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
            Self::NotCmcd => "not-cmcd",
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
            Self::TooManyRequests => "too-many-requests",
            Self::ControlUnreachable => "control-unreachable",
            Self::OutcomeUnknown => "outcome-unknown",
        }
    }

    /// Is it what an upstream says to a link that was good once?
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::UpstreamStatus(status) if matches!(status.as_u16(), 401 | 403 | 404 | 410))
    }

    /// As RFC 9457 has it.
    pub fn json(&self) -> String {
        let details = ProblemDetails::new(self.name(), self.status(), self.to_string());
        serde_json::to_string(&details).unwrap_or_default()
    }

    /// Is it the upstream's doing, so that another try or another upstream may do better?
    pub fn may_pass(&self) -> bool {
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
            Self::NotCmcd => {
                f.write_str("Reports are application/cmcd, application/json or text/plain.")
            }
            Self::UriTooLong => f.write_str("The URL is longer than 8 KiB."),
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
            Self::TooManyRequests => {
                f.write_str("More requests a second than one client may send.")
            }
            Self::ControlUnreachable => {
                f.write_str("No control plane can be reached: nothing was changed.")
            }
            Self::OutcomeUnknown => f.write_str(
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
            Kind::BadUrl(why) => Self::BadUrl(why),
            Kind::Denied => Self::TargetDenied,
            Kind::Resolve => Self::UpstreamUnreachable("its name does not resolve".to_owned()),
            Kind::Connect => {
                let why = error.reason.and_then(Reason::public);
                Self::UpstreamUnreachable(why.unwrap_or("the connection failed").to_owned())
            }
            Kind::Tls => Self::UpstreamUnreachable(error.public()),
            Kind::TooManyRedirects | Kind::BadRedirect => {
                Self::UpstreamInvalid("its redirects cannot be followed".to_owned())
            }
            Kind::TooLarge => Self::UpstreamInvalid("it is too large".to_owned()),
            Kind::Body => Self::UpstreamInvalid("it broke off".to_owned()),
            Kind::Timeout => Self::UpstreamTimeout,
        }
    }
}

/// What an upstream's status means to whoever asked here.
pub fn of_upstream_status(status: StatusCode) -> Problem {
    if status.is_client_error() || status.is_server_error() {
        Problem::UpstreamStatus(status)
    } else {
        Problem::UpstreamInvalid(format!("its status is {status}"))
    }
}
