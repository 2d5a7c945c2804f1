//! [`AllowedHost`]: an entry of `[upstream] allow_hosts`.

use std::fmt;

use serde::Deserialize;
use url::Url;

/// An entry of `allow_hosts`: `cdn.example.com`, `*.example.net`, `127.0.0.1:9000`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AllowedHost {
    /// The host as a URL parser normalises it.
    host: String,
    subdomains: bool,
    /// `None`: ports 80 and 443.
    pub port: Option<u16>,
}

impl AllowedHost {
    /// Whether a URL's host and port are those of this entry.
    pub fn matches(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        let port_matches = match self.port {
            Some(allowed) => port == Some(allowed),
            None => matches!(port, Some(80 | 443)),
        };
        let host = url.host_str().unwrap_or_default();
        let host_matches = if self.subdomains {
            host.strip_suffix(&self.host).is_some_and(|rest| rest.ends_with('.'))
        } else {
            host == self.host
        };
        port_matches && host_matches
    }
}

impl TryFrom<String> for AllowedHost {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let error = || {
            format!("{text:?} is not a host: write cdn.example.com, *.example.net or 10.0.0.1:9000")
        };
        let (subdomains, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        // The URL parser knows every spelling of hosts and ports.
        let url = Url::parse(&format!("http://{rest}/")).map_err(|_| error())?;
        let is_plain_host = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && !rest.is_empty()
            && !rest.contains('/');
        let host = url.host_str().unwrap_or_default();
        if !is_plain_host || host.is_empty() || host.contains('*') {
            return Err(error());
        }
        let port = url.port().or_else(|| rest.ends_with(":80").then_some(80));
        Ok(Self { host: host.to_owned(), subdomains, port })
    }
}

impl fmt::Debug for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.subdomains { "*." } else { "" };
        write!(f, "{star}{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_hosts() {
        for (entry, url, expected) in [
            ("cdn.example.com", "https://cdn.example.com/x", true),
            ("cdn.example.com", "https://CDN.example.com/x", true),
            ("cdn.example.com", "https://cdn.example.com:8443/x", false),
            ("cdn.example.com", "https://a.cdn.example.com/x", false),
            ("cdn.example.com", "https://cdn.example.com.evil.test/x", false),
            ("*.example.net", "https://a.b.example.net/x", true),
            ("*.example.net", "https://example.net/x", false),
            ("*.example.net", "https://evilexample.net/x", false),
            ("127.0.0.1:9000", "http://127.0.0.1:9000/x", true),
            ("127.0.0.1:9000", "http://127.1:9000/x", true),
            ("127.0.0.1:9000", "http://127.0.0.1/x", false),
        ] {
            let entry = AllowedHost::try_from(entry.to_owned()).unwrap();
            assert_eq!(entry.matches(&Url::parse(url).unwrap()), expected, "{entry:?} {url}");
        }
    }

    #[test]
    fn entries_that_are_no_host_are_rejected() {
        for entry in ["", "*", "*.", "http://x/", "a/b", "user@host", "a b", "x?y", "*.*.net"] {
            assert!(AllowedHost::try_from(entry.to_owned()).is_err(), "{entry:?}");
        }
    }
}
