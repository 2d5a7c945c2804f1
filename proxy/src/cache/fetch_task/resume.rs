//! Resumption of an interrupted body, if it is certain to be the same body: by a range request
//! where the length is known, else by another request for the whole, whose beginning is compared
//! with what has been received.

use bytes::Bytes;
use http::{StatusCode, header};
use pitwall_fetch::Response;

use super::{FetchTask, build_media_request, is_whole_representation};
use crate::cache::byte_range::{ByteRange, parse_content_range};
use crate::cache::object_metadata::ObjectMetadata;

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
    /// The response with the rest of the body, and the first bytes of that; `None` if the upstream
    /// does not have the same body any more.
    pub(super) async fn resume_fetch(
        task: &FetchTask<'_>,
        metadata: &ObjectMetadata,
    ) -> Option<(Response, Bytes)> {
        let received = task.fetch.received_bytes();
        let (mut response, overlap_bytes) = match metadata.length {
            Some(_) => Self::request_rest(task, metadata, received).await?,
            None if task.requested_bounds.is_none() => (Self::request_again(task).await?, received),
            None => return None,
        };
        let mut position = received - overlap_bytes;
        let mut rest = Bytes::new();
        while position < received {
            rest = response.chunk().await.ok()??;
            let missing = usize::try_from(received - position).unwrap_or(usize::MAX);
            let repeated = rest.split_to(rest.len().min(missing));
            if !task.fetch.has_same_bytes_at(position, &repeated) {
                return None;
            }
            position += repeated.len() as u64;
        }
        tracing::info!(received, "the fetch of a media object was resumed after an interruption");
        Some((response, rest))
    }

    /// A response with what has not been received, and how many bytes before that.
    async fn request_rest(
        task: &FetchTask<'_>,
        metadata: &ObjectMetadata,
        received: u64,
    ) -> Option<(Response, u64)> {
        let resume = Self::plan(received, metadata, task.requested_bounds)?;
        let range = ByteRange { first: resume.first, last: Some(resume.last) };
        let mut request = build_media_request(task.target)
            .with_forwarded_header(header::RANGE, range.header_value());
        if let Some(etag) = metadata.strong_etag() {
            request = request.with_forwarded_header(header::IF_RANGE, etag.clone());
        }
        let response = task.send(request).await.ok()?;
        let content_range = response.headers().get(header::CONTENT_RANGE)?;
        let fits = response.status() == StatusCode::PARTIAL_CONTENT
            && resume.is_satisfied_by(parse_content_range(content_range.as_bytes())?);
        fits.then_some((response, resume.overlap_bytes))
    }

    /// A response with the whole body, of unknown length as the first was.
    async fn request_again(task: &FetchTask<'_>) -> Option<Response> {
        let response = task.send(build_media_request(task.target)).await.ok()?;
        (is_whole_representation(response.status()) && response.content_length().is_none())
            .then_some(response)
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
