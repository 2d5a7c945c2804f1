//! Persisted statistics of sources and upstreams. Without them ranking and renewal start from
//! defaults.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use pitwall_upstream_map::{StateDirectory, StreamId};
use serde::{Deserialize, Serialize};

use crate::model::upstream_stats::UpstreamHistory;
use crate::refresh::TokenLifetimes;
use crate::state_file::StateFile;

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct History {
    pub(crate) upstreams: Vec<UpstreamHistoryEntry>,
    pub(crate) playing: Vec<ActiveUpstreamEntry>,
    /// By source name.
    pub(crate) lifetimes: BTreeMap<String, TokenLifetimes>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct UpstreamHistoryEntry {
    pub(crate) stream: StreamId,
    pub(crate) source: String,
    pub(crate) ordinal: usize,
    #[serde(flatten)]
    pub(crate) past: UpstreamHistory,
}

/// The active upstream of a stream, and whether an operator pinned it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ActiveUpstreamEntry {
    pub(crate) stream: StreamId,
    pub(crate) source: String,
    pub(crate) ordinal: usize,
    pub(crate) pinned: bool,
    /// For a switch by an operator: the first version of the map that has the switch; 0 without
    /// one.
    #[serde(default)]
    pub(crate) switched: u64,
}

/// The file that persists [`History`].
#[derive(Debug)]
pub(crate) struct HistoryStore {
    file: StateFile,
    last_revision: AtomicU64,
    /// The newest revision on disk; locked while a revision is written.
    saved_revision: Mutex<u64>,
}

/// A history as it was collected. Revisions are saved from several threads, and an older one never
/// replaces a newer one on disk.
pub(crate) struct HistoryRevision {
    number: u64,
    collected_at: Timestamp,
    history: History,
}

const FORMAT_VERSION: u32 = 2;
/// Older statistics are ignored.
const HISTORY_MAX_AGE: SignedDuration = SignedDuration::from_hours(7 * 24);

#[derive(Serialize)]
struct SavedHistory<'a> {
    at: Timestamp,
    history: &'a History,
}

#[derive(Deserialize)]
struct LoadedHistory {
    at: Timestamp,
    history: History,
}

impl HistoryStore {
    pub(crate) fn new(directory: impl Into<StateDirectory>) -> Self {
        Self {
            file: StateFile::new(directory, "history", FORMAT_VERSION),
            last_revision: AtomicU64::new(0),
            saved_revision: Mutex::new(0),
        }
    }

    pub(crate) fn load(&self, now: Timestamp) -> History {
        let Some(LoadedHistory { at, mut history }) = self.file.load() else {
            return History::default();
        };
        if now.duration_since(at) > HISTORY_MAX_AGE {
            tracing::info!(%at, "the persisted history is older than 7 days and is ignored");
            return History::default();
        }
        history.upstreams.retain(|one| one.past.record.is_plausible());
        history
    }

    /// The revision that succeeds all those collected before.
    pub(crate) fn begin_revision(&self, history: History, now: Timestamp) -> HistoryRevision {
        let number = self.last_revision.fetch_add(1, Ordering::Relaxed) + 1;
        HistoryRevision { number, collected_at: now, history }
    }

    /// Saves a revision unless a newer one is already saved.
    pub(crate) fn save(&self, revision: &HistoryRevision) -> io::Result<()> {
        let mut saved = self.saved_revision.lock().unwrap_or_else(PoisonError::into_inner);
        if revision.number > *saved {
            let HistoryRevision { number, collected_at, history } = revision;
            self.file.save(&SavedHistory { at: *collected_at, history })?;
            *saved = *number;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-05-03T17:00:00Z".parse().unwrap()
    }

    fn history() -> History {
        let stream = StreamId::of_feed("World feed").unwrap();
        let past = UpstreamHistory { trips: 2, ..UpstreamHistory::default() };
        let (source, ordinal) = ("club".to_owned(), 0);
        History {
            upstreams: vec![UpstreamHistoryEntry {
                stream: stream.clone(),
                source: source.clone(),
                ordinal,
                past,
            }],
            playing: vec![ActiveUpstreamEntry {
                stream,
                source,
                ordinal,
                pinned: true,
                switched: 7,
            }],
            lifetimes: BTreeMap::new(),
        }
    }

    #[test]
    fn history_is_loaded_for_a_week() {
        let directory = tempfile::tempdir().unwrap();
        let history_store = HistoryStore::new(directory.path().join("state"));
        let trips = |history_store: &HistoryStore, at: Timestamp| {
            history_store.load(at).upstreams.first().map(|one| one.past.trips)
        };
        assert_eq!(trips(&history_store, now()), None);
        history_store.save(&history_store.begin_revision(history(), now())).unwrap();
        assert_eq!(trips(&history_store, now()), Some(2));
        assert!(history_store.load(now()).playing[0].pinned);
        let week_later = now() + SignedDuration::from_hours(8 * 24);
        assert_eq!(trips(&history_store, week_later), None, "too old");
    }

    /// Saves run in threads of their own and may end in another order than they began.
    #[test]
    fn an_older_revision_replaces_no_newer_one() {
        let directory = tempfile::tempdir().unwrap();
        let history_store = HistoryStore::new(directory.path().to_owned());
        let older = history_store.begin_revision(History::default(), now());
        let newer = history_store.begin_revision(history(), now());
        for (saved, expected) in [(&older, 0), (&newer, 1), (&older, 1)] {
            history_store.save(saved).unwrap();
            assert_eq!(history_store.load(now()).playing.len(), expected);
        }
    }
}
