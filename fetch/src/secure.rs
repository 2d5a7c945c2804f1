//! HTTPS, as reqwest speaks it: HTTP/2 where it is offered.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};

use crate::dial::no_connection;
use crate::error::{FetchError, Kind};
use crate::fetcher::{Ourselves, Request, USER_AGENT};
use crate::policy::Policy;
use crate::reason::{Denial, Reason};
use crate::resolve::VettedResolver;

/// Sends requests under one policy, over connections of its own.
#[derive(Clone)]
pub(crate) struct Client {
    policy: Arc<Policy>,
    inner: reqwest::Client,
}

impl Client {
    pub(crate) fn new(policy: Policy, connect: Duration) -> Result<Self, FetchError> {
        let policy = Arc::new(policy);
        // Pingora brings ring; a second crypto library for the same handshakes would only
        // add weight. Installing twice is not an error worth knowing about.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let inner = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            // Proxy variables in the environment would send requests around the policy.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(VettedResolver(policy.clone())))
            .connect_timeout(connect)
            .pool_idle_timeout(Duration::from_secs(60))
            .build()
            .map_err(|error| FetchError::with(Kind::Tls, error))?;
        Ok(Self { policy, inner })
    }

    pub(crate) async fn send(
        &self,
        request: &Request<'_>,
        cookie: Option<HeaderValue>,
        own: &Ourselves,
    ) -> Result<reqwest::Response, FetchError> {
        let mut headers = request.source_headers.clone();
        headers.extend(request.forwarded.clone());
        if let Some(cookie) = cookie {
            headers.insert(header::COOKIE, cookie);
        }
        let mut builder =
            self.inner.request(request.method.clone(), request.url.clone()).headers(headers);
        if let Some(body) = &request.body {
            builder = builder
                .header(header::CONTENT_TYPE, body.content_type.clone())
                .body(body.bytes.clone());
        }
        let response = builder.send().await.map_err(classify)?;
        if let Some(peer) = response.remote_addr() {
            self.policy.check_address(peer.ip())?;
            if own.contains(peer.ip(), Some(peer.port())) {
                return Err(Denial::OwnListener.into());
            }
        }
        Ok(response)
    }
}

/// reqwest wraps our resolver's errors and everything the system says in its own.
pub(crate) fn classify(error: reqwest::Error) -> FetchError {
    for cause in causes(&error) {
        if let Some(ours) = cause.downcast_ref::<FetchError>() {
            return ours.clone();
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return FetchError::of_tls(tls);
        }
    }
    if error.is_connect() && error.is_timeout() {
        return no_connection();
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
    let reason = causes(&error).find_map(|cause| Reason::of_io(cause.downcast_ref()?));
    let root = causes(&error).last().map_or(String::new(), ToString::to_string);
    FetchError::with(kind, root).because(reason)
}

/// An error and what caused it. An [`io::Error`] tells as its source not what it holds but the
/// source of that, so that an error of TLS, which comes in two of them, would not be among these.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match held {
            Some(held) => Some(held as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_io_error_holds_is_a_cause() {
        let tls = rustls::Error::from(rustls::CertificateError::Expired);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls.clone()));
        let found = causes(&wrapped).find_map(|cause| cause.downcast_ref::<rustls::Error>());
        assert_eq!(found, Some(&tls));
    }
}
