//! Recordings on disk: `DIR/SOURCE/recording.json` and one file per response body beside it. A
//! failed run is saved as `DIR/SOURCE.failed/`, so that the last good recording stays.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::recording::{RecordedResponse, Recording, RecordingError};

const INDEX_FILE_NAME: &str = "recording.json";

impl Recording {
    /// Replaces the recording of this source in `folder` (the good or the failed one), and returns
    /// its directory. The directory is 0700 and its files 0600: they hold tokens and cookies.
    ///
    /// # Errors
    /// [`RecordingError::Io`] where a file or directory cannot be written or removed, and
    /// [`RecordingError::Malformed`] where the recording cannot be serialized.
    pub fn save(&self, folder: &Path) -> Result<PathBuf, RecordingError> {
        let suffix = if self.good { "" } else { ".failed" };
        let destination = folder.join(format!("{}{suffix}", self.source));
        let fresh = folder.join(format!("{}{suffix}.new", self.source));
        remove_directory(&fresh)?;
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&fresh).map_err(io_error_at(&fresh))?;
        for (index, exchange) in self.exchanges.iter().enumerate() {
            if let Ok(response) = &exchange.answer {
                write_file(&fresh.join(body_file_name(index, response)), &response.body)?;
            }
        }
        let text = serde_json::to_vec_pretty(self);
        let text = text.map_err(|error| malformed_at(&fresh, error))?;
        write_file(&fresh.join(INDEX_FILE_NAME), &text)?;
        remove_directory(&destination)?;
        fs::rename(&fresh, &destination).map_err(io_error_at(&destination))?;
        Ok(destination)
    }

    /// The last good recording of a source; where there is none, its last failed one.
    ///
    /// # Errors
    /// [`RecordingError::Missing`] where `folder` holds neither; [`RecordingError::Io`] and
    /// [`RecordingError::Malformed`] where a file cannot be read or parsed;
    /// [`RecordingError::SourceMismatch`] where the recording is of another source.
    pub fn load(folder: &Path, source: &str) -> Result<Self, RecordingError> {
        let directories = [folder.join(source), folder.join(format!("{source}.failed"))];
        let missing = || RecordingError::Missing {
            source_name: source.to_owned(),
            folder: folder.display().to_string(),
        };
        let directory = directories
            .iter()
            .find(|directory| directory.join(INDEX_FILE_NAME).exists())
            .ok_or_else(missing)?;
        let index = directory.join(INDEX_FILE_NAME);
        let text = fs::read(&index).map_err(io_error_at(&index))?;
        let mut recording: Self =
            serde_json::from_slice(&text).map_err(|error| malformed_at(&index, error))?;
        if recording.source != source {
            return Err(RecordingError::SourceMismatch { recorded: recording.source });
        }
        for (index, exchange) in recording.exchanges.iter_mut().enumerate() {
            if let Ok(response) = &mut exchange.answer {
                let path = directory.join(body_file_name(index, response));
                response.body = Bytes::from(fs::read(&path).map_err(io_error_at(&path))?);
            }
        }
        Ok(recording)
    }
}

/// The file name of a response's body; its extension follows the Content-Type, so that an editor or
/// a browser shows the file.
fn body_file_name(index: usize, response: &RecordedResponse) -> String {
    let kind = response.header("content-type").unwrap_or_default().to_ascii_lowercase();
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

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), RecordingError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(io_error_at(path))
}

fn remove_directory(path: &Path) -> Result<(), RecordingError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error_at(path)(error)),
        _ => Ok(()),
    }
}

fn io_error_at(path: &Path) -> impl Fn(std::io::Error) -> RecordingError {
    let path = path.display().to_string();
    move |error| RecordingError::Io { path: path.clone(), error }
}

fn malformed_at(path: &Path, error: serde_json::Error) -> RecordingError {
    RecordingError::Malformed { path: path.display().to_string(), error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::extract::recorder::{RecordedExchange, RecordedRequest};

    fn recording(good: bool, body: &'static str) -> Recording {
        let response = RecordedResponse {
            url: "https://a.example/".into(),
            status: 200,
            headers: vec![("content-type".into(), "text/html; charset=utf-8".into())],
            cookies: vec!["a=b".into()],
            body: Bytes::from_static(body.as_bytes()),
        };
        let ask = RecordedRequest::new("GET", "https://a.example/");
        let exchanges = vec![RecordedExchange { track: vec![0], ask, answer: Ok(response) }];
        let at = jiff::Timestamp::UNIX_EPOCH;
        let (source, kind) = ("club".to_owned(), "recipe".to_owned());
        Recording { source, kind, at, seed: 7, good, exchanges, steps: Vec::new() }
    }

    #[test]
    fn a_failed_run_does_not_replace_the_last_good_recording() {
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
        fs::write(folder.path().join("club").join(INDEX_FILE_NAME), "{").unwrap();
        assert!(matches!(
            Recording::load(folder.path(), "club"),
            Err(RecordingError::Malformed { .. })
        ));
    }
}
