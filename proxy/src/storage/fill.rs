//! One fetch of one object, followed by any number of readers.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pitwall_fetch::{Fetcher, Response};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::media_request;
use super::range::{Range, content_range};
use crate::problem::{Problem, of_upstream_status};
use crate::target::Target;

/// How long a fill goes on for nobody: long enough for a player that asks again.
const GRACE: Duration = Duration::from_secs(5);

/// How far a fill that is too large to keep runs ahead of its slowest reader.
const WINDOW: u64 = 1024 * 1024;

/// What is known of an object before its body.
#[derive(Debug, Default)]
pub struct Head {
    pub length: Option<u64>,
    pub etag: Option<HeaderValue>,
    pub last_modified: Option<HeaderValue>,
    /// For a part: which one it is, as the upstream says it.
    pub content_range: Option<HeaderValue>,
}

impl Head {
    pub(super) fn of(headers: &HeaderMap, length: Option<u64>, part: bool) -> Self {
        Self {
            length,
            etag: headers.get(header::ETAG).cloned(),
            last_modified: headers.get(header::LAST_MODIFIED).cloned(),
            // What an upstream says of a whole object there is a mistake.
            content_range: headers.get(header::CONTENT_RANGE).filter(|_| part).cloned(),
        }
    }
}

/// Why a fill has no body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Problem(Problem),
    /// Too large for storage.
    PassThrough,
    /// A part was asked for, and the upstream gave something else.
    Whole,
}

#[derive(Default)]
pub struct Fill {
    state: Mutex<State>,
    /// Told of every change of the state.
    progress: watch::Sender<()>,
    /// Told when a reader has moved on or left.
    consumed: Notify,
}

#[derive(Default)]
struct State {
    head: Option<Result<Arc<Head>, Refusal>>,
    /// What is kept of the body, with the offset of each piece.
    chunks: VecDeque<(u64, Bytes)>,
    length: u64,
    end: Option<Result<(), Problem>>,
    /// How far each reader is.
    readers: HashMap<u64, u64>,
    next_reader: u64,
    /// Since when there are none.
    abandoned: Option<Instant>,
    /// What the body takes of the budget until the last reader has left.
    held: Option<Reserved>,
}

/// The next piece of a fill.
pub enum Piece {
    Bytes(Bytes),
    End,
    Failed(Problem),
    /// There will be more: wait for progress.
    Pending,
}

impl Fill {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.progress.send_replace(());
    }

    pub(super) fn progress(&self) -> watch::Receiver<()> {
        self.progress.subscribe()
    }

    pub(super) fn enter(&self) -> u64 {
        let mut state = self.state();
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(id, 0);
        state.abandoned = None;
        id
    }

    pub(super) fn leave(&self, reader: u64) {
        let mut state = self.state();
        state.readers.remove(&reader);
        if state.readers.is_empty() {
            state.abandoned = Some(Instant::now());
        }
        drop(state);
        self.consumed.notify_one();
    }

    pub(super) fn head(&self) -> Option<Result<Arc<Head>, Refusal>> {
        self.state().head.clone()
    }

    /// What follows `position`, at most up to `limit`.
    pub(super) fn read(&self, reader: u64, position: u64, limit: u64) -> Piece {
        let mut state = self.state();
        let index =
            state.chunks.partition_point(|(start, chunk)| start + chunk.len() as u64 <= position);
        let Some((start, chunk)) = state.chunks.get(index) else {
            return match &state.end {
                Some(Ok(())) => Piece::End,
                Some(Err(problem)) => Piece::Failed(problem.clone()),
                None => Piece::Pending,
            };
        };
        let from = (position - start) as usize;
        let to = chunk.len().min(from + limit as usize);
        let piece = chunk.slice(from..to);
        state.readers.insert(reader, position + piece.len() as u64);
        drop(state);
        self.consumed.notify_one();
        Piece::Bytes(piece)
    }

    /// Fetches the object. Returns it when it is complete and small enough to be kept.
    /// `detach` is called when nobody may join any more.
    pub(super) async fn run(
        &self,
        fetcher: &Fetcher,
        target: &Target,
        slice: Option<(u64, u64)>,
        budget: &Budget,
        max_object: u64,
        detach: impl Fn(),
    ) -> Option<(Arc<Head>, Bytes)> {
        let mut request = media_request(target);
        if let Some((first, last)) = slice {
            request = request.forward(header::RANGE, Range { first, last: Some(last) }.value());
        }
        let response = match fetcher.send(&target.policy, request).await {
            Ok(response) => response,
            Err(error) => {
                detach();
                return self.refuse(error.into());
            }
        };
        let part = slice.and_then(|asked| part_length(&response, asked));
        let refusal = match (response.status(), slice) {
            (StatusCode::OK, None) => None,
            (StatusCode::PARTIAL_CONTENT, Some(_)) if part.is_some() => None,
            (
                StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE,
                Some(_),
            ) => Some(Refusal::Whole),
            (status, _) => Some(Refusal::Problem(of_upstream_status(status))),
        };
        if let Some(refusal) = refusal {
            detach();
            self.change(|state| state.head = Some(Err(refusal)));
            return None;
        }
        let length = response.content_length().or(part);
        let mut reserved = Reserved::nothing(budget);
        if length.is_some_and(|length| length > max_object || !reserved.grow(length)) {
            detach();
            self.change(|state| state.head = Some(Err(Refusal::PassThrough)));
            return None;
        }
        let head = Arc::new(Head::of(response.headers(), length, slice.is_some()));
        self.change(|state| state.head = Some(Ok(head.clone())));
        let complete = self.copy(response, length, reserved, max_object, detach).await?;
        Some((head, complete))
    }

    async fn copy(
        &self,
        mut response: Response,
        length: Option<u64>,
        mut reserved: Reserved,
        max_object: u64,
        detach: impl Fn(),
    ) -> Option<Bytes> {
        // An object of unknown length turns out to be too large only on the way: from there
        // on only a window of it is held, for those who read it already.
        let mut windowed = false;
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => {
                    detach();
                    return self.fail(error.into());
                }
            };
            let size = chunk.len() as u64;
            let total = self.state().length + size;
            if !windowed && length.is_none() && (total > max_object || !reserved.grow(size)) {
                windowed = true;
                detach();
                reserved.release();
            }
            self.change(|state| {
                state.chunks.push_back((state.length, chunk));
                state.length += size;
            });
            if windowed {
                self.hold_window().await;
            }
            if self.is_abandoned(windowed) {
                detach();
                return self.fail(Problem::Unavailable("nobody reads it any more"));
            }
        }
        let total = self.state().length;
        if length.is_some_and(|length| length != total) {
            detach();
            return self.fail(Problem::UpstreamInvalid("its length is not what it said".into()));
        }
        let complete = (!windowed).then(|| self.joined());
        self.change(|state| {
            if let Some(complete) = &complete {
                // One piece instead of many, held for as long as somebody reads it.
                state.chunks = VecDeque::from([(0, complete.clone())]);
            }
            state.held = Some(reserved);
            state.end = Some(Ok(()));
        });
        complete
    }

    /// Drops what every reader has, and waits while the slowest is too far behind.
    async fn hold_window(&self) {
        loop {
            {
                let mut state = self.state();
                let Some(slowest) = state.readers.values().copied().min() else { return };
                while state
                    .chunks
                    .front()
                    .is_some_and(|(start, chunk)| start + chunk.len() as u64 <= slowest)
                {
                    state.chunks.pop_front();
                }
                if state.length - slowest <= WINDOW {
                    return;
                }
            }
            self.consumed.notified().await;
        }
    }

    fn is_abandoned(&self, windowed: bool) -> bool {
        let grace = if windowed { Duration::ZERO } else { GRACE };
        self.state().abandoned.is_some_and(|since| since.elapsed() >= grace)
    }

    fn joined(&self) -> Bytes {
        let state = self.state();
        if state.chunks.len() == 1
            && let Some((_, only)) = state.chunks.front()
        {
            return only.clone();
        }
        let mut body = BytesMut::with_capacity(state.length as usize);
        for (_, chunk) in &state.chunks {
            body.extend_from_slice(chunk);
        }
        body.freeze()
    }

    fn refuse<T>(&self, problem: Problem) -> Option<T> {
        self.change(|state| state.head = Some(Err(Refusal::Problem(problem))));
        None
    }

    /// For a task that ended without a word: nobody may wait for it.
    pub(super) fn give_up(&self) {
        let problem = || Problem::UpstreamInvalid("reading it failed".to_owned());
        self.change(|state| {
            state.head.get_or_insert_with(|| Err(Refusal::Problem(problem())));
            state.end.get_or_insert_with(|| Err(problem()));
        });
    }

    /// Those who read it see an error, never an end.
    fn fail<T>(&self, problem: Problem) -> Option<T> {
        tracing::warn!(problem = problem.name(), "a fill broke off");
        self.change(|state| state.end = Some(Err(problem)));
        None
    }
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

/// How many bytes may be in fills at once.
#[derive(Clone)]
pub struct Budget {
    used: Arc<AtomicU64>,
    limit: u64,
}

impl Budget {
    pub fn new(limit: u64) -> Self {
        Self { used: Arc::default(), limit }
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// A part of the budget, given back when it is dropped.
struct Reserved {
    budget: Budget,
    bytes: u64,
}

impl Reserved {
    fn nothing(budget: &Budget) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    fn grow(&mut self, bytes: u64) -> bool {
        let limit = self.budget.limit;
        let grown = self
            .budget
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= limit)
            })
            .is_ok();
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    fn release(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.release();
    }
}
