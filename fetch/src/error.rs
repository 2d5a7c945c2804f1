//! What can go wrong on the way to an upstream.

use std::fmt;
use std::io;

use crate::reason::{ConnectionFault, Denial, Reason};

#[derive(Clone, Debug)]
pub struct FetchError {
    pub kind: Kind,
    pub reason: Option<Reason>,
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
        Self { kind, reason: None, detail: Some(detail.to_string()) }
    }

    /// What the system said of a connection.
    pub(crate) fn of_io(kind: Kind, error: &io::Error) -> Self {
        Self { reason: Reason::of_io(error), ..Self::with(kind, error) }
    }

    pub(crate) fn of_tls(error: &rustls::Error) -> Self {
        Self { reason: Reason::of_tls(error), ..Self::with(Kind::Tls, error) }
    }

    pub(crate) fn because(self, reason: Option<Reason>) -> Self {
        Self { reason, ..self }
    }

    pub(crate) fn of_reason(kind: Kind, reason: Reason) -> Self {
        Self { kind, reason: Some(reason), detail: None }
    }

    /// The same, of a redirect: where an upstream sends us is the upstream's fault.
    pub(crate) fn of_redirect(self) -> Self {
        Self { kind: Kind::BadRedirect, ..self }
    }

    /// Which rule of the address policy forbids it.
    pub fn denial(&self) -> Option<Denial> {
        match self.reason {
            Some(Reason::Denied(denial)) => Some(denial),
            _ => None,
        }
    }

    /// What public answers may say: no host, no address, nothing that the system said.
    pub fn public(&self) -> String {
        let text = self.text();
        let why = match self.kind {
            Kind::BadUrl(why) => Some(why),
            _ => self.reason.and_then(Reason::public),
        };
        why.map_or_else(|| text.to_owned(), |why| format!("{text}: {why}"))
    }

    /// What the operator is told: everything, with the key at `place`, such as
    /// `in source "club"`, that would allow what the address policy forbids.
    pub fn operator(&self, place: &str) -> String {
        let Some(denial) = self.denial() else { return self.to_string() };
        match self.kind {
            Kind::Denied => denial.allowed_in(place),
            _ => format!("{}: {}", self.text(), denial.allowed_in(place)),
        }
    }

    fn text(&self) -> &'static str {
        match self.kind {
            Kind::BadUrl(_) => "bad URL",
            Kind::Denied => "the target is not allowed by the address policy",
            Kind::Resolve => "the host name does not resolve",
            Kind::Connect => "the upstream cannot be connected to",
            Kind::Tls if self.reason.is_some() => "its certificate is not trusted",
            Kind::Tls => "no TLS connection to the upstream can be made",
            Kind::Timeout => "the upstream did not answer in time",
            Kind::TooManyRedirects => "more than 10 redirects",
            Kind::BadRedirect => "a redirect that cannot be followed",
            Kind::TooLarge => "the upstream's answer is too large",
            Kind::Body => "the upstream's answer broke off",
        }
    }

    /// Is it certain that nothing of a request to a server that does not redirect was sent? Then it
    /// can be sent elsewhere, whatever it asks for.
    pub fn is_unsent(&self) -> bool {
        let unconnected = Some(Reason::Connection(ConnectionFault::TimedOut));
        match self.kind {
            Kind::BadUrl(_) | Kind::Denied | Kind::Resolve | Kind::Connect => true,
            Kind::Timeout => self.reason == unconnected,
            Kind::Tls
            | Kind::TooManyRedirects
            | Kind::BadRedirect
            | Kind::TooLarge
            | Kind::Body => false,
        }
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
        Self { kind, reason: None, detail: None }
    }
}

impl From<Denial> for FetchError {
    fn from(denial: Denial) -> Self {
        Self::of_reason(Kind::Denied, Reason::Denied(denial))
    }
}

/// For logs and the terminal: it may name addresses.
impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denial() {
            Some(denial) if self.kind == Kind::Denied => return denial.fmt(f),
            Some(denial) => write!(f, "{}: {denial}", self.text())?,
            None => f.write_str(&self.public())?,
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
    use crate::dial::no_connection;

    /// Whoever sends it again elsewhere must not have it done twice.
    #[test]
    fn what_may_have_been_sent_is_not_unsent() {
        let broken = io::Error::from(io::ErrorKind::TimedOut);
        for (error, unsent) in [
            (FetchError::from(Kind::Connect), true),
            (FetchError::from(Kind::Resolve), true),
            (FetchError::from(Denial::OwnListener), true),
            (no_connection(), true),
            (FetchError::from(Kind::Timeout), false),
            (FetchError::of_io(Kind::Body, &broken), false),
            (FetchError::from(Denial::OwnListener).of_redirect(), false),
        ] {
            assert_eq!(error.is_unsent(), unsent, "{error}");
        }
    }

    #[test]
    fn the_public_text_holds_no_address_and_the_operators_names_the_key() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let private = FetchError::from(Denial::Private([10, 0, 0, 9].into()));
        let forbidden = "the target is not allowed by the address policy";
        let redirect = "a redirect that cannot be followed";
        let key = "10.0.0.9 is private: allow_private = [\"10.0.0.9/32\"] in x allows it";
        for (error, public, operator) in [
            (private.clone(), forbidden, key.to_owned()),
            (private.of_redirect(), redirect, format!("{redirect}: {key}")),
            (
                FetchError::of_io(Kind::Connect, &refused),
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
            assert_eq!(error.public(), public);
            assert_eq!(error.operator("in x"), operator);
        }
    }
}
