//! [`NumberJournal`]: the next number of each rendition on disk, written before it is published.
//!
//! A process that is killed continues with the number after the last one that players may have: a
//! source that is behind it, or counts anew, is then known to be so. A line is appended for each
//! number and not synced, so that it outlives the process at the price of a write to memory; the
//! file is synced once a second for the case that the machine loses its power, after which it takes
//! longer to start than that. [`RegistryFile`](super::registry_file::RegistryFile) covers what is
//! lost nevertheless.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::state_directory::StateDirectory;
use crate::stream::StreamId;

/// The next number of each rendition, by stream.
pub type NextNumbers = HashMap<StreamId, HashMap<String, u64>>;

/// How long a viewer's request waits for a line to be written.
const APPEND_TIMEOUT: Duration = Duration::from_millis(250);
/// How often the file is synced while lines are written.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// The file is written anew, with one line for each rendition, when it is at least this large and
/// twice as large as it was after the last time.
const REWRITE_MIN_BYTES: u64 = 256 << 10;

const FILE_NAME: &str = "numbers";

pub(super) struct NumberJournal {
    directory: StateDirectory,
    path: PathBuf,
    inner: Mutex<Inner>,
    append_requested: Notify,
    /// How many requested lines have been written.
    written_lines: watch::Sender<u64>,
    /// The last line has not been written in time, so that no viewer waits for the next ones until
    /// the disk is faster again.
    is_late: AtomicBool,
    is_syncing: AtomicBool,
    /// From this size on the file is written anew.
    rewrite_at: AtomicU64,
}

#[derive(Default)]
struct Inner {
    numbers: NextNumbers,
    /// Lines that are not written yet.
    pending: String,
    requested_lines: u64,
}

impl NumberJournal {
    /// Opens the journal of this state directory, and returns the numbers that it has. Lines that
    /// cannot be read, as after a crash, are left out.
    pub(super) fn open(directory: impl Into<StateDirectory>) -> (Self, NextNumbers) {
        let directory = directory.into();
        let path = directory.path().join(FILE_NAME);
        let text = fs::read(&path).unwrap_or_default();
        let mut numbers = NextNumbers::new();
        for line in String::from_utf8_lossy(&text).lines() {
            if let Some((stream, rendition, next)) = parse_line(line) {
                numbers.entry(stream).or_default().insert(rendition, next);
            }
        }
        let inner = Inner {
            numbers: numbers.clone(),
            // The last line may have been cut short.
            pending: String::from("\n"),
            requested_lines: 0,
        };
        let journal = Self {
            directory,
            path,
            inner: Mutex::new(inner),
            append_requested: Notify::new(),
            written_lines: watch::Sender::new(0),
            is_late: AtomicBool::new(false),
            is_syncing: AtomicBool::new(false),
            rewrite_at: AtomicU64::new(REWRITE_MIN_BYTES),
        };
        (journal, numbers)
    }

    /// Requests that the next number of a rendition is written. Returns how many lines are to be
    /// written until it is; `None` if it is the one that was requested last.
    pub(super) fn request_write(
        &self,
        stream: &StreamId,
        rendition: &str,
        next: u64,
    ) -> Option<u64> {
        let mut inner = self.lock_inner();
        match inner.numbers.get(stream.as_str()).and_then(|numbers| numbers.get(rendition)) {
            Some(known) if *known == next => return None,
            None if next == 0 => return None,
            _ => {}
        }
        inner.numbers.entry(stream.clone()).or_default().insert(rendition.to_owned(), next);
        push_line(&mut inner.pending, stream, rendition, next);
        inner.requested_lines += 1;
        let requested_lines = inner.requested_lines;
        drop(inner);
        self.append_requested.notify_one();
        Some(requested_lines)
    }

    /// Writes the next number of a rendition, and returns when it is written or the disk is too
    /// slow.
    pub(super) async fn record(&self, stream: &StreamId, rendition: &str, next: u64) {
        let mut written_lines = self.written_lines.subscribe();
        let Some(line) = self.request_write(stream, rendition, next) else { return };
        if self.is_late.load(Ordering::Relaxed) {
            return;
        }
        let is_written = written_lines.wait_for(|written| *written >= line);
        if timeout(APPEND_TIMEOUT, is_written).await.is_err() {
            self.is_late.store(true, Ordering::Relaxed);
            tracing::warn!(
                %stream,
                "writing the state directory takes too long: after a crash media sequence numbers may step back; check the disk"
            );
        }
    }

    /// Writes the next numbers of all renditions again, and returns when they are written or the
    /// disk is too slow: for a successor, and after a time in which nothing was written.
    pub(super) async fn record_all(&self) {
        let mut written_lines = self.written_lines.subscribe();
        let requested_lines = {
            let mut inner = self.lock_inner();
            let Inner { numbers, pending, requested_lines } = &mut *inner;
            push_lines(pending, numbers);
            *requested_lines += 1;
            *requested_lines
        };
        self.append_requested.notify_one();
        let is_written = written_lines.wait_for(|written| *written >= requested_lines);
        if timeout(APPEND_TIMEOUT, is_written).await.is_err() {
            tracing::warn!("writing the state directory takes too long; check the disk");
        }
    }

    /// Writes what is requested.
    pub(super) async fn run(self: &Arc<Self>) -> Infallible {
        let mut synced_at = Instant::now();
        let mut has_warned = false;
        loop {
            self.append_requested.notified().await;
            let (lines, requested_lines) = {
                let mut inner = self.lock_inner();
                (std::mem::take(&mut inner.pending), inner.requested_lines)
            };
            let journal = self.clone();
            let append = tokio::task::spawn_blocking(move || {
                journal.directory.write(|| journal.append(&lines))
            });
            match append.await {
                Ok(Ok(())) => has_warned = false,
                Ok(Err(error)) => {
                    // The last line may have been cut short.
                    self.lock_inner().pending.insert(0, '\n');
                    if !std::mem::replace(&mut has_warned, true) {
                        tracing::warn!(
                            %error,
                            "published numbers cannot be written: after a crash media sequence numbers may step back; check [state] dir"
                        );
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the task that writes published numbers failed")
                }
            }
            // Also after a failure, so that no viewer waits for a disk that rejects writes.
            self.is_late.store(false, Ordering::Relaxed);
            self.written_lines.send_replace(requested_lines);
            if synced_at.elapsed() >= SYNC_INTERVAL {
                synced_at = Instant::now();
                self.start_sync();
            }
        }
    }

    fn append(&self, lines: &str) -> io::Result<()> {
        let mut file = open_private(&self.path, OpenOptions::new().append(true))?;
        file.write_all(lines.as_bytes())?;
        if file.metadata()?.len() < self.rewrite_at.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut text = String::new();
        push_lines(&mut text, &self.lock_inner().numbers);
        let new_path = self.path.with_extension("new");
        let mut file = open_private(&new_path, OpenOptions::new().write(true).truncate(true))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new_path, &self.path)?;
        let rewrite_at = REWRITE_MIN_BYTES.max(2 * text.len() as u64);
        self.rewrite_at.store(rewrite_at, Ordering::Relaxed);
        Ok(())
    }

    /// Syncs the file in the background: a slow disk delays no line.
    fn start_sync(self: &Arc<Self>) {
        if self.is_syncing.swap(true, Ordering::Relaxed) {
            return;
        }
        let journal = self.clone();
        tokio::task::spawn_blocking(move || {
            // A failed write has been logged already.
            let _ = File::open(&journal.path).and_then(|file| file.sync_data());
            journal.is_syncing.store(false, Ordering::Relaxed);
        });
    }

    fn lock_inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a file that only its owner can read, and creates it if there is none.
fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    options.create(true).mode(0o600).open(path)
}

/// A line for each rendition.
fn push_lines(text: &mut String, numbers: &NextNumbers) {
    for (stream, numbers) in numbers {
        for (rendition, next) in numbers {
            push_line(text, stream, rendition, *next);
        }
    }
}

/// A line: next number, stream and rendition, and the beginning of their hash.
fn push_line(text: &mut String, stream: &StreamId, rendition: &str, next: u64) {
    let record = format!("{next} {stream} {rendition}");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{} {record}", checksum_of(&record));
}

fn parse_line(line: &str) -> Option<(StreamId, String, u64)> {
    let (check, record) = line.split_once(' ')?;
    if check != checksum_of(record) {
        return None;
    }
    let (next, names) = record.split_once(' ')?;
    let (stream, rendition) = names.split_once(' ')?;
    Some((stream.to_owned().try_into().ok()?, rendition.to_owned(), next.parse().ok()?))
}

fn checksum_of(record: &str) -> String {
    blake3::hash(record.as_bytes()).to_hex().chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamId {
        StreamId::of_feed("World feed").unwrap()
    }

    fn numbers_in(directory: &Path) -> Vec<(String, u64)> {
        let (_, numbers) = NumberJournal::open(directory.to_owned());
        let mut numbers: Vec<_> =
            numbers.get(&stream()).cloned().unwrap_or_default().into_iter().collect();
        numbers.sort();
        numbers
    }

    /// What is recorded is on disk when `record` returns, whatever becomes of the process.
    #[tokio::test]
    async fn a_number_is_on_disk_before_it_is_published() {
        let directory = tempfile::tempdir().unwrap();
        for (first, last) in [(5, 7), (8, 9)] {
            let (journal, _) = NumberJournal::open(directory.path().to_owned());
            let journal = Arc::new(journal);
            let task = tokio::spawn({
                let journal = journal.clone();
                async move { journal.run().await }
            });
            for next in first..=last {
                journal.record(&stream(), "v", next).await;
                assert_eq!(numbers_in(directory.path()), [("v".to_owned(), next)]);
            }
            assert_eq!(journal.request_write(&stream(), "v", last), None, "it is there");
            task.abort();
            // The next line follows one that was cut short.
            let mut file =
                OpenOptions::new().append(true).open(directory.path().join(FILE_NAME)).unwrap();
            file.write_all(b"0123456789abcdef 99 world-").unwrap();
        }
    }

    #[test]
    fn a_line_that_is_damaged_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let line = |rendition: &str, next: u64| {
            let mut text = String::new();
            push_line(&mut text, &stream(), rendition, next);
            text
        };
        let whole = line("v", 7) + &line("a-en", 9);
        for (text, expected) in [
            (whole.clone(), vec![("a-en", 9), ("v", 7)]),
            (whole.clone() + &line("v", 3), vec![("a-en", 9), ("v", 3)]),
            (whole.replace("7 world", "8 world"), vec![("a-en", 9)]),
            (whole.strip_suffix("n\n").unwrap().to_owned(), vec![("v", 7)]),
            ("\n\nx y z\n".to_owned() + &whole, vec![("a-en", 9), ("v", 7)]),
            (String::new(), vec![]),
        ] {
            fs::write(directory.path().join(FILE_NAME), &text).unwrap();
            let expected: Vec<_> =
                expected.into_iter().map(|(name, next)| (name.to_owned(), next)).collect();
            assert_eq!(numbers_in(directory.path()), expected, "{text}");
        }
    }

    #[test]
    fn a_long_journal_is_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = NumberJournal::open(directory.path().to_owned());
        journal.request_write(&stream(), "v", 7);
        let mut lines = String::new();
        while (lines.len() as u64) < REWRITE_MIN_BYTES {
            push_line(&mut lines, &stream(), "v", 6);
        }
        journal.append(&lines).unwrap();
        assert!(fs::metadata(directory.path().join(FILE_NAME)).unwrap().len() < 200);
        assert_eq!(numbers_in(directory.path()), [("v".to_owned(), 7)]);
    }

    #[test]
    fn a_journal_of_many_renditions_is_not_written_anew_for_each_number() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = NumberJournal::open(directory.path().to_owned());
        for rendition in 0..8_000 {
            journal.request_write(&stream(), &format!("r{rendition}-{}", "x".repeat(40)), 7);
        }
        let lines = std::mem::take(&mut journal.lock_inner().pending);
        journal.append(&lines).unwrap();
        let path = directory.path().join(FILE_NAME);
        let length = |path: &Path| fs::metadata(path).unwrap().len();
        let rewritten = length(&path);
        assert!(rewritten > REWRITE_MIN_BYTES);
        journal.append("one more\n").unwrap();
        assert_eq!(length(&path), rewritten + 9, "it is appended");
    }
}
