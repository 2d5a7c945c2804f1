//! One fetch of one object, followed by any number of readers.

mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::chunks::Chunks;
use super::fetch_budget::BudgetShare;
use super::object_metadata::ObjectMetadata;
use super::object_store::ReadGuard;
use crate::http::problem::Problem;

/// How long a fetch continues without readers, so that a player that retries finds it.
const ABANDONED_FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a fetch has no cacheable body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCacheable {
    Problem(Problem),
    /// A range was requested, and the upstream responded with something else.
    RangeIgnored,
}

/// A fetch in flight: its state, shared by the task and the readers.
pub struct InflightFetch {
    state: Mutex<FetchState>,
    /// Notified on every change of the state.
    progress: watch::Sender<()>,
    /// Notified when a reader has advanced or left.
    reader_advanced: Notify,
    /// What the body takes of the fetch budget.
    share: Arc<BudgetShare>,
}

#[derive(Default)]
struct FetchState {
    metadata: Option<Result<Arc<ObjectMetadata>, NotCacheable>>,
    /// The body, or the sliding window of it; empty once there is an `object`.
    body: Chunks,
    /// Since when only a sliding window of the body is held.
    windowed_since: Option<Instant>,
    /// How long readers have waited for slower ones.
    blocked: Duration,
    completion: Option<Result<(), Problem>>,
    /// The complete object, which readers continue with.
    object: Option<ReadGuard>,
    readers: HashMap<u64, ReaderProgress>,
    next_reader_id: u64,
    /// Since when the fetch has had no readers.
    abandoned_since: Option<Instant>,
}

struct ReaderProgress {
    position: u64,
    advanced_at: Instant,
}

/// Outcome of a read.
pub enum ReadOutcome {
    Bytes(Bytes),
    End,
    Failed(Problem),
    /// More bytes will follow: the reader is to wait for progress.
    Pending,
    /// The object is complete: the reader is to continue with it.
    Complete(ReadGuard),
}

impl InflightFetch {
    pub(super) fn new(share: Arc<BudgetShare>) -> Self {
        Self {
            state: Mutex::default(),
            progress: watch::Sender::default(),
            reader_advanced: Notify::default(),
            share,
        }
    }

    pub(super) fn budget_share(&self) -> &Arc<BudgetShare> {
        &self.share
    }
}

/// Methods for readers.
impl InflightFetch {
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.progress.subscribe()
    }

    pub(super) fn add_reader(&self) -> u64 {
        self.lock_state().add_reader()
    }

    /// A new reader; `None` once the beginning of the body is no longer held.
    pub(super) fn join(&self) -> Option<u64> {
        let mut state = self.lock_state();
        let has_beginning = state.object.is_some() || state.body.first_held_position() == 0;
        has_beginning.then(|| state.add_reader())
    }

    pub(super) fn remove_reader(&self, reader: u64) {
        let mut state = self.lock_state();
        state.readers.remove(&reader);
        if state.readers.is_empty() {
            state.abandoned_since.get_or_insert_with(Instant::now);
        }
        drop(state);
        self.reader_advanced.notify_one();
    }

    /// Moves a reader that will not read what is before `position`.
    pub(super) fn move_reader(&self, reader: u64, position: u64) {
        if let Some(reader) = self.lock_state().readers.get_mut(&reader) {
            reader.position = position;
        }
        self.reader_advanced.notify_one();
    }

    pub(super) fn metadata(&self) -> Option<Result<Arc<ObjectMetadata>, NotCacheable>> {
        self.lock_state().metadata.clone()
    }

    /// Whether the fetch has ended with a body. `None`: it is under way.
    pub(super) fn has_succeeded(&self) -> Option<bool> {
        let state = self.lock_state();
        let is_refused = matches!(state.metadata, Some(Err(_)));
        state.completion.as_ref().map(Result::is_ok).or(is_refused.then_some(false))
    }

    /// Whether only a sliding window of the body is held, so that the object will not be stored.
    pub(super) fn is_windowed(&self) -> bool {
        self.lock_state().windowed_since.is_some()
    }

    /// Whether the reader has been cut off, because it kept others waiting.
    pub(super) fn is_cut_off(&self, reader: u64) -> bool {
        self.share.is_revoked() || !self.lock_state().readers.contains_key(&reader)
    }

    /// The bytes from `position` on, at most `limit`.
    pub(super) fn read(&self, reader: u64, position: u64, limit: u64) -> ReadOutcome {
        let mut state = self.lock_state();
        if let Some(object) = &state.object {
            return ReadOutcome::Complete(object.clone());
        }
        let FetchState { body, completion, readers, .. } = &mut *state;
        let Some(progress) = readers.get_mut(&reader).filter(|_| !self.share.is_revoked()) else {
            return ReadOutcome::Failed(cut_off_problem());
        };
        let Some(chunk) = body.slice_at(position, limit) else {
            return match completion {
                Some(Ok(())) => ReadOutcome::End,
                Some(Err(problem)) => ReadOutcome::Failed(problem.clone()),
                None => ReadOutcome::Pending,
            };
        };
        *progress =
            ReaderProgress { position: position + chunk.len() as u64, advanced_at: Instant::now() };
        drop(state);
        self.share.mark_progress();
        self.reader_advanced.notify_one();
        ReadOutcome::Bytes(chunk)
    }
}

/// What a reader is told that was cut off, if it has not been sent a header yet.
pub(super) fn cut_off_problem() -> Problem {
    Problem::Busy("this reader was too slow for the memory that there is")
}

/// Methods for the fetch task.
impl InflightFetch {
    pub(super) fn mark_not_cacheable(&self, not_cacheable: NotCacheable) {
        self.update_state(|state| state.metadata = Some(Err(not_cacheable)));
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

    /// Whether the bytes from `position` on are held, and are these.
    pub(super) fn has_same_bytes_at(&self, position: u64, mut bytes: &[u8]) -> bool {
        let state = self.lock_state();
        let mut from = position;
        while !bytes.is_empty() {
            let Some(held) = state.body.slice_at(from, bytes.len() as u64) else { return false };
            let Some((these, rest)) = bytes.split_at_checked(held.len()) else { return false };
            if these != held {
                return false;
            }
            (from, bytes) = (from + these.len() as u64, rest);
        }
        true
    }

    /// The whole body; `None` if its beginning is no longer held. Small chunks are joined.
    pub(super) fn whole_body(&self) -> Option<Chunks> {
        let state = self.lock_state();
        if state.body.first_held_position() > 0 {
            return None;
        }
        let body = state.body.clone();
        drop(state);
        Some(if body.has_small_chunks() { body.to_contiguous() } else { body })
    }

    /// Ends the fetch with an error, which its readers see: a body that is cut short must never
    /// look complete.
    pub(super) fn fail(&self, problem: Problem) {
        tracing::warn!(problem = problem.name(), why = %problem, "fetching a media object from its source was interrupted: its readers see an aborted transfer");
        self.update_state(|state| state.completion = Some(Err(problem)));
    }

    /// Ends a fetch of which only a window is held.
    pub(super) fn complete_windowed(&self) {
        self.update_state(|state| state.completion = Some(Ok(())));
    }

    /// Ends the fetch with a complete object, which its readers continue with.
    pub(super) fn complete(&self, object: ReadGuard) {
        self.update_state(|state| {
            state.body = Chunks::default();
            state.object = Some(object);
            state.completion = Some(Ok(()));
        });
    }

    /// Fails a fetch whose task has ended without a result, so that no reader waits for it.
    pub(super) fn fail_if_unfinished(&self) {
        let problem = || Problem::UpstreamInvalid("fetching the object failed".to_owned());
        self.update_state(|state| {
            state.metadata.get_or_insert_with(|| Err(NotCacheable::Problem(problem())));
            state.completion.get_or_insert_with(|| Err(problem()));
        });
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.lock_state().is_abandoned()
    }

    fn lock_state(&self) -> MutexGuard<'_, FetchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update_state(&self, change: impl FnOnce(&mut FetchState)) {
        change(&mut self.lock_state());
        self.progress.send_replace(());
    }
}

impl FetchState {
    fn add_reader(&mut self) -> u64 {
        let id = self.next_reader_id;
        self.next_reader_id += 1;
        self.readers.insert(id, ReaderProgress { position: 0, advanced_at: Instant::now() });
        self.abandoned_since = None;
        id
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned_since.is_some_and(|since| since.elapsed() >= ABANDONED_FETCH_TIMEOUT)
    }
}
