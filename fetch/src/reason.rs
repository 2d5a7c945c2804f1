//! [`Reason`]: why a request failed, more exactly than its [`Kind`](crate::Kind).
//!
//! [`Reason::public`] holds no host and no address, so that it may stand in public answers. A
//! [`Denial`] does: it is for the operator, and says which key would allow the target.

use std::fmt;
use std::io;
use std::net::IpAddr;

use rustls::CertificateError;

use crate::address;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Denied(Denial),
    Connection(ConnectionFault),
    Certificate(CertificateFault),
}

/// Which rule of the address policy forbids a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The address is not public, and no opted-in range holds it.
    Private(IpAddr),
    /// The address is a cloud's metadata service, which no key allows.
    Metadata(IpAddr),
    /// The port is neither 80 nor 443, and is not among the listed ones.
    Port(u16),
    /// The address is a listener of this Pitwall: fetching it would be a loop.
    OwnListener,
}

/// What the network answered instead of a connection, or broke one with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    Refused,
    Reset,
    Unreachable,
    /// No connection was made within the time that one may take.
    TimedOut,
    /// This process has no file descriptor left.
    NoDescriptor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    Expired,
    NotValidYet,
    Revoked,
    UnknownIssuer,
    /// An authority's certificate in the place of a server's, as `openssl req -x509` makes one.
    SelfSigned,
    OtherName,
    Other,
}

impl Reason {
    /// What a public answer may say of it; `None` where that is nothing.
    pub fn public(self) -> Option<&'static str> {
        match self {
            Self::Denied(_) => None,
            Self::Connection(fault) => Some(fault.text()),
            Self::Certificate(fault) => Some(fault.text()),
        }
    }

    pub(crate) fn of_io(error: &io::Error) -> Option<Self> {
        use io::ErrorKind;
        /// POSIX's EMFILE and ENFILE: the process', or the system's, table is full.
        const FULL_TABLES: [i32; 2] = [24, 23];
        let fault = match error.kind() {
            ErrorKind::ConnectionRefused => ConnectionFault::Refused,
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected => ConnectionFault::Reset,
            ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => ConnectionFault::Unreachable,
            ErrorKind::TimedOut => ConnectionFault::TimedOut,
            _ if error.raw_os_error().is_some_and(|code| FULL_TABLES.contains(&code)) => {
                ConnectionFault::NoDescriptor
            }
            _ => return None,
        };
        Some(Self::Connection(fault))
    }

    /// `None` for what is wrong with the handshake rather than with the certificate.
    pub(crate) fn of_tls(error: &rustls::Error) -> Option<Self> {
        let rustls::Error::InvalidCertificate(error) = error else { return None };
        Some(Self::Certificate(match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                CertificateFault::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                CertificateFault::NotValidYet
            }
            CertificateError::Revoked => CertificateFault::Revoked,
            CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                CertificateFault::OtherName
            }
            // Of the verifier's own crate, which is not one of ours.
            CertificateError::Other(error)
                if format!("{error:?}").contains("CaUsedAsEndEntity") =>
            {
                CertificateFault::SelfSigned
            }
            _ => CertificateFault::Other,
        }))
    }
}

impl ConnectionFault {
    fn text(self) -> &'static str {
        match self {
            Self::Refused => "the connection was refused",
            Self::Reset => "the connection was reset",
            Self::Unreachable => "no route leads to it",
            Self::TimedOut => "no connection was made in time",
            Self::NoDescriptor => "Pitwall has no file descriptor left",
        }
    }
}

impl CertificateFault {
    fn text(self) -> &'static str {
        match self {
            Self::Expired => "it has expired",
            Self::NotValidYet => "it is not valid yet",
            Self::Revoked => "it was revoked",
            Self::UnknownIssuer => {
                "nobody here knows its issuer (it is self-signed, or its chain is incomplete)"
            }
            Self::SelfSigned => "it is self-signed, as an authority's own certificate is",
            Self::OtherName => "it is for another name",
            Self::Other => "it cannot be verified",
        }
    }
}

impl Denial {
    /// The same with the place of the key that would allow it, such as `in source "club"`.
    pub fn allowed_in(self, place: &str) -> String {
        let space = if place.is_empty() { "" } else { " " };
        match self {
            Self::Private(address) => {
                let (bits, what) = (if address.is_ipv4() { 32 } else { 128 }, kind(address));
                format!(
                    "{address} is {what}: allow_private = [\"{address}/{bits}\"]{space}{place} allows it"
                )
            }
            Self::Port(port) => {
                format!(
                    "port {port} is neither 80 nor 443: ports = [{port}]{space}{place} allows it"
                )
            }
            Self::Metadata(address) => {
                format!("{address} is a cloud's metadata service, which nothing allows")
            }
            Self::OwnListener => {
                "it is a listener of this Pitwall, which never fetches itself".to_owned()
            }
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.allowed_in(""))
    }
}

/// What people call an address that is not public.
fn kind(address: IpAddr) -> &'static str {
    if address::is_reserved(address) { "not public" } else { "private" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_the_key_that_would_allow_it() {
        let address = |text: &str| text.parse().unwrap();
        for (denial, expected) in [
            (
                Denial::Private(address("192.168.1.5")),
                "192.168.1.5 is private: allow_private = [\"192.168.1.5/32\"] in source \"club\" allows it",
            ),
            (
                Denial::Private(address("fd00::5")),
                "fd00::5 is private: allow_private = [\"fd00::5/128\"] in source \"club\" allows it",
            ),
            (
                Denial::Private(address("203.0.113.9")),
                "203.0.113.9 is not public: allow_private = [\"203.0.113.9/32\"] in source \"club\" allows it",
            ),
            (
                Denial::Port(8443),
                "port 8443 is neither 80 nor 443: ports = [8443] in source \"club\" allows it",
            ),
            (
                Denial::Metadata(address("169.254.169.254")),
                "169.254.169.254 is a cloud's metadata service, which nothing allows",
            ),
        ] {
            assert_eq!(denial.allowed_in("in source \"club\""), expected);
        }
        let told = Denial::Private(address("127.0.0.1")).to_string();
        assert_eq!(told, "127.0.0.1 is private: allow_private = [\"127.0.0.1/32\"] allows it");
    }
}
