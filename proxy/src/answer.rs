//! How answers look: constructed here from nothing, never an upstream's headers filtered.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_proxy::Session;

use crate::key_form;
use crate::problem::Problem;

/// What a page of another origin may read of our answers.
const EXPOSED: &str = "Content-Length, Content-Range, Accept-Ranges, ETag, Last-Modified, Date, \
                       Age, Retry-After, Server-Timing";

/// A whole answer that is in memory.
#[derive(Clone)]
pub struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    /// What a person may mend by showing the key.
    key_wanted: Option<Problem>,
}

impl Answer {
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), key_wanted: None }
    }

    pub fn ok(content_type: &'static str, body: Bytes) -> Self {
        Self::new(StatusCode::OK).header(header::CONTENT_TYPE, content_type).body(body)
    }

    pub fn problem(problem: &Problem) -> Self {
        let answer = Self::new(problem.status())
            .header(header::CONTENT_TYPE, "application/problem+json")
            .header(header::CACHE_CONTROL, "no-store")
            .body(problem.json().into());
        match problem {
            Problem::KeyMissing | Problem::KeyInvalid | Problem::KeyExpired => {
                Self { key_wanted: Some(problem.clone()), ..answer }
            }
            Problem::AdminTokenInvalid => answer.header(header::WWW_AUTHENTICATE, "Bearer"),
            Problem::MethodNotAllowed(allowed) => answer.header(header::ALLOW, allowed),
            Problem::TooManyRequests => answer.header(header::RETRY_AFTER, "1"),
            _ if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
                answer.header(header::RETRY_AFTER, "1")
            }
            _ => answer,
        }
    }

    /// What a browser asks before a page of another origin may send `Range`.
    pub fn preflight(methods: &str) -> Self {
        Self::new(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, methods)
            .header(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "Accept, Cache-Control, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status, \
                 Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Range, Range",
            )
            .header(header::ACCESS_CONTROL_MAX_AGE, "86400")
    }

    #[cfg(test)]
    pub(crate) fn content(&self) -> &[u8] {
        &self.body
    }

    #[cfg(test)]
    pub(crate) fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    #[must_use]
    pub fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        // Only our own text and checked values come here; one that cannot be sent is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Readable by a page of any origin, and nothing but data to whoever opens it.
    #[must_use]
    pub fn media(mut self) -> Self {
        self.key_wanted = None;
        self.headers.extend(media_headers());
        self
    }

    /// Writes the answer, or what says the same to a person, or 304 when the client has it already.
    pub async fn send(self, session: &mut Session) -> Result<()> {
        let request = session.req_header();
        let answer = match &self.key_wanted {
            Some(problem) if key_form::is_for(&request.headers) => {
                key_form::answer(problem, request.uri.query().unwrap_or_default())
            }
            _ => self,
        };
        answer.write(session).await
    }

    async fn write(self, session: &mut Session) -> Result<()> {
        let not_modified = self.status == StatusCode::OK && self.is_known_to(session);
        let status = if not_modified { StatusCode::NOT_MODIFIED } else { self.status };
        let mut response = ResponseHeader::build(status, Some(self.headers.len() + 3))?;
        for (name, value) in self.headers {
            response.append_header(name, value)?;
        }
        response.append_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            response.insert_header(header::CONTENT_LENGTH, self.body.len())?;
        }
        let header_only = session.req_header().method == Method::HEAD
            || self.body.is_empty()
            || status == StatusCode::NOT_MODIFIED;
        session.write_response_header(Box::new(response), header_only).await?;
        if !header_only {
            session.write_response_body(Some(self.body), true).await?;
        }
        Ok(())
    }

    fn is_known_to(&self, session: &Session) -> bool {
        let etag = self.headers.iter().find(|(name, _)| name == header::ETAG).map(|(_, etag)| etag);
        let known = session.req_header().headers.get(header::IF_NONE_MATCH);
        let (Some(etag), Some(known)) = (etag, known) else { return false };
        let etag = etag.as_bytes();
        known
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(|tag| tag.trim_ascii())
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag)
    }
}

/// The headers of everything that a player loads.
pub fn media_headers() -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
        (HeaderName::from_static("timing-allow-origin"), "*"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    ]
    .into_iter()
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
}

pub fn etag_of(bytes: &[u8]) -> String {
    let hash = blake3::hash(bytes).to_hex();
    format!("\"{}\"", hash.chars().take(16).collect::<String>())
}
