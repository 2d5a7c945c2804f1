//! One fetch of one object, followed by any number of readers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pitwall_fetch::Response;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::budget::Reserved;
use super::pieces::Pieces;
use crate::problem::Problem;

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

    /// What says that another answer is of the very same bytes.
    pub(super) fn strong_etag(&self) -> Option<&HeaderValue> {
        self.etag.as_ref().filter(|etag| etag.as_bytes().starts_with(b"\""))
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
    /// An answer that is too large to be kept, for the first who wants it.
    answer: Option<Box<Response>>,
    /// What is kept of the body.
    body: Pieces,
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

/// For readers.
impl Fill {
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

    /// The answer that was not kept, once.
    pub(super) fn take_answer(&self) -> Option<Box<Response>> {
        self.state().answer.take()
    }

    /// What follows `position`, at most up to `limit`.
    pub(super) fn read(&self, reader: u64, position: u64, limit: u64) -> Piece {
        let mut state = self.state();
        let Some(piece) = state.body.at(position, limit) else {
            return match &state.end {
                Some(Ok(())) => Piece::End,
                Some(Err(problem)) => Piece::Failed(problem.clone()),
                None => Piece::Pending,
            };
        };
        state.readers.insert(reader, position + piece.len() as u64);
        drop(state);
        self.consumed.notify_one();
        Piece::Bytes(piece)
    }
}

/// For the task that fills it.
impl Fill {
    pub(super) fn refuse(&self, refusal: Refusal, answer: Option<Response>) {
        self.change(|state| {
            state.answer = answer.map(Box::new);
            state.head = Some(Err(refusal));
        });
    }

    pub(super) fn begin(&self, head: Arc<Head>) {
        self.change(|state| state.head = Some(Ok(head)));
    }

    pub(super) fn push(&self, piece: Bytes) {
        self.change(|state| state.body.push(piece));
    }

    pub(super) fn length(&self) -> u64 {
        self.state().body.end()
    }

    /// What came before `position`: `length` bytes of it, if they are still here.
    pub(super) fn tail(&self, position: u64, length: u64) -> Option<Vec<u8>> {
        let state = self.state();
        let mut tail = Vec::new();
        let mut from = position.checked_sub(length)?;
        while from < position {
            let piece = state.body.at(from, position - from)?;
            from += piece.len() as u64;
            tail.extend_from_slice(&piece);
        }
        Some(tail)
    }

    /// Those who read it see an error, never an end.
    pub(super) fn fail(&self, problem: Problem) {
        tracing::warn!(problem = problem.name(), why = %problem, "a fill broke off");
        self.change(|state| state.end = Some(Err(problem)));
    }

    /// The body is complete; what it took of the budget is held until the last reader has left.
    pub(super) fn complete(&self, reserved: Reserved) -> Pieces {
        let mut body = Pieces::default();
        self.change(|state| {
            if state.body.is_crumbled() {
                state.body = state.body.joined();
            }
            body = state.body.clone();
            state.held = Some(reserved);
            state.end = Some(Ok(()));
        });
        body
    }

    /// For a task that ended without a word: nobody may wait for it.
    pub(super) fn give_up(&self) {
        let problem = || Problem::UpstreamInvalid("reading it failed".to_owned());
        self.change(|state| {
            state.head.get_or_insert_with(|| Err(Refusal::Problem(problem())));
            state.end.get_or_insert_with(|| Err(problem()));
        });
    }

    /// Drops what every reader has, and waits while the slowest is too far behind.
    pub(super) async fn hold_window(&self) {
        loop {
            {
                let mut state = self.state();
                let Some(slowest) = state.readers.values().copied().min() else { return };
                state.body.drop_before(slowest);
                if state.body.end() - slowest <= WINDOW {
                    return;
                }
            }
            self.consumed.notified().await;
        }
    }

    pub(super) fn is_abandoned(&self, windowed: bool) -> bool {
        let grace = if windowed { Duration::ZERO } else { GRACE };
        self.state().abandoned.is_some_and(|since| since.elapsed() >= grace)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.progress.send_replace(());
    }
}
