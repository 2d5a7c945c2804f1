//! [`AccessControl`]: which clients may watch. With `[access] mode = "key"` a client presents the
//! key once; a browser is then given a cookie, and a player, which keeps no cookies, a token in the
//! links of its playlists.
//!
//! Cookies and tokens are stateless: an expiry time, authenticated with the key, so that every edge
//! with the same key accepts them. A token opens the playlists of one stream only. Segments need no
//! token: their links are sealed, appear only in playlists, and expire by themselves.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};

use crate::http::admin_token::{self, AdminToken};
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The query parameter that holds the key or a token.
pub const KEY_PARAMETER: &str = "key";
const COOKIE_NAME: &str = "pitwall";

/// As long as a seal lives at most: a player gets no new token while it plays, and IPTV players
/// load the list of streams once a day.
const TOKEN_LIFETIME_SECONDS: u64 = 48 * 60 * 60;
const COOKIE_MAX_AGE_SECONDS: u64 = 30 * 24 * 60 * 60;

/// `[access] mode`.
pub enum AccessControl {
    /// Every client has access.
    Open,
    /// Clients need one of these keys.
    Key(AccessKeys),
}

/// The access key of everybody, the one before its last rotation, those of persons, and the admin token, which opens
/// [`AccessScope::Api`] without a key.
pub struct AccessKeys {
    keys: Vec<AccessKey>,
    admin_token: Option<AdminToken>,
}

/// A line of the key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLine<'a> {
    /// Whose key it is; `None` for the key of everybody.
    pub name: Option<&'a str>,
    pub key: &'a [u8],
}

/// Which of the [`AccessKeys`] mints what a client is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MintingKeyIndex(usize);

struct AccessKey {
    /// With which key tokens are minted for who showed this one: that of a person with itself, so
    /// that all of it ends with the key; that of everybody with the current one.
    minted_with: MintingKeyIndex,
    key_hash: blake3::Hash,
    token_mac_key: [u8; 32],
}

/// A part of the edge that a client needs access to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessScope<'a> {
    /// The playlists of one stream.
    Stream(&'a str),
    /// The XMLTV guide. It has a scope of its own, as IPTV players can present nothing but a URL.
    Guide,
    /// The documents under `/api`, which the admin token opens too: a client that may command
    /// streams and sources may also see them.
    Api,
    /// Everything else that is protected.
    Site,
}

/// What a client presented to get access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Nothing: access is open, or the route needs none.
    Open,
    Key(MintingKeyIndex),
    Cookie(MintingKeyIndex),
    /// The admin token.
    Admin,
    /// This token, of one scope.
    Token(String),
}

/// A token is its expiry (unix seconds, big-endian), a nonce that tells tokens apart, and the MAC
/// of both and its scope.
const TOKEN_EXPIRY_BYTES: usize = 8;
const TOKEN_NONCE_BYTES: usize = 8;

impl AccessKeys {
    /// `keys`: at least one. Of those without a name the first is the current one.
    pub fn new(keys: &[KeyLine<'_>]) -> Self {
        let current = keys.iter().position(|key| key.name.is_none()).unwrap_or_default();
        let key = |(index, KeyLine { name, key: secret }): (usize, &KeyLine<'_>)| {
            let mut token_mac_key = [0; 32];
            let mut hasher = blake3::Hasher::new_derive_key("pitwall 2026 playback tokens");
            hasher.update(secret).finalize_xof().fill(&mut token_mac_key);
            let minted_with = MintingKeyIndex(if name.is_some() { index } else { current });
            AccessKey { minted_with, key_hash: blake3::hash(secret), token_mac_key }
        };
        Self { keys: keys.iter().enumerate().map(key).collect(), admin_token: None }
    }

    /// With the admin token, if one is configured.
    #[must_use]
    pub fn with_admin_token(self, admin_token: Option<AdminToken>) -> Self {
        Self { admin_token, ..self }
    }

    fn find_minting_key(&self, presented: &str) -> Option<MintingKeyIndex> {
        // Hashes are compared in constant time, and always all of them.
        let presented = blake3::hash(presented.as_bytes());
        let of = |key: &AccessKey| (key.key_hash == presented).then_some(key.minted_with);
        self.keys.iter().fold(None, |found, key| of(key).or(found))
    }

    fn mint_token(
        &self,
        index: MintingKeyIndex,
        scope: AccessScope<'_>,
        expires: u64,
        nonce: u64,
    ) -> Option<String> {
        let current = self.keys.get(index.0)?;
        let mut token = [expires.to_be_bytes(), nonce.to_be_bytes()].concat();
        let mac = current.compute_mac(scope, &token);
        token.extend_from_slice(mac.as_bytes());
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// The key that mints what the holder of the token is given.
    fn verify_token(
        &self,
        token: &str,
        scope: AccessScope<'_>,
        now: u64,
    ) -> Result<MintingKeyIndex, Problem> {
        let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| Problem::KeyInvalid)?;
        let (claims, mac) = token
            .split_at_checked(TOKEN_EXPIRY_BYTES + TOKEN_NONCE_BYTES)
            .ok_or(Problem::KeyInvalid)?;
        // `Hash` compares in constant time.
        let mac = blake3::Hash::from_slice(mac).map_err(|_| Problem::KeyInvalid)?;
        let is_mac_of = |key: &AccessKey| key.compute_mac(scope, claims) == mac;
        let key = self.keys.iter().find(|key| is_mac_of(key)).ok_or(Problem::KeyInvalid)?;
        let expires = claims.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        if expires <= now { Err(Problem::KeyExpired) } else { Ok(key.minted_with) }
    }
}

impl AccessKey {
    /// The MAC of a token's expiry and nonce for a scope. `Api` has no tokens of its own: a cookie
    /// is one of `Site`.
    fn compute_mac(&self, scope: AccessScope<'_>, claims: &[u8]) -> blake3::Hash {
        let (kind, name) = match scope {
            AccessScope::Stream(stream) => (b's', stream),
            AccessScope::Guide => (b'g', ""),
            AccessScope::Api | AccessScope::Site => (b'h', ""),
        };
        let mut hasher = blake3::Hasher::new_keyed(&self.token_mac_key);
        hasher.update(claims).update(&[kind]).update(name.as_bytes());
        hasher.finalize()
    }
}

impl AccessControl {
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Checks what a request presents for a scope: the key or a token as `?key=`, else for
    /// [`AccessScope::Api`] the admin token, else the cookie. Any valid one of them grants access:
    /// a link with an old key would otherwise shut out a viewer who has a cookie.
    ///
    /// `now`: unix seconds.
    ///
    /// # Errors
    /// The problem of `?key=` where there is one, else that of the cookie: [`Problem::KeyMissing`],
    /// [`Problem::KeyInvalid`], [`Problem::KeyExpired`], [`Problem::AdminTokenInvalid`], or
    /// [`Problem::BadUrl`] when `key` is given twice.
    pub fn authorize(
        &self,
        scope: AccessScope<'_>,
        query: &Query<'_>,
        headers: &HeaderMap,
        now: u64,
    ) -> Result<Grant, Problem> {
        let Self::Key(keys) = self else { return Ok(Grant::Open) };
        let mut key_problem = None;
        if let Some(presented) = query.get(KEY_PARAMETER)? {
            if let Some(index) = keys.find_minting_key(&presented) {
                return Ok(Grant::Key(index));
            }
            match keys.verify_token(&presented, scope, now) {
                Ok(_) => return Ok(Grant::Token(presented.into_owned())),
                Err(problem) => key_problem = Some(problem),
            }
        }
        if scope == AccessScope::Api
            && keys.admin_token.as_ref().is_some_and(|it| it.is_presented_in(headers))
        {
            return Ok(Grant::Admin);
        }
        let cookie_problem = match find_access_cookie(headers) {
            Some(cookie) => match keys.verify_token(cookie, AccessScope::Site, now) {
                Ok(index) => return Ok(Grant::Cookie(index)),
                Err(problem) => problem,
            },
            None if scope == AccessScope::Api && admin_token::bearer_token(headers).is_some() => {
                Problem::AdminTokenInvalid
            }
            None => Problem::KeyMissing,
        };
        Err(key_problem.unwrap_or(cookie_problem))
    }

    /// The token for the links of a playlist in `scope`; `None` where access is open.
    ///
    /// `now`: unix seconds.
    pub fn issue_token(&self, grant: &Grant, scope: AccessScope<'_>, now: u64) -> Option<String> {
        let Self::Key(keys) = self else { return None };
        match grant {
            // A token is passed on and never renewed, so that no client can extend its access.
            Grant::Token(token) => Some(token.clone()),
            Grant::Key(index) | Grant::Cookie(index) => {
                keys.mint_token(*index, scope, now + TOKEN_LIFETIME_SECONDS, rand::random())
            }
            Grant::Open | Grant::Admin => None,
        }
    }

    /// The query (`?key=TOKEN`, or empty) that the links of a playlist in `scope` end in, so that a
    /// player without a cookie is let in to the playlists they name.
    ///
    /// `now`: unix seconds.
    pub fn token_query(&self, grant: &Grant, scope: AccessScope<'_>, now: u64) -> String {
        let token = self.issue_token(grant, scope, now);
        token.map_or(String::new(), |token| format!("?{KEY_PARAMETER}={token}"))
    }

    /// The `Set-Cookie` value for a browser that presented the key; `None` for any other grant.
    ///
    /// `path`: what the cookie is sent for. `now`: unix seconds.
    pub fn issue_cookie(
        &self,
        grant: &Grant,
        path: &str,
        secure: bool,
        now: u64,
    ) -> Option<String> {
        let (Self::Key(keys), Grant::Key(index)) = (self, grant) else { return None };
        let expires = now + COOKIE_MAX_AGE_SECONDS;
        let value = keys.mint_token(*index, AccessScope::Site, expires, rand::random())?;
        let secure = if secure { "; Secure" } else { "" };
        Some(format!(
            "{COOKIE_NAME}={value}; Path={path}; Max-Age={COOKIE_MAX_AGE_SECONDS}; HttpOnly; SameSite=Lax{secure}"
        ))
    }
}

/// The value of the access cookie.
fn find_access_cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        values.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim() == COOKIE_NAME).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests;
