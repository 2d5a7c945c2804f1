//! [`ResolvedProfile`]: how requests of one source are made, in the form in which they are sent.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, header};
use pitwall_fetch::{AddressPolicy, CookieJar, NamedUrlFilter, parse_source_header};
use pitwall_hls::Redactor;
use pitwall_upstream_map::RequestProfile;
use url::{Position, Url};

use crate::upstream::denials::DenialLog;
use crate::upstream::limiter::UpstreamLimiter;

/// Request fields that go only to the source's own origins, as a playlist may name any host.
const CREDENTIAL_FIELDS: [header::HeaderName; 2] = [header::COOKIE, header::AUTHORIZATION];

/// A [`RequestProfile`] of the map, or the profile of plain links.
#[derive(Clone)]
pub struct ResolvedProfile {
    /// The id of the request profile; empty for plain links.
    pub id: Arc<str>,
    pub policy: AddressPolicy,
    /// The hosts for which private address ranges are allowed: those that a plain link may name,
    /// and not the hosts that they redirect or link to. `None`: the policy of the source holds for
    /// all hosts.
    pub private_hosts: Option<NamedUrlFilter>,
    pub limiter: UpstreamLimiter,
    pub denials: DenialLog,
    pub(super) origins: Arc<OriginCounts>,
    headers: HeaderMap,
    headers_without_credentials: HeaderMap,
    /// What the source's servers have set; they say themselves where it goes. `None` for plain
    /// links, whose requests have nothing to do with each other.
    cookies: Option<Arc<CookieJar>>,
    request_profile: Arc<RequestProfile>,
}

/// The origins at which the upstreams of a profile play, with how many playlists are at each.
pub(crate) type OriginCounts = HashMap<String, usize>;

impl ResolvedProfile {
    /// `previous`: the profile in the last map, whose cookies are kept.
    pub(crate) fn new(
        id: &str,
        request_profile: Arc<RequestProfile>,
        origins: Arc<OriginCounts>,
        limiter: UpstreamLimiter,
        denials: DenialLog,
        previous: Option<&Self>,
    ) -> Self {
        let cookies = previous.and_then(|previous| previous.cookies.clone()).unwrap_or_default();
        // Cookies of the map that are not new may have been replaced by the source since.
        let known_cookies = previous.map(|previous| &previous.request_profile.cookies);
        if known_cookies != Some(&request_profile.cookies) {
            request_profile.cookies.iter().for_each(|(url, field)| cookies.set(field, url));
        }
        let headers = parse_headers(id, &request_profile);
        let mut headers_without_credentials = headers.clone();
        for name in &CREDENTIAL_FIELDS {
            headers_without_credentials.remove(name);
        }
        let policy = AddressPolicy {
            allow_private: request_profile.allow_private.clone(),
            ports: request_profile.ports.clone(),
        };
        Self {
            id: id.into(),
            policy,
            private_hosts: None,
            limiter,
            denials,
            origins,
            headers,
            headers_without_credentials,
            cookies: Some(cookies),
            request_profile,
        }
    }

    pub(super) fn with_origins(&self, origins: Arc<OriginCounts>) -> Self {
        Self { origins, ..self.clone() }
    }

    /// The profile of plain links, which send no fields of any source.
    pub(super) fn of_plain_links(
        policy: AddressPolicy,
        private_hosts: NamedUrlFilter,
        denials: DenialLog,
    ) -> Self {
        let limiter = UpstreamLimiter::default();
        let none = Self::new("", Arc::default(), Arc::default(), limiter, denials, None);
        Self { policy, private_hosts: Some(private_hosts), cookies: None, ..none }
    }

    /// Whether this is what `request_profile` resolves to, but for the origins.
    pub(super) fn is_resolved_from(&self, request_profile: &Arc<RequestProfile>) -> bool {
        Arc::ptr_eq(&self.request_profile, request_profile)
            || self.request_profile == *request_profile
    }

    /// The header fields of requests for `url`: its credentials go only to origins at which the
    /// profile's upstreams play.
    pub fn headers_for(&self, url: &Url) -> &HeaderMap {
        let has_credentials = self.headers.len() > self.headers_without_credentials.len();
        if has_credentials && !self.has_playlist_at(url) {
            return &self.headers_without_credentials;
        }
        &self.headers
    }

    /// Adds the header fields, the cookies and the hosts of the source.
    pub(super) fn add_secrets_to(&self, redactor: &mut Redactor) {
        for (name, value) in &self.headers {
            redactor.add_field(name.as_str(), value.to_str().unwrap_or_default());
        }
        for (_, field) in self.cookies.iter().flat_map(|cookies| cookies.export_set_cookies()) {
            redactor.add_field(header::SET_COOKIE.as_str(), &field);
        }
        for origin in self.origins.keys().filter_map(|origin| Url::parse(origin).ok()) {
            redactor.add_url(&origin);
        }
    }

    pub(super) fn cookie_jar(&self) -> Option<&CookieJar> {
        self.cookies.as_deref()
    }

    /// Whether an upstream of the profile has a playlist at the origin of `url`.
    pub fn has_playlist_at(&self, url: &Url) -> bool {
        self.origins.contains_key(&*origin_of(url))
    }

    /// Names of the query parameters that are only a token.
    pub fn token_parameters(&self) -> &[String] {
        &self.request_profile.token_parameters
    }

    /// The name of the source: the id of a profile for a single stream begins with it.
    pub fn source(&self) -> &str {
        self.id.split('/').next().unwrap_or_default()
    }
}

/// The origin of an http or https URL (RFC 9110, section 4.3.1).
pub(super) fn origin_of(url: &Url) -> Cow<'_, str> {
    let origin = &url[..Position::BeforePath];
    if !origin.contains('@') {
        return Cow::Borrowed(origin);
    }
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    Cow::Owned(format!("{}://{authority}", url.scheme()))
}

/// The header fields of a profile. The map comes from the control plane through a store: an invalid
/// field in it costs only itself.
fn parse_headers(id: &str, profile: &RequestProfile) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &profile.headers {
        match parse_source_header(name, value) {
            Ok((name, value)) => drop(headers.append(name, value)),
            Err(error) => tracing::warn!(
                profile = id,
                %error,
                "a header field of a source is invalid and is not sent: check the headers of the source"
            ),
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let sent = parse_headers("club", &profile);
            let names: Vec<_> = sent.keys().map(|name| name.as_str()).collect();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (url, expected) in [
            ("https://cdn.example.com/a?b", "https://cdn.example.com"),
            ("https://CDN.example.com:443", "https://cdn.example.com"),
            ("http://user:secret@[2001:db8::1]:8080/a", "http://[2001:db8::1]:8080"),
            ("http://h?u=a@b", "http://h"),
        ] {
            assert_eq!(origin_of(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
