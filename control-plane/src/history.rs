//! Persisted statistics of sources and upstreams. Without them ranking and renewal start from
//! defaults.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use pitwall_upstream_map::StreamId;
use serde::{Deserialize, Serialize};

use crate::model::upstream_stats::UpstreamHistory;
use crate::refresh::TokenLifetimes;
use crate::state_file::StateFile;

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct History {
    pub(crate) upstreams: Vec<UpstreamHistoryEntry>,
    pub(crate) playing: Vec<ActiveHistory>,
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
pub(crate) struct ActiveHistory {
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
#[derive(Clone, Debug)]
pub(crate) struct HistoryStore(StateFile);

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
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self(StateFile::new(directory, "history", FORMAT_VERSION))
    }

    pub(crate) fn load(&self, now: Timestamp) -> History {
        let Some(LoadedHistory { at, mut history }) = self.0.load() else {
            return History::default();
        };
        if now.duration_since(at) > HISTORY_MAX_AGE {
            tracing::info!(%at, "the persisted history is older than 7 days and is ignored");
            return History::default();
        }
        history.upstreams.retain(|one| one.past.record.is_plausible());
        history
    }

    pub(crate) fn save(&self, history: &History, now: Timestamp) -> io::Result<()> {
        self.0.save(&SavedHistory { at: now, history })
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
            playing: vec![ActiveHistory { stream, source, ordinal, pinned: true, switched: 7 }],
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
        history_store.save(&history(), now()).unwrap();
        assert_eq!(trips(&history_store, now()), Some(2));
        assert!(history_store.load(now()).playing[0].pinned);
        let week_later = now() + SignedDuration::from_hours(8 * 24);
        assert_eq!(trips(&history_store, week_later), None, "too old");
    }
}
