//! Which upstream URL a link names, and how it may be reached.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use pitwall_fetch::{
    FetchError, Fetcher, HostFilter, Policy, Request, Response, parse_url, source_headers,
};
use pitwall_upstream_map::{Profile, Upstream, UpstreamMap};
use serde::Deserialize;
use url::Url;

use crate::config::UpstreamConfig;
use crate::denials::{DenialLog, explain_elsewhere, explain_plain, explain_unnamed};
use crate::problem::Problem;
use crate::route::Link;
use crate::seal::{Purpose, Sealer};
use crate::slots::{Slot, Slots};

/// An upstream URL that may be fetched, with all that fetching it needs.
#[derive(Clone)]
pub struct Target {
    pub url: Url,
    /// Empty for plain links.
    pub profile: String,
    pub purpose: Option<Purpose>,
    /// When the link that named it ends, and with it all that it leads to.
    pub expires: Option<u64>,
    pub policy: Policy,
    pub headers: HeaderMap,
    pub token_parameters: Vec<String>,
    /// The hosts for which private ranges were opened: those that a plain link may name, and not
    /// whatever they lead to. `None`: a source's own policy holds for all.
    pub private_hosts: Option<HostFilter>,
    pub slot: Slot,
    pub denials: DenialLog,
    /// Whose object it is, where the link says so.
    pub stream: Option<Arc<str>>,
}

/// Reads links.
pub struct Targets {
    named_hosts: HostFilter,
    plain: Policy,
    slots: Slots,
    denials: DenialLog,
}

impl Targets {
    pub fn new(config: &UpstreamConfig) -> Self {
        let plain = Policy {
            allow_private: config.allow_private.iter().map(|range| range.0).collect(),
            ports: config.allow_hosts.iter().filter_map(|host| host.port).collect(),
        };
        let allow_hosts = config.allow_hosts.clone();
        let named: HostFilter =
            Arc::new(move |url: &Url| allow_hosts.iter().any(|host| host.matches(url)));
        Self { named_hosts: named, plain, slots: Slots::default(), denials: DenialLog::default() }
    }

    /// Where a link of the operator's own to `url` may lead.
    pub fn policy_of(&self, url: &Url) -> Policy {
        if self.is_named(url) {
            return self.plain.clone();
        }
        Policy { allow_private: Vec::new(), ..self.plain.clone() }
    }

    /// Why [`policy_of`](Self::policy_of) refuses `url`, with the key of `[upstream]` that would
    /// allow it.
    pub fn explain(&self, url: &Url, error: &FetchError) -> String {
        explain_plain(error, url, self.is_named(url))
    }

    fn is_named(&self, url: &Url) -> bool {
        (self.named_hosts)(url)
    }

    pub fn of_link(
        &self,
        link: &Link,
        source: Option<&str>,
        sealer: &Sealer,
        map: &UpstreamMap,
        now: u64,
    ) -> Result<Target, Problem> {
        match link {
            Link::Plain { url } => self.of_plain(url, source, map),
            Link::Sealed { seal, path } => {
                let sealed = sealer.unseal(seal, path, now)?;
                let url = parse_url(&sealed.url)?;
                self.of_profile(url, &sealed.profile, map).map(|target| Target {
                    purpose: Some(sealed.purpose),
                    expires: sealed.expires,
                    ..target
                })
            }
        }
    }

    fn of_plain(
        &self,
        url: &str,
        source: Option<&str>,
        map: &UpstreamMap,
    ) -> Result<Target, Problem> {
        let url = URL_SAFE_NO_PAD
            .decode(url)
            .map_err(|_| Problem::BadUrl("url= is not base64url without padding"))?;
        let url = String::from_utf8(url).map_err(|_| Problem::BadUrl("url= is not UTF-8"))?;
        let url = parse_url(&url)?;
        if !self.is_named(&url) {
            self.denials.report(explain_unnamed(&url));
            return Err(Problem::TargetDenied);
        }
        match source {
            Some(source) if !map.profiles.keys().any(|id| id.0 == source) => Err(Problem::NotFound),
            // A source's headers are for where it plays, whoever asks.
            Some(source) if !plays_at(map, &url, |one| one.source == source) => {
                self.denials.report(explain_elsewhere(&url, source));
                Err(Problem::TargetDenied)
            }
            Some(source) => self.of_profile(url, source, map),
            None => self.of_profile(url, "", map),
        }
    }

    /// A URL that an upstream of this profile led to.
    pub fn of_profile(
        &self,
        url: Url,
        profile: &str,
        map: &UpstreamMap,
    ) -> Result<Target, Problem> {
        if profile.is_empty() {
            let policy = self.policy_of(&url);
            return Ok(Target {
                url,
                profile: String::new(),
                purpose: None,
                expires: None,
                policy,
                headers: HeaderMap::new(),
                token_parameters: Vec::new(),
                private_hosts: Some(self.named_hosts.clone()),
                slot: Slot::default(),
                denials: self.denials.clone(),
                stream: None,
            });
        }
        // A source that is gone takes its links with it: nothing says any more how it may
        // be reached.
        let found = map.profiles.iter().find(|(id, _)| id.0 == profile);
        let (_, known) = found.ok_or(Problem::SealExpired)?;
        let mut headers = headers(known);
        let secrets = [header::COOKIE, header::AUTHORIZATION];
        let secret = secrets.iter().any(|name| headers.contains_key(name));
        // A playlist may name any host; what opens the source's own door stays there.
        if secret && !plays_at(map, &url, |one| one.profile.0 == profile) {
            for name in secrets {
                headers.remove(name);
            }
        }
        Ok(Target {
            url,
            profile: profile.to_owned(),
            purpose: None,
            expires: None,
            policy: policy(known),
            headers,
            token_parameters: known.token_parameters.clone(),
            private_hosts: None,
            slot: self.slots.of(profile, known.connections),
            denials: self.denials.clone(),
            stream: None,
        })
    }
}

/// Is this the origin of a playlist of one of these upstreams?
fn plays_at(map: &UpstreamMap, url: &Url, these: impl Fn(&Upstream) -> bool) -> bool {
    let origin = url.origin();
    let mut upstreams = map.streams.values().flat_map(|stream| &stream.upstreams);
    upstreams.any(|one| {
        these(one)
            && (one.playlist.origin() == origin
                || one.renditions.iter().any(|rendition| rendition.playlist.origin() == origin))
    })
}

fn policy(profile: &Profile) -> Policy {
    Policy { allow_private: profile.allow_private.clone(), ports: profile.ports.clone() }
}

/// The map is the control plane's word, but it came through a store: what cannot be a header
/// is left out rather than sent.
fn headers(profile: &Profile) -> HeaderMap {
    let headers = profile.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    source_headers(headers).unwrap_or_else(|error| {
        tracing::warn!(%error, "a profile's headers cannot be sent");
        HeaderMap::new()
    })
}

impl Target {
    /// Sends a request of this target's, when its source allows one more.
    pub async fn send(&self, fetcher: &Fetcher, request: Request<'_>) -> Result<Response, Problem> {
        let taken = self.slot.take().await?;
        let sent = fetcher.send(&self.policy, request).await;
        let response = sent.inspect_err(|error| {
            if error.denial().is_some() {
                self.denials.report(self.explain(error));
            }
        })?;
        Ok(response.holding(taken))
    }

    fn explain(&self, error: &FetchError) -> String {
        if let Some(is_named) = &self.private_hosts {
            return explain_plain(error, &self.url, is_named(&self.url));
        }
        // A profile of one stream is called after its source, too.
        let source = self.profile.split('/').next().unwrap_or_default();
        error.operator(&format!("in source {source:?}"))
    }

    /// The URL without what is only a token: what an object is stored under.
    pub fn canonical(&self) -> String {
        canonical(self.url.as_str(), &self.token_parameters)
    }
}

pub fn canonical(url: &str, token_parameters: &[String]) -> String {
    let Some((rest, query)) = url.split_once('?') else { return url.to_owned() };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
            !token_parameters.iter().any(|token| token == name)
        })
        .collect();
    if kept.is_empty() { rest.to_owned() } else { format!("{rest}?{}", kept.join("&")) }
}

/// An entry of `allow_hosts`: `cdn.example.com`, `*.example.net`, `127.0.0.1:9000`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AllowedHost {
    /// As URLs spell it.
    host: String,
    subdomains: bool,
    /// `None`: 80 and 443.
    port: Option<u16>,
}

impl AllowedHost {
    fn matches(&self, url: &Url) -> bool {
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
        let bad = || {
            format!("{text:?} is not a host: write cdn.example.com, *.example.net or 10.0.0.1:9000")
        };
        let (subdomains, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        // A URL parser knows every spelling of hosts and ports; ours need be no cleverer.
        let url = Url::parse(&format!("http://{rest}/")).map_err(|_| bad())?;
        let plain = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && !rest.is_empty()
            && !rest.contains('/');
        let host = url.host_str().unwrap_or_default();
        if !plain || host.is_empty() || host.contains('*') {
            return Err(bad());
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
    use pitwall_fetch::Denial;

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
    fn what_is_no_host() {
        for entry in ["", "*", "*.", "http://x/", "a/b", "user@host", "a b", "x?y", "*.*.net"] {
            assert!(AllowedHost::try_from(entry.to_owned()).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn canonical_urls() {
        let tokens = ["exp".to_owned(), "sig".to_owned()];
        for (url, expected) in [
            ("http://h/a?exp=1&sig=2", "http://h/a"),
            ("http://h/a?id=7&exp=1", "http://h/a?id=7"),
            ("http://h/a", "http://h/a"),
            ("http://h/a?expires=1", "http://h/a?expires=1"),
        ] {
            assert_eq!(canonical(url, &tokens), expected);
        }
    }

    fn targets() -> Targets {
        let host = |text: &str| AllowedHost::try_from(text.to_owned()).unwrap();
        Targets::new(&UpstreamConfig {
            allow_hosts: vec![host("cdn.example.com"), host("192.168.1.20:9000")],
            allow_private: vec!["192.168.1.0/24".parse().unwrap()],
            ..UpstreamConfig::default()
        })
    }

    /// What a map has when a source with a cookie plays at `cdn.example.com`.
    fn map() -> UpstreamMap {
        let json = serde_json::json!({
            "version": 1,
            "streams": { "world": { "id": "world", "feed": "World", "upstreams": [{
                "source": "club", "profile": "club", "generation": 1, "health": "healthy",
                "playlist": "https://cdn.example.com/m.m3u8", "expires_at": null, "score": 1.0,
                "renditions": [],
            }] } },
            "profiles": { "club": {
                "headers": [["Cookie", "secret"], ["Referer", "https://club.example/"]],
                "allow_private": [], "ports": [], "token_parameters": [],
            } },
            "documents": { "bootstrap": "", "schedule": "", "streams": "", "extractors": "", "status": "" },
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn private_ranges_are_for_the_hosts_that_may_be_named() {
        for (url, private) in [
            ("http://192.168.1.20:9000/a", true),
            ("https://cdn.example.com/a", true),
            ("http://192.168.1.1/admin", false),
            ("https://elsewhere.example/a", false),
        ] {
            let target = targets().of_profile(url.parse().unwrap(), "", &map()).unwrap();
            assert_eq!(!target.policy.allow_private.is_empty(), private, "{url}");
            let is_named = target.private_hosts.unwrap();
            assert_eq!(is_named(&url.parse().unwrap()), private, "{url}");
        }
    }

    /// The log is the operator's: it names the address and the key, and no path.
    #[test]
    fn a_denial_names_the_key_that_would_allow_the_target() {
        let private = |address: &str| FetchError::from(Denial::Private(address.parse().unwrap()));
        for (profile, url, error, expected) in [
            (
                "",
                "http://192.168.1.20:9000/secret",
                private("192.168.1.20"),
                "192.168.1.20 is private: allow_private = [\"192.168.1.20/32\"] in [upstream] allows it",
            ),
            (
                "",
                "http://nas.example/secret",
                private("10.0.0.9"),
                "10.0.0.9 is private: allow_private = [\"10.0.0.9/32\"] together with \
                 allow_hosts = [\"nas.example\"] in [upstream] allows it",
            ),
            (
                "",
                "http://cdn.example.com:8443/secret",
                FetchError::from(Denial::Port(8443)),
                "port 8443 is neither 80 nor 443: allow_hosts = [\"cdn.example.com:8443\"] in \
                 [upstream] allows it",
            ),
            (
                "club",
                "http://nas.example/secret",
                private("10.0.0.9"),
                "10.0.0.9 is private: allow_private = [\"10.0.0.9/32\"] in source \"club\" allows it",
            ),
        ] {
            let target = targets().of_profile(url.parse().unwrap(), profile, &map()).unwrap();
            assert_eq!(target.explain(&error), expected);
        }
        let url = "https://cdn.example.net:8443/secret?token=1".parse().unwrap();
        let expected = "cdn.example.net:8443 is not in allow_hosts: \
                        allow_hosts = [\"cdn.example.net:8443\"] in [upstream] allows it";
        assert_eq!(explain_unnamed(&url), expected);
    }

    #[test]
    fn a_sources_cookie_goes_where_it_plays() {
        for (url, cookie) in
            [("https://cdn.example.com/1.ts", true), ("https://elsewhere.example/1.ts", false)]
        {
            let target = targets().of_profile(url.parse().unwrap(), "club", &map()).unwrap();
            assert_eq!(target.headers.contains_key("cookie"), cookie, "{url}");
            assert!(target.headers.contains_key("referer"), "{url}");
        }
        let plain = |url: &str| {
            targets().of_plain(&URL_SAFE_NO_PAD.encode(url), Some("club"), &map()).map(drop)
        };
        assert_eq!(plain("https://cdn.example.com/x"), Ok(()));
        assert_eq!(plain("http://192.168.1.20:9000/x"), Err(Problem::TargetDenied));
    }
}
