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
mod tests {
    use http::HeaderValue;

    use super::*;

    const KEY: &str = "the-key-of-everybody-who-watches-here";
    const NOW: u64 = 1_780_000_000;

    fn access(keys: &[&'static str]) -> AccessControl {
        let line = |key: &&'static str| KeyLine { name: None, key: key.as_bytes() };
        AccessControl::Key(AccessKeys::new(&keys.iter().map(line).collect::<Vec<_>>()))
    }

    fn authorize(
        access: &AccessControl,
        scope: AccessScope<'_>,
        query: &str,
        cookie: &str,
        now: u64,
    ) -> Result<Grant, Problem> {
        let mut headers = HeaderMap::new();
        if !cookie.is_empty() {
            headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        access.authorize(scope, &Query(query), &headers, now)
    }

    /// The admin token opens the API alone: neither streams nor the page.
    #[test]
    fn the_admin_token_opens_the_api_alone() {
        let token = "the-token-of-whoever-runs-this-place";
        let keys = AccessKeys::new(&[KeyLine { name: None, key: KEY.as_bytes() }])
            .with_admin_token(Some(AdminToken::new(token.as_bytes())));
        let (edge, none) = (AccessControl::Key(keys), access(&[KEY]));
        let cookie = edge.issue_cookie(&Grant::Key(MintingKeyIndex(0)), "/", false, NOW).unwrap();
        let cookie = cookie.split(';').next().unwrap();
        let bearer = format!("Bearer {token}");
        let (key, world) = (format!("key={KEY}"), AccessScope::Stream("world-feed"));
        let (missing, invalid) = (Err(Problem::KeyMissing), Err(Problem::AdminTokenInvalid));
        for (name, access, scope, query, authorization, cookie, expected) in [
            ("the token", &edge, AccessScope::Api, "", bearer.as_str(), "", Ok(Grant::Admin)),
            (
                "in small letters",
                &edge,
                AccessScope::Api,
                "",
                &bearer.replace('B', "b"),
                "",
                Ok(Grant::Admin),
            ),
            (
                "beside an old cookie",
                &edge,
                AccessScope::Api,
                "",
                &bearer,
                "pitwall=AAAA",
                Ok(Grant::Admin),
            ),
            (
                "beside the key",
                &edge,
                AccessScope::Api,
                &key,
                &bearer,
                "",
                Ok(Grant::Key(MintingKeyIndex(0))),
            ),
            (
                "beside an old key",
                &edge,
                AccessScope::Api,
                "key=old",
                &bearer,
                "",
                Ok(Grant::Admin),
            ),
            ("another token", &edge, AccessScope::Api, "", "Bearer another", "", invalid.clone()),
            (
                "the key as a token",
                &edge,
                AccessScope::Api,
                "",
                &format!("Bearer {KEY}"),
                "",
                invalid.clone(),
            ),
            ("something else", &edge, AccessScope::Api, "", "Basic YTpi", "", missing.clone()),
            (
                "beside a cookie",
                &edge,
                AccessScope::Api,
                "",
                "Bearer another",
                cookie,
                Ok(Grant::Cookie(MintingKeyIndex(0))),
            ),
            ("to watch", &edge, world, "", &bearer, "", missing.clone()),
            ("for the page", &edge, AccessScope::Site, "", &bearer, "", missing.clone()),
            ("for the guide", &edge, AccessScope::Guide, "", &bearer, "", missing),
            ("none is configured", &none, AccessScope::Api, "", &bearer, "", invalid),
            (
                "as a key",
                &edge,
                AccessScope::Api,
                &format!("key={token}"),
                "",
                "",
                Err(Problem::KeyInvalid),
            ),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::AUTHORIZATION, authorization), (header::COOKIE, cookie)]
            {
                if !value.is_empty() {
                    headers.insert(name, HeaderValue::from_str(value).unwrap());
                }
            }
            let granted = access.authorize(scope, &Query(query), &headers, NOW);
            assert_eq!(granted, expected, "{name}");
        }
    }

    #[test]
    fn keys_cookies_and_tokens_open_their_scopes() {
        let (edge, other) = (access(&[KEY]), access(&["another-key-that-is-long-enough-too"]));
        let (world, pit) = (AccessScope::Stream("world-feed"), AccessScope::Stream("pit-lane"));
        let token = edge.issue_token(&Grant::Key(MintingKeyIndex(0)), world, NOW).unwrap();
        let foreign = other.issue_token(&Grant::Key(MintingKeyIndex(0)), world, NOW).unwrap();
        let cookie = edge.issue_cookie(&Grant::Key(MintingKeyIndex(0)), "/tv", true, NOW).unwrap();
        assert!(cookie.ends_with("; Path=/tv; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"));
        let cookie = cookie.split_once(';').unwrap().0;
        let jar = format!("theme=dark; {cookie}; a=b");
        let (key, token_query) = (format!("key={KEY}"), format!("x=1&key={token}"));
        let (day, later) = (24 * 3600, 31 * 24 * 3600);
        let granted_by_token = || Ok(Grant::Token(token.clone()));
        for (name, scope, query, cookie, now, expected) in [
            ("nothing", world, "", "", NOW, Err(Problem::KeyMissing)),
            ("the key", world, key.as_str(), "", NOW, Ok(Grant::Key(MintingKeyIndex(0)))),
            (
                "the key for the site",
                AccessScope::Site,
                &key,
                "",
                NOW,
                Ok(Grant::Key(MintingKeyIndex(0))),
            ),
            (
                "the key for the API",
                AccessScope::Api,
                &key,
                "",
                NOW,
                Ok(Grant::Key(MintingKeyIndex(0))),
            ),
            (
                "a token for the API",
                AccessScope::Api,
                &token_query,
                "",
                NOW,
                Err(Problem::KeyInvalid),
            ),
            (
                "a cookie for the API",
                AccessScope::Api,
                "",
                cookie,
                NOW,
                Ok(Grant::Cookie(MintingKeyIndex(0))),
            ),
            ("another key", world, "key=another", "", NOW, Err(Problem::KeyInvalid)),
            ("no key", world, "key=", "", NOW, Err(Problem::KeyInvalid)),
            (
                "two keys",
                world,
                "key=a&key=b",
                "",
                NOW,
                Err(Problem::BadUrl("a query parameter is given twice")),
            ),
            ("a token", world, &token_query, "", NOW + day, granted_by_token()),
            ("of another stream", pit, &token_query, "", NOW, Err(Problem::KeyInvalid)),
            (
                "of a stream, for the site",
                AccessScope::Site,
                &token_query,
                "",
                NOW,
                Err(Problem::KeyInvalid),
            ),
            ("an old token", world, &token_query, "", NOW + 2 * day, Err(Problem::KeyExpired)),
            (
                "of another edge",
                world,
                &format!("key={foreign}"),
                "",
                NOW,
                Err(Problem::KeyInvalid),
            ),
            ("a cookie", world, "", &jar, NOW + day, Ok(Grant::Cookie(MintingKeyIndex(0)))),
            (
                "a cookie for the site",
                AccessScope::Site,
                "",
                cookie,
                NOW,
                Ok(Grant::Cookie(MintingKeyIndex(0))),
            ),
            (
                "beside an old key",
                world,
                "key=old",
                cookie,
                NOW,
                Ok(Grant::Cookie(MintingKeyIndex(0))),
            ),
            (
                "beside an old token",
                world,
                &token_query,
                cookie,
                NOW + 2 * day,
                Ok(Grant::Cookie(MintingKeyIndex(0))),
            ),
            (
                "an old key and cookie",
                world,
                "key=old",
                cookie,
                NOW + later,
                Err(Problem::KeyInvalid),
            ),
            ("an old cookie", world, "", cookie, NOW + later, Err(Problem::KeyExpired)),
            (
                "a token for a cookie",
                world,
                "",
                &format!("pitwall={token}"),
                NOW,
                Err(Problem::KeyInvalid),
            ),
            (
                "a cookie for a token",
                world,
                &cookie.replace("pitwall", "key"),
                "",
                NOW,
                Err(Problem::KeyInvalid),
            ),
            ("another's cookie", world, "", "session=1", NOW, Err(Problem::KeyMissing)),
        ] {
            assert_eq!(authorize(&edge, scope, query, cookie, now), expected, "{name}");
        }
        assert_eq!(authorize(&AccessControl::Open, world, "key=a&key=b", "", NOW), Ok(Grant::Open));
    }

    /// Whatever was given to a person ends with the line of that person, and nobody else's does.
    #[test]
    fn what_a_person_was_given_ends_with_the_key() {
        const ANNA: KeyLine<'_> =
            KeyLine { name: Some("anna"), key: b"the-key-of-anna-which-is-long-enough" };
        const BEN: KeyLine<'_> =
            KeyLine { name: Some("ben"), key: b"the-key-of-ben-which-is-long-enough" };
        const ALL: KeyLine<'_> = KeyLine { name: None, key: KEY.as_bytes() };
        let of = |keys: &[KeyLine<'_>]| AccessControl::Key(AccessKeys::new(keys));
        let (before, after) = (of(&[ANNA, ALL, BEN]), of(&[ALL, BEN]));
        let scope = AccessScope::Stream("world-feed");
        let token_of = |grant: &Grant| {
            before.token_query(grant, scope, NOW).trim_start_matches('?').to_owned()
        };
        for (line, is_let_in) in [(ANNA, false), (BEN, true), (ALL, true)] {
            let name = line.name;
            let query = format!("key={}", String::from_utf8_lossy(line.key));
            let grant = authorize(&before, scope, &query, "", NOW).unwrap();
            let cookie = before.issue_cookie(&grant, "/", false, NOW).unwrap();
            let cookie = cookie.split(';').next().unwrap();
            let by_cookie = authorize(&before, scope, "", cookie, NOW).unwrap();
            for (what, query, cookie) in [
                ("the key", query.as_str(), ""),
                ("a cookie", "", cookie),
                ("a token", token_of(&grant).as_str(), ""),
                ("a token by a cookie", token_of(&by_cookie).as_str(), ""),
            ] {
                assert!(authorize(&before, scope, query, cookie, NOW).is_ok(), "{name:?} {what}");
                let granted = authorize(&after, scope, query, cookie, NOW).is_ok();
                assert_eq!(granted, is_let_in, "{name:?} {what}");
            }
        }
    }

    #[test]
    fn a_token_is_passed_on_unchanged() {
        let (edge, scope) = (access(&[KEY]), AccessScope::Stream("world-feed"));
        let token = edge.issue_token(&Grant::Cookie(MintingKeyIndex(0)), scope, NOW).unwrap();
        assert_ne!(
            edge.issue_token(&Grant::Cookie(MintingKeyIndex(0)), scope, NOW),
            Some(token.clone()),
            "each viewer's own"
        );
        let passed_on = edge.issue_token(&Grant::Token(token.clone()), scope, NOW + 1000);
        assert_eq!(passed_on, Some(token));
        assert_eq!(AccessControl::Open.issue_token(&Grant::Open, scope, NOW), None);
        assert_eq!(edge.issue_cookie(&Grant::Cookie(MintingKeyIndex(0)), "/", true, NOW), None);
    }

    #[test]
    fn keys_rotate_without_a_break_and_forgery_fails() {
        let scope = AccessScope::Stream("world-feed");
        let old = access(&[KEY]).issue_token(&Grant::Key(MintingKeyIndex(0)), scope, NOW).unwrap();
        let rotated = access(&["the-new-key-which-is-long-enough-too", KEY]);
        assert!(authorize(&rotated, scope, &format!("key={old}"), "", NOW).is_ok());
        assert!(authorize(&rotated, scope, &format!("key={KEY}"), "", NOW).is_ok());
        let bytes = URL_SAFE_NO_PAD.decode(&old).unwrap();
        for index in 0..bytes.len() {
            let mut touched = bytes.clone();
            touched[index] ^= 1;
            let query = format!("key={}", URL_SAFE_NO_PAD.encode(touched));
            assert_eq!(
                authorize(&rotated, scope, &query, "", NOW),
                Err(Problem::KeyInvalid),
                "{index}"
            );
        }
        for length in 0..bytes.len() {
            let query = format!("key={}", URL_SAFE_NO_PAD.encode(&bytes[..length]));
            assert_eq!(
                authorize(&rotated, scope, &query, "", NOW),
                Err(Problem::KeyInvalid),
                "{length}"
            );
        }
    }
}
