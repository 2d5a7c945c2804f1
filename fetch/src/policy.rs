//! Address policies: which URLs may be fetched. A policy comes from configuration, per source or
//! for plain `url=` links. [`OwnListeners`](crate::OwnListeners) are denied under every policy.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use url::{Host, Url};

use crate::address;
use crate::error::{FetchError, FetchErrorKind};
use crate::failure_reason::PolicyDenial;
use crate::written_query::keep_written_query;

/// Text of the [`FetchErrorKind::BadUrl`] for a URL with user information.
pub const USER_INFO_ERROR: &str = "a URL with a user name or password";

/// Targets that requests may reach: public addresses on ports 80 and 443, and those configured
/// here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressPolicy {
    /// Private address ranges that the operator opted in.
    pub allow_private: Vec<IpNet>,
    /// Ports beside 80 and 443.
    pub ports: Vec<u16>,
}

impl AddressPolicy {
    /// Checks everything about a URL that can be checked before its name is resolved.
    ///
    /// # Errors
    /// [`FetchErrorKind::BadUrl`] or [`FetchErrorKind::Denied`].
    pub fn check_url(&self, url: &Url) -> Result<(), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchErrorKind::BadUrl("only http and https can be fetched").into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchErrorKind::BadUrl(USER_INFO_ERROR).into());
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if !matches!(port, 80 | 443) && !self.ports.contains(&port) {
            return Err(PolicyDenial::Port(port).into());
        }
        match url.host() {
            None => Err(FetchErrorKind::BadUrl("a URL without a host").into()),
            // `localhost` is loopback by definition (RFC 6761), whatever a resolver returns.
            Some(Host::Domain(name)) if is_localhost(name) => {
                self.check_address(IpAddr::V4(Ipv4Addr::LOCALHOST))
            }
            Some(Host::Domain(_)) => Ok(()),
            Some(Host::Ipv4(v4)) => self.check_address(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => self.check_address(IpAddr::V6(v6)),
        }
    }

    /// Checks an address before or after connecting to it.
    ///
    /// # Errors
    /// [`FetchErrorKind::Denied`] with the rule that denies it.
    pub fn check_address(&self, address: IpAddr) -> Result<(), FetchError> {
        Ok(address::check_address(address, &self.allow_private)?)
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// A private range or single address that an operator opts in; ranges wide enough to opt in
/// everything are rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PrivateRange(pub IpNet);

impl FromStr for PrivateRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range: IpNet = text
            .parse()
            .or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address)))
            .map_err(|_| {
                format!("{text:?} is not an address range: write 192.168.1.0/24 or fd00::/8")
            })?;
        let prefix_length_min = if matches!(range, IpNet::V4(_)) { 8 } else { 7 };
        if range.prefix_len() < prefix_length_min {
            return Err(format!("{text:?} is too wide: opt in the private ranges that you mean"));
        }
        Ok(Self(range.trunc()))
    }
}

impl<'de> Deserialize<'de> for PrivateRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RangeVisitor;
        impl Visitor<'_> for RangeVisitor {
            type Value = PrivateRange;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address range")
            }

            // Checked while deserialising, because a later error could not name the array element.
            fn visit_str<E: de::Error>(self, text: &str) -> Result<PrivateRange, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(RangeVisitor)
    }
}

/// Parses an absolute URL from an untrusted source, rejecting whatever parsers interpret
/// differently. The query is kept [as written](crate::written_query).
///
/// # Errors
/// [`FetchErrorKind::BadUrl`] with the reason.
pub fn parse_url(text: &str) -> Result<Url, FetchError> {
    let invalid = |why| FetchError::from(FetchErrorKind::BadUrl(why));
    if text.is_empty() {
        return Err(invalid("an empty URL"));
    }
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\') {
        return Err(invalid("white space, control characters or a backslash in a URL"));
    }
    let mut url = Url::parse(text).map_err(|_| invalid("not an absolute URL"))?;
    if url.cannot_be_a_base() || url.host().is_none() {
        return Err(invalid("a URL without a host"));
    }
    if url.fragment().is_some() {
        return Err(invalid("a URL with a fragment"));
    }
    if url.port() == Some(0) {
        return Err(invalid("port 0"));
    }
    let mut escapes = text.split('%').skip(1).filter_map(|rest| rest.as_bytes().first_chunk());
    if escapes.any(|escape: &[u8; 2]| matches!(escape, b"0d" | b"0D" | b"0a" | b"0A" | b"00")) {
        return Err(invalid("an encoded line end or NUL in a URL"));
    }
    AddressPolicy { ports: url.port().into_iter().collect(), ..AddressPolicy::default() }
        .check_url(&url)
        .or_else(|error| if error.is_denied() { Ok(()) } else { Err(error) })?;
    keep_written_query(&mut url, text);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_urls_are_rejected() {
        for text in [
            "",
            "playlist.m3u8",
            "//cdn.example.com/x",
            "file:///etc/passwd",
            "ftp://example.com/x",
            "javascript:alert(1)",
            "data:text/plain,x",
            "http://user@example.com/",
            "http://user:pass@example.com/",
            "http://example.com/#x",
            "http://example.com/%0d%0aX: y",
            "http://example.com\\@evil.example/",
            "http://example.com:0/",
            "http://example.com:70000/",
            "http://[fe80::1%25eth0]/",
            "http://exa mple.com/",
        ] {
            assert!(
                matches!(parse_url(text).unwrap_err().kind, FetchErrorKind::BadUrl(_)),
                "{text:?}"
            );
        }
    }

    #[test]
    fn ranges_that_are_too_wide_are_rejected() {
        for (text, expected) in [
            ("127.0.0.0/8", true),
            ("192.168.1.7/24", true),
            ("fd00::/8", true),
            ("0.0.0.0/0", false),
            ("::/0", false),
            ("0.0.0.0/7", false),
            ("10.0.0.1", true),
            ("lan", false),
        ] {
            assert_eq!(text.parse::<PrivateRange>().is_ok(), expected, "{text}");
        }
    }

    #[test]
    fn private_targets_are_denied() {
        for text in [
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[2002:7f00:1::]/",
            "http://100.64.0.1/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://example.com:22/",
            "http://example.com:6379/",
        ] {
            let url = parse_url(text).unwrap();
            assert!(AddressPolicy::default().check_url(&url).unwrap_err().is_denied(), "{text:?}");
        }
    }
}
