//! The admin token: compared in constant time, never printed.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// What it hashes to: comparing hashes tells nothing of how much was right.
#[derive(Clone)]
pub struct AdminToken(blake3::Hash);

#[derive(Debug, thiserror::Error)]
#[error("holds less than {} bytes", AdminToken::SHORTEST)]
pub struct TokenTooShort;

impl AdminToken {
    pub const SHORTEST: usize = 32;

    /// The content of its file; white space around it is not part of it.
    pub fn new(text: &[u8]) -> Result<Self, TokenTooShort> {
        let text = text.trim_ascii();
        if text.len() < Self::SHORTEST {
            return Err(TokenTooShort);
        }
        Ok(Self(blake3::hash(text)))
    }

    /// `Authorization: Bearer …`
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION) else { return false };
        let Some((scheme, token)) = value.as_bytes().split_at_checked(7) else { return false };
        // blake3 compares its hashes in constant time.
        scheme.eq_ignore_ascii_case(b"bearer ") && blake3::hash(token.trim_ascii()) == self.0
    }
}
