//! Errors of fetching.

use std::fmt;
use std::io;

use crate::failure_reason::{ConnectionFault, FailureReason, PolicyDenial};

/// Why a request has no usable response.
#[derive(Clone, Debug)]
pub struct FetchError {
    pub kind: FetchErrorKind,
    pub reason: Option<FailureReason>,
    detail: Option<String>,
}

/// The class of a [`FetchError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchErrorKind {
    /// The URL is invalid, which is the caller's fault.
    BadUrl(&'static str),
    /// The address policy denies the target. All denials have the same public text, so that
    /// responses do not map internal networks.
    Denied,
    /// The host name does not resolve.
    Resolve,
    Connect,
    /// The TLS handshake failed, or the certificate is not trusted.
    Tls,
    /// A timeout: connecting, waiting for the response head, or between two reads of the body.
    Timeout,
    TooManyRedirects,
    BadRedirect,
    /// The body exceeds the caller's limit.
    TooLarge,
    /// The connection broke, or the message is malformed.
    Body,
}

impl FetchError {
    pub(crate) fn with_detail(kind: FetchErrorKind, detail: impl fmt::Display) -> Self {
        Self { kind, reason: None, detail: Some(detail.to_string()) }
    }

    /// From an I/O error of a connection.
    pub(crate) fn of_io(kind: FetchErrorKind, error: &io::Error) -> Self {
        Self { reason: FailureReason::of_io(error), ..Self::with_detail(kind, error) }
    }

    pub(crate) fn of_tls(error: &rustls::Error) -> Self {
        Self {
            reason: FailureReason::of_tls(error),
            ..Self::with_detail(FetchErrorKind::Tls, error)
        }
    }

    pub(crate) fn with_reason(self, reason: Option<FailureReason>) -> Self {
        Self { reason, ..self }
    }

    pub(crate) fn of_reason(kind: FetchErrorKind, reason: FailureReason) -> Self {
        Self { kind, reason: Some(reason), detail: None }
    }

    /// The error of a connection that was not made within the connect timeout.
    pub(crate) fn connect_timeout_error() -> Self {
        Self::of_reason(
            FetchErrorKind::Timeout,
            FailureReason::Connection(ConnectionFault::TimedOut),
        )
    }

    /// The same error for the target of a redirect, which is the upstream's fault.
    pub(crate) fn into_redirect_target_error(self) -> Self {
        Self { kind: FetchErrorKind::BadRedirect, ..self }
    }

    /// The rule of the address policy that denies the target, if one does.
    pub fn denial(&self) -> Option<PolicyDenial> {
        match self.reason {
            Some(FailureReason::Denied(denial)) => Some(denial),
            _ => None,
        }
    }

    /// Text for public responses, without host, address or system error.
    pub fn public_text(&self) -> String {
        let kind_text = self.kind_text();
        let reason = match self.kind {
            FetchErrorKind::BadUrl(reason) => Some(reason),
            _ => self.reason.and_then(FailureReason::public_text),
        };
        reason.map_or_else(|| kind_text.to_owned(), |reason| format!("{kind_text}: {reason}"))
    }

    /// Text for the operator, with all details and the configuration key that would allow a denied
    /// target. `place` says where to set the key, such as `in source "club"`.
    pub fn operator_text(&self, place: &str) -> String {
        let Some(denial) = self.denial() else { return self.to_string() };
        match self.kind {
            FetchErrorKind::Denied => denial.describe_with_config_key(place),
            _ => format!("{}: {}", self.kind_text(), denial.describe_with_config_key(place)),
        }
    }

    fn kind_text(&self) -> &'static str {
        match self.kind {
            FetchErrorKind::BadUrl(_) => "bad URL",
            FetchErrorKind::Denied => "the target is not allowed by the address policy",
            FetchErrorKind::Resolve => "the host name does not resolve",
            FetchErrorKind::Connect => "the upstream cannot be connected to",
            FetchErrorKind::Tls if self.reason.is_some() => "its certificate is not trusted",
            FetchErrorKind::Tls => "no TLS connection to the upstream can be made",
            FetchErrorKind::Timeout => "the upstream did not answer in time",
            FetchErrorKind::TooManyRedirects => "more than 10 redirects",
            FetchErrorKind::BadRedirect => "a redirect that cannot be followed",
            FetchErrorKind::TooLarge => "the upstream's answer is too large",
            FetchErrorKind::Body => "the upstream's answer broke off",
        }
    }

    /// Whether it is certain that no byte of a request to a server that does not redirect was sent,
    /// so that the request can be sent elsewhere, whatever its method.
    pub fn is_unsent(&self) -> bool {
        let connect_timed_out = Some(FailureReason::Connection(ConnectionFault::TimedOut));
        match self.kind {
            FetchErrorKind::BadUrl(_)
            | FetchErrorKind::Denied
            | FetchErrorKind::Resolve
            | FetchErrorKind::Connect => true,
            FetchErrorKind::Timeout => self.reason == connect_timed_out,
            FetchErrorKind::Tls
            | FetchErrorKind::TooManyRedirects
            | FetchErrorKind::BadRedirect
            | FetchErrorKind::TooLarge
            | FetchErrorKind::Body => false,
        }
    }

    pub fn is_denied(&self) -> bool {
        self.kind == FetchErrorKind::Denied
    }

    /// Whether the same request might succeed if it were repeated.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            FetchErrorKind::Resolve
                | FetchErrorKind::Connect
                | FetchErrorKind::Timeout
                | FetchErrorKind::Body
        )
    }
}

impl From<FetchErrorKind> for FetchError {
    fn from(kind: FetchErrorKind) -> Self {
        Self { kind, reason: None, detail: None }
    }
}

impl From<PolicyDenial> for FetchError {
    fn from(denial: PolicyDenial) -> Self {
        Self::of_reason(FetchErrorKind::Denied, FailureReason::Denied(denial))
    }
}

/// For logs and the terminal; may contain addresses.
impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denial() {
            Some(denial) if self.kind == FetchErrorKind::Denied => return denial.fmt(f),
            Some(denial) => write!(f, "{}: {denial}", self.kind_text())?,
            None => f.write_str(&self.public_text())?,
        }
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FetchError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request that may have been processed must not be sent again elsewhere.
    #[test]
    fn a_request_that_may_have_been_sent_is_not_unsent() {
        let broken = io::Error::from(io::ErrorKind::TimedOut);
        for (error, is_unsent) in [
            (FetchError::from(FetchErrorKind::Connect), true),
            (FetchError::from(FetchErrorKind::Resolve), true),
            (FetchError::from(PolicyDenial::OwnListener), true),
            (FetchError::connect_timeout_error(), true),
            (FetchError::from(FetchErrorKind::Timeout), false),
            (FetchError::of_io(FetchErrorKind::Body, &broken), false),
            (FetchError::from(PolicyDenial::OwnListener).into_redirect_target_error(), false),
        ] {
            assert_eq!(error.is_unsent(), is_unsent, "{error}");
        }
    }

    #[test]
    fn public_text_has_no_address_and_operator_text_names_the_key() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let private = FetchError::from(PolicyDenial::PrivateAddress([10, 0, 0, 9].into()));
        let denied = "the target is not allowed by the address policy";
        let redirect = "a redirect that cannot be followed";
        let key = "10.0.0.9 is private: allow_private = [\"10.0.0.9/32\"] in x allows it";
        for (error, public, operator) in [
            (private.clone(), denied, key.to_owned()),
            (private.into_redirect_target_error(), redirect, format!("{redirect}: {key}")),
            (
                FetchError::of_io(FetchErrorKind::Connect, &refused),
                "the upstream cannot be connected to: the connection was refused",
                format!(
                    "the upstream cannot be connected to: the connection was refused ({refused})"
                ),
            ),
            (
                FetchError::of_tls(&rustls::CertificateError::Expired.into()),
                "its certificate is not trusted: it has expired",
                "its certificate is not trusted: it has expired (invalid peer certificate: Expired)"
                    .to_owned(),
            ),
        ] {
            assert_eq!(error.public_text(), public);
            assert_eq!(error.operator_text("in x"), operator);
        }
    }
}
