//! Responses, whose bodies end in time and within a limit, or with an error.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{self, HeaderMap};
use tokio::time::Instant;
use url::Url;

use crate::content_coding::UpstreamBody;
use crate::error::{FetchError, FetchErrorKind};
use crate::failure_reason::{ConnectionFault, FailureReason};

/// A response of any status. Its body is decoded from gzip, br, zstd or deflate.
pub struct Response {
    upstream_response: UpstreamResponse,
    /// The response can have a body, whose length is checked against `expected_bytes`.
    has_body: bool,
    url: Url,
    idle_timeout: Duration,
    /// Content-Length, if the body is not content-coded.
    expected_bytes: Option<u64>,
    received_bytes: u64,
    /// Total time spent waiting for the upstream, without the time that the reader took.
    upstream_wait: Duration,
    /// Dropped when the body has been read or the response is dropped.
    guard: Option<Box<dyn Send + Sync>>,
    byte_observer: Option<ByteObserver>,
}

/// Is given the size of each chunk of a body, in bytes as the reader gets them.
pub type ByteObserver = Box<dyn Fn(u64) + Send + Sync>;

/// Minimum rate of bodies of known length: a slower upstream is given up after the grace period.
/// Other bodies are not checked, because a live one may be slow for lack of data.
const RATE_MIN_BYTES_PER_SEC: u64 = 50 * 1024;
const RATE_GRACE_PERIOD: Duration = Duration::from_secs(10);

/// A response of the HTTP or the HTTPS client, decoded.
pub(crate) struct UpstreamResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: UpstreamBody,
}

impl UpstreamResponse {
    pub(crate) fn new(status: StatusCode, mut headers: HeaderMap, body: UpstreamBody) -> Self {
        let body = body.decoded(&mut headers);
        Self { status, headers, body }
    }
}

impl Response {
    pub(crate) fn new(
        upstream_response: UpstreamResponse,
        is_head: bool,
        url: Url,
        idle_timeout: Duration,
    ) -> Self {
        // A decoded response has no Content-Length, because it counts encoded bytes.
        let expected_bytes = upstream_response
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let statuses_without_body = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        let has_body = !is_head && !statuses_without_body.contains(&upstream_response.status);
        let (received_bytes, upstream_wait, guard) = (0, Duration::ZERO, None);
        Self {
            upstream_response,
            has_body,
            url,
            idle_timeout,
            expected_bytes,
            received_bytes,
            upstream_wait,
            guard,
            byte_observer: None,
        }
    }

    /// Holds `guard` until the body has been read or the response is dropped.
    #[must_use]
    pub fn with_guard(mut self, guard: impl Send + Sync + 'static) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// Calls `observer` for each chunk of the body.
    #[must_use]
    pub fn with_byte_observer(mut self, observer: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.byte_observer = Some(Box::new(observer));
        self
    }

    pub fn status(&self) -> StatusCode {
        self.upstream_response.status
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.upstream_response.headers
    }

    /// URL of the response after redirects, the base of relative URIs in the body.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Length of the body in bytes, if it is known in advance.
    pub fn content_length(&self) -> Option<u64> {
        self.expected_bytes
    }

    /// Whether the message itself has told where its body ends, once it has been read to its end.
    /// Otherwise it ended with the connection, as one does whose sender has failed.
    pub fn has_framed_end(&self) -> bool {
        self.upstream_response.body.has_framed_end()
    }

    /// Reads the next chunk of the body; `None` at its end.
    ///
    /// # Errors
    /// [`FetchError`] on a timeout, a low rate, a broken connection, or a body that ends before its
    /// announced length.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        let started = Instant::now();
        let body = &mut self.upstream_response.body;
        let chunk = tokio::time::timeout(self.idle_timeout, poll_fn(|cx| body.poll_chunk(cx)))
            .await
            .map_err(|_| FetchError::from(FetchErrorKind::Timeout))??;
        self.upstream_wait += started.elapsed();
        match &chunk {
            Some(bytes) => {
                self.received_bytes += bytes.len() as u64;
                if let Some(observe) = &self.byte_observer {
                    observe(bytes.len() as u64);
                }
                self.check_rate()?;
            }
            None => {
                self.guard = None;
                if let Some(expected) = self.expected_bytes
                    && self.has_body
                    && expected != self.received_bytes
                {
                    let detail = format!("{} of {expected} bytes", self.received_bytes);
                    return Err(FetchError::with_detail(FetchErrorKind::Body, detail));
                }
            }
        }
        Ok(chunk)
    }

    fn check_rate(&self) -> Result<(), FetchError> {
        let is_pending = self.expected_bytes.is_some_and(|expected| self.received_bytes < expected);
        if is_pending
            && self.upstream_wait > RATE_GRACE_PERIOD
            && self.received_bytes < RATE_MIN_BYTES_PER_SEC * self.upstream_wait.as_secs()
        {
            let rate = self.received_bytes / self.upstream_wait.as_secs().max(1);
            return Err(FetchError::with_detail(
                FetchErrorKind::Timeout,
                format!("{rate} bytes a second"),
            ));
        }
        Ok(())
    }

    /// Reads the whole decoded body. One that lacks nothing but its last chunk is taken as it is:
    /// some servers never send one, and what is cut of a playlist comes with its next version. The
    /// reader of [`chunk`](Self::chunk) gets an error instead, because a segment that is cut would be
    /// stored for ever.
    ///
    /// # Errors
    /// [`FetchErrorKind::TooLarge`] beyond `limit` bytes, and errors of [`chunk`](Self::chunk).
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, FetchError> {
        if self.expected_bytes.is_some_and(|length| length > limit as u64) {
            return Err(FetchErrorKind::TooLarge.into());
        }
        let missing_last_chunk =
            Some(FailureReason::Connection(ConnectionFault::ClosedBeforeLastChunk));
        let mut body = BytesMut::new();
        loop {
            let chunk = match self.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) if error.reason == missing_last_chunk && !body.is_empty() => break,
                Err(error) => return Err(error),
            };
            if body.len() + chunk.len() > limit {
                return Err(FetchErrorKind::TooLarge.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Reads at most `length` bytes and leaves the rest unread.
    ///
    /// # Errors
    /// Errors of [`chunk`](Self::chunk).
    pub async fn read_prefix(mut self, length: usize) -> Result<Bytes, FetchError> {
        let mut body = BytesMut::new();
        while body.len() < length {
            let Some(chunk) = self.chunk().await? else { break };
            body.extend_from_slice(&chunk);
        }
        body.truncate(length);
        Ok(body.freeze())
    }
}
