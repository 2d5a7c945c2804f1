//! Resumption of an interrupted body by a range request, if it is certain to be the same body.

use http::{StatusCode, header};
use pitwall_fetch::Response;

use super::{FetchTask, build_media_request};
use crate::cache::byte_range::{ByteRange, parse_content_range};
use crate::cache::inflight_fetch::ObjectMetadata;

/// Without a strong validator, this many bytes are fetched again and compared.
const OVERLAP_BYTES: u64 = 16 * 1024;

/// Which bytes are requested: positions in the upstream's resource, also if only a range of it is
/// fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResumeRange {
    first: u64,
    last: u64,
    /// How many of these bytes have been received already.
    overlap_bytes: u64,
    /// Complete length of the resource, if the whole of it is fetched.
    complete_length: Option<u64>,
}

impl ResumeRange {
    /// The response with the rest of the body, if the upstream still has the same one. Only a body
    /// of known length can be resumed.
    pub(super) async fn resume_fetch(
        task: &FetchTask<'_>,
        metadata: &ObjectMetadata,
    ) -> Option<Response> {
        let received = task.fetch.received_bytes();
        let resume = Self::plan(received, metadata, task.requested_bounds)?;
        let range = ByteRange { first: resume.first, last: Some(resume.last) };
        let mut request =
            build_media_request(task.target).forward_header(header::RANGE, range.header_value());
        if let Some(etag) = metadata.strong_etag() {
            request = request.forward_header(header::IF_RANGE, etag.clone());
        }
        let mut response = task.target.send(task.fetcher, request).await.ok()?;
        let content_range = response.headers().get(header::CONTENT_RANGE)?;
        let fits = response.status() == StatusCode::PARTIAL_CONTENT
            && resume.is_satisfied_by(parse_content_range(content_range.as_bytes())?);
        if !fits {
            return None;
        }
        let received_tail = task.fetch.bytes_before(received, resume.overlap_bytes)?;
        let mut compared_bytes = 0;
        while compared_bytes < received_tail.len() {
            let chunk = response.chunk().await.ok()??;
            let (repeated, new) =
                chunk.split_at(chunk.len().min(received_tail.len() - compared_bytes));
            if received_tail.get(compared_bytes..compared_bytes + repeated.len())? != repeated {
                return None;
            }
            compared_bytes += repeated.len();
            if !new.is_empty() {
                task.fetch.push_chunk(chunk.slice(repeated.len()..));
            }
        }
        tracing::info!(received, "the fetch of a media object was resumed after an interruption");
        Some(response)
    }

    fn plan(received: u64, metadata: &ObjectMetadata, bounds: Option<(u64, u64)>) -> Option<Self> {
        let length = metadata.length.filter(|length| received < *length)?;
        let overlap_bytes =
            if metadata.strong_etag().is_some() { 0 } else { received.min(OVERLAP_BYTES) };
        let start = bounds.map_or(0, |(first, _)| first);
        Some(Self {
            first: start + received - overlap_bytes,
            last: start + length - 1,
            overlap_bytes,
            complete_length: bounds.is_none().then_some(length),
        })
    }

    fn is_satisfied_by(&self, (first, last, complete_length): (u64, u64, Option<u64>)) -> bool {
        let is_same_length = self.complete_length.is_none()
            || complete_length.is_none()
            || self.complete_length == complete_length;
        first == self.first && last == self.last && is_same_length
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn metadata(length: Option<u64>, etag: Option<&'static str>) -> ObjectMetadata {
        ObjectMetadata {
            length,
            etag: etag.map(HeaderValue::from_static),
            ..ObjectMetadata::default()
        }
    }

    #[test]
    fn the_missing_bytes_are_requested() {
        let range = |first, last, overlap_bytes, complete_length| {
            Some(ResumeRange { first, last, overlap_bytes, complete_length })
        };
        for (received, metadata, bounds, expected) in [
            (100, metadata(Some(1000), Some("\"a\"")), None, range(100, 999, 0, Some(1000))),
            (100, metadata(Some(1000), Some("W/\"a\"")), None, range(0, 999, 100, Some(1000))),
            (
                50_000,
                metadata(Some(60_000), None),
                None,
                range(50_000 - OVERLAP_BYTES, 59_999, OVERLAP_BYTES, Some(60_000)),
            ),
            (10, metadata(Some(100), Some("\"a\"")), Some((500, 599)), range(510, 599, 0, None)),
            (0, metadata(Some(100), None), None, range(0, 99, 0, Some(100))),
            (100, metadata(Some(100), None), None, None),
            (100, metadata(None, Some("\"a\"")), None, None),
        ] {
            assert_eq!(
                ResumeRange::plan(received, &metadata, bounds),
                expected,
                "{received} {metadata:?}"
            );
        }
    }

    #[test]
    fn a_response_must_have_exactly_the_requested_range() {
        let resume =
            ResumeRange { first: 10, last: 99, overlap_bytes: 5, complete_length: Some(100) };
        for (content_range, fits) in [
            ((10, 99, Some(100)), true),
            ((10, 99, None), true),
            ((10, 99, Some(101)), false),
            ((0, 99, Some(100)), false),
            ((10, 98, Some(100)), false),
        ] {
            assert_eq!(resume.is_satisfied_by(content_range), fits, "{content_range:?}");
        }
    }
}
