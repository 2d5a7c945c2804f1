//! What was learned of sources and upstreams, on disk, so that a restart does not forget it.
//!
//! `history.json` is written beside itself, synced and renamed: there is the old one or the
//! new one, on NFS too. Losing it loses nothing but experience.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use pitwall_upstream_map::StreamId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::rank::Record;
use crate::refresh::Lifetimes;

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
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    directory: PathBuf,
}

const FORMAT: u32 = 1;
/// Older experience is no experience.
const OLDEST: SignedDuration = SignedDuration::from_hours(7 * 24);

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    format: u32,
    saved_at: Timestamp,
    blake3: String,
    #[serde(borrow)]
    history: &'a RawValue,
}

impl Archive {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.join("history.json")
    }

    /// One that cannot be used is logged, and is no reason not to start.
    pub(crate) fn load(&self, now: Timestamp) -> History {
        match read(&self.path(), now) {
            Ok(history) => history,
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                History::default()
            }
            Err(error) => {
                tracing::warn!(path = %self.path().display(), %error, "history ignored");
                History::default()
            }
        }
    }

    pub(crate) fn save(&self, history: &History, now: Timestamp) -> io::Result<()> {
        let history = serde_json::value::to_raw_value(history)?;
        let envelope = Envelope {
            format: FORMAT,
            saved_at: now,
            blake3: checksum(&history),
            history: &history,
        };
        fs::create_dir_all(&self.directory)?;
        let new = self.directory.join("history.json.new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&envelope)?)?;
        file.sync_all()?;
        fs::rename(&new, self.path())?;
        File::open(&self.directory)?.sync_all()
    }
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("format {0} is not known")]
    Format(u32),
    #[error("the checksum does not match")]
    Checksum,
    #[error("it is of {0}")]
    Old(Timestamp),
}

fn read(path: &Path, now: Timestamp) -> Result<History, Unusable> {
    let text = fs::read_to_string(path)?;
    let envelope: Envelope<'_> = serde_json::from_str(&text)?;
    if envelope.format != FORMAT {
        return Err(Unusable::Format(envelope.format));
    }
    if checksum(envelope.history) != envelope.blake3 {
        return Err(Unusable::Checksum);
    }
    if now.duration_since(envelope.saved_at) > OLDEST {
        return Err(Unusable::Old(envelope.saved_at));
    }
    let mut history: History = serde_json::from_str(envelope.history.get())?;
    history.upstreams.retain(|one| one.past.record.sane());
    Ok(history)
}

fn checksum(history: &RawValue) -> String {
    blake3::hash(history.get().as_bytes()).to_hex().to_string()
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
            playing: vec![PastPlaying { stream, source, ordinal, pinned: true }],
            lifetimes: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_what_is_damaged_is_not() {
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

        let whole = fs::read_to_string(archive.path()).unwrap();
        for (name, damaged) in [
            ("cut", whole.split_at(whole.len() / 2).0.to_owned()),
            ("edited", whole.replace("\"trips\":2", "\"trips\":3")),
            ("empty", String::new()),
            ("from the future", whole.replace("\"format\":1", "\"format\":2")),
        ] {
            fs::write(archive.path(), damaged).unwrap();
            assert_eq!(trips(&archive, now()), None, "{name}");
        }
        archive.save(&history(), now()).unwrap();
        assert_eq!(trips(&archive, now()), Some(2), "written anew");
    }
}
