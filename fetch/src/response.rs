//! Answers, whose bodies end in time and within a limit, or in an error.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{self, HeaderMap};
use tokio::time::Instant;
use url::Url;

use crate::error::{FetchError, Kind};
use crate::{plain, secure};

/// An answer of any status. Its body is decoded: gzip, br, zstd and deflate are undone.
pub struct Response {
    answer: Answer,
    /// There is a body to come, whose length can be judged.
    has_body: bool,
    url: Url,
    idle: Duration,
    /// What the headers promise of the body, when it is as it was sent.
    expected: Option<u64>,
    received: u64,
    /// How long the upstream was waited for, which is not how long its reader took.
    waited: Duration,
    /// What is given back when the answer has been read, or is not wanted any more.
    held: Option<Box<dyn Send + Sync>>,
}

/// An upstream that is slower than this for so long will not get anywhere. Only bodies of known
/// length are judged: a live one may be slow because nothing happens.
const FLOOR: u64 = 50 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// As it came, over one kind of connection or the other.
pub(crate) enum Answer {
    Plain(plain::Answer),
    Secure(reqwest::Response),
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Plain(answer) => answer.status,
            Self::Secure(response) => response.status(),
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        match self {
            Self::Plain(answer) => &answer.headers,
            Self::Secure(response) => response.headers(),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        match self {
            Self::Plain(answer) => poll_fn(|cx| answer.poll_chunk(cx)).await,
            Self::Secure(response) => response.chunk().await.map_err(secure::classify),
        }
    }
}

impl Response {
    pub(crate) fn new(answer: Answer, head: bool, url: Url, idle: Duration) -> Self {
        // Who decodes drops Content-Length, as it speaks of the encoded body.
        let expected = answer
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        let has_body = !head && !bodiless.contains(&answer.status());
        let (received, waited, held) = (0, Duration::ZERO, None);
        Self { answer, has_body, url, idle, expected, received, waited, held }
    }

    /// Keeps `guard` for as long as the answer is being read.
    #[must_use]
    pub fn holding(mut self, guard: impl Send + Sync + 'static) -> Self {
        self.held = Some(Box::new(guard));
        self
    }

    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.answer.headers()
    }

    /// The URL that answered, after redirects: the base of every relative link in the body.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The body's length, when it is known before it came.
    pub fn content_length(&self) -> Option<u64> {
        self.expected
    }

    /// The next piece of the body. A body that ends before its promised length is an error,
    /// never an end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        let started = Instant::now();
        let chunk = tokio::time::timeout(self.idle, self.answer.chunk())
            .await
            .map_err(|_| FetchError::from(Kind::Timeout))??;
        self.waited += started.elapsed();
        match &chunk {
            Some(bytes) => {
                self.received += bytes.len() as u64;
                self.judge_rate()?;
            }
            None => {
                self.held = None;
                if let Some(expected) = self.expected
                    && self.has_body
                    && expected != self.received
                {
                    let detail = format!("{} of {expected} bytes", self.received);
                    return Err(FetchError::with(Kind::Body, detail));
                }
            }
        }
        Ok(chunk)
    }

    fn judge_rate(&self) -> Result<(), FetchError> {
        let pending = self.expected.is_some_and(|expected| self.received < expected);
        if pending && self.waited > PATIENCE && self.received < FLOOR * self.waited.as_secs() {
            let rate = self.received / self.waited.as_secs().max(1);
            return Err(FetchError::with(Kind::Timeout, format!("{rate} bytes a second")));
        }
        Ok(())
    }

    /// The whole body, if it is no longer than `limit` bytes, decoded.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, FetchError> {
        if self.expected.is_some_and(|length| length > limit as u64) {
            return Err(Kind::TooLarge.into());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(Kind::TooLarge.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Ends after at most `length` bytes, leaving the rest unread.
    pub async fn prefix(mut self, length: usize) -> Result<Bytes, FetchError> {
        let mut body = BytesMut::new();
        while body.len() < length {
            let Some(chunk) = self.chunk().await? else { break };
            body.extend_from_slice(&chunk);
        }
        body.truncate(length);
        Ok(body.freeze())
    }
}
