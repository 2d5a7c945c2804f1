//! Sending of requests: URLs checked against the policy, redirects followed here, timeouts applied.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header;
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, percent_encode};
use url::Url;

use crate::content_coding::UpstreamBody;
use crate::cookies::{CookieJar, merge_cookies};
use crate::error::{FetchError, FetchErrorKind};
use crate::own_listeners::OwnListeners;
use crate::policy::AddressPolicy;
use crate::request::Request;
use crate::response::{Response, UpstreamResponse};
use crate::written_query::join_url;
use crate::{http_client, https_client};

/// Limit on redirects of one request. Token portals use up to six; ffmpeg follows 8, browsers 20.
pub(crate) const REDIRECTS_MAX: usize = 10;

/// Sends requests. Each policy has its own connection pool, so that a connection opened under a
/// wider policy is never reused under a narrower one.
pub struct Fetcher {
    http_clients: Mutex<HashMap<AddressPolicy, Arc<http_client::HttpClient>>>,
    /// By policy and port.
    https_clients: Mutex<HashMap<(AddressPolicy, u16), https_client::HttpsClient>>,
    timeouts: Timeouts,
    own_listeners: Arc<OwnListeners>,
}

/// Timeouts of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Resolving the name and connecting.
    pub connect: Duration,
    /// From the request to the head of the response, for each hop.
    pub first_byte: Duration,
    /// Longest wait for the next bytes of a body.
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

impl Fetcher {
    /// A fetcher that never connects to `own_listeners`.
    pub fn new(timeouts: Timeouts, own_listeners: impl Into<OwnListeners>) -> Self {
        Self {
            http_clients: Mutex::default(),
            https_clients: Mutex::default(),
            timeouts,
            own_listeners: Arc::new(own_listeners.into()),
        }
    }

    pub(crate) fn own_listeners(&self) -> &OwnListeners {
        &self.own_listeners
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Sends a request and follows at most [`REDIRECTS_MAX`] redirects, each checked like the first
    /// URL. Any final status is a response.
    ///
    /// # Errors
    /// [`FetchError`] if there is no response, or if a URL is denied or a redirect cannot be
    /// followed.
    pub async fn send(
        &self,
        policy: &AddressPolicy,
        mut request: Request<'_>,
    ) -> Result<Response, FetchError> {
        let public_only = AddressPolicy { allow_private: Vec::new(), ..policy.clone() };
        let mut redirects = 0;
        // A redirect may set the cookie that its target asks for.
        let chain_cookies = CookieJar::default();
        let cookies = request.cookies.unwrap_or(&chain_cookies);
        loop {
            let is_private_allowed = request
                .private_host_filter
                .as_ref()
                .is_none_or(|is_allowed| is_allowed(&request.url));
            let hop = self
                .send_hop(if is_private_allowed { policy } else { &public_only }, &request, cookies)
                .await;
            // The target of a redirect is the upstream's fault, not the caller's.
            let response = hop.map_err(|error| match error.kind {
                FetchErrorKind::BadUrl(_) | FetchErrorKind::Denied if redirects > 0 => {
                    error.into_redirect_target_error()
                }
                _ => error,
            })?;
            let Some(location) = redirect_target(&response, &request.url)? else {
                let is_head = request.method == Method::HEAD;
                return Ok(Response::new(response, is_head, request.url, self.timeouts.idle));
            };
            redirects += 1;
            if redirects > REDIRECTS_MAX {
                return Err(FetchErrorKind::TooManyRedirects.into());
            }
            apply_redirect(&mut request, location, response.status)?;
        }
    }

    async fn send_hop(
        &self,
        policy: &AddressPolicy,
        request: &Request<'_>,
        cookies: &CookieJar,
    ) -> Result<UpstreamResponse, FetchError> {
        policy.check_url(&request.url)?;
        self.own_listeners.check_url(&request.url)?;
        let received = cookies.cookie_field(&request.url);
        let cookie = merge_cookies(request.source_headers.get(header::COOKIE), received);
        let first_byte = request.first_byte_timeout.unwrap_or(self.timeouts.first_byte);
        let response = async {
            if request.url.scheme() == "http" {
                let response = self.http_client(policy).send(request, cookie.as_ref()).await?;
                let body = UpstreamBody::Http(Box::new(response.body));
                Ok::<_, FetchError>(UpstreamResponse::new(response.status, response.headers, body))
            } else {
                let port = request.url.port_or_known_default().unwrap_or(443);
                let client = self.https_client(policy, port)?;
                let response = client.send(request, cookie).await?;
                let body = UpstreamBody::Https(response.body);
                Ok(UpstreamResponse::new(response.status, response.headers, body))
            }
        };
        let response = tokio::time::timeout(first_byte, response)
            .await
            .map_err(|_| FetchError::from(FetchErrorKind::Timeout))??;
        cookies.set_from_response(&response.headers, &request.url);
        Ok(response)
    }

    fn http_client(&self, policy: &AddressPolicy) -> Arc<http_client::HttpClient> {
        let mut clients = self.http_clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(policy) {
            return client.clone();
        }
        let client = http_client::HttpClient::new(
            policy.clone(),
            self.own_listeners.clone(),
            self.timeouts.connect,
        );
        clients.entry(policy.clone()).or_insert(Arc::new(client)).clone()
    }

    fn https_client(
        &self,
        policy: &AddressPolicy,
        port: u16,
    ) -> Result<https_client::HttpsClient, FetchError> {
        let mut clients = self.https_clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (policy.clone(), port);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = https_client::HttpsClient::new(
            policy.clone(),
            self.own_listeners.clone(),
            port,
            self.timeouts.connect,
        )?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

/// Target of a redirect; `None` if the response is no redirect.
fn redirect_target(response: &UpstreamResponse, base: &Url) -> Result<Option<Url>, FetchError> {
    if !matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let invalid = || FetchError::from(FetchErrorKind::BadRedirect);
    let location = response.headers.get(header::LOCATION).ok_or_else(invalid)?;
    let target = resolve_location(location.as_bytes(), base).ok_or_else(invalid)?;
    if base.scheme() == "https" && target.scheme() == "http" {
        return Err(FetchError::with_detail(FetchErrorKind::BadRedirect, "from https to http"));
    }
    Ok(Some(target))
}

/// Resolves a Location, and keeps its query as written. Bytes in another encoding than UTF-8 are
/// asked for as they came.
fn resolve_location(location: &[u8], base: &Url) -> Option<Url> {
    let location = match std::str::from_utf8(location) {
        Ok(location) => Cow::Borrowed(location),
        Err(_) => percent_encode(location, &AsciiSet::EMPTY).into(),
    };
    join_url(base, &location).ok()
}

/// Changes the request for its redirect. Credentials and bodies are only for the origin that they
/// were sent to; the other fields of a source are kept, because CDNs require them wherever a
/// redirect leads.
fn apply_redirect(
    request: &mut Request<'_>,
    target: Url,
    status: StatusCode,
) -> Result<(), FetchError> {
    let is_cross_origin = target.origin() != request.url.origin();
    if is_cross_origin {
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
    if is_cross_origin && request.body.is_some() {
        return Err(FetchError::with_detail(
            FetchErrorKind::BadRedirect,
            "a body that would go to another origin",
        ));
    }
    request.url = target;
    Ok(())
}

#[cfg(test)]
mod tests;
