//! One viewer's position in an object that is stored or in flight.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::chunks::Chunks;
use super::fetch_budget::BudgetShare;
use super::fetch_progress::FetchObserver;
use super::inflight_fetch::{InflightFetch, NotCacheable, ReadOutcome, cut_off_problem};
use super::object_metadata::ObjectMetadata;
use super::object_store::ReadGuard;
use crate::http::problem::Problem;

/// How much is handed to the connection at once, as a view of the stored chunk, so that most
/// segments are one write. The write timeout of the edge grows with the length of a slice, which
/// bounds how long a viewer that stops reading is waited for.
const READ_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How much each reader of a new object gets before all readers have got something: the last of
/// many concurrent readers waits for this many bytes of each other one, not for whole slices.
const FIRST_READ_MAX_BYTES: u64 = 64 * 1024;

/// How long a client that needs a length waits for the end of a body that comes without one: less
/// than the timeouts of upstreams and players, so that an endless body begins all the same.
const LENGTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads a fetch in flight, at the reader's own pace.
pub struct InflightReader {
    fetch: Arc<InflightFetch>,
    reader_id: u64,
    progress: watch::Receiver<()>,
    position: u64,
    end: u64,
    phase: ReadPhase,
    /// Reads on once the object is complete.
    stored: Option<StoredReader>,
}

/// Whether a reader has had its first bytes, and has yielded to the others.
#[derive(PartialEq)]
enum ReadPhase {
    FirstRead,
    YieldToOthers,
    Unrestricted,
}

impl InflightReader {
    /// A new fetch, and its first reader.
    pub(super) fn of_new_fetch(share: Arc<BudgetShare>) -> (Arc<InflightFetch>, Self) {
        let fetch = Arc::new(InflightFetch::new(share));
        let reader_id = fetch.add_reader();
        (fetch.clone(), Self::new(fetch, reader_id))
    }

    /// `None` once the beginning of the body is no longer held.
    pub(super) fn join_fetch(fetch: Arc<InflightFetch>) -> Option<Self> {
        let reader_id = fetch.join()?;
        Some(Self::new(fetch, reader_id))
    }

    fn new(fetch: Arc<InflightFetch>, reader_id: u64) -> Self {
        let progress = fetch.subscribe();
        Self {
            fetch,
            reader_id,
            progress,
            position: 0,
            end: u64::MAX,
            phase: ReadPhase::FirstRead,
            stored: None,
        }
    }

    pub(super) fn observe_fetch(&self) -> FetchObserver {
        FetchObserver::of(self.fetch.clone())
    }

    pub(super) async fn wait_for_metadata(&mut self) -> Result<Arc<ObjectMetadata>, NotCacheable> {
        loop {
            self.progress.mark_unchanged();
            if let Some(metadata) = self.fetch.metadata() {
                return metadata;
            }
            self.wait_for_progress().await.map_err(NotCacheable::Problem)?;
        }
    }

    /// The metadata of an open fetch; empty if the fetch has failed.
    pub fn metadata(&self) -> Arc<ObjectMetadata> {
        if let Some(stored) = &self.stored {
            return stored.guard.metadata.clone();
        }
        self.fetch.metadata().and_then(Result::ok).unwrap_or_default()
    }

    /// Waits for a body of unknown length to be complete, so that the metadata say its length. In
    /// vain where it is too large to be stored, or does not end.
    ///
    /// # Errors
    /// The problem with which the fetch ended.
    pub async fn wait_for_length(&mut self) -> Result<(), Problem> {
        let waiting = async {
            while self.metadata().length.is_none() && !self.fetch.is_windowed() {
                self.progress.mark_unchanged();
                match self.fetch.read(self.reader_id, u64::MAX, 0) {
                    ReadOutcome::Complete(object) => self.continue_with(object),
                    ReadOutcome::Failed(problem) if !self.fetch.is_windowed() => {
                        return Err(problem);
                    }
                    ReadOutcome::Failed(_) => break,
                    _ => self.wait_for_progress().await?,
                }
            }
            Ok(())
        };
        tokio::time::timeout(LENGTH_TIMEOUT, waiting).await.unwrap_or(Ok(()))
    }

    pub fn restrict_to_range(&mut self, start: u64, end: Option<u64>) {
        self.position = start;
        self.end = end.unwrap_or(u64::MAX);
        match &mut self.stored {
            Some(stored) => stored.restrict_to_range(start, end),
            None => self.fetch.move_reader(self.reader_id, start),
        }
    }

    /// The next slice; `None` at the end.
    ///
    /// # Errors
    /// The problem with which the fetch ended, so that a body that is cut short never looks
    /// complete.
    pub async fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.phase == ReadPhase::YieldToOthers {
            self.phase = ReadPhase::Unrestricted;
            tokio::task::yield_now().await;
        }
        loop {
            let is_first_read = self.phase == ReadPhase::FirstRead;
            let max_bytes = if is_first_read { FIRST_READ_MAX_BYTES } else { READ_MAX_BYTES };
            if let Some(stored) = &mut self.stored {
                if is_first_read {
                    self.phase = ReadPhase::YieldToOthers;
                }
                return stored.read_at_most(max_bytes);
            }
            let limit = max_bytes.min(self.end.saturating_sub(self.position));
            if limit == 0 {
                return Ok(None);
            }
            self.progress.mark_unchanged();
            match self.fetch.read(self.reader_id, self.position, limit) {
                ReadOutcome::Bytes(bytes) => {
                    self.position += bytes.len() as u64;
                    if is_first_read {
                        self.phase = ReadPhase::YieldToOthers;
                    }
                    return Ok(Some(bytes));
                }
                ReadOutcome::End => return Ok(None),
                ReadOutcome::Failed(problem) => return Err(problem),
                ReadOutcome::Pending => self.wait_for_progress().await?,
                ReadOutcome::Complete(object) => self.continue_with(object),
            }
        }
    }

    fn continue_with(&mut self, object: ReadGuard) {
        let mut stored = StoredReader::continuing(object);
        stored.restrict_to_range(self.position, Some(self.end));
        self.stored = Some(stored);
    }

    /// Waits until this reader is cut off, because others need what it holds.
    pub async fn wait_until_cut_off(&self) -> Problem {
        match &self.stored {
            Some(stored) => stored.wait_until_cut_off().await,
            None => {
                let share = self.fetch.budget_share();
                share.wait_until_cut_off(|| self.fetch.is_cut_off(self.reader_id)).await;
                cut_off_problem()
            }
        }
    }

    /// Reads the object for a future request, so that the fetch has a reader until it is complete
    /// or will not be stored.
    pub(super) async fn read_to_end(mut self) -> Result<(), Problem> {
        match self.wait_for_metadata().await {
            // A window moves only with its readers: one that reads for nobody would make others
            // look slow.
            Ok(_) => while !self.fetch.is_windowed() && self.read().await?.is_some() {},
            Err(NotCacheable::Problem(problem)) => return Err(problem),
            Err(NotCacheable::RangeIgnored) => {}
        }
        Ok(())
    }

    async fn wait_for_progress(&mut self) -> Result<(), Problem> {
        // The sender lives in the fetch that this reader holds.
        self.progress
            .changed()
            .await
            .map_err(|_| Problem::UpstreamInvalid("its fetch ended".to_owned()))
    }
}

impl Drop for InflightReader {
    fn drop(&mut self) {
        self.fetch.remove_reader(self.reader_id);
    }
}

/// Reads a stored object.
pub struct StoredReader {
    guard: ReadGuard,
    body: Arc<Chunks>,
    position: u64,
    end: u64,
}

impl StoredReader {
    pub fn new(guard: ReadGuard) -> Self {
        let body = guard.body();
        Self { end: body.total_length(), guard, body, position: 0 }
    }

    /// For a reader that has read the object while it was fetched.
    fn continuing(guard: ReadGuard) -> Self {
        let body = guard.unjoined_body();
        Self { end: body.total_length(), guard, body, position: 0 }
    }

    pub fn restrict_to_range(&mut self, start: u64, end: Option<u64>) {
        let length = self.body.total_length();
        self.position = start.min(length);
        self.end = end.map_or(length, |end| end.min(length)).max(self.position);
    }

    /// The next slice; `None` at the end.
    ///
    /// # Errors
    /// This reader was cut off.
    pub fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        self.read_at_most(READ_MAX_BYTES)
    }

    fn read_at_most(&mut self, max_bytes: u64) -> Result<Option<Bytes>, Problem> {
        let share = self.guard.budget_share();
        if share.is_revoked() {
            return Err(cut_off_problem());
        }
        share.mark_progress();
        let limit = max_bytes.min(self.end - self.position);
        if limit == 0 {
            return Ok(None);
        }
        let slice = self.body.slice_at(self.position, limit);
        self.position += slice.as_ref().map_or(0, |slice| slice.len() as u64);
        Ok(slice)
    }

    /// Whether everything has been read.
    pub fn is_at_end(&self) -> bool {
        self.position >= self.end
    }

    /// Waits until this reader is cut off, because others need the memory of an object that has
    /// left the store.
    pub async fn wait_until_cut_off(&self) -> Problem {
        let share = self.guard.budget_share();
        share.wait_until_cut_off(|| share.is_revoked()).await;
        cut_off_problem()
    }
}
