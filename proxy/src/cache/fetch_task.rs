//! The task behind a fetch in flight: it sends the request, judges the response, and copies the
//! body.

mod resume;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pitwall_fetch::{FetchErrorKind, Request, Response};
use tokio::time::Instant;

use self::resume::ResumeRange;
use super::body_end::BodyCompleteness;
use super::byte_range::{ByteRange, parse_content_range};
use super::chunks::Chunks;
use super::disk_tier::DiskObject;
use super::inflight_fetch::{InflightFetch, NotCacheable};
use super::object_metadata::ObjectMetadata;
use super::writer::InflightWriter;
use crate::http::problem::{Problem, upstream_status_problem};
use crate::metrics::upstream::TrafficKind;
use crate::upstream::client::UpstreamClient;
use crate::upstream::target::UpstreamTarget;

/// How often the fetch of one object is resumed after an interruption.
const RESUMES_MAX: u32 = 2;

/// One fetch of one object, with what it needs.
pub struct FetchTask<'a> {
    pub fetch: &'a InflightFetch,
    pub upstreams: &'a UpstreamClient,
    pub target: &'a UpstreamTarget,
    /// First and last byte position, if only a range is fetched.
    pub requested_bounds: Option<(u64, u64)>,
    pub max_object_bytes: u64,
    /// Called when no more readers may join, with the reason if it is to be remembered.
    pub remove_inflight: &'a (dyn Fn(Option<&NotCacheable>) + Sync),
}

/// A body that was fetched to its end.
pub struct FetchedObject {
    pub metadata: ObjectMetadata,
    pub body: Chunks,
    /// The body is certainly complete, and not too large.
    pub is_storable: bool,
    /// It is not from disk, and its origin lets it be stored beyond memory.
    pub may_go_to_disk: bool,
    /// When it is stale, if that is known already.
    pub expires_at: Option<Instant>,
}

impl FetchTask<'_> {
    /// Fetches the object. Returns it if the whole of it is held; its readers then wait for
    /// [`InflightFetch::complete`].
    pub async fn run(&self) -> Option<FetchedObject> {
        let mut request = build_media_request(self.target);
        if let Some((first, last)) = self.requested_bounds {
            request = request.with_forwarded_header(
                header::RANGE,
                ByteRange { first, last: Some(last) }.header_value(),
            );
        }
        let response = match self.send(request).await {
            Ok(response) => response,
            Err(problem) => return self.mark_not_cacheable(NotCacheable::Problem(problem)),
        };
        let range_length =
            self.requested_bounds.and_then(|bounds| length_of_requested_range(&response, bounds));
        let not_cacheable = match (response.status(), self.requested_bounds) {
            (status, None) if is_whole_representation(status) => None,
            // Some servers call every response a range.
            (StatusCode::PARTIAL_CONTENT, None)
                if length_of_requested_range(&response, (0, u64::MAX)).is_some() =>
            {
                None
            }
            (StatusCode::PARTIAL_CONTENT, Some(_)) if range_length.is_some() => None,
            (status, Some(_))
                if is_whole_representation(status)
                    || status == StatusCode::PARTIAL_CONTENT
                    || is_range_refusal(status) =>
            {
                Some(NotCacheable::RangeIgnored)
            }
            (status, _) => Some(NotCacheable::Problem(upstream_status_problem(status))),
        };
        if let Some(not_cacheable) = not_cacheable {
            return self.mark_not_cacheable(not_cacheable);
        }
        let length = response.content_length().or(range_length);
        let writer = self.open_writer(length).await?;
        let metadata =
            ObjectMetadata::of(response.headers(), length, self.requested_bounds.is_some());
        let may_go_to_disk = may_be_kept(response.headers());
        self.fetch.set_metadata(Arc::new(metadata.clone()));
        let end = match self.copy_body(writer, response, &metadata).await {
            Ok(end) => end,
            Err(problem) => return self.fail(problem),
        };
        let body = self.take_whole_body()?;
        // From now on the length is known, so that ranges can be served.
        let length = body.total_length();
        let metadata = ObjectMetadata { length: Some(length), ..metadata };
        let is_storable = end == BodyCompleteness::Complete && length <= self.max_object_bytes;
        Some(FetchedObject { metadata, body, is_storable, may_go_to_disk, expires_at: None })
    }

    /// Hands an object that was found on disk to the readers, as [`run`](Self::run) does with one
    /// that is fetched.
    pub async fn take_from_disk(&self, object: DiskObject) -> Option<FetchedObject> {
        let DiskObject { metadata, body, expires_at } = object;
        let mut writer = self.open_writer(metadata.length).await?;
        self.fetch.set_metadata(Arc::new(metadata.clone()));
        if let Err(problem) = writer.write(body).await {
            return self.fail(problem);
        }
        let body = self.take_whole_body()?;
        let expires_at = Some(expires_at);
        Some(FetchedObject { metadata, body, is_storable: true, may_go_to_disk: false, expires_at })
    }

    /// `None` where the budget has no room for a body of this length.
    async fn open_writer(&self, length: Option<u64>) -> Option<InflightWriter<'_>> {
        match InflightWriter::open(self.fetch, self.max_object_bytes, length).await {
            Ok(writer) => Some(writer),
            Err(problem) => {
                // Not remembered, because the budget may have room in a moment.
                (self.remove_inflight)(None);
                self.fetch.mark_not_cacheable(NotCacheable::Problem(problem));
                None
            }
        }
    }

    fn fail<T>(&self, problem: Problem) -> Option<T> {
        (self.remove_inflight)(None);
        self.fetch.fail(problem);
        None
    }

    /// The body whose last byte was written. `None` where it went to the readers in windows.
    fn take_whole_body(&self) -> Option<Chunks> {
        let body = self.fetch.whole_body();
        if body.is_none() {
            (self.remove_inflight)(None);
            self.fetch.complete_windowed();
        }
        body
    }

    async fn send(&self, request: Request<'_>) -> Result<Response, Problem> {
        self.upstreams.send(self.target, TrafficKind::Media, request).await
    }

    /// Copies the body to the readers, and returns whether its end is certain.
    async fn copy_body(
        &self,
        mut writer: InflightWriter<'_>,
        mut response: Response,
        metadata: &ObjectMetadata,
    ) -> Result<BodyCompleteness, Problem> {
        let mut resumes = 0;
        let mut resumed_chunk = Bytes::new();
        loop {
            let next = match std::mem::take(&mut resumed_chunk) {
                chunk if chunk.is_empty() => response.chunk().await,
                chunk => Ok(Some(chunk)),
            };
            let problem = match next {
                Ok(Some(chunk)) => {
                    writer.write(chunk).await?;
                    continue;
                }
                Ok(None) => match self.judge_completeness(&response, metadata)? {
                    BodyCompleteness::Truncated => {
                        Problem::UpstreamInvalid("its last part is missing".to_owned())
                    }
                    end => return Ok(end),
                },
                // Only an interrupted body is resumed, not one that has timed out: a slow upstream
                // stays slow.
                Err(error) if error.kind == FetchErrorKind::Body => error.into(),
                Err(error) => return Err(error.into()),
            };
            resumes += 1;
            if resumes > RESUMES_MAX {
                return Err(problem);
            }
            (response, resumed_chunk) =
                ResumeRange::resume_fetch(self, metadata).await.ok_or(problem)?;
        }
    }

    /// Whether the body that has ended is complete. Where the end of the connection was that of the
    /// body, only the body itself can tell.
    fn judge_completeness(
        &self,
        response: &Response,
        metadata: &ObjectMetadata,
    ) -> Result<BodyCompleteness, Problem> {
        if let Some(length) = metadata.length {
            return match length == self.fetch.received_bytes() {
                true => Ok(BodyCompleteness::Complete),
                false => Err(Problem::UpstreamInvalid(
                    "its length is not what its Content-Length said".into(),
                )),
            };
        }
        if response.has_framed_end() {
            return Ok(BodyCompleteness::Complete);
        }
        let body = self.fetch.whole_body().map(|body| body.to_contiguous());
        let body = body.and_then(|body| body.slice_at(0, u64::MAX));
        Ok(body.map_or(BodyCompleteness::Unknown, |body| BodyCompleteness::of(&body)))
    }

    fn mark_not_cacheable<T>(&self, not_cacheable: NotCacheable) -> Option<T> {
        (self.remove_inflight)(Some(&not_cacheable));
        self.fetch.mark_not_cacheable(not_cacheable);
        None
    }
}

/// Whether a response with this status has the whole representation as its body.
pub fn is_whole_representation(status: StatusCode) -> bool {
    status.is_success()
        && !matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT
        )
}

/// Whether a response may be stored beyond memory (RFC 9111, 5.2.2): for viewers who may see it at
/// the moment, the edge has it in memory all the same.
fn may_be_kept(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|it| it.to_str().ok());
    let mut directives = values.flat_map(|value| value.split(','));
    !directives.any(|directive| {
        let name = directive.split('=').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("private")
    })
}

/// Whether a server answers so to a range because it knows none.
fn is_range_refusal(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 405 | 416 | 501)
}

/// The request for a target, with the header fields of its source.
pub fn build_media_request(target: &UpstreamTarget) -> Request<'static> {
    let request = Request::get(target.url.clone())
        .with_source_headers(target.headers().clone())
        .with_forwarded_header(header::ACCEPT, HeaderValue::from_static("*/*"))
        // Media is compressed already, and a decoded body would have no known length.
        .with_forwarded_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Request { private_host_filter: target.profile.private_hosts.clone(), ..request }
}

/// The length in bytes of a 206 response, if it is the requested range, or as much of it as the
/// object has.
fn length_of_requested_range(response: &Response, (first, last): (u64, u64)) -> Option<u64> {
    let content_range = response.headers().get(header::CONTENT_RANGE)?;
    let (from, to, complete_length) = parse_content_range(content_range.as_bytes())?;
    let after = to.checked_add(1)?;
    let fits = from == first && (to == last || (to < last && complete_length == Some(after)));
    let length = after.checked_sub(from).filter(|length| *length > 0)?;
    let is_consistent =
        response.content_length().is_none_or(|content_length| content_length == length);
    (fits && is_consistent).then_some(length)
}
