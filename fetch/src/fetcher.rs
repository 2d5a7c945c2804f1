//! Requests: vetted, redirected by hand, bounded in time.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use reqwest::cookie::{CookieStore as _, Jar};
use url::Url;

use crate::error::{FetchError, Kind};
use crate::policy::Policy;
use crate::reason::Denial;
use crate::response::{Answer, Response};
use crate::{plain, secure};

/// Token portals use up to six; ffmpeg follows 8, browsers 20.
pub(crate) const MAX_REDIRECTS: usize = 10;
pub(crate) const USER_AGENT: &str = concat!("pitwall/", env!("CARGO_PKG_VERSION"));

/// Sends requests. One connection pool per policy, so that a connection opened under a wider
/// policy is never reused under a narrower one.
pub struct Fetcher {
    plain: Mutex<HashMap<Policy, Arc<plain::Client>>>,
    secure: Mutex<HashMap<Policy, secure::Client>>,
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
    /// The source's. A redirect that leaves their origin leaves the credentials among them behind.
    pub source_headers: HeaderMap,
    /// Range, If-Range, Accept: kept on every hop.
    pub forwarded: HeaderMap,
    pub body: Option<Body>,
    pub cookies: Option<&'a Jar>,
    /// Overrides the configured one, for requests that are meant to wait upstream.
    pub first_byte: Option<Duration>,
    /// For which URLs private ranges were opened, where not for all: a redirect from one of these
    /// to another host reaches no private address there.
    pub private_hosts: Option<HostFilter>,
}

/// Which URLs an operator named.
pub type HostFilter = Arc<dyn Fn(&Url) -> bool + Send + Sync>;

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
            private_hosts: None,
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
        Self {
            plain: Mutex::default(),
            secure: Mutex::default(),
            timeouts,
            own: Arc::new(Ourselves(own)),
        }
    }

    pub(crate) fn own(&self) -> &Ourselves {
        &self.own
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Sends a request and follows at most [`MAX_REDIRECTS`] redirects, each vetted like the first.
    /// Any status is an answer; only the lack of one is an error.
    pub async fn send(
        &self,
        policy: &Policy,
        mut request: Request<'_>,
    ) -> Result<Response, FetchError> {
        let narrow = Policy { allow_private: Vec::new(), ..policy.clone() };
        let mut redirects = 0;
        loop {
            let is_open =
                request.private_hosts.as_ref().is_none_or(|is_named| is_named(&request.url));
            let hop = self.hop(if is_open { policy } else { &narrow }, &request).await;
            // Where an upstream sends us is the upstream's fault, not the caller's.
            let response = hop.map_err(|error| match error.kind {
                Kind::BadUrl(_) | Kind::Denied if redirects > 0 => error.of_redirect(),
                _ => error,
            })?;
            let Some(location) = redirect_target(&response, &request.url)? else {
                let head = request.method == Method::HEAD;
                return Ok(Response::new(response, head, request.url, self.timeouts.idle));
            };
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                return Err(Kind::TooManyRedirects.into());
            }
            follow(&mut request, location, response.status())?;
        }
    }

    async fn hop(&self, policy: &Policy, request: &Request<'_>) -> Result<Answer, FetchError> {
        policy.check(&request.url)?;
        if let Some(literal) = literal_address(&request.url)
            && self.own.contains(literal, request.url.port_or_known_default())
        {
            return Err(Denial::OwnListener.into());
        }
        let cookie = request.cookies.and_then(|jar| jar.cookies(&request.url));
        let first_byte = request.first_byte.unwrap_or(self.timeouts.first_byte);
        let answer = async {
            if request.url.scheme() == "http" {
                let client = self.plain(policy);
                client.send(request, cookie.as_ref()).await.map(Answer::Plain)
            } else {
                let client = self.secure(policy)?;
                client.send(request, cookie, &self.own).await.map(Answer::Secure)
            }
        };
        let answer = tokio::time::timeout(first_byte, answer)
            .await
            .map_err(|_| FetchError::from(Kind::Timeout))??;
        if let Some(jar) = request.cookies {
            let mut set = answer.headers().get_all(header::SET_COOKIE).iter();
            jar.set_cookies(&mut set, &request.url);
        }
        Ok(answer)
    }

    fn plain(&self, policy: &Policy) -> Arc<plain::Client> {
        let mut clients = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(policy) {
            return client.clone();
        }
        let client = plain::Client::new(policy.clone(), self.own.clone(), self.timeouts.connect);
        clients.entry(policy.clone()).or_insert(Arc::new(client)).clone()
    }

    fn secure(&self, policy: &Policy) -> Result<secure::Client, FetchError> {
        let mut clients = self.secure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(policy) {
            return Ok(client.clone());
        }
        let client = secure::Client::new(policy.clone(), self.timeouts.connect)?;
        clients.insert(policy.clone(), client.clone());
        Ok(client)
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
fn redirect_target(response: &Answer, base: &Url) -> Result<Option<Url>, FetchError> {
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

/// Credentials and bodies were meant for the origin that they were sent to. CDNs ask for the other
/// fields of a source wherever they lead.
fn follow(request: &mut Request<'_>, target: Url, status: StatusCode) -> Result<(), FetchError> {
    let leaves = target.origin() != request.url.origin();
    if leaves {
        for name in [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION] {
            request.source_headers.remove(name);
        }
    }
    let becomes_get = status == StatusCode::SEE_OTHER
        || (request.method == Method::POST
            && matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND));
    if becomes_get && request.method != Method::HEAD {
        request.method = Method::GET;
        request.body = None;
    }
    if leaves && request.body.is_some() {
        return Err(FetchError::with(Kind::BadRedirect, "a body that would go to another origin"));
    }
    request.url = target;
    Ok(())
}

#[cfg(test)]
mod tests;
