//! Which failing playlists have been logged: a failure is logged when it begins, changes and ends,
//! and not on each poll of each player.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The failures that have been logged, by stream and rendition.
#[derive(Default)]
pub(super) struct FailureLog {
    entries: Mutex<HashMap<(String, String), LoggedFailure>>,
    /// Number of entries, read without the lock: a successful poll needs no lock while nothing
    /// fails.
    failing_count: AtomicUsize,
}

/// The logged message and the name of its problem.
type LoggedFailure = (&'static str, &'static str);

/// At this many entries the log is emptied, so that renditions of streams that have gone do not
/// pile up.
const FAILURE_LOG_MAX_ENTRIES: usize = 1000;

impl FailureLog {
    fn lock_entries(&self) -> MutexGuard<'_, HashMap<(String, String), LoggedFailure>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a failure. `true` if it differs from the one that is recorded, so that it is to be
    /// logged.
    pub(super) fn record_failure(
        &self,
        stream: &str,
        rendition: &str,
        failure: LoggedFailure,
    ) -> bool {
        let mut entries = self.lock_entries();
        if entries.len() >= FAILURE_LOG_MAX_ENTRIES {
            entries.clear();
        }
        let previous = entries.insert((stream.to_owned(), rendition.to_owned()), failure);
        self.failing_count.store(entries.len(), Ordering::Relaxed);
        previous != Some(failure)
    }

    /// Records a successful poll. `true` if a failure was recorded, so that the recovery is to be
    /// logged.
    pub(super) fn record_recovery(&self, stream: &str, rendition: &str) -> bool {
        if self.failing_count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut entries = self.lock_entries();
        let previous = entries.remove(&(stream.to_owned(), rendition.to_owned()));
        self.failing_count.store(entries.len(), Ordering::Relaxed);
        previous.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_when_it_begins_changes_and_ends() {
        let failure_log = FailureLog::default();
        assert!(!failure_log.record_recovery("w", "v"), "nothing fails yet");
        for (rendition, failure, expected) in [
            ("v", ("cannot", "upstream-timeout"), true),
            ("v", ("cannot", "upstream-timeout"), false),
            ("hd", ("cannot", "upstream-timeout"), true),
            ("v", ("cannot", "upstream-status"), true),
            ("v", ("bridging", "upstream-status"), true),
            ("v", ("bridging", "upstream-status"), false),
        ] {
            assert_eq!(
                failure_log.record_failure("w", rendition, failure),
                expected,
                "{rendition} {failure:?}"
            );
        }
        for (rendition, expected) in [("v", true), ("v", false), ("hd", true), ("hd", false)] {
            assert_eq!(failure_log.record_recovery("w", rendition), expected, "{rendition}");
        }
        assert!(
            failure_log.record_failure("w", "v", ("cannot", "upstream-timeout")),
            "it begins anew"
        );
    }
}
