//! Secrets. The seal key is read from its file, or made once; a second line is the key before the
//! last rotation: it opens links, and seals none. The admin token is only ever read.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pitwall_proxy::config::{AccessConfig, AccessMode};
use pitwall_proxy::seal::{Sealer, digest};
use pitwall_proxy::{Access, Keyring};
use pitwall_upstream_map::StoreKeys;

use crate::config::{Invalid, Origins};
use crate::state::{is_writable, kept_in};

const SHORTEST: usize = 32;

/// The key that seals, and the one before it.
pub(crate) struct SealKeys {
    current: [u8; 32],
    previous: Option<[u8; 32]>,
    /// Where the operator finds them, for messages.
    pub(crate) place: String,
}

impl SealKeys {
    pub(crate) fn sealer(&self) -> Sealer {
        Sealer::rotated(&self.current, self.previous.as_ref())
    }

    /// What is in the store is sealed with keys derived from these.
    pub(crate) fn store(&self) -> StoreKeys {
        StoreKeys { current: self.current, previous: self.previous }
    }
}

/// Whether something is about to run, or is only looked at: then nothing is left behind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Start,
    Check,
}

const SEAL_KEY: &str = "access.seal_key_file";

/// The configured seal key, or the one in the state directory, which is made on first start.
pub(crate) fn seal_keys(
    access: &AccessConfig,
    state: &Path,
    origins: &Origins,
    purpose: Purpose,
) -> Result<SealKeys, Invalid> {
    if let Some(path) = &access.seal_key_file {
        let text = configured(SEAL_KEY, path, origins)?;
        return keys(&text, format!("[access] seal_key_file {}", path.display()))
            .map_err(|why| origins.invalid(SEAL_KEY, format!("{} {why}", path.display())));
    }
    let path = state.join("seal.key");
    let invalid = |why: String| origins.invalid("state.dir", why);
    let failed = |error: std::io::Error| invalid(format!("{}: {error}", path.display()));
    let place = format!("the seal key {}", path.display());
    match fs::read(&path) {
        Ok(text) => {
            return keys(&text, place).map_err(|why| {
                invalid(format!(
                    "{} {why}: restore it from a backup, or delete it to start anew: links that are \
                     out then end",
                    path.display()
                ))
            });
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let kept = kept_in(state).map_err(|error| invalid(format!("{}: {error}", state.display())))?;
    if let Some(other) = kept {
        return Err(invalid(format!(
            "{} is missing beside {other}: restore it from a backup, or delete {} to start anew",
            path.display(),
            state.display()
        )));
    }
    is_writable(state).map_err(failed)?;
    let secret: [u8; 32] = rand::random();
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    if purpose == Purpose::Start {
        fs::create_dir_all(state).map_err(failed)?;
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(failed)?;
        tracing::info!(path = %path.display(), "a new seal key was made: keep a backup of it");
    }
    keys(text.as_bytes(), place).map_err(|why| invalid(why.to_owned()))
}

/// What a request must show that changes something, if anything may.
#[derive(Default)]
pub(crate) struct Token(Option<Vec<u8>>);

impl Token {
    /// For PURGE on the edge's admin listener.
    pub(crate) fn edge(&self) -> Option<pitwall_proxy::AdminToken> {
        self.0.as_deref().map(pitwall_proxy::AdminToken::new)
    }

    /// For commands to the control plane.
    pub(crate) fn commands(&self) -> Result<Option<pitwall_control_plane::AdminToken>, Invalid> {
        let token = self.0.as_deref().map(pitwall_control_plane::AdminToken::new).transpose();
        token.map_err(|error| Invalid::new(ADMIN_TOKEN, error))
    }
}

const ADMIN_TOKEN: &str = "access.admin_token_file";

pub(crate) fn admin_token(access: &AccessConfig, origins: &Origins) -> Result<Token, Invalid> {
    let Some(path) = &access.admin_token_file else { return Ok(Token::default()) };
    let invalid = |why: &str| origins.invalid(ADMIN_TOKEN, format!("{}: {why}", path.display()));
    let text = configured(ADMIN_TOKEN, path, origins)?;
    let token = text.trim_ascii();
    if token.len() < SHORTEST {
        return Err(invalid("a token has at least 32 characters"));
    }
    if token.iter().any(|byte| !byte.is_ascii_graphic()) {
        return Err(invalid("a token is one word of visible ASCII characters"));
    }
    if let Some(other) = &access.seal_key_file {
        // Whoever may give commands could make links for ever, and the other way round.
        let seal = configured(SEAL_KEY, other, origins)?;
        if lines(&seal).contains(&token) {
            return Err(invalid("it is the seal key: use another secret"));
        }
    }
    Ok(Token(Some(token.to_vec())))
}

const KEY: &str = "access.key_file";

/// Who may watch: everybody, or whoever has the key.
pub(crate) fn access(config: &AccessConfig, origins: &Origins) -> Result<Access, Invalid> {
    let path = match (config.mode, &config.key_file) {
        (AccessMode::Open, None) => return Ok(Access::Open),
        (AccessMode::Open, Some(_)) => {
            return Err(origins.invalid("access.mode", "access.key_file needs mode = \"key\""));
        }
        (AccessMode::Key, None) => return Err(origins.invalid(KEY, "mode = \"key\" needs one")),
        (AccessMode::Key, Some(path)) => path,
    };
    let invalid = |why: &str| origins.invalid(KEY, format!("{}: {why}", path.display()));
    let text = configured(KEY, path, origins)?;
    let keys = lines(&text);
    if keys.is_empty() || keys.len() > 2 {
        return Err(invalid("it holds one key, and perhaps the one before it on a second line"));
    }
    if keys.iter().any(|key| key.len() < SHORTEST) {
        return Err(invalid("a key has at least 32 characters"));
    }
    // It stands in addresses as it is.
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    if keys.iter().any(|key| !key.iter().all(plain)) {
        return Err(invalid("a key is letters, digits and -._~ only"));
    }
    for (name, other) in
        [("access.seal_key_file", &config.seal_key_file), (ADMIN_TOKEN, &config.admin_token_file)]
    {
        let Some(other) = other else { continue };
        if lines(&configured(name, other, origins)?).iter().any(|line| keys.contains(line)) {
            return Err(invalid(&format!("it is also in {name}: use another secret")));
        }
    }
    let admin = admin_token(config, origins)?;
    Ok(Access::Key(Keyring::new(keys).with_admin(admin.edge())))
}

/// Secrets, one a line.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty()).collect()
}

fn configured(key: &str, path: &Path, origins: &Origins) -> Result<Vec<u8>, Invalid> {
    fs::read(path).map_err(|error| origins.invalid(key, format!("{}: {error}", path.display())))
}

/// A key a line; any text that is long enough will do.
fn keys(text: &[u8], place: String) -> Result<SealKeys, &'static str> {
    let keys = lines(text);
    if keys.iter().any(|key| key.len() < SHORTEST) {
        return Err("holds a key of less than 32 bytes");
    }
    match keys.as_slice() {
        [] => Err("holds no key"),
        [current] => Ok(SealKeys { current: digest(current), previous: None, place }),
        [current, previous] => {
            Ok(SealKeys { current: digest(current), previous: Some(digest(previous)), place })
        }
        _ => Err("holds more than two keys"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn is_made_once_and_kept_private() {
        let state = tempfile::tempdir().unwrap();
        let access = AccessConfig::default();
        let made = seal_keys(&access, state.path(), &Origins::default(), Purpose::Start).unwrap();
        assert_eq!(
            seal_keys(&access, state.path(), &Origins::default(), Purpose::Start).unwrap().current,
            made.current
        );
        let mode = fs::metadata(state.path().join("seal.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    /// Links that are out must not end because a folder was restored by half.
    #[test]
    fn one_that_is_missing_beside_other_state_is_not_made_anew() {
        let state = tempfile::tempdir().unwrap();
        let access = AccessConfig::default();
        let ask = |purpose| seal_keys(&access, state.path(), &Origins::default(), purpose);
        assert!(ask(Purpose::Check).is_ok());
        assert!(!state.path().join("seal.key").exists(), "a check leaves nothing behind");
        fs::write(state.path().join("history.json"), "{}").unwrap();
        for purpose in [Purpose::Check, Purpose::Start] {
            let error = ask(purpose).err().unwrap().to_string();
            assert!(
                error.contains("missing beside history.json: restore it from a backup"),
                "{error}"
            );
        }
        fs::write(state.path().join("seal.key"), "").unwrap();
        let error = ask(Purpose::Start).err().unwrap().to_string();
        assert!(error.contains("holds no key: restore it from a backup, or delete it"), "{error}");
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
            let error = seal_keys(&access, state.path(), &Origins::default(), Purpose::Start)
                .err()
                .unwrap();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn an_admin_token_is_long_enough_and_no_seal_key() {
        let state = tempfile::tempdir().unwrap();
        let file = |name: &str| state.path().join(name);
        let (token, seal) = ("t".repeat(40), "s".repeat(40));
        fs::write(file("seal"), format!("{seal}\n{token}\n")).unwrap();
        fs::write(file("token"), format!("{token}\n")).unwrap();
        fs::write(file("fine"), "f".repeat(40)).unwrap();
        fs::write(file("short"), "short").unwrap();
        fs::write(file("words"), format!("{token} {token}")).unwrap();
        assert!(
            admin_token(&AccessConfig::default(), &Origins::default()).unwrap().edge().is_none()
        );
        for (name, expected) in [
            ("fine", None),
            ("missing", Some("No such file")),
            ("short", Some("at least 32 characters")),
            ("words", Some("one word")),
            ("token", Some("is the seal key")),
        ] {
            let access = AccessConfig {
                seal_key_file: Some(file("seal")),
                admin_token_file: Some(file(name)),
                ..AccessConfig::default()
            };
            match (admin_token(&access, &Origins::default()), expected) {
                (Ok(token), None) => {
                    assert!(token.edge().is_some() && token.commands().unwrap().is_some());
                }
                (Err(error), Some(expected)) => {
                    assert!(error.to_string().contains(expected), "{error}");
                }
                (got, _) => panic!("{name}: {:?}", got.map(|token| token.0.is_some())),
            }
        }
    }

    #[test]
    fn a_key_for_viewers_is_long_enough_and_no_other_secret() {
        let state = tempfile::tempdir().unwrap();
        let file = |name: &str| state.path().join(name);
        let key = |letter: &str| letter.repeat(40);
        for (name, content) in [
            ("seal", key("s")),
            ("token", key("t")),
            ("key", format!("{}\n", key("k"))),
            ("rotated", format!("{}\n{}\n", key("n"), key("k"))),
            ("three", format!("{}\n{}\n{}", key("a"), key("b"), key("c"))),
            ("empty", "\n".to_owned()),
            ("short", "short".to_owned()),
            ("words", format!("{}&admin=1", key("w"))),
        ] {
            fs::write(file(name), content).unwrap();
        }
        use AccessMode::{Key, Open};
        for (mode, name, expected) in [
            (Open, None, None),
            (Open, Some("key"), Some("access.mode: access.key_file needs mode")),
            (Key, None, Some("access.key_file: mode = \"key\" needs one")),
            (Key, Some("key"), None),
            (Key, Some("rotated"), None),
            (Key, Some("missing"), Some("No such file")),
            (Key, Some("three"), Some("one key, and perhaps")),
            (Key, Some("empty"), Some("one key, and perhaps")),
            (Key, Some("short"), Some("at least 32 characters")),
            (Key, Some("words"), Some("letters, digits and -._~ only")),
            (Key, Some("seal"), Some("also in access.seal_key_file")),
            (Key, Some("token"), Some("also in access.admin_token_file")),
        ] {
            let config = AccessConfig {
                mode,
                key_file: name.map(file),
                seal_key_file: Some(file("seal")),
                admin_token_file: Some(file("token")),
            };
            match (access(&config, &Origins::default()), expected) {
                (Ok(access), None) => {
                    assert_eq!(matches!(access, Access::Key(_)), mode == Key, "{name:?}");
                }
                (Err(error), Some(expected)) => {
                    assert!(error.to_string().contains(expected), "{error}");
                }
                (got, _) => panic!("{name:?}: {:?}", got.is_ok()),
            }
        }
    }

    #[test]
    fn a_second_line_is_the_key_before() {
        let (old, new) = ("o".repeat(40), "n".repeat(40));
        let keys = keys(format!("{new}\n{old}\n").as_bytes(), String::new()).unwrap();
        assert_eq!(keys.current, digest(new.as_bytes()));
        assert_eq!(keys.previous, Some(digest(old.as_bytes())));
    }
}
