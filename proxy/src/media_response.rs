//! Media responses: an opened object becomes a header and a body.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::conditional_filter::{not_modified_filter, to_304};
use pingora::{Error, ErrorType, Result};
use pitwall_fetch::Response;
use pitwall_upstream_map::trace_context::X_REQUEST_ID;

use crate::cache::OpenedObject;
use crate::cache::bypass::Bypass;
use crate::cache::byte_range::RequestedRange;
use crate::cache::object_metadata::ObjectMetadata;
use crate::cache::reader::{InflightReader, StoredReader};
use crate::http::connection_reset::reset_on_close;
use crate::http::cors::media_headers;
use crate::http::problem::Problem;
use crate::http::request_id::RequestId;
use crate::http::response::{frame_unknown_length, response_header};
use crate::http::stream_reset::wait_for_reset;
use crate::http::write_timeout::extend_write_timeout;
use crate::metrics::{CacheResult, Label};
use crate::playlist::uri_mappers::content_type_of_path;
use crate::upstream::profile::ResolvedProfile;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// How many fields a response has at most, with those that Pingora adds.
const FIELDS_MAX: usize = 20;

/// How long a cache may store media, in seconds: a segment's link changes when its content does.
const MEDIA_MAX_AGE: u64 = 60;

/// An object that was opened for one request.
pub struct MediaResponse {
    lookup: OpenedObject,
    content_type: &'static str,
    /// For an object that the segment cache stores too.
    cache_control: HeaderValue,
    open_duration: Duration,
    profile: Arc<ResolvedProfile>,
}

impl MediaResponse {
    /// `path`: that of the request, whose extension tells the content type.
    pub fn new(
        lookup: OpenedObject,
        path: &str,
        cache_control: HeaderValue,
        started: Instant,
        profile: Arc<ResolvedProfile>,
    ) -> Self {
        let content_type = content_type_of_path(path);
        Self { lookup, content_type, cache_control, open_duration: started.elapsed(), profile }
    }

    /// The source that the object is of; empty for a plain link.
    pub fn source(&self) -> &str {
        self.profile.source()
    }

    /// Where the object came from.
    pub fn cache_result(&self) -> CacheResult {
        match &self.lookup {
            OpenedObject::Hit(_) => CacheResult::Hit,
            OpenedObject::Inflight { coalesced: true, .. } => CacheResult::Coalesced,
            OpenedObject::Inflight { coalesced: false, .. } => CacheResult::Miss,
            OpenedObject::Bypass(_) => CacheResult::Bypass,
        }
    }

    /// Sends the object, or what the request asks for of it. `request_id`: sent back with it.
    ///
    /// # Errors
    /// The client cannot be written to, or the body breaks off.
    pub async fn send(self, session: &mut ServerSession, request_id: &RequestId) -> Result<()> {
        let mut header = self.build_header(request_id);
        let mut body = MediaBody::of(self.lookup);
        let request = session.req_header();
        if not_modified_filter(request, &header) {
            to_304(&mut header);
        } else if !matches!(body, MediaBody::Bypass(_))
            && let Some(range) = apply_range(request, &mut header)
        {
            body.restrict_to_range(range);
        }
        let has_body = header.status.is_success();
        if has_body && !header.headers.contains_key(header::CONTENT_LENGTH) {
            frame_unknown_length(session, &mut header)?;
        }
        let is_header_only = !has_body || session.req_header().method == Method::HEAD;
        session.write_response_header(Box::new(header)).await.map_err(Error::into_down)?;
        if is_header_only {
            return Ok(());
        }
        let sent = send_body(session, body).await;
        if sent.is_err() {
            abort(session).await;
        }
        sent
    }

    fn build_header(&self, request_id: &RequestId) -> ResponseHeader {
        let mut fields = HeaderMap::with_capacity(FIELDS_MAX);
        let status = match &self.lookup {
            OpenedObject::Hit(object) => self.add_object_fields(&object.metadata, &mut fields),
            OpenedObject::Inflight { reader, .. } => {
                self.add_object_fields(&reader.metadata(), &mut fields)
            }
            OpenedObject::Bypass(bypass) => add_bypass_fields(&bypass.response, &mut fields),
        };
        let age = match &self.lookup {
            OpenedObject::Hit(object) => object.stored_at.elapsed().as_secs(),
            OpenedObject::Inflight { .. } | OpenedObject::Bypass(_) => 0,
        };
        fields.insert(header::AGE, age.into());
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let nosniff = const { HeaderValue::from_static("nosniff") };
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        for (name, value) in media_headers() {
            fields.insert(name, value);
        }
        let timing = match self.cache_result() {
            // Opening a stored object takes microseconds.
            CacheResult::Hit => {
                const { HeaderValue::from_static("cache;desc=hit, origin;dur=0.0") }
            }
            result => server_timing(result, self.open_duration),
        };
        fields.insert(SERVER_TIMING, timing);
        fields.insert(X_REQUEST_ID, request_id.id.clone());
        response_header(status, fields)
    }

    fn add_object_fields(&self, metadata: &ObjectMetadata, fields: &mut HeaderMap) -> StatusCode {
        fields.insert(header::CACHE_CONTROL, self.cache_control.clone());
        if let Some(length) = metadata.length {
            fields.insert(header::CONTENT_LENGTH, length.into());
            fields.insert(header::ACCEPT_RANGES, const { HeaderValue::from_static("bytes") });
        }
        insert_validators(fields, metadata.etag.as_ref(), metadata.last_modified.as_ref());
        match &metadata.content_range {
            Some(content_range) => {
                fields.insert(header::CONTENT_RANGE, content_range.clone());
                StatusCode::PARTIAL_CONTENT
            }
            None => StatusCode::OK,
        }
    }
}

fn server_timing(result: CacheResult, open_duration: Duration) -> HeaderValue {
    let (result, milliseconds) = (result.text(), open_duration.as_secs_f64() * 1000.0);
    let timing = format!("cache;desc={result}, origin;dur={milliseconds:.1}");
    HeaderValue::try_from(timing).unwrap_or(HeaderValue::from_static(""))
}

/// The body of a response, by where it comes from.
enum MediaBody {
    Stored(StoredReader),
    Inflight(InflightReader),
    Bypass(Bypass),
}

impl MediaBody {
    fn of(lookup: OpenedObject) -> Self {
        match lookup {
            OpenedObject::Hit(object) => Self::Stored(StoredReader::new(object)),
            OpenedObject::Inflight { reader, .. } => Self::Inflight(reader),
            OpenedObject::Bypass(bypass) => Self::Bypass(bypass),
        }
    }

    fn restrict_to_range(&mut self, range: Range<u64>) {
        match self {
            Self::Stored(reader) => reader.restrict_to_range(range.start, Some(range.end)),
            Self::Inflight(reader) => reader.restrict_to_range(range.start, Some(range.end)),
            Self::Bypass(_) => {}
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        match self {
            Self::Stored(reader) => reader.read(),
            Self::Inflight(reader) => reader.read().await,
            Self::Bypass(bypass) => bypass.read().await,
        }
    }

    /// Whether the end is known to have been read; else the next read tells.
    fn is_at_end(&self) -> bool {
        matches!(self, Self::Stored(reader) if reader.is_at_end())
    }

    async fn wait_until_cut_off(&self) -> Problem {
        match self {
            Self::Stored(reader) => reader.wait_until_cut_off().await,
            Self::Inflight(reader) => reader.wait_until_cut_off().await,
            Self::Bypass(bypass) => bypass.wait_until_cut_off().await,
        }
    }
}

/// Ends a response so that the client cannot take it for a whole one.
async fn abort(session: &mut ServerSession) {
    if session.is_http2() {
        // Ends the stream at once, with what is queued of it.
        session.shutdown().await;
    } else if session.req_header().version < Version::HTTP_11
        && let Err(error) = reset_on_close(session)
    {
        tracing::warn!(%error, "a response that broke off could not be reset, and may look whole to a client of HTTP/1.0");
    }
}

async fn send_body(session: &mut ServerSession, mut body: MediaBody) -> Result<()> {
    loop {
        let read = tokio::select! {
            biased;
            read = body.read() => read.map_err(body_error)?,
            reset = wait_for_reset(session) => return Err(reset),
        };
        let Some(bytes) = read else { break };
        extend_write_timeout(session, bytes.len());
        let is_last = body.is_at_end();
        tokio::select! {
            biased;
            written = session.write_response_body(bytes, is_last) => {
                written.map_err(Error::into_down)?;
            }
            problem = body.wait_until_cut_off() => return Err(body_error(problem)),
        }
        if is_last {
            return Ok(());
        }
    }
    session.write_response_body(Bytes::new(), true).await.map_err(Error::into_down)
}

/// An error after the header, which the client sees as an aborted transfer.
fn body_error(problem: Problem) -> Box<Error> {
    let error = Error::explain(ErrorType::ReadError, problem.to_string());
    // A reader that was cut off is as usual as one that has left.
    if matches!(problem, Problem::Busy(_)) { error.into_down() } else { error.into_up() }
}

/// The `Cache-Control` of media: no cache serves it to a client that the edge would refuse. Where
/// clients need a key, it is for the client alone; and it is fresh no longer than until its link
/// `expires`.
///
/// `expires`, `now`: unix seconds.
pub fn media_cache_control(is_access_open: bool, expires: Option<u64>, now: u64) -> HeaderValue {
    let left = expires.map_or(MEDIA_MAX_AGE, |expires| expires.saturating_sub(now));
    match (is_access_open, left) {
        (true, MEDIA_MAX_AGE..) => HeaderValue::from_static("public, max-age=60"),
        (false, MEDIA_MAX_AGE..) => HeaderValue::from_static("private, max-age=60"),
        (is_open, left) => {
            let audience = if is_open { "public" } else { "private" };
            HeaderValue::try_from(format!("{audience}, max-age={left}"))
                .unwrap_or(HeaderValue::from_static("no-store"))
        }
    }
}

/// Makes the header of a whole object that of the part that the request asks for, or of none.
fn apply_range(request: &RequestHeader, response: &mut ResponseHeader) -> Option<Range<u64>> {
    let range = request.headers.get(header::RANGE).filter(|_| request.method == Method::GET)?;
    let length = response.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    if response.status != StatusCode::OK || !is_unchanged(request, response) {
        return None;
    }
    let (status, content_range, body_length, part) =
        match RequestedRange::of(range.as_bytes(), length) {
            RequestedRange::Whole => return None,
            RequestedRange::Part(part) => (
                StatusCode::PARTIAL_CONTENT,
                format!("bytes {}-{}/{length}", part.start, part.end - 1),
                part.end - part.start,
                Some(part),
            ),
            RequestedRange::Unsatisfiable => {
                // The answer is to this request alone, and what it says is of no media type.
                response.remove_header(&header::CONTENT_TYPE);
                let _ = response.insert_header(header::CACHE_CONTROL, "no-store");
                (StatusCode::RANGE_NOT_SATISFIABLE, format!("bytes */{length}"), 0, None)
            }
        };
    // Numbers are valid values.
    let _ = response.set_status(status);
    let _ = response.insert_header(header::CONTENT_RANGE, content_range);
    let _ = response.insert_header(header::CONTENT_LENGTH, body_length);
    part
}

/// Whether the object is the one that If-Range names, which a weak validator does not tell (RFC
/// 9110, 13.1.5). True without the field.
fn is_unchanged(request: &RequestHeader, response: &ResponseHeader) -> bool {
    let Some(if_range) = request.headers.get(header::IF_RANGE) else { return true };
    let validator =
        if if_range.as_bytes().starts_with(b"\"") { header::ETAG } else { header::LAST_MODIFIED };
    response.headers.get(validator) == Some(if_range)
}

fn add_bypass_fields(upstream: &Response, fields: &mut HeaderMap) -> StatusCode {
    let headers: &HeaderMap = upstream.headers();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(length) = upstream.content_length() {
        fields.insert(header::CONTENT_LENGTH, length.into());
    }
    for name in [header::CONTENT_RANGE, header::ACCEPT_RANGES] {
        if let Some(value) = headers.get(&name) {
            fields.insert(name, value.clone());
        }
    }
    insert_validators(fields, headers.get(header::ETAG), headers.get(header::LAST_MODIFIED));
    upstream.status()
}

fn insert_validators(
    fields: &mut HeaderMap,
    etag: Option<&HeaderValue>,
    last_modified: Option<&HeaderValue>,
) {
    if let Some(etag) = etag {
        fields.insert(header::ETAG, etag.clone());
    }
    if let Some(last_modified) = last_modified {
        fields.insert(header::LAST_MODIFIED, last_modified.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cache_serves_media_to_a_client_that_the_edge_would_refuse() {
        const NOW: u64 = 1_780_000_000;
        for (is_access_open, left, expected) in [
            (true, None, "public, max-age=60"),
            (true, Some(3600), "public, max-age=60"),
            (true, Some(60), "public, max-age=60"),
            (true, Some(3), "public, max-age=3"),
            (false, None, "private, max-age=60"),
            (false, Some(3), "private, max-age=3"),
        ] {
            let expires = left.map(|left| NOW + left);
            let cache_control = media_cache_control(is_access_open, expires, NOW);
            assert_eq!(cache_control, expected, "{is_access_open} {left:?}");
        }
    }
}
