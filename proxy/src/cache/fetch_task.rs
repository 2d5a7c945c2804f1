//! The task behind a fetch in flight: it sends the request, judges the response, and copies the
//! body.

mod resume;

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use pitwall_fetch::{FetchErrorKind, Fetcher, Request, Response};

use self::resume::ResumeRange;
use super::byte_range::{ByteRange, parse_content_range};
use super::chunks::Chunks;
use super::fetch_budget::{BudgetReservation, FetchBudget};
use super::inflight_fetch::{InflightFetch, NotCacheable, ObjectMetadata};
use crate::http::problem::{Problem, upstream_status_problem};
use crate::upstream::target::UpstreamTarget;

/// How often the fetch of one object is resumed after an interruption.
const RESUMES_MAX: u32 = 2;

/// One fetch of one object, with what it needs.
pub struct FetchTask<'a> {
    pub fetch: &'a InflightFetch,
    pub fetcher: &'a Fetcher,
    pub target: &'a UpstreamTarget,
    /// First and last byte position, if only a range is fetched.
    pub requested_bounds: Option<(u64, u64)>,
    pub budget: &'a FetchBudget,
    pub max_object_bytes: u64,
    /// Called when no more readers may join, with the reason if it is to be remembered.
    pub remove_inflight: &'a (dyn Fn(Option<&NotCacheable>) + Sync),
}

impl FetchTask<'_> {
    /// Fetches the object. Returns its metadata and body if it is complete and small enough to be
    /// stored.
    pub async fn run(&self) -> Option<(Arc<ObjectMetadata>, Chunks)> {
        let mut request = build_media_request(self.target);
        if let Some((first, last)) = self.requested_bounds {
            request = request.forward_header(
                header::RANGE,
                ByteRange { first, last: Some(last) }.header_value(),
            );
        }
        let response = match self.target.send(self.fetcher, request).await {
            Ok(response) => response,
            Err(problem) => return self.mark_not_cacheable(NotCacheable::Problem(problem), None),
        };
        let range_length =
            self.requested_bounds.and_then(|bounds| content_range_length(&response, bounds));
        let not_cacheable = match (response.status(), self.requested_bounds) {
            (status, None) if is_whole(status) => None,
            // Some servers call every response a range.
            (StatusCode::PARTIAL_CONTENT, None)
                if content_range_length(&response, (0, u64::MAX)).is_some() =>
            {
                None
            }
            (StatusCode::PARTIAL_CONTENT, Some(_)) if range_length.is_some() => None,
            (status, Some(_))
                if is_whole(status)
                    || status == StatusCode::PARTIAL_CONTENT
                    || refuses_ranges(status) =>
            {
                Some(NotCacheable::RangeIgnored)
            }
            (status, _) => Some(NotCacheable::Problem(upstream_status_problem(status))),
        };
        if let Some(not_cacheable) = not_cacheable {
            return self.mark_not_cacheable(not_cacheable, None);
        }
        let length = response.content_length().or(range_length);
        if length.is_some_and(|length| length > self.max_object_bytes) {
            return self.mark_not_cacheable(NotCacheable::NoRoom, Some(response));
        }
        let mut reservation = BudgetReservation::empty(self.budget);
        if length.is_some_and(|length| !reservation.try_grow(length)) {
            // Not remembered, because the budget may have room for the object in a moment.
            (self.remove_inflight)(None);
            self.fetch.mark_not_cacheable(NotCacheable::NoRoom, Some(response));
            return None;
        }
        let metadata = Arc::new(ObjectMetadata::of(
            response.headers(),
            length,
            self.requested_bounds.is_some(),
        ));
        self.fetch.set_metadata(metadata.clone());
        match self.copy_body(response, &metadata, reservation).await {
            Ok(complete) => complete.map(|complete| (metadata, complete)),
            Err(problem) => {
                (self.remove_inflight)(None);
                self.fetch.fail(problem);
                None
            }
        }
    }

    /// Copies the body to the readers. `None` if it is complete but too large to be stored.
    async fn copy_body(
        &self,
        mut response: Response,
        metadata: &ObjectMetadata,
        mut reservation: BudgetReservation,
    ) -> Result<Option<Chunks>, Problem> {
        // An object of unknown length turns out to be too large only on the way: from there on only
        // a sliding window of it is held, for the readers that it has.
        let mut windowed = false;
        let mut resumes = 0;
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                // Only an interrupted body is resumed, not one that has timed out: a slow upstream
                // stays slow.
                Err(error) if error.kind == FetchErrorKind::Body && resumes < RESUMES_MAX => {
                    resumes += 1;
                    response = match ResumeRange::resume_fetch(self, metadata).await {
                        Some(resumed) => resumed,
                        None => return Err(error.into()),
                    };
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let size = chunk.len() as u64;
            let total = self.fetch.received_bytes() + size;
            if !windowed
                && metadata.length.is_none()
                && (total > self.max_object_bytes || !reservation.try_grow(size))
            {
                windowed = true;
                (self.remove_inflight)(None);
                reservation.release();
            }
            self.fetch.push_chunk(chunk);
            if windowed {
                self.fetch.wait_for_slowest_reader().await;
            }
            if self.fetch.is_abandoned(windowed) {
                return Err(Problem::Unavailable("the fetch has no readers left"));
            }
        }
        if metadata.length.is_some_and(|length| length != self.fetch.received_bytes()) {
            return Err(Problem::UpstreamInvalid(
                "its length is not what its Content-Length said".into(),
            ));
        }
        let complete = self.fetch.complete(reservation);
        Ok((!windowed).then_some(complete))
    }

    fn mark_not_cacheable<T>(
        &self,
        not_cacheable: NotCacheable,
        response: Option<Response>,
    ) -> Option<T> {
        (self.remove_inflight)(Some(&not_cacheable));
        self.fetch.mark_not_cacheable(not_cacheable, response);
        None
    }
}

/// Whether a response with this status has the whole representation as its body.
pub fn is_whole(status: StatusCode) -> bool {
    status.is_success()
        && !matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT
        )
}

/// Whether a server answers so to a range because it knows none.
fn refuses_ranges(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 405 | 416 | 501)
}

/// The request for a target, with the header fields of its source.
pub fn build_media_request(target: &UpstreamTarget) -> Request<'static> {
    let request = Request::get(target.url.clone())
        .source_headers(target.headers().clone())
        .forward_header(header::ACCEPT, HeaderValue::from_static("*/*"))
        // Media is compressed already, and a decoded body would have no known length.
        .forward_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Request { private_host_filter: target.profile.private_hosts.clone(), ..request }
}

/// The length in bytes of a 206 response, if it is the requested range, or as much of it as the
/// object has.
fn content_range_length(response: &Response, (first, last): (u64, u64)) -> Option<u64> {
    let content_range = response.headers().get(header::CONTENT_RANGE)?;
    let (from, to, complete_length) = parse_content_range(content_range.as_bytes())?;
    let after = to.checked_add(1)?;
    let fits = from == first && (to == last || (to < last && complete_length == Some(after)));
    let length = after.checked_sub(from).filter(|length| *length > 0)?;
    let is_consistent =
        response.content_length().is_none_or(|content_length| content_length == length);
    (fits && is_consistent).then_some(length)
}
