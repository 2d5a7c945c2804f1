//! [`DiskTier`]: objects on disk, for which memory has no room (`[edge.cache] disk`). A viewer who
//! goes back in time gets them without their source, which may be gone.
//!
//! Each object is one file, named by its key, written whole and then renamed ([`object_file`]). The
//! index of files is rebuilt at start ([`disk_index`]). A tier that cannot be written is off, which
//! is logged once; what is on disk is still read. Nothing of it reaches a viewer.

mod disk_index;
mod object_file;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::Instant;

use self::disk_index::DiskIndex;
use self::object_file::{FileHeader, encode_object, read_header, read_object};
use super::object_key::ObjectKey;
use super::object_metadata::ObjectMetadata;
use super::object_store::ReadGuard;
use super::purge_scope::PurgeScope;
use crate::config::DiskConfig;
use crate::metrics::{DiskMetrics, DiskReadResult, DiskWriteResult};

/// Objects up to this size are not stored: a decryption key is shorter, and no segment is.
const OBJECT_MIN_BYTES: u64 = 65;
/// How many objects wait to be written. They are in memory meanwhile.
const QUEUE_MAX: usize = 64;
/// How files that are being written are called.
const NEW_FILE_PREFIX: &str = "new-";
const LOCK_FILE: &str = "lock";
/// How often it is tried to have the directory that another process uses.
const LOCK_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The objects in one directory.
pub struct DiskTier {
    directory: PathBuf,
    index: Mutex<DiskIndex>,
    jobs: Sender<WriteJob>,
    queued: AtomicUsize,
    is_off: AtomicBool,
    /// Number of purges: what was fetched before one is not stored after it.
    purges: AtomicUsize,
    metrics: DiskMetrics,
}

/// An object of the disk tier.
pub struct DiskObject {
    pub metadata: ObjectMetadata,
    pub body: Bytes,
    pub expires_at: Instant,
}

struct WriteJob {
    key: ObjectKey,
    object: ReadGuard,
    purges: usize,
}

impl DiskTier {
    /// Opens the directory, which is made if it is missing. Its files are listed in the background;
    /// until then none is found.
    pub fn open(config: &DiskConfig, metrics: DiskMetrics) -> Arc<Self> {
        let (jobs, receiver) = channel();
        let tier = Arc::new(Self {
            directory: config.dir.clone(),
            index: Mutex::new(DiskIndex::new(config.bytes.as_u64())),
            jobs,
            queued: AtomicUsize::new(0),
            is_off: AtomicBool::new(false),
            purges: AtomicUsize::new(0),
            metrics,
        });
        let weak = Arc::downgrade(&tier);
        let directory = config.dir.clone();
        // The thread ends with the tier, which holds the sender of its jobs.
        let run = move || {
            let Some(lock) = wait_for_directory(&weak, &receiver, &directory) else { return };
            let Some(tier) = weak.upgrade() else { return };
            match lock.and_then(|lock| tier.list_files().map(|()| lock)) {
                Ok(lock) => {
                    drop(tier);
                    write_jobs(&weak, &receiver);
                    drop(lock);
                }
                Err(error) => tier.turn_off(&error),
            }
        };
        if let Err(error) = std::thread::Builder::new().name("disk-tier".into()).spawn(run) {
            tier.turn_off(&error);
        }
        tier
    }

    /// The object, if it is there, fresh and undamaged.
    pub async fn read(self: &Arc<Self>, key: ObjectKey) -> Option<DiskObject> {
        let is_listed = self.lock_index().contains(&key);
        if !is_listed {
            self.metrics.reads.of(DiskReadResult::Miss).inc();
            return None;
        }
        let tier = self.clone();
        tokio::task::spawn_blocking(move || tier.read_blocking(&key)).await.ok()?
    }

    fn read_blocking(&self, key: &ObjectKey) -> Option<DiskObject> {
        let (header, body) = match read_object(&self.path_of(key), key) {
            Ok(read) => read,
            Err(error) => {
                tracing::debug!(%error, "an object on disk cannot be read: it is removed");
                self.metrics.reads.of(DiskReadResult::Damaged).inc();
                self.remove(key);
                return None;
            }
        };
        let Some(left) = header.expires_at.checked_sub(unix_seconds()).filter(|left| *left > 0)
        else {
            self.metrics.reads.of(DiskReadResult::Miss).inc();
            self.remove(key);
            return None;
        };
        self.metrics.reads.of(DiskReadResult::Hit).inc();
        let metadata = header.metadata(body.len() as u64);
        Some(DiskObject { metadata, body, expires_at: Instant::now() + Duration::from_secs(left) })
    }

    /// Has an object written that is in the store. Where more objects wait than the disk takes, it
    /// is left out.
    pub fn store(&self, key: ObjectKey, object: ReadGuard) {
        let length = object.body().total_length();
        if length < OBJECT_MIN_BYTES || self.is_off.load(Ordering::Relaxed) {
            return;
        }
        if self.queued.fetch_add(1, Ordering::AcqRel) >= QUEUE_MAX {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            self.metrics.writes.of(DiskWriteResult::Skipped).inc();
            return;
        }
        let purges = self.purges.load(Ordering::Acquire);
        // The writing thread may have ended, with the tier off.
        let _ = self.jobs.send(WriteJob { key, object, purges });
    }

    /// Removes objects. Returns how many were removed.
    pub fn purge(&self, scope: &PurgeScope) -> usize {
        self.purges.fetch_add(1, Ordering::AcqRel);
        let removed = self.lock_index().remove_matching(scope);
        self.count_bytes();
        for key in &removed {
            let _ = fs::remove_file(self.path_of(key));
        }
        removed.len()
    }

    fn write(&self, job: &WriteJob) -> io::Result<()> {
        let WriteJob { key, object, .. } = job;
        let left = object.expires_at.saturating_duration_since(Instant::now());
        let header = FileHeader::of(key, object, unix_seconds() + left.as_secs());
        let parts = encode_object(&header, &object.body())?;
        let length: u64 = parts.iter().map(|part| part.len() as u64).sum();
        // The room is made before it is taken, so that the limit holds at every moment.
        let Some(evicted) = self.lock_index().make_room(length) else {
            self.metrics.writes.of(DiskWriteResult::Skipped).inc();
            return Ok(());
        };
        for evicted in &evicted {
            remove_if_there(&self.path_of(evicted))?;
            self.metrics.writes.of(DiskWriteResult::Evicted).inc();
        }
        object_file::write_whole(&self.new_path(key), &self.path_of(key), &parts)?;
        if !self.list_unless_purged(job, length, &header) {
            remove_if_there(&self.path_of(key))?;
        }
        self.count_bytes();
        self.metrics.writes.of(DiskWriteResult::Stored).inc();
        Ok(())
    }

    /// Puts a written file into the index, unless there was a purge since its object was handed over.
    fn list_unless_purged(&self, job: &WriteJob, length: u64, header: &FileHeader) -> bool {
        let mut index = self.lock_index();
        let is_current = self.purges.load(Ordering::Acquire) == job.purges;
        if is_current {
            index.insert(job.key, length, header);
        }
        is_current
    }

    /// Fills the index with the files of an earlier run, and removes what is none of them.
    fn list_files(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for directory in fs::read_dir(&self.directory)? {
            let directory = directory?;
            let is_new = directory.file_name().to_string_lossy().starts_with(NEW_FILE_PREFIX);
            if is_new {
                fs::remove_file(directory.path())?;
            }
            if !directory.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(directory.path())? {
                let file = file?;
                let metadata = file.metadata()?;
                let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
                match read_header(&file.path())
                    .filter(|(_, header)| header.expires_at > unix_seconds())
                {
                    Some((key, header)) if self.path_of(&key) == file.path() => {
                        found.push((modified, key, metadata.len(), header));
                    }
                    _ => fs::remove_file(file.path())?,
                }
            }
        }
        found.sort_by_key(|(modified, ..)| *modified);
        let (count, mut index) = (found.len(), self.lock_index());
        for (_, key, length, header) in found {
            index.insert(key, length, &header);
        }
        let excess = index.make_room(0).unwrap_or_default();
        drop(index);
        for key in &excess {
            remove_if_there(&self.path_of(key))?;
        }
        self.count_bytes();
        if count > 0 {
            tracing::info!(objects = count - excess.len(), "objects were found on disk");
        }
        Ok(())
    }

    fn turn_off(&self, error: &io::Error) {
        if !self.is_off.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                directory = %self.directory.display(), %error,
                "[edge.cache] disk is off until a restart: nothing more is stored there, and viewers notice nothing"
            );
        }
    }

    fn remove(&self, key: &ObjectKey) {
        self.lock_index().remove(key);
        self.count_bytes();
        let _ = fs::remove_file(self.path_of(key));
    }

    fn count_bytes(&self) {
        let used = self.lock_index().used_bytes();
        self.metrics.bytes.set(i64::try_from(used).unwrap_or(i64::MAX));
    }

    fn lock_index(&self) -> MutexGuard<'_, DiskIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path_of(&self, key: &ObjectKey) -> PathBuf {
        let name = key.to_hex();
        // The first two digits, so that no directory has too many files.
        self.directory.join(name.chars().take(2).collect::<String>()).join(name)
    }

    fn new_path(&self, key: &ObjectKey) -> PathBuf {
        self.directory.join(format!("{NEW_FILE_PREFIX}{}", key.to_hex()))
    }
}

fn write_jobs(tier: &std::sync::Weak<DiskTier>, jobs: &Receiver<WriteJob>) {
    while let Ok(job) = jobs.recv() {
        let Some(tier) = tier.upgrade() else { return };
        tier.queued.fetch_sub(1, Ordering::AcqRel);
        if tier.is_off.load(Ordering::Acquire) {
            continue;
        }
        if let Err(error) = tier.write(&job) {
            let _ = fs::remove_file(tier.new_path(&job.key));
            tier.remove(&job.key);
            tier.metrics.writes.of(DiskWriteResult::Failed).inc();
            tier.turn_off(&error);
        }
    }
}

/// Waits until no other process uses the directory, as the predecessor of this one does after an
/// upgrade. What should be written meanwhile is dropped. `None` when the tier has ended.
fn wait_for_directory(
    tier: &std::sync::Weak<DiskTier>,
    jobs: &Receiver<WriteJob>,
    directory: &Path,
) -> Option<io::Result<File>> {
    let mut has_waited = false;
    loop {
        match lock_directory(directory) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return Some(outcome),
        }
        if !std::mem::replace(&mut has_waited, true) {
            tracing::warn!(
                directory = %directory.display(),
                "[edge.cache] disk is used by another process: nothing is stored or read there until it has ended"
            );
        }
        match jobs.recv_timeout(LOCK_POLL_INTERVAL) {
            Ok(_) => {
                tier.upgrade()?.queued.fetch_sub(1, Ordering::AcqRel);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// Makes the directory for this process alone: two would each keep to the limit, and not together.
fn lock_directory(directory: &Path) -> io::Result<File> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let lock = options.open(directory.join(LOCK_FILE))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
