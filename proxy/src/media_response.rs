//! Media responses: an opened object becomes a header and a body.

use std::time::{Duration, Instant, SystemTime};

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_cache::CacheMeta;
use pingora_cache::key::CacheKey;
use pingora_proxy::{RangeType, Session, range_header_filter};
use pitwall_fetch::Response;

use crate::cache::CacheLookup;
use crate::cache::byte_range::is_single_range;
use crate::cache::cache_adapter::{HitBody, build_cache_key};
use crate::cache::inflight_fetch::ObjectMetadata;
use crate::cache::reader::StoredReader;
use crate::http::cors::media_headers;
use crate::http::write_timeout::extend_write_timeout;
use crate::metrics::{CacheResult, Label};
use crate::playlist::uri_mappers::content_type_of_path;

/// Request fields with which the response may be another than the whole object.
const PARTIAL_OR_CONDITIONAL: [HeaderName; 3] =
    [header::RANGE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// How long a cache may store media, in seconds: a segment's link changes when its content does.
const MEDIA_MAX_AGE: u64 = 60;

/// An object that was opened for one request.
pub struct MediaResponse {
    lookup: CacheLookup,
    content_type: &'static str,
    /// For an object that the segment cache stores too.
    cache_control: HeaderValue,
    open_duration: Duration,
}

impl MediaResponse {
    /// `path`: that of the request, whose extension tells the content type.
    pub fn new(
        lookup: CacheLookup,
        path: &str,
        cache_control: HeaderValue,
        started: Instant,
    ) -> Self {
        let content_type = content_type_of_path(path);
        Self { lookup, content_type, cache_control, open_duration: started.elapsed() }
    }

    /// Where the object came from.
    pub fn cache_result(&self) -> CacheResult {
        match &self.lookup {
            CacheLookup::Hit(_) => CacheResult::Hit,
            CacheLookup::Inflight { coalesced: true, .. } => CacheResult::Coalesced,
            CacheLookup::Inflight { coalesced: false, .. } => CacheResult::Miss,
            CacheLookup::Bypass(_) => CacheResult::Bypass,
        }
    }

    /// Sends a stored object where the whole of it is the response, without Pingora's hit path,
    /// which would take as long as all else. `None`: it was sent.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub async fn send_if_whole(self, session: &mut Session) -> Result<Option<Self>> {
        let request = session.req_header();
        let CacheLookup::Hit(object) = &self.lookup else { return Ok(Some(self)) };
        if object.metadata.length.is_none_or(|length| length == 0)
            || request.method != Method::GET
            || PARTIAL_OR_CONDITIONAL.iter().any(|name| request.headers.contains_key(name))
        {
            return Ok(Some(self));
        }
        let mut header = self.build_header()?;
        header.insert_header(header::AGE, object.stored_at.elapsed().as_secs())?;
        let mut reader = StoredReader::new(object);
        session.write_response_header(Box::new(header), false).await?;
        let mut next = reader.read();
        while let Some(bytes) = next {
            next = reader.read();
            extend_write_timeout(session, bytes.len());
            session.write_response_body(Some(bytes), next.is_none()).await?;
        }
        Ok(None)
    }

    /// Hands the object to Pingora's hit path, inside a cache key.
    ///
    /// # Errors
    /// A Pingora error if a header field cannot be built.
    pub fn into_cache_key(self) -> Result<CacheKey> {
        let header = self.build_header()?;
        let (age, body) = match self.lookup {
            CacheLookup::Hit(object) => {
                (object.stored_at.elapsed(), HitBody::Stored(StoredReader::new(&object)))
            }
            CacheLookup::Inflight { reader, .. } => {
                let length = reader.metadata().length;
                (Duration::ZERO, HitBody::Inflight(reader, length))
            }
            CacheLookup::Bypass(response) => (Duration::ZERO, HitBody::Bypass(response)),
        };
        let now = SystemTime::now();
        // Pingora always sees a fresh response: this crate has already decided that the open object
        // is the one to send.
        let meta = CacheMeta::new(now + Duration::from_secs(3600), now - age, 0, 0, header);
        Ok(build_cache_key(meta, body))
    }

    fn build_header(&self) -> Result<ResponseHeader> {
        let mut header = match &self.lookup {
            CacheLookup::Hit(object) => self.build_object_header(&object.metadata)?,
            CacheLookup::Inflight { reader, .. } => self.build_object_header(&reader.metadata())?,
            CacheLookup::Bypass(response) => build_bypass_header(response)?,
        };
        header.insert_header(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type))?;
        header
            .insert_header(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))?;
        for (name, value) in media_headers() {
            header.insert_header(name, value)?;
        }
        match self.cache_result() {
            // Opening a stored object takes microseconds.
            CacheResult::Hit => {
                let timing = HeaderValue::from_static("cache;desc=hit, origin;dur=0.0");
                header.insert_header(SERVER_TIMING, timing)?;
            }
            result => {
                let (result, milliseconds) =
                    (result.text(), self.open_duration.as_secs_f64() * 1000.0);
                let timing = format!("cache;desc={result}, origin;dur={milliseconds:.1}");
                header.insert_header(SERVER_TIMING, timing)?;
            }
        }
        Ok(header)
    }

    fn build_object_header(&self, metadata: &ObjectMetadata) -> Result<ResponseHeader> {
        let status = match &metadata.content_range {
            Some(_) => StatusCode::PARTIAL_CONTENT,
            None => StatusCode::OK,
        };
        let mut response = ResponseHeader::build_no_case(status, Some(20))?;
        response.insert_header(header::CACHE_CONTROL, self.cache_control.clone())?;
        if let Some(content_range) = &metadata.content_range {
            response.insert_header(header::CONTENT_RANGE, content_range.clone())?;
        }
        if let Some(length) = metadata.length {
            response.insert_header(header::CONTENT_LENGTH, length)?;
            response.insert_header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"))?;
        }
        insert_validators(&mut response, metadata.etag.as_ref(), metadata.last_modified.as_ref())?;
        Ok(response)
    }
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

/// Serves a valid single range; any other `Range` is ignored (RFC 9110, 14.2) and the response is
/// the whole representation.
pub fn filter_range(request: &RequestHeader, response: &mut ResponseHeader) -> RangeType {
    let is_empty = response.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
    match request.headers.get(header::RANGE) {
        // An empty representation has no satisfiable range, and Pingora's arithmetic would
        // underflow.
        Some(range) if is_single_range(range.as_bytes()) && !is_empty => {
            // The limit of ranges is exclusive: 2 permits one range.
            range_header_filter(request, response, Some(2))
        }
        _ => RangeType::None,
    }
}

fn build_bypass_header(upstream: &Response) -> Result<ResponseHeader> {
    let headers: &HeaderMap = upstream.headers();
    let mut response = ResponseHeader::build_no_case(upstream.status(), Some(20))?;
    response.insert_header(header::CACHE_CONTROL, "no-store")?;
    if let Some(length) = upstream.content_length() {
        response.insert_header(header::CONTENT_LENGTH, length)?;
    }
    for name in [header::CONTENT_RANGE, header::ACCEPT_RANGES] {
        if let Some(value) = headers.get(&name) {
            response.insert_header(name, value.clone())?;
        }
    }
    insert_validators(
        &mut response,
        headers.get(header::ETAG),
        headers.get(header::LAST_MODIFIED),
    )?;
    Ok(response)
}

fn insert_validators(
    response: &mut ResponseHeader,
    etag: Option<&HeaderValue>,
    last_modified: Option<&HeaderValue>,
) -> Result<()> {
    if let Some(etag) = etag {
        response.insert_header(header::ETAG, etag.clone())?;
    }
    if let Some(last_modified) = last_modified {
        response.insert_header(header::LAST_MODIFIED, last_modified.clone())?;
    }
    Ok(())
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
