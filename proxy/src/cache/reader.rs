//! One viewer's position in an object that is stored or in flight.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::chunks::Chunks;
use super::inflight_fetch::{InflightFetch, NotCacheable, ObjectMetadata, ReadOutcome};
use super::object_store::CachedObject;
use crate::http::problem::Problem;
use pitwall_fetch::Response;

/// How much is handed to the connection at once, as a view of the stored chunk, so that most
/// segments are one write. The write timeout of the edge grows with the length of a slice, which
/// bounds how long a viewer that stops reading is waited for.
const READ_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How much each reader of a new object gets before all readers have got something: the last of
/// many concurrent readers waits for this many bytes of each other one, not for whole slices.
const FIRST_READ_MAX_BYTES: u64 = 64 * 1024;

/// Reads a fetch in flight, at the reader's own pace.
pub struct InflightReader {
    fetch: Arc<InflightFetch>,
    reader_id: u64,
    progress: watch::Receiver<()>,
    position: u64,
    end: u64,
    phase: ReadPhase,
}

/// Whether a reader has had its first bytes, and has yielded to the others.
#[derive(PartialEq)]
enum ReadPhase {
    FirstRead,
    YieldToOthers,
    Unrestricted,
}

impl InflightReader {
    pub(super) fn follow(fetch: Arc<InflightFetch>) -> Self {
        let progress = fetch.subscribe();
        let reader_id = fetch.add_reader();
        Self { fetch, reader_id, progress, position: 0, end: u64::MAX, phase: ReadPhase::FirstRead }
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

    /// The upstream's response, if it was too large to be stored and no other request has taken it.
    pub(super) fn take_bypass_response(&self) -> Option<Box<Response>> {
        self.fetch.take_bypass_response()
    }

    /// The metadata of an open fetch; empty if the fetch has failed.
    pub fn metadata(&self) -> Arc<ObjectMetadata> {
        self.fetch.metadata().and_then(Result::ok).unwrap_or_default()
    }

    pub fn seek(&mut self, start: u64, end: Option<u64>) {
        self.position = start;
        self.end = end.unwrap_or(u64::MAX);
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
            let max_bytes = if self.phase == ReadPhase::FirstRead {
                FIRST_READ_MAX_BYTES
            } else {
                READ_MAX_BYTES
            };
            let limit = max_bytes.min(self.end.saturating_sub(self.position));
            if limit == 0 {
                return Ok(None);
            }
            self.progress.mark_unchanged();
            match self.fetch.read(self.reader_id, self.position, limit) {
                ReadOutcome::Bytes(bytes) => {
                    self.position += bytes.len() as u64;
                    if self.phase == ReadPhase::FirstRead {
                        self.phase = ReadPhase::YieldToOthers;
                    }
                    return Ok(Some(bytes));
                }
                ReadOutcome::End => return Ok(None),
                ReadOutcome::Failed(problem) => return Err(problem),
                ReadOutcome::Pending => self.wait_for_progress().await?,
            }
        }
    }

    /// Reads the object for a future request, so that the fetch has a reader until it is complete
    /// or has exceeded `max_bytes` and will not be stored.
    pub(super) async fn drain(mut self, max_bytes: u64) -> Result<(), Problem> {
        match self.wait_for_metadata().await {
            Ok(_) => while self.position <= max_bytes && self.read().await?.is_some() {},
            Err(NotCacheable::Problem(problem)) => return Err(problem),
            Err(NotCacheable::NoRoom | NotCacheable::RangeIgnored) => {}
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
    body: Arc<Chunks>,
    position: u64,
    end: u64,
}

impl StoredReader {
    pub fn new(object: &CachedObject) -> Self {
        let body = object.body();
        let end = body.total_length();
        Self { body, position: 0, end }
    }

    pub fn seek(&mut self, start: u64, end: Option<u64>) {
        let length = self.body.total_length();
        self.position = start.min(length);
        self.end = end.map_or(length, |end| end.min(length)).max(self.position);
    }

    pub fn read(&mut self) -> Option<Bytes> {
        let limit = READ_MAX_BYTES.min(self.end - self.position);
        if limit == 0 {
            return None;
        }
        let slice = self.body.slice_at(self.position, limit)?;
        self.position += slice.len() as u64;
        Some(slice)
    }
}
