//! [`ObjectMetadata`]: what the header fields of an object say.

use http::{HeaderMap, HeaderValue, header};

/// Metadata of an object, known before its body.
#[derive(Clone, Debug, Default)]
pub struct ObjectMetadata {
    pub length: Option<u64>,
    pub etag: Option<HeaderValue>,
    pub last_modified: Option<HeaderValue>,
    /// Content-Range as the upstream sent it, if the object is a range of another one.
    pub content_range: Option<HeaderValue>,
}

impl ObjectMetadata {
    pub(super) fn of(headers: &HeaderMap, length: Option<u64>, is_range: bool) -> Self {
        Self {
            length,
            etag: headers.get(header::ETAG).cloned(),
            last_modified: headers.get(header::LAST_MODIFIED).cloned(),
            // A Content-Range in a 200 response is a mistake of the upstream.
            content_range: headers.get(header::CONTENT_RANGE).filter(|_| is_range).cloned(),
        }
    }

    /// The strong validator (RFC 9110, 8.8.1), by which another response is known to have the same
    /// bytes.
    pub(super) fn strong_etag(&self) -> Option<&HeaderValue> {
        self.etag.as_ref().filter(|etag| etag.as_bytes().starts_with(b"\""))
    }
}
