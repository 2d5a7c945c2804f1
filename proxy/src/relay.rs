//! Media on its way to a viewer: an opened object becomes headers and a body.

use std::time::{Duration, Instant, SystemTime};

use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora_cache::CacheMeta;
use pingora_cache::key::CacheKey;
use pitwall_fetch::Response;

use crate::answer::media_headers;
use crate::links::content_type;
use crate::storage::Opened;
use crate::storage::fill::Head;
use crate::storage::hit::{Body, carrying};

/// An object that is opened for one request.
pub struct Media {
    opened: Opened,
    path: String,
    waited: Duration,
}

impl Media {
    pub fn new(opened: Opened, path: String, since: Instant) -> Self {
        Self { opened, path, waited: since.elapsed() }
    }

    /// For metrics: how the object was come by.
    pub fn outcome(&self) -> &'static str {
        match &self.opened {
            Opened::Stored(_) => "hit",
            Opened::Filling { joined: true, .. } => "joined",
            Opened::Filling { joined: false, .. } => "miss",
            Opened::Passing(_) => "passed",
        }
    }

    /// Hands the object to Pingora's hit path.
    pub fn into_key(self) -> Result<CacheKey> {
        let outcome = self.outcome();
        let mut age = Duration::ZERO;
        let (mut response, body) = match self.opened {
            Opened::Stored(object) => {
                age = object.stored.elapsed();
                (held(&object.head)?, Body::stored(&object))
            }
            Opened::Filling { reader, .. } => {
                let head = reader.opened_head();
                (held(&head)?, Body::Filling(reader, head.length))
            }
            Opened::Passing(response) => (passed(&response)?, Body::Passing(response)),
        };
        response.insert_header(header::CONTENT_TYPE, content_type(&self.path))?;
        response.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        for (name, value) in media_headers() {
            response.insert_header(name, value)?;
        }
        let milliseconds = self.waited.as_secs_f64() * 1000.0;
        response.insert_header(
            "server-timing",
            format!("storage;desc={outcome}, origin;dur={milliseconds:.1}"),
        )?;
        let now = SystemTime::now();
        // Always fresh to Pingora: what is in hand is what will be sent.
        let meta = CacheMeta::new(now + Duration::from_secs(3600), now - age, 0, 0, response);
        Ok(carrying(meta, body))
    }
}

fn held(head: &Head) -> Result<ResponseHeader> {
    let status = match &head.content_range {
        Some(_) => StatusCode::PARTIAL_CONTENT,
        None => StatusCode::OK,
    };
    let mut response = ResponseHeader::build(status, Some(16))?;
    // A segment's link changes when its content does.
    response.insert_header(header::CACHE_CONTROL, "public, max-age=60")?;
    if let Some(content_range) = &head.content_range {
        response.insert_header(header::CONTENT_RANGE, content_range.clone())?;
    }
    if let Some(length) = head.length {
        response.insert_header(header::CONTENT_LENGTH, length)?;
        response.insert_header(header::ACCEPT_RANGES, "bytes")?;
    }
    validators(&mut response, head.etag.as_ref(), head.last_modified.as_ref())?;
    Ok(response)
}

fn passed(upstream: &Response) -> Result<ResponseHeader> {
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
    validators(&mut response, headers.get(header::ETAG), headers.get(header::LAST_MODIFIED))?;
    Ok(response)
}

fn validators(
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
