//! [`Response`]: the edge's own responses. Their fields are built here and never copied from an
//! upstream response.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Version};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pitwall_upstream_map::document::entity_tag;
use pitwall_upstream_map::trace_context::X_REQUEST_ID;

use crate::http::problem::Problem;
use crate::http::request_id::RequestId;

/// How many fields Pingora and [`Response::send`] add to those of a response.
const FURTHER_FIELDS: usize = 6;

/// A complete response in memory.
#[derive(Clone)]
pub struct Response {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Response {
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub fn ok(content_type: &'static str, body: Bytes) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        Self::new(StatusCode::OK).with_header(header::CONTENT_TYPE, content_type).with_body(body)
    }

    /// The problem as `application/problem+json` (RFC 9457), with the fields that its status
    /// requires.
    pub fn from_problem(problem: &Problem) -> Self {
        let response = Self::new(problem.status())
            .with_header(header::CONTENT_TYPE, "application/problem+json")
            .with_body(problem.to_json().into());
        match problem {
            Problem::AdminTokenInvalid => response.with_header(header::WWW_AUTHENTICATE, "Bearer"),
            Problem::MethodNotAllowed(allowed) => response.with_header(header::ALLOW, *allowed),
            Problem::TooManyRequests(_) => response.with_header(header::RETRY_AFTER, "1"),
            _ if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
                response.with_header(header::RETRY_AFTER, "1")
            }
            _ => response,
        }
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
    pub fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        // Values are the edge's own text or validated; a field that cannot be sent is left out.
        if let Ok(value) = value.try_into() {
            self.headers.push((name, value));
        }
        self
    }

    #[must_use]
    pub fn with_headers(
        mut self,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Writes the response, or 304 when `If-None-Match` names its `ETag`. A response that says
    /// nothing of caching must not be stored: a cache would choose how long (RFC 9111, 4.2.2), and
    /// tell health probes and pages what has long changed. `request_id`: sent back with the response.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub async fn send(self, session: &mut ServerSession, request_id: &RequestId) -> Result<()> {
        let not_modified = self.status == StatusCode::OK && self.is_not_modified_for(session);
        let status = if not_modified { StatusCode::NOT_MODIFIED } else { self.status };
        let mut fields = HeaderMap::with_capacity(self.headers.len() + FURTHER_FIELDS);
        for (name, value) in self.headers {
            fields.append(name, value);
        }
        fields
            .entry(header::CACHE_CONTROL)
            .or_insert(const { HeaderValue::from_static("no-store") });
        fields.insert(X_REQUEST_ID, request_id.id.clone());
        let nosniff = const { HeaderValue::from_static("nosniff") };
        fields.append(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            fields.insert(header::CONTENT_LENGTH, self.body.len().into());
        }
        let response = response_header(status, fields);
        let header_only = session.req_header().method == Method::HEAD
            || self.body.is_empty()
            || status == StatusCode::NOT_MODIFIED;
        session.write_response_header(Box::new(response)).await?;
        if !header_only {
            session.write_response_body(self.body, true).await?;
        }
        Ok(())
    }

    /// Only a response to GET or HEAD can be as the client knows it: for other methods
    /// `If-None-Match` is a condition of what they do (RFC 9110, section 13.1.2).
    fn is_not_modified_for(&self, session: &ServerSession) -> bool {
        if !matches!(session.req_header().method, Method::GET | Method::HEAD) {
            return false;
        }
        let etag = self.headers.iter().find(|(name, _)| name == header::ETAG).map(|(_, etag)| etag);
        let Some(etag) = etag.map(HeaderValue::as_bytes) else { return false };
        // A list may come in several fields (RFC 9110, section 5.3).
        let known = session.req_header().headers.get_all(header::IF_NONE_MATCH).into_iter();
        known
            .flat_map(|tags| tags.as_bytes().split(|byte| *byte == b','))
            .map(|tag| tag.trim_ascii())
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag)
    }
}

/// The header of a response, of whose fields Pingora would parse each name if it were given one at
/// a time.
pub fn response_header(status: StatusCode, fields: HeaderMap) -> ResponseHeader {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    (parts.status, parts.headers) = (status, fields);
    parts.into()
}

/// Frames a body whose length is not known: in chunks, so that a client can tell a response that
/// ended from one that broke off, and keeps the connection. HTTP/1.0 has no chunks: there the body
/// ends with the connection. HTTP/2 has its own frames, and Pingora drops the field.
///
/// # Errors
/// A Pingora error if the field cannot be set.
pub fn frame_unknown_length(
    session: &mut ServerSession,
    response: &mut ResponseHeader,
) -> Result<()> {
    if session.req_header().version < Version::HTTP_11 {
        response.remove_header(&header::TRANSFER_ENCODING);
        session.set_keepalive(None);
        return Ok(());
    }
    response.insert_header(header::TRANSFER_ENCODING, "chunked")
}

/// The [`entity_tag`] of a body, as a field value.
pub fn etag_of(bytes: &[u8]) -> HeaderValue {
    HeaderValue::try_from(entity_tag(bytes)).unwrap_or(HeaderValue::from_static(""))
}
