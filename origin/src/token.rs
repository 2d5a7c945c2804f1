//! Signed, expiring values: the query token of a feed, and the CSRF value of a form. Both are
//! stateless: a keyed BLAKE3 hash over their purpose, subject and expiry.

use std::time::Duration;

/// The secret that signs tokens and CSRF values.
#[derive(Clone)]
pub(crate) struct SigningKey([u8; 32]);

/// A query token: the parameters `exp` (unix seconds) and `sig` (hexadecimal), received or minted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) expires: u64,
    signature: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("no token: exp and sig are required")]
    Missing,
    #[error("the token's signature is wrong")]
    Forged,
    #[error("the token has expired")]
    Expired,
}

impl SigningKey {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    /// Hashes each part with its length, so that no two lists of parts hash alike.
    fn sign(&self, purpose: &str, parts: &[&str], expires: u64) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in std::iter::once(&purpose).chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.update(&expires.to_le_bytes()).finalize()
    }

    pub(crate) fn mint_token(&self, feed: &str, now: u64, ttl: Duration) -> Token {
        let expires = now + ttl.as_secs();
        Token { expires, signature: self.sign("hls", &[feed], expires).to_hex().to_string() }
    }

    /// Parses and verifies the token for `feed` in a query string.
    ///
    /// # Errors
    /// A [`TokenError`] when the token is missing, has a wrong signature, or expired at or before
    /// `now` (unix seconds).
    pub(crate) fn check_token(
        &self,
        feed: &str,
        query: &str,
        now: u64,
    ) -> Result<Token, TokenError> {
        let find = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(k, _)| k == name).map(|(_, v)| v.into_owned())
        };
        let (exp, signature) = find("exp").zip(find("sig")).ok_or(TokenError::Missing)?;
        let expires = exp.parse().map_err(|_| TokenError::Forged)?;
        self.verify_signature("hls", &[feed], expires, &signature)?;
        if expires <= now { Err(TokenError::Expired) } else { Ok(Token { expires, signature }) }
    }

    pub(crate) fn mint_csrf(&self, sid: &str, feed: &str, now: u64, ttl: Duration) -> String {
        let expires = now + ttl.as_secs();
        format!("{expires}.{}", self.sign("csrf", &[sid, feed], expires).to_hex())
    }

    /// Verifies a value of [`Self::mint_csrf`] for the same `sid` and `feed`.
    ///
    /// # Errors
    /// As [`Self::check_token`].
    pub(crate) fn check_csrf(
        &self,
        value: &str,
        sid: &str,
        feed: &str,
        now: u64,
    ) -> Result<(), TokenError> {
        let (exp, signature) = value.split_once('.').ok_or(TokenError::Missing)?;
        let expires = exp.parse().map_err(|_| TokenError::Forged)?;
        self.verify_signature("csrf", &[sid, feed], expires, signature)?;
        if expires <= now { Err(TokenError::Expired) } else { Ok(()) }
    }

    fn verify_signature(
        &self,
        purpose: &str,
        parts: &[&str],
        expires: u64,
        signature: &str,
    ) -> Result<(), TokenError> {
        let given = blake3::Hash::from_hex(signature).map_err(|_| TokenError::Forged)?;
        // `blake3::Hash` compares in constant time, so that timing does not reveal the signature.
        if given == self.sign(purpose, parts, expires) { Ok(()) } else { Err(TokenError::Forged) }
    }
}

impl Token {
    pub(crate) fn to_query(&self) -> String {
        format!("exp={}&sig={}", self.expires, self.signature)
    }

    /// The "CDN edge" of this token. Another token has another edge, so that renewing a token
    /// changes every URL, as real CDNs do.
    pub(crate) fn edge_name(&self) -> String {
        format!("e{}", &blake3::hash(self.to_query().as_bytes()).to_hex().as_str().split_at(8).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(25);

    #[test]
    fn tokens() {
        let key = SigningKey::new([7; 32]);
        let minted = key.mint_token("world-feed", 1000, TTL);
        let good = minted.to_query();
        let later = good.replace("exp=1025", "exp=9025");
        let other_key = SigningKey::new([8; 32]).mint_token("world-feed", 1000, TTL).to_query();
        for (feed, query, now, expected) in [
            ("world-feed", good.as_str(), 1000, Ok(())),
            ("world-feed", good.as_str(), 1024, Ok(())),
            ("world-feed", good.as_str(), 1025, Err(TokenError::Expired)),
            ("pit-lane", good.as_str(), 1000, Err(TokenError::Forged)),
            ("world-feed", later.as_str(), 1000, Err(TokenError::Forged)),
            ("world-feed", other_key.as_str(), 1000, Err(TokenError::Forged)),
            ("world-feed", "exp=1025&sig=zz", 1000, Err(TokenError::Forged)),
            ("world-feed", "exp=soon&sig=00", 1000, Err(TokenError::Forged)),
            ("world-feed", "exp=1025", 1000, Err(TokenError::Missing)),
            ("world-feed", "", 1000, Err(TokenError::Missing)),
        ] {
            assert_eq!(
                key.check_token(feed, query, now).map(|_| ()),
                expected,
                "{feed} {query} {now}"
            );
        }
        assert_eq!(key.check_token("world-feed", &good, 1000).as_ref(), Ok(&minted));
        assert_ne!(key.mint_token("world-feed", 1001, TTL).edge_name(), minted.edge_name());
    }

    #[test]
    fn csrf_values() {
        let key = SigningKey::new([7; 32]);
        let good = key.mint_csrf("sid-a", "pit-lane", 1000, TTL);
        for (value, sid, feed, now, expected) in [
            (good.as_str(), "sid-a", "pit-lane", 1000, Ok(())),
            (good.as_str(), "sid-b", "pit-lane", 1000, Err(TokenError::Forged)),
            (good.as_str(), "sid-a", "world-feed", 1000, Err(TokenError::Forged)),
            (good.as_str(), "sid-a", "pit-lane", 2000, Err(TokenError::Expired)),
            ("", "sid-a", "pit-lane", 1000, Err(TokenError::Missing)),
        ] {
            assert_eq!(key.check_csrf(value, sid, feed, now), expected, "{value} {sid} {feed}");
        }
    }
}
