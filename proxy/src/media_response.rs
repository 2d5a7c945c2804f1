//! Media responses: an opened object becomes a header and a body.

use std::time::{Duration, Instant, SystemTime};

use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_cache::CacheMeta;
use pingora_cache::key::CacheKey;
use pitwall_fetch::Response;

use crate::cache::CacheLookup;
use crate::cache::cache_adapter::{HitBody, build_cache_key};
use crate::cache::inflight_fetch::ObjectMetadata;
use crate::http::response::media_headers;
use crate::playlist::uri_mappers::content_type_of_path;

/// An object that was opened for one request.
pub struct MediaResponse {
    lookup: CacheLookup,
    path: String,
    open_duration: Duration,
}

impl MediaResponse {
    pub fn new(lookup: CacheLookup, path: String, started: Instant) -> Self {
        Self { lookup, path, open_duration: started.elapsed() }
    }

    /// The cache result, as metrics label it.
    pub fn cache_result(&self) -> &'static str {
        match &self.lookup {
            CacheLookup::Hit(_) => "hit",
            CacheLookup::Inflight { coalesced: true, .. } => "coalesced",
            CacheLookup::Inflight { coalesced: false, .. } => "miss",
            CacheLookup::Bypass(_) => "bypass",
        }
    }

    /// Hands the object to Pingora's hit path, inside a cache key.
    ///
    /// # Errors
    /// A Pingora error if a header field cannot be built.
    pub fn into_cache_key(self) -> Result<CacheKey> {
        let cache_result = self.cache_result();
        let mut age = Duration::ZERO;
        let (mut response, body) = match self.lookup {
            CacheLookup::Hit(object) => {
                age = object.stored_at.elapsed();
                (build_object_header(&object.metadata)?, HitBody::from_object(&object))
            }
            CacheLookup::Inflight { reader, .. } => {
                let metadata = reader.metadata();
                (build_object_header(&metadata)?, HitBody::Inflight(reader, metadata.length))
            }
            CacheLookup::Bypass(response) => {
                (build_bypass_header(&response)?, HitBody::Bypass(response))
            }
        };
        response.insert_header(header::CONTENT_TYPE, content_type_of_path(&self.path))?;
        response.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        for (name, value) in media_headers() {
            response.insert_header(name, value)?;
        }
        let milliseconds = self.open_duration.as_secs_f64() * 1000.0;
        response.insert_header(
            "server-timing",
            format!("cache;desc={cache_result}, origin;dur={milliseconds:.1}"),
        )?;
        let now = SystemTime::now();
        // Pingora always sees a fresh response: this crate has already decided that the open object
        // is the one to send.
        let meta = CacheMeta::new(now + Duration::from_secs(3600), now - age, 0, 0, response);
        Ok(build_cache_key(meta, body))
    }
}

fn build_object_header(metadata: &ObjectMetadata) -> Result<ResponseHeader> {
    let status = match &metadata.content_range {
        Some(_) => StatusCode::PARTIAL_CONTENT,
        None => StatusCode::OK,
    };
    let mut response = ResponseHeader::build(status, Some(16))?;
    // Cacheable, because a segment's link changes when its content does.
    response.insert_header(header::CACHE_CONTROL, "public, max-age=60")?;
    if let Some(content_range) = &metadata.content_range {
        response.insert_header(header::CONTENT_RANGE, content_range.clone())?;
    }
    if let Some(length) = metadata.length {
        response.insert_header(header::CONTENT_LENGTH, length)?;
        response.insert_header(header::ACCEPT_RANGES, "bytes")?;
    }
    insert_validators(&mut response, metadata.etag.as_ref(), metadata.last_modified.as_ref())?;
    Ok(response)
}

fn build_bypass_header(upstream: &Response) -> Result<ResponseHeader> {
    let headers: &HeaderMap = upstream.headers();
    let mut response = ResponseHeader::build(upstream.status(), Some(16))?;
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
