//! [`Request`]: what is sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::cookies::CookieJar;

pub(crate) const USER_AGENT: &str = concat!("pitwall/", env!("CARGO_PKG_VERSION"));
/// The content codings that are asked for.
pub(crate) const ACCEPT_ENCODING: &str = "gzip, br, zstd, deflate";

/// A request. Nothing of a viewer's request is forwarded unless it is put here.
#[derive(Clone)]
pub struct Request<'a> {
    pub method: Method,
    pub url: Url,
    /// Request fields of the source. A redirect to another origin drops the credentials among them.
    pub source_headers: HeaderMap,
    /// Fields forwarded from the viewer's request (Range, If-Range, Accept); sent on every hop.
    pub forwarded_headers: HeaderMap,
    pub body: Option<RequestBody>,
    /// Cookie jar that is sent and updated on every hop. Its cookies go along with those of the
    /// source, and replace them where they have the same name. Without one, cookies live as long as
    /// the request and its redirects.
    pub cookies: Option<&'a CookieJar>,
    /// Overrides [`Timeouts::first_byte`](crate::Timeouts::first_byte), for requests that are meant to wait upstream.
    pub first_byte_timeout: Option<Duration>,
    /// URLs for which the policy's private ranges are allowed; `None` means all. A redirect from
    /// one of these to another host cannot reach a private address there.
    pub private_host_filter: Option<NamedUrlFilter>,
}

/// Whether an operator named this URL.
pub type NamedUrlFilter = Arc<dyn Fn(&Url) -> bool + Send + Sync>;

/// A request body.
#[derive(Clone)]
pub struct RequestBody {
    pub content_type: HeaderValue,
    pub bytes: Bytes,
}

impl<'a> Request<'a> {
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            source_headers: HeaderMap::new(),
            forwarded_headers: HeaderMap::new(),
            body: None,
            cookies: None,
            first_byte_timeout: None,
            private_host_filter: None,
        }
    }

    pub fn post(url: Url, body: RequestBody) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(url) }
    }

    #[must_use]
    pub fn with_source_headers(mut self, headers: HeaderMap) -> Self {
        self.source_headers = headers;
        self
    }

    #[must_use]
    pub fn with_forwarded_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.forwarded_headers.insert(name, value);
        self
    }

    #[must_use]
    pub fn with_cookie_jar(mut self, jar: &'a CookieJar) -> Self {
        self.cookies = Some(jar);
        self
    }

    #[must_use]
    pub fn with_first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.first_byte_timeout = Some(timeout);
        self
    }
}
