//! Which URLs may be fetched. A policy comes from configuration: per source, or for plain
//! `url=` links.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use url::{Host, Url};

use crate::address;
use crate::error::{FetchError, Kind};
use crate::reason::Denial;

/// Of [`Kind::BadUrl`].
pub const USER_INFO: &str = "a URL with a user name or password";

/// Where requests may lead. Public addresses on ports 80 and 443 unless it says more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    pub allow_private: Vec<IpNet>,
    pub ports: Vec<u16>,
}

impl Policy {
    /// Everything about a URL that can be judged before its name is resolved.
    pub fn check(&self, url: &Url) -> Result<(), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Kind::BadUrl("only http and https can be fetched").into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Kind::BadUrl(USER_INFO).into());
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if !matches!(port, 80 | 443) && !self.ports.contains(&port) {
            return Err(Denial::Port(port).into());
        }
        match url.host() {
            None => Err(Kind::BadUrl("a URL without a host").into()),
            // Loopback by definition (RFC 6761), whatever a resolver says.
            Some(Host::Domain(name)) if is_localhost(name) => {
                self.check_address(IpAddr::V4(Ipv4Addr::LOCALHOST))
            }
            Some(Host::Domain(_)) => Ok(()),
            Some(Host::Ipv4(v4)) => self.check_address(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => self.check_address(IpAddr::V6(v6)),
        }
    }

    pub fn check_address(&self, address: IpAddr) -> Result<(), FetchError> {
        Ok(address::judge(address, &self.allow_private)?)
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// A private range that an operator opts in, or one address; never so wide that it opts
/// everything in.
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
        let widest = if matches!(range, IpNet::V4(_)) { 8 } else { 7 };
        if range.prefix_len() < widest {
            return Err(format!("{text:?} is too wide: opt in the private ranges that you mean"));
        }
        Ok(Self(range.trunc()))
    }
}

impl<'de> Deserialize<'de> for PrivateRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = PrivateRange;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address range")
            }

            // Judged while it is read: an error raised later would have no place in an array.
            fn visit_str<E: de::Error>(self, text: &str) -> Result<PrivateRange, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Parses an absolute URL that somebody else wrote, refusing what parsers disagree on.
pub fn parse_url(text: &str) -> Result<Url, FetchError> {
    let bad = |why| FetchError::from(Kind::BadUrl(why));
    if text.is_empty() {
        return Err(bad("an empty URL"));
    }
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\') {
        return Err(bad("white space, control characters or a backslash in a URL"));
    }
    let url = Url::parse(text).map_err(|_| bad("not an absolute URL"))?;
    if url.cannot_be_a_base() || url.host().is_none() {
        return Err(bad("a URL without a host"));
    }
    if url.fragment().is_some() {
        return Err(bad("a URL with a fragment"));
    }
    if url.port() == Some(0) {
        return Err(bad("port 0"));
    }
    let lower = text.to_ascii_lowercase();
    if lower.contains("%0d") || lower.contains("%0a") || lower.contains("%00") {
        return Err(bad("an encoded line end or NUL in a URL"));
    }
    Policy { ports: url.port().into_iter().collect(), ..Policy::default() }
        .check(&url)
        .or_else(|error| if error.is_denied() { Ok(()) } else { Err(error) })?;
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_not_taken() {
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
            assert!(matches!(parse_url(text).unwrap_err().kind, Kind::BadUrl(_)), "{text:?}");
        }
    }

    #[test]
    fn ranges_that_can_be_opted_in() {
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
    fn targets_that_are_denied() {
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
            assert!(Policy::default().check(&url).unwrap_err().is_denied(), "{text:?}");
        }
    }
}
