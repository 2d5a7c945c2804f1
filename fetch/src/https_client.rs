//! HTTPS through reqwest, with HTTP/2 where it is offered.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, Version};

use crate::error::{FetchError, FetchErrorKind};
use crate::failure_reason::{ConnectionFault, FailureReason};
use crate::http_client;
use crate::own_listeners::OwnListeners;
use crate::policy::AddressPolicy;
use crate::request::{ACCEPT_ENCODING, Request, USER_AGENT};
use crate::resolver::VettedResolver;

/// Sends requests to one port under one policy, over its own connections.
#[derive(Clone)]
pub(crate) struct HttpsClient {
    policy: Arc<AddressPolicy>,
    own_listeners: Arc<OwnListeners>,
    client: reqwest::Client,
}

/// A response head, with the body still to be read.
pub(crate) struct HttpsResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: HttpsBody,
}

/// A body, with its framing removed.
pub(crate) struct HttpsBody {
    /// `None` once the body has been read to its end.
    stream: Option<Pin<Box<dyn Stream<Item = ReadResult> + Send + Sync>>>,
    has_framed_end: bool,
}

type ReadResult = reqwest::Result<Bytes>;

impl HttpsBody {
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, FetchError>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(None)) };
        let chunk = ready!(stream.as_mut().poll_next(cx)).transpose();
        if let Ok(None) = chunk {
            self.stream = None;
        }
        Poll::Ready(chunk.map_err(classify_error))
    }

    /// Whether the body, which has been read to its end, has ended by its framing.
    pub(crate) fn has_framed_end(&self) -> bool {
        self.has_framed_end
    }
}

impl HttpsClient {
    pub(crate) fn new(
        policy: AddressPolicy,
        own_listeners: Arc<OwnListeners>,
        port: u16,
        connect: Duration,
    ) -> Result<Self, FetchError> {
        let policy = Arc::new(policy);
        let resolver =
            VettedResolver { policy: policy.clone(), own_listeners: own_listeners.clone(), port };
        // Pingora brings ring, and a second crypto library for the same handshakes would only add
        // weight. The call fails if a provider is already installed, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let inner = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            // Proxies from environment variables would bypass the policy.
            .no_proxy()
            // Bodies are decoded as those of `http:` are.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(resolver))
            .http1_max_headers(http_client::HEAD_MAX_FIELDS)
            .connect_timeout(connect)
            .pool_idle_timeout(Duration::from_secs(60))
            .build()
            .map_err(|error| FetchError::with_detail(FetchErrorKind::Tls, error))?;
        Ok(Self { policy, own_listeners, client: inner })
    }

    pub(crate) async fn send(
        &self,
        request: &Request<'_>,
        cookie: Option<HeaderValue>,
    ) -> Result<HttpsResponse, FetchError> {
        let mut headers = request.source_headers.clone();
        headers.extend(request.forwarded_headers.clone());
        let accepted = HeaderValue::from_static(ACCEPT_ENCODING);
        headers.entry(header::ACCEPT_ENCODING).or_insert(accepted);
        if let Some(cookie) = cookie {
            headers.insert(header::COOKIE, cookie);
        }
        // reqwest takes a `Url` alone, so that a `'` in a query is sent as `%27` here.
        let mut url = request.url.clone();
        url.set_fragment(None);
        let mut builder = self.client.request(request.method.clone(), url).headers(headers);
        if let Some(body) = &request.body {
            builder = builder
                .header(header::CONTENT_TYPE, body.content_type.clone())
                .body(body.bytes.clone());
        }
        let mut response = builder.send().await.map_err(classify_error)?;
        if let Some(peer) = response.remote_addr() {
            self.policy.check_address(peer.ip())?;
            self.own_listeners.check_address(peer)?;
        }
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        // What is chunked ends with its last chunk, or with an error.
        let has_framed_end = response.version() > Version::HTTP_11
            || headers.contains_key(header::CONTENT_LENGTH)
            || headers.contains_key(header::TRANSFER_ENCODING);
        let body = HttpsBody { stream: Some(Box::pin(response.bytes_stream())), has_framed_end };
        Ok(HttpsResponse { status, headers, body })
    }
}

/// What hyper says of a connection that was closed between two chunks.
const CLOSED_BETWEEN_CHUNKS: &str = "unexpected EOF during chunk size line";

/// Classifies an error of reqwest, which wraps errors of our resolver and of the system.
fn classify_error(error: reqwest::Error) -> FetchError {
    for cause in error_chain(&error) {
        if let Some(ours) = cause.downcast_ref::<FetchError>() {
            return ours.clone();
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return FetchError::of_tls(tls);
        }
    }
    if error.is_connect() && error.is_timeout() {
        return FetchError::connect_timeout_error();
    }
    let kind = if error.is_timeout() {
        FetchErrorKind::Timeout
    } else if error.is_connect() {
        FetchErrorKind::Connect
    } else {
        FetchErrorKind::Body
    };
    // Without the URL, because errors are logged and URLs contain tokens.
    let error = error.without_url();
    let reason = error_chain(&error).find_map(|cause| FailureReason::of_io(cause.downcast_ref()?));
    let root = error_chain(&error).last().map_or(String::new(), ToString::to_string);
    let closed_early = FailureReason::Connection(ConnectionFault::ClosedBeforeLastChunk);
    let reason = reason.or((root == CLOSED_BETWEEN_CHUNKS).then_some(closed_early));
    FetchError::with_detail(kind, root).with_reason(reason)
}

/// Iterates over an error and its causes. The source of an [`io::Error`] is not the error inside it
/// but that one's source, so the inner error is visited explicitly; a TLS error, which is wrapped
/// in two I/O errors, would be missed otherwise.
fn error_chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_inside_an_io_error_is_a_cause() {
        let tls = rustls::Error::from(rustls::CertificateError::Expired);
        let outer = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls.clone()));
        let found = error_chain(&outer).find_map(|cause| cause.downcast_ref::<rustls::Error>());
        assert_eq!(found, Some(&tls));
    }
}
