//! [`FailureReason`]: the exact reason of a failure, beyond its
//! [`FetchErrorKind`](crate::FetchErrorKind).
//!
//! [`FailureReason::public_text`] contains no host or address and may appear in public responses.
//! The text of a [`PolicyDenial`] does contain addresses: it is for the operator and names the
//! configuration key that would allow the target.

use std::fmt;
use std::io;
use std::net::IpAddr;

use rustls::CertificateError;

/// The exact reason of a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    Denied(PolicyDenial),
    Connection(ConnectionFault),
    Certificate(CertificateFault),
}

/// The rule of the address policy that denies a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyDenial {
    /// The address is not public, and no allowed private range contains it.
    PrivateAddress(IpAddr),
    /// The address is a cloud metadata service, which no configuration allows.
    MetadataAddress(IpAddr),
    /// The port is neither 80 nor 443, and is not configured.
    Port(u16),
    /// The address is a listener of this Pitwall; fetching from it would be a loop.
    OwnListener,
}

/// Why a connection could not be made, or broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    Refused,
    Reset,
    Unreachable,
    /// No connection was made within the connect timeout.
    TimedOut,
    /// The server closed the connection between two chunks of a chunked body, and not within one.
    ClosedBeforeLastChunk,
    /// This process has no free file descriptor.
    NoFileDescriptor,
}

/// Why a certificate is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    Expired,
    NotValidYet,
    Revoked,
    UnknownIssuer,
    /// The server's certificate is a CA certificate, as `openssl req -x509` makes one.
    SelfSigned,
    WrongName,
    Other,
}

impl FailureReason {
    /// Text for public responses; `None` if nothing may be said.
    pub fn public_text(self) -> Option<&'static str> {
        match self {
            Self::Denied(_) => None,
            Self::Connection(fault) => Some(fault.text()),
            Self::Certificate(fault) => Some(fault.text()),
        }
    }

    pub(crate) fn of_io(error: &io::Error) -> Option<Self> {
        use io::ErrorKind;
        /// EMFILE (24) and ENFILE (23): the file descriptor table of the process, or of the system,
        /// is full.
        const DESCRIPTOR_TABLE_FULL_ERRNOS: [i32; 2] = [24, 23];
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
            _ if error
                .raw_os_error()
                .is_some_and(|code| DESCRIPTOR_TABLE_FULL_ERRNOS.contains(&code)) =>
            {
                ConnectionFault::NoFileDescriptor
            }
            _ => return None,
        };
        Some(Self::Connection(fault))
    }

    /// `None` if the handshake failed for another reason than the certificate.
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
                CertificateFault::WrongName
            }
            // The error's type belongs to the verifier's crate, which is no dependency of this one.
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
            Self::ClosedBeforeLastChunk => "it was closed before the last chunk",
            Self::NoFileDescriptor => "Pitwall has no file descriptor left",
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
            Self::WrongName => "it is for another name",
            Self::Other => "it cannot be verified",
        }
    }
}

impl PolicyDenial {
    /// The denial with the configuration key that would allow the target; `place` says where to set
    /// the key, such as `in source "club"`.
    pub fn describe_with_config_key(self, place: &str) -> String {
        let separator = if place.is_empty() { "" } else { " " };
        match self {
            Self::PrivateAddress(address) => {
                let (bits, what) =
                    (if address.is_ipv4() { 32 } else { 128 }, address_adjective(address));
                format!(
                    "{address} is {what}: allow_private = [\"{address}/{bits}\"]{separator}{place} allows it"
                )
            }
            Self::Port(port) => {
                format!(
                    "port {port} is neither 80 nor 443: ports = [{port}]{separator}{place} allows it"
                )
            }
            Self::MetadataAddress(address) => {
                format!("{address} is a cloud's metadata service, which nothing allows")
            }
            Self::OwnListener => {
                "it points back at this edge: Pitwall never fetches from itself".to_owned()
            }
        }
    }
}

impl fmt::Display for PolicyDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe_with_config_key(""))
    }
}

/// Adjective for an address that is not public.
fn address_adjective(address: IpAddr) -> &'static str {
    if is_reserved(address) { "not public" } else { "private" }
}

/// Whether the address, which is not public, belongs to no home network either: multicast,
/// documentation and other reserved addresses.
fn is_reserved(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let is_carrier_grade_nat = matches!(v4.octets(), [100, 64..=127, ..]);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_carrier_grade_nat)
        }
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_the_key_that_would_allow_it() {
        let address = |text: &str| text.parse().unwrap();
        for (denial, expected) in [
            (
                PolicyDenial::PrivateAddress(address("192.168.1.5")),
                "192.168.1.5 is private: allow_private = [\"192.168.1.5/32\"] in source \"club\" allows it",
            ),
            (
                PolicyDenial::PrivateAddress(address("fd00::5")),
                "fd00::5 is private: allow_private = [\"fd00::5/128\"] in source \"club\" allows it",
            ),
            (
                PolicyDenial::PrivateAddress(address("203.0.113.9")),
                "203.0.113.9 is not public: allow_private = [\"203.0.113.9/32\"] in source \"club\" allows it",
            ),
            (
                PolicyDenial::Port(8443),
                "port 8443 is neither 80 nor 443: ports = [8443] in source \"club\" allows it",
            ),
            (
                PolicyDenial::MetadataAddress(address("169.254.169.254")),
                "169.254.169.254 is a cloud's metadata service, which nothing allows",
            ),
        ] {
            assert_eq!(denial.describe_with_config_key("in source \"club\""), expected);
        }
        let text = PolicyDenial::PrivateAddress(address("127.0.0.1")).to_string();
        assert_eq!(text, "127.0.0.1 is private: allow_private = [\"127.0.0.1/32\"] allows it");
    }
}
