//! Which upstream URL a link names, and how it may be fetched.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use pitwall_fetch::{AddressPolicy, FetchError, NamedUrlFilter, parse_url};
use pitwall_hls::Redactor;
use url::{Position, Url};

use crate::config::UpstreamConfig;
use crate::http::problem::Problem;
use crate::http::query::{Link, object_number};
use crate::upstream::denials::{
    DenialLog, explain_foreign_host, explain_plain_denial, explain_unlisted_host,
};
use crate::upstream::profile::ResolvedProfile;
use crate::upstream::resolved_links::ResolvedLinks;
use crate::upstream::resolved_map::ResolvedMap;
use crate::upstream::seal::{Purpose, Sealer};

/// An upstream URL that may be fetched.
#[derive(Clone)]
pub struct UpstreamTarget {
    pub url: Url,
    pub profile: Arc<ResolvedProfile>,
    pub purpose: Option<Purpose>,
    /// Unix seconds when the link that named this target expires, and with it all links that its
    /// playlist leads to.
    pub expires: Option<u64>,
    /// The stream that the object belongs to, where the link says so.
    pub stream: Option<Arc<str>>,
    /// What the link numbers the object by: an encoder with a ring of names, or one that starts
    /// anew, gives the name of one segment or map to another.
    pub object_number: Option<u64>,
}

/// Resolves links to targets.
pub struct TargetResolver {
    allowed_hosts: NamedUrlFilter,
    /// The profile of plain links to the hosts that they may name.
    named_profile: Arc<ResolvedProfile>,
    /// The profile of what plain links lead to, where private address ranges are closed.
    foreign_profile: Arc<ResolvedProfile>,
    denials: DenialLog,
    /// Links to stored objects.
    pub links: ResolvedLinks,
}

impl TargetResolver {
    pub fn new(config: &UpstreamConfig, denials: DenialLog) -> Self {
        let policy = AddressPolicy {
            allow_private: config.allow_private.iter().map(|range| range.0).collect(),
            ports: config.allow_hosts.iter().filter_map(|host| host.port).collect(),
        };
        let allow_hosts = config.allow_hosts.clone();
        let allowed_hosts: NamedUrlFilter =
            Arc::new(move |url: &Url| allow_hosts.iter().any(|host| host.matches(url)));
        let profile = |policy: AddressPolicy| {
            let (named_hosts, denials) = (allowed_hosts.clone(), denials.clone());
            Arc::new(ResolvedProfile::of_plain_links(policy, named_hosts, denials))
        };
        let public_policy = AddressPolicy { allow_private: Vec::new(), ..policy.clone() };
        let (named_profile, foreign_profile) = (profile(policy), profile(public_policy));
        let links = ResolvedLinks::default();
        Self { allowed_hosts, named_profile, foreign_profile, denials, links }
    }

    /// The address policy for a link to `url` by the operator.
    pub fn policy_for_plain_link(&self, url: &Url) -> &AddressPolicy {
        &self.profile_for_plain_link(url).policy
    }

    fn profile_for_plain_link(&self, url: &Url) -> &Arc<ResolvedProfile> {
        if self.is_plain_url_allowed(url) { &self.named_profile } else { &self.foreign_profile }
    }

    /// Why [`policy_for_plain_link`](Self::policy_for_plain_link) refuses `url`, with the key of `[upstream]`
    /// that would allow it.
    pub fn explain_denial(&self, url: &Url, error: &FetchError) -> String {
        explain_plain_denial(error, url, self.is_plain_url_allowed(url))
    }

    fn is_plain_url_allowed(&self, url: &Url) -> bool {
        (self.allowed_hosts)(url)
    }

    /// The target that a link names. `source`: the source in the path of a plain link.
    ///
    /// # Errors
    /// The problem of the seal or the URL, [`Problem::TargetDenied`] for a plain link to a host
    /// that is not allowed, [`Problem::NotFound`] for an unknown source.
    pub fn resolve_link(
        &self,
        link: &Link<'_>,
        source: Option<&str>,
        sealer: &Sealer,
        map: &ResolvedMap,
        now: u64,
    ) -> Result<UpstreamTarget, Problem> {
        match link {
            Link::Plain { url } => self.resolve_plain(url, source, map),
            Link::Sealed { seal, path } => {
                let sealed = sealer.unseal(seal, path, now)?;
                let target =
                    self.resolve_for_profile(parse_url(sealed.url())?, sealed.profile(), map)?;
                let purpose = Some(sealed.purpose);
                let object_number = object_number(path.as_bytes());
                Ok(UpstreamTarget { purpose, expires: sealed.expires, object_number, ..target })
            }
        }
    }

    fn resolve_plain(
        &self,
        url: &str,
        source: Option<&str>,
        map: &ResolvedMap,
    ) -> Result<UpstreamTarget, Problem> {
        let url = URL_SAFE_NO_PAD
            .decode(url)
            .map_err(|_| Problem::BadUrl("url= is not base64url without padding"))?;
        let url = String::from_utf8(url).map_err(|_| Problem::BadUrl("url= is not UTF-8"))?;
        let url = parse_url(&url)?;
        if !self.is_plain_url_allowed(&url) {
            self.denials.log_denial(explain_unlisted_host(&url));
            return Err(Problem::TargetDenied);
        }
        let Some(source) = source else { return self.resolve_for_profile(url, "", map) };
        if map.find_profile(source).is_none() {
            return Err(Problem::NotFound);
        }
        // The header fields of a source go only to origins where the source plays, whoever made the
        // link.
        if !map
            .profiles()
            .any(|profile| profile.source() == source && profile.has_playlist_at(&url))
        {
            self.denials.log_denial(explain_foreign_host(&url, source));
            return Err(Problem::TargetDenied);
        }
        self.resolve_for_profile(url, source, map)
    }

    /// The target for a URL that an upstream with this request profile led to; an empty `profile`
    /// is that of plain links.
    ///
    /// # Errors
    /// [`Problem::SealExpired`] if the profile is no longer in the map: the links of a removed
    /// source end with it, because nothing says any more how they may be fetched.
    pub fn resolve_for_profile(
        &self,
        url: Url,
        profile: &str,
        map: &ResolvedMap,
    ) -> Result<UpstreamTarget, Problem> {
        let profile = match profile {
            "" => self.profile_for_plain_link(&url),
            id => map.find_profile(id).ok_or(Problem::SealExpired)?,
        };
        Ok(UpstreamTarget::new(url, profile.clone()))
    }

    /// The target for a URL that the playlist at the target `playlist` leads to.
    pub fn resolve_from_playlist(&self, url: Url, playlist: &UpstreamTarget) -> UpstreamTarget {
        let is_plain = playlist.profile.id.is_empty();
        let profile = if is_plain { self.profile_for_plain_link(&url) } else { &playlist.profile };
        let target = UpstreamTarget::new(url, profile.clone());
        UpstreamTarget { stream: playlist.stream.clone(), ..target }
    }
}

impl TargetResolver {
    /// What may be published of a playlist or document that was fetched from `target`, at
    /// `base_url` after redirects. Whoever may name a host in a plain link knows it; what a stream
    /// or a sealed link of a source leads to names none.
    pub fn redactor_for(&self, target: &UpstreamTarget, base_url: &Url) -> Redactor {
        let is_plain_link = target.purpose.is_none() && target.stream.is_none();
        let may_be_named = is_plain_link || target.profile.id.is_empty();
        let mut redactor = Redactor::new(may_be_named.then(|| self.allowed_hosts.clone()));
        redactor.add_url(base_url);
        redactor.add_url(&target.url);
        target.profile.add_secrets_to(&mut redactor);
        redactor
    }
}

impl UpstreamTarget {
    pub(crate) fn new(url: Url, profile: Arc<ResolvedProfile>) -> Self {
        Self { url, profile, purpose: None, expires: None, stream: None, object_number: None }
    }

    /// The header fields that its source sends to this target.
    pub fn headers(&self) -> &HeaderMap {
        self.profile.headers_for(&self.url)
    }

    pub(super) fn explain_denial(&self, error: &FetchError) -> String {
        if let Some(is_named) = &self.profile.private_hosts {
            return explain_plain_denial(error, &self.url, is_named(&self.url));
        }
        error.operator_text(&format!("in source {:?}", self.profile.source()))
    }

    /// The URL without its token parameters, under which objects are cached.
    pub fn canonical_url(&self) -> Cow<'_, str> {
        canonical_url(&self.url[..Position::AfterQuery], self.profile.token_parameters())
    }
}

/// `url` without the query parameters in `token_parameters`.
pub fn canonical_url<'a>(url: &'a str, token_parameters: &[String]) -> Cow<'a, str> {
    let Some((rest, query)) = url.split_once('?') else { return Cow::Borrowed(url) };
    let is_token = |pair: &&str| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        token_parameters.iter().any(|token| token == name)
    };
    if !query.split('&').any(|pair| is_token(&pair)) {
        return Cow::Borrowed(url);
    }
    let pairs: Vec<&str> = query.split('&').filter(|pair| !is_token(pair)).collect();
    if pairs.is_empty() {
        Cow::Borrowed(rest)
    } else {
        Cow::Owned(format!("{rest}?{}", pairs.join("&")))
    }
}

#[cfg(test)]
mod tests {
    use pitwall_fetch::PolicyDenial;

    use super::*;
    use crate::config::AllowedHost;

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
        let config = UpstreamConfig {
            allow_hosts: vec![host("cdn.example.com"), host("192.168.1.20:9000")],
            allow_private: vec!["192.168.1.0/24".parse().unwrap()],
            ..UpstreamConfig::default()
        };
        TargetResolver::new(&config, DenialLog::default())
    }

    /// A map in which a source with a cookie plays at `cdn.example.com`.
    fn map() -> Arc<ResolvedMap> {
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
        crate::upstream::resolved_map::tests::resolve(serde_json::from_value(json).unwrap())
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
            assert_eq!(!target.profile.policy.allow_private.is_empty(), private, "{url}");
            let is_named = target.profile.private_hosts.clone().unwrap();
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
            assert_eq!(target.headers().contains_key("cookie"), cookie, "{url}");
            assert!(target.headers().contains_key("referer"), "{url}");
        }
        let map = map();
        let plain = |url: &str| {
            targets().resolve_plain(&URL_SAFE_NO_PAD.encode(url), Some("club"), &map).map(drop)
        };
        assert_eq!(plain("https://cdn.example.com/x"), Ok(()));
        assert_eq!(plain("http://192.168.1.20:9000/x"), Err(Problem::TargetDenied));
    }
}
