//! The task behind a fill: asks the upstream, judges its answer, and copies the body.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use pitwall_fetch::{Fetcher, Kind, Request, Response};

use super::budget::{Budget, Reserved};
use super::fill::{Fill, Head, Refusal};
use super::pieces::Pieces;
use super::range::{Range, content_range};
use super::resume::Resume;
use crate::problem::{Problem, of_upstream_status};
use crate::target::Target;

/// How often one object's body may break off and be taken up again.
const RESUMES: u32 = 2;

pub struct Filling<'a> {
    pub fill: &'a Fill,
    pub fetcher: &'a Fetcher,
    pub target: &'a Target,
    /// First and last byte, when only a part is wanted.
    pub slice: Option<(u64, u64)>,
    pub budget: &'a Budget,
    pub max_object: u64,
    /// Called when nobody may join any more, with why if that is worth remembering.
    pub detach: &'a (dyn Fn(Option<&Refusal>) + Sync),
}

impl Filling<'_> {
    /// Fetches the object. Returns it when it is complete and small enough to be kept.
    pub async fn run(&self) -> Option<(Arc<Head>, Pieces)> {
        let mut request = media_request(self.target);
        if let Some((first, last)) = self.slice {
            request = request.forward(header::RANGE, Range { first, last: Some(last) }.value());
        }
        let response = match self.target.send(self.fetcher, request).await {
            Ok(response) => response,
            Err(problem) => return self.refuse(Refusal::Problem(problem), None),
        };
        let part = self.slice.and_then(|asked| part_length(&response, asked));
        let refusal = match (response.status(), self.slice) {
            (StatusCode::OK, None) => None,
            (StatusCode::PARTIAL_CONTENT, Some(_)) if part.is_some() => None,
            (
                StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE,
                Some(_),
            ) => Some(Refusal::Whole),
            (status, _) => Some(Refusal::Problem(of_upstream_status(status))),
        };
        if let Some(refusal) = refusal {
            return self.refuse(refusal, None);
        }
        let length = response.content_length().or(part);
        if length.is_some_and(|length| length > self.max_object) {
            return self.refuse(Refusal::PassThrough, Some(response));
        }
        let mut reserved = Reserved::nothing(self.budget);
        if length.is_some_and(|length| !reserved.grow(length)) {
            // There may be room for it in a moment.
            (self.detach)(None);
            self.fill.refuse(Refusal::PassThrough, Some(response));
            return None;
        }
        let head = Arc::new(Head::of(response.headers(), length, self.slice.is_some()));
        self.fill.begin(head.clone());
        match self.copy(response, &head, reserved).await {
            Ok(complete) => complete.map(|complete| (head, complete)),
            Err(problem) => {
                (self.detach)(None);
                self.fill.fail(problem);
                None
            }
        }
    }

    /// `None` for what is complete but too large to be kept.
    async fn copy(
        &self,
        mut response: Response,
        head: &Head,
        mut reserved: Reserved,
    ) -> Result<Option<Pieces>, Problem> {
        // An object of unknown length turns out to be too large only on the way: from there
        // on only a window of it is held, for those who read it already.
        let mut windowed = false;
        let mut resumes = 0;
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                // Whoever is slow stays slow; whoever hung up may not do so twice.
                Err(error) if error.kind == Kind::Body && resumes < RESUMES => {
                    resumes += 1;
                    response = match Resume::of(self, head).await {
                        Some(resumed) => resumed,
                        None => return Err(error.into()),
                    };
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let size = chunk.len() as u64;
            let total = self.fill.length() + size;
            if !windowed
                && head.length.is_none()
                && (total > self.max_object || !reserved.grow(size))
            {
                windowed = true;
                (self.detach)(None);
                reserved.release();
            }
            self.fill.push(chunk);
            if windowed {
                self.fill.hold_window().await;
            }
            if self.fill.is_abandoned(windowed) {
                return Err(Problem::Unavailable("nobody reads it any more"));
            }
        }
        if head.length.is_some_and(|length| length != self.fill.length()) {
            return Err(Problem::UpstreamInvalid("its length is not what it said".into()));
        }
        let complete = self.fill.complete(reserved);
        Ok((!windowed).then_some(complete))
    }

    fn refuse<T>(&self, refusal: Refusal, answer: Option<Response>) -> Option<T> {
        (self.detach)(Some(&refusal));
        self.fill.refuse(refusal, answer);
        None
    }
}

pub fn media_request(target: &Target) -> Request<'static> {
    let request = Request::get(target.url.clone())
        .source_headers(target.headers.clone())
        .forward(header::ACCEPT, HeaderValue::from_static("*/*"))
        // Media is compressed already, and a decoded body has no length to promise.
        .forward(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Request { private_hosts: target.private_hosts.clone(), ..request }
}

/// The length of the part, when it is the one that was asked for, or as much of it as there is.
fn part_length(response: &Response, (first, last): (u64, u64)) -> Option<u64> {
    let given = response.headers().get(header::CONTENT_RANGE)?;
    let (from, to, whole) = content_range(given.as_bytes())?;
    let after = to.checked_add(1)?;
    let fits = from == first && (to == last || (to < last && whole == Some(after)));
    let length = after.checked_sub(from).filter(|length| *length > 0)?;
    let agrees = response.content_length().is_none_or(|promised| promised == length);
    (fits && agrees).then_some(length)
}
