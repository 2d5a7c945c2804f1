//! [`AdminToken`]: the admin token, compared in constant time and never printed.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use pitwall_upstream_map::CommandKey;

#[derive(Clone)]
pub struct AdminToken {
    /// Hashes are compared: the time of a comparison reveals nothing about the token.
    hash: blake3::Hash,
    command_key: CommandKey,
}

/// The token file holds less than [`AdminToken::MIN_BYTES`] bytes.
#[derive(Debug, thiserror::Error)]
#[error("holds less than {} bytes", AdminToken::MIN_BYTES)]
pub struct TokenTooShort;

impl AdminToken {
    pub const MIN_BYTES: usize = 32;

    /// Takes the content of the token file, without surrounding white space.
    ///
    /// # Errors
    /// When the token is too short.
    pub fn new(text: &[u8]) -> Result<Self, TokenTooShort> {
        let text = text.trim_ascii();
        if text.len() < Self::MIN_BYTES {
            return Err(TokenTooShort);
        }
        Ok(Self { hash: blake3::hash(text), command_key: CommandKey::of_admin_token(text) })
    }

    /// The key with which edges and standbys sign commands.
    pub(super) fn command_key(&self) -> &CommandKey {
        &self.command_key
    }

    /// Does `Authorization: Bearer …` hold this token?
    pub(super) fn is_presented_in(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION) else { return false };
        let Some((scheme, token)) = value.as_bytes().split_at_checked(7) else { return false };
        // blake3 compares its hashes in constant time.
        scheme.eq_ignore_ascii_case(b"bearer ") && blake3::hash(token.trim_ascii()) == self.hash
    }
}
