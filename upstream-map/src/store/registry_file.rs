//! [`RegistryFile`]: the splice registry on disk, so that media sequence numbers never step back
//! when the process is killed or the machine loses power.
//!
//! Writing the file for every segment would be too slow. Each write reserves
//! [`NUMBERS_RESERVED_PER_WRITE`] numbers for every stream instead, and no number is published
//! before it is reserved. After a restart from the file, numbering continues exactly where it was
//! while the same source plays, because the splice record maps its numbers; a new splice begins
//! above all reserved numbers. How far each rendition had come is in the [`NumberJournal`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::SpliceRegistry;
use super::disk_snapshot::{DiskSnapshot, SnapshotError};
use super::entry_cipher::EntryCipher;
use super::number_journal::NumberJournal;
use crate::state_directory::StateDirectory;
use crate::stream::StreamId;

/// About ten minutes of segments.
const NUMBERS_RESERVED_PER_WRITE: u64 = 256;
/// How long a viewer's request waits for the disk. With a slower disk numbers may step back after a
/// crash, but playback goes on.
const WRITE_TIMEOUT: Duration = Duration::from_millis(250);

pub(super) struct RegistryFile {
    disk_snapshot: DiskSnapshot,
    cipher: EntryCipher,
    /// The numbers that were published since the file was written.
    journal: Arc<NumberJournal>,
    /// By stream, the number below which all numbers are reserved on disk.
    reserved_below: Mutex<HashMap<StreamId, u64>>,
    write_requested: Notify,
    /// Number of writes requested so far; `completed_writes` is how many of these are done.
    requested_writes: Mutex<u64>,
    completed_writes: watch::Sender<u64>,
}

impl RegistryFile {
    /// Opens the file. Returns its registry, and the files that cannot be read.
    pub(super) fn open(
        directory: StateDirectory,
        cipher: EntryCipher,
    ) -> (Self, SpliceRegistry, Vec<(PathBuf, SnapshotError)>) {
        let (journal, next_numbers) = NumberJournal::open(directory.clone());
        let disk_snapshot = DiskSnapshot::new(directory);
        let (registry, load_errors) = disk_snapshot.load_splices(&cipher);
        registry.raise_next_numbers(next_numbers);
        let file = Self {
            disk_snapshot,
            cipher,
            journal: Arc::new(journal),
            reserved_below: Mutex::default(),
            write_requested: Notify::new(),
            requested_writes: Mutex::default(),
            completed_writes: watch::Sender::new(0),
        };
        (file, registry, load_errors)
    }

    /// Returns when `next`, the number after the last one to be published, is reserved on disk. If
    /// `decision_changed`, the registry is written first in any case.
    pub(super) async fn ensure_reserved(
        &self,
        stream: &StreamId,
        next: u64,
        decision_changed: bool,
    ) {
        if self.is_reserved(stream, next) && !decision_changed {
            return;
        }
        let mut completed_writes = self.completed_writes.subscribe();
        let ticket = {
            let mut requested_writes = lock(&self.requested_writes);
            *requested_writes += 1;
            *requested_writes
        };
        self.write_requested.notify_one();
        let is_written = completed_writes.wait_for(|completed_writes| *completed_writes >= ticket);
        if timeout(WRITE_TIMEOUT, is_written).await.is_err() {
            tracing::warn!(
                %stream,
                "writing the state directory takes too long: after a crash media sequence numbers may step back; check the disk"
            );
        }
    }

    /// Requests a write without waiting for it, if `decision_changed` or half of the numbers that
    /// are reserved have been published: Redis remembers the rest, but it may lose its data when
    /// the machine of all edges loses its power.
    pub(super) fn reserve_ahead(&self, stream: &StreamId, next: u64, decision_changed: bool) {
        let ahead = next.saturating_add(NUMBERS_RESERVED_PER_WRITE / 2);
        if decision_changed || (next > 0 && !self.is_reserved(stream, ahead)) {
            self.write_requested.notify_one();
        }
    }

    fn is_reserved(&self, stream: &StreamId, next: u64) -> bool {
        lock(&self.reserved_below).get(stream).is_some_and(|below| next <= *below)
    }

    /// Returns when the next number of a rendition is on disk.
    pub(super) async fn record_number(&self, stream: &StreamId, rendition: &str, next: u64) {
        self.journal.record(stream, rendition, next).await;
    }

    /// Requests that the next number of a rendition is written, without waiting for it: Redis
    /// remembers it too.
    pub(super) fn request_number_write(&self, stream: &StreamId, rendition: &str, next: u64) {
        self.journal.request_write(stream, rendition, next);
    }

    /// Writes the numbers that are recorded.
    pub(super) async fn run_journal(&self) -> Infallible {
        self.journal.run().await
    }

    /// Writes all that is known. Returns when it is written, or the disk is too slow.
    pub(super) async fn write_all(self: &Arc<Self>, registry: &SpliceRegistry) {
        self.write(registry).await;
        self.journal.record_all().await;
    }

    /// Waits for a write request.
    pub(super) async fn wait_for_write_request(&self) {
        self.write_requested.notified().await;
    }

    /// Writes the registry, and reserves numbers above it.
    pub(super) async fn write(self: &Arc<Self>, registry: &SpliceRegistry) {
        let ticket = *lock(&self.requested_writes);
        let snapshot = registry.snapshot(NUMBERS_RESERVED_PER_WRITE);
        let reserved_below = snapshot.reservations_by_stream();
        let file = self.clone();
        let write_file = move || file.disk_snapshot.save_splices(&snapshot, &file.cipher);
        match tokio::task::spawn_blocking(write_file).await {
            Ok(Ok(())) => *lock(&self.reserved_below) = reserved_below,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the splice registry cannot be written: check [state] dir")
            }
            Err(error) => {
                tracing::error!(%error, "the task that writes the splice registry failed")
            }
        }
        // Also after a failure, so that no viewer waits for a disk that rejects writes.
        self.completed_writes.send_replace(ticket);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
