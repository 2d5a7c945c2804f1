//! Secrets. The seal key is read from its file, or made once; a second line is the key before the
//! last rotation: it opens links, and seals none. The admin token is only ever read.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, anyhow};
use pitwall_proxy::AdminToken;
use pitwall_proxy::config::AccessConfig;
use pitwall_proxy::seal::{Sealer, digest};

use crate::config::Invalid;

const SHORTEST: usize = 32;

/// The key that seals, and the one before it.
pub(crate) struct SealKeys {
    current: [u8; 32],
    previous: Option<[u8; 32]>,
}

impl SealKeys {
    pub(crate) fn sealer(&self) -> Sealer {
        Sealer::rotated(&self.current, self.previous.as_ref())
    }
}

/// The configured seal key, or the one in the state directory, which is made on first start.
pub(crate) fn seal_keys(access: &AccessConfig, state: &Path) -> anyhow::Result<SealKeys> {
    if let Some(path) = &access.seal_key_file {
        let text = fs::read(path).map_err(|error| {
            Invalid::new("access.seal_key_file", format!("{}: {error}", path.display()))
        })?;
        return keys(&text).map_err(|why| {
            Invalid::new("access.seal_key_file", format!("{} {why}", path.display())).into()
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
    keys(&text).map_err(|why| anyhow!("{} {why}: delete it", path.display()))
}

/// What a request must show that changes something, if anything may.
pub(crate) fn admin_token(access: &AccessConfig) -> Result<Option<AdminToken>, Invalid> {
    let Some(path) = &access.admin_token_file else { return Ok(None) };
    let invalid =
        |why| Invalid::new("access.admin_token_file", format!("{}: {why}", path.display()));
    let text = fs::read(path).map_err(|error| invalid(error.to_string()))?;
    let token = text.trim_ascii();
    if token.len() < SHORTEST {
        return Err(invalid("a token has at least 32 characters".to_owned()));
    }
    if token.iter().any(|byte| !byte.is_ascii_graphic()) {
        return Err(invalid("a token is one word of visible ASCII characters".to_owned()));
    }
    Ok(Some(AdminToken::new(token)))
}

/// A key a line; any text that is long enough will do.
fn keys(text: &[u8]) -> Result<SealKeys, &'static str> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let keys: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
    if keys.iter().any(|key| key.len() < SHORTEST) {
        return Err("holds a key of less than 32 bytes");
    }
    match keys.as_slice() {
        [] => Err("holds no key"),
        [current] => Ok(SealKeys { current: digest(current), previous: None }),
        [current, previous] => {
            Ok(SealKeys { current: digest(current), previous: Some(digest(previous)) })
        }
        _ => Err("holds more than two keys"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn admin_tokens() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let long = "t".repeat(32);
        for (text, expected) in [
            (format!("{long}\n"), Ok(true)),
            ("short".to_owned(), Err("at least 32 characters")),
            (format!("{long} {long}"), Err("one word")),
        ] {
            fs::write(&path, &text).unwrap();
            let access =
                AccessConfig { admin_token_file: Some(path.clone()), ..AccessConfig::default() };
            match (admin_token(&access), expected) {
                (Ok(token), Ok(some)) => assert_eq!(token.is_some(), some, "{text:?}"),
                (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{error}"),
                _ => panic!("{text:?}"),
            }
        }
        fs::remove_file(&path).unwrap();
        let access = AccessConfig { admin_token_file: Some(path), ..AccessConfig::default() };
        assert!(admin_token(&access).is_err());
        assert!(admin_token(&AccessConfig::default()).unwrap().is_none());
    }

    #[test]
    fn is_made_once_and_kept_private() {
        let state = tempfile::tempdir().unwrap();
        let access = AccessConfig::default();
        let made = seal_keys(&access, state.path()).unwrap();
        assert_eq!(seal_keys(&access, state.path()).unwrap().current, made.current);
        let mode = fs::metadata(state.path().join("seal.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_short_or_missing_one_is_a_configuration_error() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("key");
        let access = AccessConfig { seal_key_file: Some(path.clone()), ..AccessConfig::default() };
        let key = "k".repeat(32);
        for (content, expected) in [
            (None, "No such file"),
            (Some("short".to_owned()), "less than 32 bytes"),
            (Some("\n\n".to_owned()), "holds no key"),
            (Some(format!("{key}\nshort")), "less than 32 bytes"),
            (Some(format!("{key}\n{key}\n{key}\n")), "more than two keys"),
        ] {
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
            }
            let error = seal_keys(&access, state.path()).err().unwrap();
            assert!(error.is::<Invalid>() && error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_second_line_is_the_key_before() {
        let (old, new) = ("o".repeat(40), "n".repeat(40));
        let keys = keys(format!("{new}\n{old}\n").as_bytes()).unwrap();
        assert_eq!(keys.current, digest(new.as_bytes()));
        assert_eq!(keys.previous, Some(digest(old.as_bytes())));
    }
}
