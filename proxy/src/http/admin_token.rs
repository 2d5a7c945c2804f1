//! [`AdminToken`]: what a request for PURGE, a command or `/api` presents in `Authorization`.

use http::{HeaderMap, header};

/// The token that a request for PURGE or a command must present, kept as its hash.
#[derive(Clone)]
pub struct AdminToken(blake3::Hash);

impl AdminToken {
    pub fn new(secret: &[u8]) -> Self {
        Self(blake3::hash(secret))
    }

    /// Whether a request presents this token. Hashes are compared in constant time.
    pub fn is_presented_in(&self, headers: &HeaderMap) -> bool {
        bearer_token(headers).is_some_and(|token| blake3::hash(token) == self.0)
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750).
pub fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}
