//! Requests: vetted, redirected by hand, bounded in time.

use std::collections::HashMap;
use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use reqwest::cookie::{CookieStore, Jar};
use url::Url;

use crate::error::{FetchError, Kind};
use crate::policy::Policy;
use crate::resolve::VettedResolver;
use crate::response::Response;

const MAX_REDIRECTS: usize = 3;

/// Sends requests. One connection pool per policy, so that a connection opened under a wider
/// policy is never reused under a narrower one.
pub struct Fetcher {
    clients: Mutex<HashMap<Policy, reqwest::Client>>,
    timeouts: Timeouts,
    own: Arc<Ourselves>,
}

/// Our own listeners: fetching ourselves would be a loop.
pub(crate) struct Ourselves(Vec<SocketAddr>);

impl Ourselves {
    pub(crate) fn contains(&self, address: IpAddr, port: Option<u16>) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|own| {
            let here = own.ip() == address || (own.ip().is_unspecified() && address.is_loopback());
            here && Some(own.port()) == port
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    pub first_byte: Duration,
    /// Longest silence within a body.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            first_byte: Duration::from_secs(5),
            idle: Duration::from_secs(5),
        }
    }
}

/// One request, built fresh: nothing of a viewer's request travels unless it is put here.
pub struct Request<'a> {
    pub method: Method,
    pub url: Url,
    /// The source's: dropped when a redirect leaves the origin they were meant for.
    pub source_headers: HeaderMap,
    /// Range, If-Range, Accept: kept on every hop.
    pub forwarded: HeaderMap,
    pub body: Option<Body>,
    pub cookies: Option<&'a Jar>,
    /// Overrides the configured one, for requests that are meant to wait upstream.
    pub first_byte: Option<Duration>,
    /// Private ranges were opened for this URL's host alone: a redirect that leaves the origin
    /// leaves them too.
    pub private_here_only: bool,
}

#[derive(Clone)]
pub struct Body {
    pub content_type: HeaderValue,
    pub bytes: Bytes,
}

impl<'a> Request<'a> {
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            source_headers: HeaderMap::new(),
            forwarded: HeaderMap::new(),
            body: None,
            cookies: None,
            first_byte: None,
            private_here_only: false,
        }
    }

    pub fn post(url: Url, body: Body) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(url) }
    }

    #[must_use]
    pub fn source_headers(mut self, headers: HeaderMap) -> Self {
        self.source_headers = headers;
        self
    }

    #[must_use]
    pub fn forward(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.forwarded.insert(name, value);
        self
    }

    #[must_use]
    pub fn cookies(mut self, jar: &'a Jar) -> Self {
        self.cookies = Some(jar);
        self
    }

    #[must_use]
    pub fn first_byte(mut self, timeout: Duration) -> Self {
        self.first_byte = Some(timeout);
        self
    }
}

impl Fetcher {
    pub fn new(timeouts: Timeouts, own: Vec<SocketAddr>) -> Self {
        Self { clients: Mutex::new(HashMap::new()), timeouts, own: Arc::new(Ourselves(own)) }
    }

    pub(crate) fn own(&self) -> &Ourselves {
        &self.own
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Sends a request and follows at most three redirects, each vetted like the first.
    /// Any status is an answer; only the lack of one is an error.
    pub async fn send(
        &self,
        policy: &Policy,
        mut request: Request<'_>,
    ) -> Result<Response, FetchError> {
        let first = request.url.origin();
        let narrow = Policy { allow_private: Vec::new(), ..policy.clone() };
        let mut redirects = 0;
        loop {
            let here = !request.private_here_only || request.url.origin() == first;
            let hop = self.hop(if here { policy } else { &narrow }, &request).await;
            // Where an upstream sends us is the upstream's fault, not the caller's.
            let response = hop.map_err(|error| match error.kind {
                Kind::BadUrl(_) | Kind::Denied if redirects > 0 => Kind::BadRedirect.into(),
                _ => error,
            })?;
            let Some(location) = redirect_target(&response, &request.url)? else {
                return Ok(Response::new(response, request.url, self.timeouts.idle));
            };
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                return Err(Kind::TooManyRedirects.into());
            }
            follow(&mut request, location, response.status());
        }
    }

    async fn hop(
        &self,
        policy: &Policy,
        request: &Request<'_>,
    ) -> Result<reqwest::Response, FetchError> {
        policy.check(&request.url)?;
        if let Some(literal) = literal_address(&request.url)
            && self.own.contains(literal, request.url.port_or_known_default())
        {
            return Err(Kind::Denied.into());
        }
        let mut headers = request.source_headers.clone();
        headers.extend(request.forwarded.clone());
        if let Some(cookies) = request.cookies.and_then(|jar| jar.cookies(&request.url)) {
            headers.insert(header::COOKIE, cookies);
        }
        let mut builder = self
            .client(policy)?
            .request(request.method.clone(), request.url.clone())
            .headers(headers);
        if let Some(body) = &request.body {
            builder = builder
                .header(header::CONTENT_TYPE, body.content_type.clone())
                .body(body.bytes.clone());
        }
        let first_byte = request.first_byte.unwrap_or(self.timeouts.first_byte);
        let response = tokio::time::timeout(first_byte, builder.send())
            .await
            .map_err(|_| FetchError::from(Kind::Timeout))?
            .map_err(classify)?;
        if let Some(peer) = response.remote_addr() {
            policy.check_address(peer.ip())?;
            if self.own.contains(peer.ip(), Some(peer.port())) {
                return Err(Kind::Denied.into());
            }
        }
        if let Some(jar) = request.cookies {
            let mut set = response.headers().get_all(header::SET_COOKIE).iter();
            jar.set_cookies(&mut set, &request.url);
        }
        Ok(response)
    }

    fn client(&self, policy: &Policy) -> Result<reqwest::Client, FetchError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(policy) {
            return Ok(client.clone());
        }
        let client = self.build(policy).map_err(|error| FetchError::with(Kind::Tls, error))?;
        clients.insert(policy.clone(), client.clone());
        Ok(client)
    }

    fn build(&self, policy: &Policy) -> reqwest::Result<reqwest::Client> {
        // Pingora brings ring; a second crypto library for the same handshakes would only
        // add weight. Installing twice is not an error worth knowing about.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .user_agent(concat!("pitwall/", env!("CARGO_PKG_VERSION")))
            // Proxy variables in the environment would send requests around the policy.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(VettedResolver(Arc::new(policy.clone()))))
            .connect_timeout(self.timeouts.connect)
            .pool_idle_timeout(Duration::from_secs(60))
            .build()
    }
}

fn literal_address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        url::Host::Ipv4(v4) => Some(v4.into()),
        url::Host::Ipv6(v6) => Some(v6.into()),
        url::Host::Domain(_) => None,
    }
}

/// Where a redirect leads; `None` when the answer is not one.
fn redirect_target(response: &reqwest::Response, base: &Url) -> Result<Option<Url>, FetchError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let bad = || FetchError::from(Kind::BadRedirect);
    let location = response.headers().get(header::LOCATION).ok_or_else(bad)?;
    let location = std::str::from_utf8(location.as_bytes()).map_err(|_| bad())?;
    let mut target = base.join(location).map_err(|_| bad())?;
    target.set_fragment(None);
    if base.scheme() == "https" && target.scheme() == "http" {
        return Err(FetchError::with(Kind::BadRedirect, "from https to http"));
    }
    Ok(Some(target))
}

fn follow(request: &mut Request<'_>, target: Url, status: StatusCode) {
    if target.origin() != request.url.origin() {
        request.source_headers.clear();
    }
    let becomes_get = status == StatusCode::SEE_OTHER
        || (request.method == Method::POST
            && matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND));
    if becomes_get && request.method != Method::HEAD {
        request.method = Method::GET;
        request.body = None;
    }
    request.url = target;
}

/// reqwest wraps our resolver's errors and everything the system says in its own.
pub(crate) fn classify(error: reqwest::Error) -> FetchError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(ours) = cause.downcast_ref::<FetchError>() {
            return ours.kind.into();
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return FetchError::with(Kind::Tls, tls);
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return FetchError::with(Kind::Tls, tls);
        }
        source = cause.source();
    }
    let kind = if error.is_timeout() {
        Kind::Timeout
    } else if error.is_connect() {
        Kind::Connect
    } else {
        Kind::Body
    };
    // Without the URL: errors are logged, and URLs hold tokens.
    let error = error.without_url();
    FetchError::with(kind, root_cause(&error))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
