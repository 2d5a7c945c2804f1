//! The seal key: read from its file, or made once.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use pitwall_proxy::config::AccessConfig;

use crate::config::Invalid;

const SHORTEST: usize = 32;

pub(crate) type Secret = [u8; 32];

/// The configured seal key, or the one in the state directory, which is made on first start.
pub(crate) fn seal_key(access: &AccessConfig, state: &Path) -> anyhow::Result<Secret> {
    if let Some(path) = &access.seal_key_file {
        let text = fs::read(path).map_err(|error| {
            Invalid::new("access.seal_key_file", format!("{}: {error}", path.display()))
        })?;
        return digest(&text).ok_or_else(|| {
            let message = format!("{} holds less than {SHORTEST} bytes", path.display());
            Invalid::new("access.seal_key_file", message).into()
        });
    }
    let path = state.join("seal.key");
    fs::create_dir_all(state).with_context(|| format!("cannot make {}", state.display()))?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            let secret: [u8; 32] = rand::random();
            let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
            written.with_context(|| format!("cannot write {}", path.display()))?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    digest(&text).with_context(|| format!("{} is damaged: delete it", path.display()))
}

/// Any text that is long enough will do as a key.
fn digest(text: &[u8]) -> Option<Secret> {
    let text = text.trim_ascii();
    (text.len() >= SHORTEST).then(|| pitwall_proxy::seal::digest(text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn is_made_once_and_kept_private() {
        let state = tempfile::tempdir().unwrap();
        let access = AccessConfig::default();
        let made = seal_key(&access, state.path()).unwrap();
        assert_eq!(seal_key(&access, state.path()).unwrap(), made);
        let mode = fs::metadata(state.path().join("seal.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_short_or_missing_one_is_a_configuration_error() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("key");
        let access = AccessConfig { seal_key_file: Some(path.clone()) };
        for (content, expected) in [(None, "No such file"), (Some("short"), "less than 32 bytes")] {
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
            }
            let error = seal_key(&access, state.path()).unwrap_err();
            assert!(error.is::<Invalid>() && error.to_string().contains(expected), "{error}");
        }
    }
}
