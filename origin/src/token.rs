//! Signed, expiring values: the query token of a feed, and the form's CSRF value.
//! Both are stateless: a keyed hash over what they stand for and when they end.

use std::time::Duration;

/// The process's secret.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

/// `exp` and `sig` of a query, as received or as minted.
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

impl Key {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    fn sign(&self, purpose: &str, parts: &[&str], expires: u64) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in std::iter::once(&purpose).chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.update(&expires.to_le_bytes()).finalize()
    }

    pub(crate) fn mint(&self, feed: &str, now: u64, ttl: Duration) -> Token {
        let expires = now + ttl.as_secs();
        Token { expires, signature: self.sign("hls", &[feed], expires).to_hex().to_string() }
    }

    /// Reads and checks the token in a query string.
    pub(crate) fn check(&self, feed: &str, query: &str, now: u64) -> Result<Token, TokenError> {
        let find = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(k, _)| k == name).map(|(_, v)| v.into_owned())
        };
        let (exp, signature) = find("exp").zip(find("sig")).ok_or(TokenError::Missing)?;
        let expires = exp.parse().map_err(|_| TokenError::Forged)?;
        self.verify("hls", &[feed], expires, &signature)?;
        if expires <= now { Err(TokenError::Expired) } else { Ok(Token { expires, signature }) }
    }

    pub(crate) fn mint_csrf(&self, sid: &str, feed: &str, now: u64, ttl: Duration) -> String {
        let expires = now + ttl.as_secs();
        format!("{expires}.{}", self.sign("csrf", &[sid, feed], expires).to_hex())
    }

    pub(crate) fn check_csrf(
        &self,
        value: &str,
        sid: &str,
        feed: &str,
        now: u64,
    ) -> Result<(), TokenError> {
        let (exp, signature) = value.split_once('.').ok_or(TokenError::Missing)?;
        let expires = exp.parse().map_err(|_| TokenError::Forged)?;
        self.verify("csrf", &[sid, feed], expires, signature)?;
        if expires <= now { Err(TokenError::Expired) } else { Ok(()) }
    }

    fn verify(
        &self,
        purpose: &str,
        parts: &[&str],
        expires: u64,
        signature: &str,
    ) -> Result<(), TokenError> {
        let given = blake3::Hash::from_hex(signature).map_err(|_| TokenError::Forged)?;
        // blake3 compares hashes in constant time.
        if given == self.sign(purpose, parts, expires) { Ok(()) } else { Err(TokenError::Forged) }
    }
}

impl Token {
    pub(crate) fn query(&self) -> String {
        format!("exp={}&sig={}", self.expires, self.signature)
    }

    /// The "CDN edge" this token leads to: a renewed token has every URL anew.
    pub(crate) fn edge(&self) -> String {
        format!("e{}", &blake3::hash(self.query().as_bytes()).to_hex().as_str().split_at(8).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(25);

    #[test]
    fn tokens() {
        let key = Key::new([7; 32]);
        let minted = key.mint("world-feed", 1000, TTL);
        let good = minted.query();
        let later = good.replace("exp=1025", "exp=9025");
        let other_key = Key::new([8; 32]).mint("world-feed", 1000, TTL).query();
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
            assert_eq!(key.check(feed, query, now).map(|_| ()), expected, "{feed} {query} {now}");
        }
        assert_eq!(key.check("world-feed", &good, 1000).as_ref(), Ok(&minted));
        assert_ne!(key.mint("world-feed", 1001, TTL).edge(), minted.edge());
    }

    #[test]
    fn csrf_values() {
        let key = Key::new([7; 32]);
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
