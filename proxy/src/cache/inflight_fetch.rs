//! One fetch of one object, followed by any number of readers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pitwall_fetch::Response;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::chunks::Chunks;
use super::fetch_budget::BudgetReservation;
use crate::http::problem::Problem;

/// How long a fetch continues without readers, so that a player that retries finds it.
const ABANDONED_FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// How far a fetch that is too large to be stored runs ahead of its slowest reader.
const SLIDING_WINDOW_MAX_BYTES: u64 = 1024 * 1024;

/// Metadata of an object, known before its body.
#[derive(Debug, Default)]
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

/// Why a fetch has no cacheable body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCacheable {
    Problem(Problem),
    /// The object is too large for the cache, or the budget is used up.
    NoRoom,
    /// A range was requested, and the upstream responded with something else.
    RangeIgnored,
}

/// A fetch in flight: its state, shared by the task and the readers.
#[derive(Default)]
pub struct InflightFetch {
    state: Mutex<FetchState>,
    /// Notified on every change of the state.
    progress: watch::Sender<()>,
    /// Notified when a reader has advanced or left.
    reader_advanced: Notify,
}

#[derive(Default)]
struct FetchState {
    metadata: Option<Result<Arc<ObjectMetadata>, NotCacheable>>,
    /// A response that is too large to be stored, for the first request that takes it.
    bypass_response: Option<Box<Response>>,
    /// The body, or the sliding window of it.
    body: Chunks,
    completion: Option<Result<(), Problem>>,
    /// Position of each reader in bytes.
    reader_positions: HashMap<u64, u64>,
    next_reader_id: u64,
    /// Since when the fetch has had no readers.
    abandoned_since: Option<Instant>,
    /// The body's share of the budget, held until the last reader has left.
    reservation: Option<BudgetReservation>,
}

/// Outcome of a read.
pub enum ReadOutcome {
    Bytes(Bytes),
    End,
    Failed(Problem),
    /// More bytes will follow: the reader is to wait for progress.
    Pending,
}

/// Methods for readers.
impl InflightFetch {
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.progress.subscribe()
    }

    pub(super) fn add_reader(&self) -> u64 {
        let mut state = self.lock_state();
        let id = state.next_reader_id;
        state.next_reader_id += 1;
        state.reader_positions.insert(id, 0);
        state.abandoned_since = None;
        id
    }

    pub(super) fn remove_reader(&self, reader: u64) {
        let mut state = self.lock_state();
        state.reader_positions.remove(&reader);
        if state.reader_positions.is_empty() {
            state.abandoned_since = Some(Instant::now());
        }
        drop(state);
        self.reader_advanced.notify_one();
    }

    pub(super) fn metadata(&self) -> Option<Result<Arc<ObjectMetadata>, NotCacheable>> {
        self.lock_state().metadata.clone()
    }

    /// Takes the response that was too large, once.
    pub(super) fn take_bypass_response(&self) -> Option<Box<Response>> {
        self.lock_state().bypass_response.take()
    }

    /// The bytes from `position` on, at most `limit`.
    pub(super) fn read(&self, reader: u64, position: u64, limit: u64) -> ReadOutcome {
        let mut state = self.lock_state();
        let Some(chunk) = state.body.slice_at(position, limit) else {
            return match &state.completion {
                Some(Ok(())) => ReadOutcome::End,
                Some(Err(problem)) => ReadOutcome::Failed(problem.clone()),
                None => ReadOutcome::Pending,
            };
        };
        state.reader_positions.insert(reader, position + chunk.len() as u64);
        drop(state);
        self.reader_advanced.notify_one();
        ReadOutcome::Bytes(chunk)
    }
}

/// Methods for the fetch task.
impl InflightFetch {
    pub(super) fn mark_not_cacheable(
        &self,
        not_cacheable: NotCacheable,
        response: Option<Response>,
    ) {
        self.update_state(|state| {
            state.bypass_response = response.map(Box::new);
            state.metadata = Some(Err(not_cacheable));
        });
    }

    pub(super) fn set_metadata(&self, metadata: Arc<ObjectMetadata>) {
        self.update_state(|state| state.metadata = Some(Ok(metadata)));
    }

    pub(super) fn push_chunk(&self, chunk: Bytes) {
        self.update_state(|state| state.body.push(chunk));
    }

    pub(super) fn received_bytes(&self) -> u64 {
        self.lock_state().body.total_length()
    }

    /// The `length` bytes before `position`, if they are still held.
    pub(super) fn bytes_before(&self, position: u64, length: u64) -> Option<Vec<u8>> {
        let state = self.lock_state();
        let mut bytes = Vec::new();
        let mut from = position.checked_sub(length)?;
        while from < position {
            let chunk = state.body.slice_at(from, position - from)?;
            from += chunk.len() as u64;
            bytes.extend_from_slice(&chunk);
        }
        Some(bytes)
    }

    /// Ends the fetch with an error, which its readers see: a body that is cut short must never
    /// look complete.
    pub(super) fn fail(&self, problem: Problem) {
        tracing::warn!(problem = problem.name(), why = %problem, "fetching a media object from its source was interrupted: its readers see an aborted transfer");
        self.update_state(|state| state.completion = Some(Err(problem)));
    }

    /// Ends the fetch with a complete body. Its share of the budget is held until the last reader
    /// has left.
    pub(super) fn complete(&self, reservation: BudgetReservation) -> Chunks {
        let mut body = Chunks::default();
        self.update_state(|state| {
            if state.body.has_small_chunks() {
                state.body = state.body.to_contiguous();
            }
            body = state.body.clone();
            state.reservation = Some(reservation);
            state.completion = Some(Ok(()));
        });
        body
    }

    /// Fails a fetch whose task has ended without a result, so that no reader waits for it.
    pub(super) fn fail_if_unfinished(&self) {
        let problem = || Problem::UpstreamInvalid("fetching the object failed".to_owned());
        self.update_state(|state| {
            state.metadata.get_or_insert_with(|| Err(NotCacheable::Problem(problem())));
            state.completion.get_or_insert_with(|| Err(problem()));
        });
    }

    /// Drops the chunks that every reader has read, and waits while the slowest reader is too far
    /// behind.
    pub(super) async fn wait_for_slowest_reader(&self) {
        loop {
            {
                let mut state = self.lock_state();
                let Some(slowest) = state.reader_positions.values().copied().min() else { return };
                state.body.drop_before(slowest);
                if state.body.total_length() - slowest <= SLIDING_WINDOW_MAX_BYTES {
                    return;
                }
            }
            self.reader_advanced.notified().await;
        }
    }

    pub(super) fn is_abandoned(&self, windowed: bool) -> bool {
        let grace = if windowed { Duration::ZERO } else { ABANDONED_FETCH_TIMEOUT };
        self.lock_state().abandoned_since.is_some_and(|since| since.elapsed() >= grace)
    }

    fn lock_state(&self) -> MutexGuard<'_, FetchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update_state(&self, change: impl FnOnce(&mut FetchState)) {
        change(&mut self.lock_state());
        self.progress.send_replace(());
    }
}
