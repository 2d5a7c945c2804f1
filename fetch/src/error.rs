//! What can go wrong on the way to an upstream.

use std::fmt;

#[derive(Debug)]
pub struct FetchError {
    pub kind: Kind,
    detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The caller's fault: no such URL can exist.
    BadUrl(&'static str),
    /// The address policy forbids it. One text for all, so that answers map no networks.
    Denied,
    /// The name does not resolve.
    Resolve,
    Connect,
    /// The certificate does not hold.
    Tls,
    /// Nothing came in time: connecting, the first byte, or between two bytes.
    Timeout,
    TooManyRedirects,
    BadRedirect,
    /// The body is larger than the caller can use.
    TooLarge,
    /// The connection broke, or the body is not what its headers say.
    Body,
}

impl FetchError {
    pub(crate) fn with(kind: Kind, detail: impl fmt::Display) -> Self {
        Self { kind, detail: Some(detail.to_string()) }
    }

    pub fn is_denied(&self) -> bool {
        self.kind == Kind::Denied
    }

    /// Might the same request succeed if it were sent again?
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Resolve | Kind::Connect | Kind::Timeout | Kind::Body)
    }
}

impl From<Kind> for FetchError {
    fn from(kind: Kind) -> Self {
        Self { kind, detail: None }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::BadUrl(why) => write!(f, "bad URL: {why}"),
            Kind::Denied => f.write_str("the target is not allowed by the address policy"),
            Kind::Resolve => f.write_str("the host name does not resolve"),
            Kind::Connect => f.write_str("the upstream cannot be connected to"),
            Kind::Tls => f.write_str("the upstream's certificate is not valid"),
            Kind::Timeout => f.write_str("the upstream did not answer in time"),
            Kind::TooManyRedirects => f.write_str("more than 3 redirects"),
            Kind::BadRedirect => f.write_str("a redirect that cannot be followed"),
            Kind::TooLarge => f.write_str("the upstream's answer is too large"),
            Kind::Body => f.write_str("the upstream's answer broke off"),
        }?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FetchError {}
