//! What was learned of sources and upstreams, so that a restart does not forget it. Losing it
//! loses nothing but experience.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use pitwall_upstream_map::StreamId;
use serde::{Deserialize, Serialize};

use crate::rank::Record;
use crate::refresh::Lifetimes;
use crate::state_file::StateFile;

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct History {
    pub(crate) upstreams: Vec<PastUpstream>,
    pub(crate) playing: Vec<PastPlaying>,
    /// By the source's name.
    pub(crate) lifetimes: BTreeMap<String, Lifetimes>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PastUpstream {
    pub(crate) stream: StreamId,
    pub(crate) source: String,
    pub(crate) ordinal: usize,
    #[serde(flatten)]
    pub(crate) past: Past,
}

/// What an upstream starts with that has been there before.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Past {
    pub(crate) record: Record,
    /// Of its breaker.
    pub(crate) trips: u32,
}

/// Who played a stream, and whether an operator wanted it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PastPlaying {
    pub(crate) stream: StreamId,
    pub(crate) source: String,
    pub(crate) ordinal: usize,
    pub(crate) pinned: bool,
    /// By an operator: the first version of the map that said so.
    #[serde(default)]
    pub(crate) switched: u64,
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Archive(StateFile);

const FORMAT: u32 = 2;
/// Older experience is no experience.
const OLDEST: SignedDuration = SignedDuration::from_hours(7 * 24);

#[derive(Serialize)]
struct Saved<'a> {
    at: Timestamp,
    history: &'a History,
}

#[derive(Deserialize)]
struct Loaded {
    at: Timestamp,
    history: History,
}

impl Archive {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self(StateFile::new(directory, "history", FORMAT))
    }

    pub(crate) fn load(&self, now: Timestamp) -> History {
        let Some(Loaded { at, mut history }) = self.0.load() else { return History::default() };
        if now.duration_since(at) > OLDEST {
            tracing::info!(%at, "history is too old to go by");
            return History::default();
        }
        history.upstreams.retain(|one| one.past.record.sane());
        history
    }

    pub(crate) fn save(&self, history: &History, now: Timestamp) -> io::Result<()> {
        self.0.save(&Saved { at: now, history })
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
        let past = Past { trips: 2, ..Past::default() };
        let (source, ordinal) = ("club".to_owned(), 0);
        History {
            upstreams: vec![PastUpstream {
                stream: stream.clone(),
                source: source.clone(),
                ordinal,
                past,
            }],
            playing: vec![PastPlaying { stream, source, ordinal, pinned: true, switched: 7 }],
            lifetimes: BTreeMap::new(),
        }
    }

    #[test]
    fn what_was_learned_is_known_for_a_week() {
        let directory = tempfile::tempdir().unwrap();
        let archive = Archive::new(directory.path().join("state"));
        let trips = |archive: &Archive, at: Timestamp| {
            archive.load(at).upstreams.first().map(|one| one.past.trips)
        };
        assert_eq!(trips(&archive, now()), None);
        archive.save(&history(), now()).unwrap();
        assert_eq!(trips(&archive, now()), Some(2));
        assert!(archive.load(now()).playing[0].pinned);
        let week_later = now() + SignedDuration::from_hours(8 * 24);
        assert_eq!(trips(&archive, week_later), None, "too old");
    }
}
