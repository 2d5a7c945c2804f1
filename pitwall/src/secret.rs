//! The secrets: seal key, access key and admin token. The seal key is read from its file, or made
//! on the first start; the others are only read. The second line of a key file is the key before
//! the last rotation, which still opens what was made with it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pitwall_proxy::config::{AccessConfig, AccessMode};
use pitwall_proxy::upstream::seal::{Sealer, hash_secret};
use pitwall_proxy::{AccessControl, AccessKeys, KeyLine};
use pitwall_upstream_map::StoreSecrets;

use crate::config::{ConfigError, ConfigKeyLocations};
use crate::state::{ensure_writable, find_state_file};

const SECRET_MIN_BYTES: usize = 32;

/// The current seal key, and the one before the last rotation.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SealKeys {
    current: [u8; 32],
    previous: Option<[u8; 32]>,
    /// Where the keys are configured or stored, for messages.
    pub(crate) location: String,
}

impl SealKeys {
    pub(crate) fn sealer(&self) -> Sealer {
        Sealer::with_previous_key(&self.current, self.previous.as_ref())
    }

    /// The secrets that the store's entries are encrypted with.
    pub(crate) fn store_keys(&self) -> StoreSecrets {
        StoreSecrets { current: self.current, previous: self.previous }
    }
}

/// What a process does with its files and addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartMode {
    Start,
    /// It leaves no file behind.
    Check,
    /// It works on what another process has made, and makes nothing itself.
    Join,
}

const SEAL_KEY_SETTING: &str = "access.seal_key_file";

/// Loads the configured seal key, or the one in the state directory, which is made on the first
/// start.
///
/// # Errors
/// The key cannot be read, is too short, or is missing beside other state: a new key would end all
/// links that are in use.
pub(crate) fn load_seal_keys(
    access: &AccessConfig,
    state_dir: &Path,
    key_locations: &ConfigKeyLocations,
    mode: StartMode,
) -> Result<SealKeys, ConfigError> {
    if let Some(path) = &access.seal_key_file {
        let text = read_secret_file(SEAL_KEY_SETTING, path, key_locations)?;
        return parse_seal_keys(&text, format!("[access] seal_key_file {}", path.display()))
            .map_err(|why| {
                key_locations.error_for_key(SEAL_KEY_SETTING, format!("{} {why}", path.display()))
            });
    }
    let path = state_dir.join("seal.key");
    let invalid = |why: String| key_locations.error_for_key("state.dir", why);
    let failed = |error: std::io::Error| invalid(format!("{}: {error}", path.display()));
    let location = format!("the seal key {}", path.display());
    match fs::read(&path) {
        Ok(text) => {
            return parse_seal_keys(&text, location).map_err(|why| {
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
    let state_file = find_state_file(state_dir)
        .map_err(|error| invalid(format!("{}: {error}", state_dir.display())))?;
    if let Some(other) = state_file {
        return Err(invalid(format!(
            "{} is missing beside {other}: restore it from a backup, or delete {} to start anew",
            path.display(),
            state_dir.display()
        )));
    }
    if mode == StartMode::Join {
        return Err(invalid(format!(
            "there is no {}: take the state directory of the edge, which PITWALL_STATE__DIR can name",
            path.display()
        )));
    }
    ensure_writable(state_dir).map_err(failed)?;
    let secret: [u8; 32] = rand::random();
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    if mode == StartMode::Start {
        fs::create_dir_all(state_dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(failed)?;
        tracing::info!(path = %path.display(), "a new seal key was made: keep a backup of it");
    }
    parse_seal_keys(text.as_bytes(), location).map_err(|why| invalid(why.to_owned()))
}

/// The admin token, if one is configured.
#[derive(Default)]
pub(crate) struct AdminToken(Option<Vec<u8>>);

impl AdminToken {
    /// The token for PURGE on the edge's admin listener, and for reading the API.
    pub(crate) fn edge_token(&self) -> Option<pitwall_proxy::AdminToken> {
        self.0.as_deref().map(pitwall_proxy::AdminToken::new)
    }

    /// The token for commands to the control plane.
    ///
    /// # Errors
    /// The control plane does not accept the token.
    pub(crate) fn command_token(
        &self,
    ) -> Result<Option<pitwall_control_plane::AdminToken>, ConfigError> {
        let token = self.0.as_deref().map(pitwall_control_plane::AdminToken::new).transpose();
        token.map_err(|error| ConfigError::new(ADMIN_TOKEN_SETTING, error))
    }
}

const ADMIN_TOKEN_SETTING: &str = "access.admin_token_file";

/// Loads the admin token.
///
/// # Errors
/// The token cannot be read, is too short, holds other than visible ASCII, or is a seal key.
pub(crate) fn load_admin_token(
    access: &AccessConfig,
    key_locations: &ConfigKeyLocations,
) -> Result<AdminToken, ConfigError> {
    let Some(path) = &access.admin_token_file else { return Ok(AdminToken::default()) };
    let invalid = |why: &str| {
        key_locations.error_for_key(ADMIN_TOKEN_SETTING, format!("{}: {why}", path.display()))
    };
    let text = read_secret_file(ADMIN_TOKEN_SETTING, path, key_locations)?;
    let token = text.trim_ascii();
    if token.len() < SECRET_MIN_BYTES {
        return Err(invalid("a token has at least 32 characters"));
    }
    if token.iter().any(|byte| !byte.is_ascii_graphic()) {
        return Err(invalid("a token is one word of visible ASCII characters"));
    }
    if let Some(other) = &access.seal_key_file {
        // With one secret for both, a holder of the admin token could make seals, and the reverse.
        let seal = read_secret_file(SEAL_KEY_SETTING, other, key_locations)?;
        if split_secret_lines(&seal).contains(&token) {
            return Err(invalid("it is the seal key: use another secret"));
        }
    }
    Ok(AdminToken(Some(token.to_vec())))
}

const ACCESS_KEY_SETTING: &str = "access.key_file";

/// Loads the access mode and its keys.
///
/// # Errors
/// `[access]` contradicts itself, or a key cannot be read, is too short, holds characters that a
/// URL encodes, or is also another secret.
pub(crate) fn load_access(
    config: &AccessConfig,
    key_locations: &ConfigKeyLocations,
) -> Result<AccessControl, ConfigError> {
    let path = match (config.mode, &config.key_file) {
        (AccessMode::Open, None) => return Ok(AccessControl::Open),
        (AccessMode::Open, Some(_)) => {
            return Err(
                key_locations.error_for_key("access.mode", "access.key_file needs mode = \"key\"")
            );
        }
        (AccessMode::Key, None) => {
            return Err(key_locations.error_for_key(ACCESS_KEY_SETTING, "mode = \"key\" needs one"));
        }
        (AccessMode::Key, Some(path)) => path,
    };
    let invalid = |why: &str| {
        key_locations.error_for_key(ACCESS_KEY_SETTING, format!("{}: {why}", path.display()))
    };
    let text = read_secret_file(ACCESS_KEY_SETTING, path, key_locations)?;
    let lines = parse_key_lines(&text).map_err(|why| invalid(&why))?;
    for (name, other) in [
        ("access.seal_key_file", &config.seal_key_file),
        (ADMIN_TOKEN_SETTING, &config.admin_token_file),
    ] {
        let Some(other) = other else { continue };
        if split_secret_lines(&read_secret_file(name, other, key_locations)?)
            .iter()
            .any(|secret| lines.iter().any(|line| line.key == *secret))
        {
            return Err(invalid(&format!("it is also in {name}: use another secret")));
        }
    }
    let admin = load_admin_token(config, key_locations)?;
    Ok(AccessControl::Key(AccessKeys::new(&lines).with_admin_token(admin.edge_token())))
}

/// The access key of the person of this name.
///
/// # Errors
/// The key file cannot be read, or has no such name.
pub(crate) fn find_named_key(
    config: &AccessConfig,
    key_locations: &ConfigKeyLocations,
    name: &str,
) -> Result<String, ConfigError> {
    let error = |why: String| key_locations.error_for_key(ACCESS_KEY_SETTING, why);
    let path = config.key_file.as_ref().ok_or_else(|| error("none is configured".to_owned()))?;
    let text = read_secret_file(ACCESS_KEY_SETTING, path, key_locations)?;
    let lines =
        parse_key_lines(&text).map_err(|why| error(format!("{}: {why}", path.display())))?;
    let Some(line) = lines.iter().find(|line| line.name == Some(name)) else {
        let names: Vec<&str> = lines.iter().filter_map(|line| line.name).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(error(format!(
            "{}: no key has the name {name:?}; names: {names}. Add a line {name}: KEY, with a key \
             of openssl rand -hex 32",
            path.display()
        )));
    };
    Ok(String::from_utf8_lossy(line.key).into_owned())
}

/// Parses the lines of a key file: `NAME: KEY` for a person, and at most two with a key alone. An
/// error does not show the key.
fn parse_key_lines(text: &[u8]) -> Result<Vec<KeyLine<'_>>, String> {
    let mut lines: Vec<KeyLine<'_>> = Vec::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let invalid = |why: &str| Err(format!("line {number}: {why}"));
        let (name, key) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let (name, key) = line.split_at(colon);
                (Some(name.trim_ascii()), key.get(1..).unwrap_or_default().trim_ascii())
            }
            None => (None, line),
        };
        let name = match name.map(std::str::from_utf8).transpose() {
            Ok(Some("")) | Err(_) => return invalid("a name before a colon is text"),
            Ok(name) => name,
        };
        if key.len() < SECRET_MIN_BYTES {
            return invalid("a key has at least 32 characters");
        }
        // A key stands in URLs without percent-encoding.
        let is_unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        if !key.iter().all(is_unreserved) {
            return invalid("a key is letters, digits and -._~ only");
        }
        if name.is_some() && lines.iter().any(|line| line.name == name) {
            return invalid("this name has a key already");
        }
        if lines.iter().any(|line| line.key == key) {
            return invalid("this key is there already");
        }
        lines.push(KeyLine { name, key });
    }
    let unnamed = lines.iter().filter(|line| line.name.is_none()).count();
    if lines.is_empty() || unnamed > 2 {
        let why = "it holds one key, and perhaps the one before it on a second line, or lines \
                   NAME: KEY";
        return Err(why.to_owned());
    }
    Ok(lines)
}

/// The secrets of a file, one per line, without blank lines.
fn split_secret_lines(text: &[u8]) -> Vec<&[u8]> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty()).collect()
}

fn read_secret_file(
    key: &str,
    path: &Path,
    key_locations: &ConfigKeyLocations,
) -> Result<Vec<u8>, ConfigError> {
    fs::read(path)
        .map_err(|error| key_locations.error_for_key(key, format!("{}: {error}", path.display())))
}

/// Parses a seal key file: one or two lines, each any text of at least [`SECRET_MIN_BYTES`].
fn parse_seal_keys(text: &[u8], location: String) -> Result<SealKeys, &'static str> {
    let keys = split_secret_lines(text);
    if keys.iter().any(|key| key.len() < SECRET_MIN_BYTES) {
        return Err("holds a key of less than 32 bytes");
    }
    match keys.as_slice() {
        [] => Err("holds no key"),
        [current] => Ok(SealKeys { current: hash_secret(current), previous: None, location }),
        [current, previous] => Ok(SealKeys {
            current: hash_secret(current),
            previous: Some(hash_secret(previous)),
            location,
        }),
        _ => Err("holds more than two keys"),
    }
}

#[cfg(test)]
mod tests;
