//! Which upstream URL a link names, and how it may be fetched.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use pitwall_fetch::{
    AddressPolicy, FetchError, Fetcher, Request, Response, UrlFilter, parse_source_header,
    parse_url,
};
use pitwall_upstream_map::{RequestProfile, Upstream, UpstreamMap};
use url::Url;

use crate::config::UpstreamConfig;
use crate::http::problem::Problem;
use crate::http::query::Link;
use crate::upstream::denials::{
    DenialLog, explain_foreign_host, explain_plain_denial, explain_unlisted_host,
};
use crate::upstream::limiter::{UpstreamLimiter, UpstreamLimiters};
use crate::upstream::seal::{Purpose, Sealer};

/// An upstream URL that may be fetched, with all that fetching it needs.
#[derive(Clone)]
pub struct UpstreamTarget {
    pub url: Url,
    /// Name of the request profile; empty for plain links.
    pub profile: String,
    pub purpose: Option<Purpose>,
    /// Unix seconds when the link that named this target expires, and with it all links that its
    /// playlist leads to.
    pub expires: Option<u64>,
    pub policy: AddressPolicy,
    pub headers: HeaderMap,
    pub token_parameters: Vec<String>,
    /// The hosts for which private address ranges are allowed: those that a plain link may name,
    /// and not the hosts that they redirect or link to. `None`: the policy of the source holds for
    /// all hosts.
    pub private_hosts: Option<UrlFilter>,
    pub limiter: UpstreamLimiter,
    pub denials: DenialLog,
    /// The stream that the object belongs to, where the link says so.
    pub stream: Option<Arc<str>>,
}

/// Resolves links to targets.
pub struct TargetResolver {
    allowed_hosts: UrlFilter,
    plain_policy: AddressPolicy,
    limiters: UpstreamLimiters,
    denials: DenialLog,
}

impl TargetResolver {
    pub fn new(config: &UpstreamConfig) -> Self {
        let plain_policy = AddressPolicy {
            allow_private: config.allow_private.iter().map(|range| range.0).collect(),
            ports: config.allow_hosts.iter().filter_map(|host| host.port).collect(),
        };
        let allow_hosts = config.allow_hosts.clone();
        let allowed_hosts: UrlFilter =
            Arc::new(move |url: &Url| allow_hosts.iter().any(|host| host.matches(url)));
        Self {
            allowed_hosts,
            plain_policy,
            limiters: UpstreamLimiters::default(),
            denials: DenialLog::default(),
        }
    }

    /// The address policy for a link to `url` by the operator.
    pub fn policy_for_url(&self, url: &Url) -> AddressPolicy {
        if self.is_allowed_host(url) {
            return self.plain_policy.clone();
        }
        AddressPolicy { allow_private: Vec::new(), ..self.plain_policy.clone() }
    }

    /// Why [`policy_for_url`](Self::policy_for_url) refuses `url`, with the key of `[upstream]`
    /// that would allow it.
    pub fn explain_denial(&self, url: &Url, error: &FetchError) -> String {
        explain_plain_denial(error, url, self.is_allowed_host(url))
    }

    fn is_allowed_host(&self, url: &Url) -> bool {
        (self.allowed_hosts)(url)
    }

    /// The target that a link names. `source`: the source in the path of a plain link.
    ///
    /// # Errors
    /// The problem of the seal or the URL, [`Problem::TargetDenied`] for a plain link to a host
    /// that is not allowed, [`Problem::NotFound`] for an unknown source.
    pub fn resolve_link(
        &self,
        link: &Link,
        source: Option<&str>,
        sealer: &Sealer,
        map: &UpstreamMap,
        now: u64,
    ) -> Result<UpstreamTarget, Problem> {
        match link {
            Link::Plain { url } => self.resolve_plain(url, source, map),
            Link::Sealed { seal, path } => {
                let sealed = sealer.unseal(seal, path, now)?;
                let url = parse_url(&sealed.url)?;
                self.resolve_for_profile(url, &sealed.profile, map).map(|target| UpstreamTarget {
                    purpose: Some(sealed.purpose),
                    expires: sealed.expires,
                    ..target
                })
            }
        }
    }

    fn resolve_plain(
        &self,
        url: &str,
        source: Option<&str>,
        map: &UpstreamMap,
    ) -> Result<UpstreamTarget, Problem> {
        let url = URL_SAFE_NO_PAD
            .decode(url)
            .map_err(|_| Problem::BadUrl("url= is not base64url without padding"))?;
        let url = String::from_utf8(url).map_err(|_| Problem::BadUrl("url= is not UTF-8"))?;
        let url = parse_url(&url)?;
        if !self.is_allowed_host(&url) {
            self.denials.log_denial(explain_unlisted_host(&url));
            return Err(Problem::TargetDenied);
        }
        match source {
            Some(source) if !map.profiles.keys().any(|id| id.0 == source) => Err(Problem::NotFound),
            // The header fields of a source go only to origins where the source plays, whoever made
            // the link.
            Some(source) if !is_upstream_origin(map, &url, |one| one.source == source) => {
                self.denials.log_denial(explain_foreign_host(&url, source));
                Err(Problem::TargetDenied)
            }
            Some(source) => self.resolve_for_profile(url, source, map),
            None => self.resolve_for_profile(url, "", map),
        }
    }

    /// The target for a URL that an upstream with this request profile led to; an empty `profile`
    /// is that of plain links.
    ///
    /// # Errors
    /// [`Problem::SealExpired`] if the profile is no longer in the map.
    pub fn resolve_for_profile(
        &self,
        url: Url,
        profile: &str,
        map: &UpstreamMap,
    ) -> Result<UpstreamTarget, Problem> {
        if profile.is_empty() {
            let policy = self.policy_for_url(&url);
            return Ok(UpstreamTarget {
                url,
                profile: String::new(),
                purpose: None,
                expires: None,
                policy,
                headers: HeaderMap::new(),
                token_parameters: Vec::new(),
                private_hosts: Some(self.allowed_hosts.clone()),
                limiter: UpstreamLimiter::default(),
                denials: self.denials.clone(),
                stream: None,
            });
        }
        // The links of a removed source end with it, because the map no longer says how they may be
        // fetched.
        let found = map.profiles.iter().find(|(id, _)| id.0 == profile);
        let (_, request_profile) = found.ok_or(Problem::SealExpired)?;
        let mut headers = profile_headers(request_profile);
        let secret_fields = [header::COOKIE, header::AUTHORIZATION];
        let has_secret = secret_fields.iter().any(|name| headers.contains_key(name));
        // A playlist may name any host: cookies and credentials of the source go only to the
        // source's own origins.
        if has_secret && !is_upstream_origin(map, &url, |one| one.profile.0 == profile) {
            for name in secret_fields {
                headers.remove(name);
            }
        }
        Ok(UpstreamTarget {
            url,
            profile: profile.to_owned(),
            purpose: None,
            expires: None,
            policy: profile_policy(request_profile),
            headers,
            token_parameters: request_profile.token_parameters.clone(),
            private_hosts: None,
            limiter: self.limiters.limiter_for(profile, request_profile.connections),
            denials: self.denials.clone(),
            stream: None,
        })
    }
}

/// Whether the URL has the origin of a playlist of an upstream that `matches`.
fn is_upstream_origin(map: &UpstreamMap, url: &Url, matches: impl Fn(&Upstream) -> bool) -> bool {
    let origin = url.origin();
    let mut upstreams = map.streams.values().flat_map(|stream| &stream.upstreams);
    upstreams.any(|one| {
        matches(one)
            && (one.playlist.origin() == origin
                || one.renditions.iter().any(|rendition| rendition.playlist.origin() == origin))
    })
}

fn profile_policy(profile: &RequestProfile) -> AddressPolicy {
    AddressPolicy { allow_private: profile.allow_private.clone(), ports: profile.ports.clone() }
}

/// The header fields of a profile. The map comes from the control plane through a store: an invalid
/// field in it costs only itself.
fn profile_headers(profile: &RequestProfile) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &profile.headers {
        match parse_source_header(name, value) {
            Ok((name, value)) => drop(headers.append(name, value)),
            Err(error) => tracing::warn!(
                %error,
                "a header field of a source is invalid and is not sent: check the headers of the source"
            ),
        }
    }
    headers
}

impl UpstreamTarget {
    /// Sends a request to this target, when its source has a free permit.
    ///
    /// # Errors
    /// [`Problem::Unavailable`] without a permit in time, or the problem of the fetch.
    pub async fn send(&self, fetcher: &Fetcher, request: Request<'_>) -> Result<Response, Problem> {
        let permit = self.limiter.acquire().await?;
        let result = fetcher.send(&self.policy, request).await;
        let response = result.inspect_err(|error| {
            if error.denial().is_some() {
                self.denials.log_denial(self.explain_denial(error));
            }
        })?;
        Ok(response.with_guard(permit))
    }

    fn explain_denial(&self, error: &FetchError) -> String {
        if let Some(is_named) = &self.private_hosts {
            return explain_plain_denial(error, &self.url, is_named(&self.url));
        }
        // The name of a profile for a single stream begins with the name of its source.
        let source = self.profile.split('/').next().unwrap_or_default();
        error.operator_text(&format!("in source {source:?}"))
    }

    /// The URL without its token parameters, under which objects are cached.
    pub fn canonical_url(&self) -> String {
        canonical_url(self.url.as_str(), &self.token_parameters)
    }
}

/// `url` without the query parameters in `token_parameters`.
pub fn canonical_url(url: &str, token_parameters: &[String]) -> String {
    let Some((rest, query)) = url.split_once('?') else { return url.to_owned() };
    let pairs: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
            !token_parameters.iter().any(|token| token == name)
        })
        .collect();
    if pairs.is_empty() { rest.to_owned() } else { format!("{rest}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use pitwall_fetch::PolicyDenial;

    use super::*;
    use crate::config::AllowedHost;

    #[test]
    fn an_invalid_header_field_costs_only_itself() {
        for (fields, expected) in [
            (vec![("Referer", "https://a/"), ("Bad Name", "x")], vec!["referer"]),
            (vec![("Host", "a"), ("Cookie", "b"), ("X-A", "line\nbreak")], vec!["cookie"]),
            (vec![], vec![]),
        ] {
            let headers =
                fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
            let profile =
                RequestProfile { headers: headers.collect(), ..RequestProfile::default() };
            let sent = profile_headers(&profile);
            let names: Vec<_> = sent.keys().map(|name| name.as_str()).collect();
            assert_eq!(names, expected);
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
            assert_eq!(canonical_url(url, &tokens), expected);
        }
    }

    fn targets() -> TargetResolver {
        let host = |text: &str| AllowedHost::try_from(text.to_owned()).unwrap();
        TargetResolver::new(&UpstreamConfig {
            allow_hosts: vec![host("cdn.example.com"), host("192.168.1.20:9000")],
            allow_private: vec!["192.168.1.0/24".parse().unwrap()],
            ..UpstreamConfig::default()
        })
    }

    /// A map in which a source with a cookie plays at `cdn.example.com`.
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
            "documents": {},
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
            let target = targets().resolve_for_profile(url.parse().unwrap(), "", &map()).unwrap();
            assert_eq!(!target.policy.allow_private.is_empty(), private, "{url}");
            let is_named = target.private_hosts.unwrap();
            assert_eq!(is_named(&url.parse().unwrap()), private, "{url}");
        }
    }

    /// The denial log is for the operator: it names the address and the configuration key, and no
    /// path.
    #[test]
    fn a_denial_names_the_key_that_would_allow_the_target() {
        let private = |address: &str| {
            FetchError::from(PolicyDenial::PrivateAddress(address.parse().unwrap()))
        };
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
                FetchError::from(PolicyDenial::Port(8443)),
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
            let target =
                targets().resolve_for_profile(url.parse().unwrap(), profile, &map()).unwrap();
            assert_eq!(target.explain_denial(&error), expected);
        }
        let url = "https://cdn.example.net:8443/secret?token=1".parse().unwrap();
        let expected = "cdn.example.net:8443 is not in allow_hosts: \
                        allow_hosts = [\"cdn.example.net:8443\"] in [upstream] allows it";
        assert_eq!(explain_unlisted_host(&url), expected);
    }

    #[test]
    fn a_sources_cookie_goes_where_it_plays() {
        for (url, cookie) in
            [("https://cdn.example.com/1.ts", true), ("https://elsewhere.example/1.ts", false)]
        {
            let target =
                targets().resolve_for_profile(url.parse().unwrap(), "club", &map()).unwrap();
            assert_eq!(target.headers.contains_key("cookie"), cookie, "{url}");
            assert!(target.headers.contains_key("referer"), "{url}");
        }
        let plain = |url: &str| {
            targets().resolve_plain(&URL_SAFE_NO_PAD.encode(url), Some("club"), &map()).map(drop)
        };
        assert_eq!(plain("https://cdn.example.com/x"), Ok(()));
        assert_eq!(plain("http://192.168.1.20:9000/x"), Err(Problem::TargetDenied));
    }
}
