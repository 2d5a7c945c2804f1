//! [`LedgerFile`]: the ledger on disk, so that numbers never step back: not when the process is
//! killed, nor when the machine loses its power.
//!
//! Writing the file for each segment would be too much. Each write reserves [`RESERVED`] numbers
//! for every stream instead, and no number is published before it is reserved. Who starts from the
//! file goes on exactly where it was while the same source plays, since the record of the splice
//! says how its numbers are translated; a new splice begins above all that was reserved.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::Ledger;
use super::disk::{Disk, Unusable};
use super::vault::Vault;
use crate::map::StreamId;

/// About ten minutes of segments.
const RESERVED: u64 = 256;
/// A viewer waits for it. A disk that takes longer costs the promise, not the picture.
const WRITE_TIMEOUT: Duration = Duration::from_millis(250);

pub(super) struct LedgerFile {
    disk: Disk,
    vault: Vault,
    /// By stream, the number below which all are reserved on disk.
    reserved: Mutex<HashMap<StreamId, u64>>,
    wanted: Notify,
    /// How many writes have been asked for, and up to which of these it has been written.
    asked: Mutex<u64>,
    written: watch::Sender<u64>,
}

impl LedgerFile {
    /// With what is in it, and what is wrong with that.
    pub(super) fn open(
        directory: PathBuf,
        vault: Vault,
    ) -> (Self, Ledger, Vec<(PathBuf, Unusable)>) {
        let disk = Disk::new(directory);
        let (ledger, wrong) = disk.load_splices(&vault);
        let file = Self {
            disk,
            vault,
            reserved: Mutex::default(),
            wanted: Notify::new(),
            asked: Mutex::default(),
            written: watch::Sender::new(0),
        };
        (file, ledger, wrong)
    }

    /// Returns when `next`, the number that follows the last one to be published, is reserved on
    /// disk, and what has just been agreed on is there too if it is `news`.
    pub(super) async fn cover(&self, stream: &StreamId, next: u64, news: bool) {
        let is_reserved = lock(&self.reserved).get(stream).is_some_and(|until| next <= *until);
        if is_reserved && !news {
            return;
        }
        let mut written = self.written.subscribe();
        let ticket = {
            let mut asked = lock(&self.asked);
            *asked += 1;
            *asked
        };
        self.wanted.notify_one();
        let is_written = written.wait_for(|written| *written >= ticket);
        if timeout(WRITE_TIMEOUT, is_written).await.is_err() {
            tracing::warn!(
                %stream,
                "the state directory takes too long to be written: after a crash its numbers may step back"
            );
        }
    }

    /// Asks for a write that nobody waits for.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Returns when somebody wants a write.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Writes what is in the ledger, and reserves numbers above it.
    pub(super) async fn write(self: &Arc<Self>, ledger: &Ledger) {
        let ticket = *lock(&self.asked);
        let (entries, reserved) = ledger.reserving(RESERVED);
        let file = self.clone();
        let save = move || file.disk.save_splices(&entries, &file.vault);
        match tokio::task::spawn_blocking(save).await {
            Ok(Ok(())) => *lock(&self.reserved) = reserved,
            Ok(Err(error)) => tracing::warn!(%error, "splices are not kept on disk"),
            Err(error) => tracing::error!(%error, "splices are not kept on disk"),
        }
        // Nobody waits any longer for a disk that refuses.
        self.written.send_replace(ticket);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
