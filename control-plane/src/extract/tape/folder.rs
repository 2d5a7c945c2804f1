//! Recordings on disk: `DIR/SOURCE/recording.json` with the bodies beside it, one file each. A
//! run that failed goes to `DIR/SOURCE.failed/`, so that the last good one stays.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::recording::{Answer, Recording, RecordingError};

const INDEX: &str = "recording.json";

impl Recording {
    /// Keeps it, and says where.
    pub fn save(&self, folder: &Path) -> Result<PathBuf, RecordingError> {
        let suffix = if self.good { "" } else { ".failed" };
        let place = folder.join(format!("{}{suffix}", self.source));
        let fresh = folder.join(format!("{}{suffix}.new", self.source));
        remove(&fresh)?;
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&fresh).map_err(at(&fresh))?;
        for (index, exchange) in self.exchanges.iter().enumerate() {
            if let Ok(answer) = &exchange.answer {
                write(&fresh.join(body_name(index, answer)), &answer.body)?;
            }
        }
        let text = serde_json::to_vec_pretty(self);
        let text = text.map_err(|error| broken(&fresh, error))?;
        write(&fresh.join(INDEX), &text)?;
        remove(&place)?;
        fs::rename(&fresh, &place).map_err(at(&place))?;
        Ok(place)
    }

    /// The last good one of a source; where there is none, the last that failed.
    pub fn load(folder: &Path, source: &str) -> Result<Self, RecordingError> {
        let places = [folder.join(source), folder.join(format!("{source}.failed"))];
        let missing = || RecordingError::Missing {
            source_name: source.to_owned(),
            folder: folder.display().to_string(),
        };
        let place = places.iter().find(|place| place.join(INDEX).exists()).ok_or_else(missing)?;
        let index = place.join(INDEX);
        let text = fs::read(&index).map_err(at(&index))?;
        let mut recording: Self =
            serde_json::from_slice(&text).map_err(|error| broken(&index, error))?;
        if recording.source != source {
            return Err(RecordingError::Other { recorded: recording.source });
        }
        for (index, exchange) in recording.exchanges.iter_mut().enumerate() {
            if let Ok(answer) = &mut exchange.answer {
                let path = place.join(body_name(index, answer));
                answer.body = Bytes::from(fs::read(&path).map_err(at(&path))?);
            }
        }
        Ok(recording)
    }
}

/// Ends as its content does, so that an editor or a browser shows it.
fn body_name(index: usize, answer: &Answer) -> String {
    let kind = answer.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let extension = match kind.as_str() {
        kind if kind.contains("html") => "html",
        kind if kind.contains("json") => "json",
        kind if kind.contains("javascript") => "js",
        kind if kind.contains("mpegurl") => "m3u8",
        kind if kind.starts_with("text/") => "txt",
        _ => "body",
    };
    format!("{:03}.{extension}", index + 1)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RecordingError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(at(path))
}

fn remove(place: &Path) -> Result<(), RecordingError> {
    match fs::remove_dir_all(place) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(place)(error)),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> RecordingError {
    let path = path.display().to_string();
    move |error| RecordingError::File { path: path.clone(), error }
}

fn broken(path: &Path, error: serde_json::Error) -> RecordingError {
    RecordingError::Broken { path: path.display().to_string(), error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::extract::tape::{Ask, Exchange};

    fn recording(good: bool, body: &'static str) -> Recording {
        let answer = Answer {
            url: "https://a.example/".into(),
            status: 200,
            headers: vec![("content-type".into(), "text/html; charset=utf-8".into())],
            cookies: vec!["a=b".into()],
            body: Bytes::from_static(body.as_bytes()),
        };
        let ask = Ask::new("GET", "https://a.example/");
        let exchanges = vec![Exchange { track: vec![0], ask, answer: Ok(answer) }];
        let at = jiff::Timestamp::UNIX_EPOCH;
        let (source, kind) = ("club".to_owned(), "recipe".to_owned());
        Recording { source, kind, at, seed: 7, good, exchanges, steps: Vec::new() }
    }

    #[test]
    fn the_last_good_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let body = || {
            let loaded = Recording::load(folder.path(), "club").unwrap();
            loaded.exchanges[0].answer.as_ref().unwrap().text()
        };
        assert!(matches!(
            Recording::load(folder.path(), "club"),
            Err(RecordingError::Missing { .. })
        ));
        recording(false, "first").save(folder.path()).unwrap();
        assert_eq!(body(), "first");
        for (good, text, expected) in
            [(true, "second", "second"), (false, "third", "second"), (true, "fourth", "fourth")]
        {
            recording(good, text).save(folder.path()).unwrap();
            assert_eq!(body(), expected);
        }
        let page = folder.path().join("club/001.html");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&page), mode(page.parent().unwrap())), (0o600, 0o700));
        fs::write(folder.path().join("club").join(INDEX), "{").unwrap();
        assert!(matches!(
            Recording::load(folder.path(), "club"),
            Err(RecordingError::Broken { .. })
        ));
    }
}
