//! Which playlists cannot be had: each poll of each player would say it, and the log says it when
//! it begins, changes and ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(super) struct Failing {
    said: Mutex<HashMap<(String, String), Said>>,
    /// Polls that succeed look no further while nothing fails.
    count: AtomicUsize,
}

/// What was said, and of which problem.
type Said = (&'static str, &'static str);

/// Renditions of streams that came and went are forgotten at once.
const FAILING_MAX: usize = 1000;

impl Failing {
    fn said(&self) -> MutexGuard<'_, HashMap<(String, String), Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is this the first time that it is said?
    pub(super) fn is_news(&self, stream: &str, rendition: &str, say: Said) -> bool {
        let mut said = self.said();
        if said.len() >= FAILING_MAX {
            said.clear();
        }
        let before = said.insert((stream.to_owned(), rendition.to_owned()), say);
        self.count.store(said.len(), Ordering::Relaxed);
        before != Some(say)
    }

    /// It can be had. Was something else said?
    pub(super) fn is_over(&self, stream: &str, rendition: &str) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut said = self.said();
        let was = said.remove(&(stream.to_owned(), rendition.to_owned()));
        self.count.store(said.len(), Ordering::Relaxed);
        was.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_when_it_begins_changes_and_ends() {
        let failing = Failing::default();
        assert!(!failing.is_over("w", "v"), "nothing fails yet");
        for (rendition, say, expected) in [
            ("v", ("cannot", "upstream-timeout"), true),
            ("v", ("cannot", "upstream-timeout"), false),
            ("hd", ("cannot", "upstream-timeout"), true),
            ("v", ("cannot", "upstream-status"), true),
            ("v", ("bridging", "upstream-status"), true),
            ("v", ("bridging", "upstream-status"), false),
        ] {
            assert_eq!(failing.is_news("w", rendition, say), expected, "{rendition} {say:?}");
        }
        for (rendition, expected) in [("v", true), ("v", false), ("hd", true), ("hd", false)] {
            assert_eq!(failing.is_over("w", rendition), expected, "{rendition}");
        }
        assert!(failing.is_news("w", "v", ("cannot", "upstream-timeout")), "it begins anew");
    }
}
