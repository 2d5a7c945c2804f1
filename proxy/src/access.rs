//! Who may watch. `[access] mode = "key"`: whoever shows the key once. A browser is given a cookie;
//! a player, which keeps none, a token in the links of its playlists.
//!
//! Both are stateless: when they end, authenticated with the key, so that every edge with the same
//! key takes them. A token opens one stream, and nothing but its playlists: segments travel under
//! seals, which nobody gets without a playlist and which end by themselves.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};

use crate::admin::{self, AdminToken};
use crate::problem::Problem;
use crate::route::Query;

/// The query parameter: the key, or a token.
pub const PARAMETER: &str = "key";
const COOKIE: &str = "pitwall";

/// A player does not ask for a new one while it plays, and a list of channels is loaded once a
/// day: as long as a seal may live.
const TOKEN_SECONDS: u64 = 48 * 60 * 60;
const COOKIE_SECONDS: u64 = 30 * 24 * 60 * 60;

pub enum Access {
    Open,
    Key(Keyring),
}

/// The key, and the one before the last rotation; and what opens the API without one.
pub struct Keyring {
    keys: Vec<Key>,
    admin: Option<AdminToken>,
}

struct Key {
    shown: blake3::Hash,
    tokens: [u8; 32],
}

/// What something opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door<'a> {
    Stream(&'a str),
    /// The programme of channels, for clients that can show nothing but a URL.
    Guide,
    /// What is told of streams and sources: whoever may change them may also look.
    Api,
    /// All the rest.
    House,
}

/// Why somebody was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Everybody is.
    Open,
    Key,
    Cookie,
    /// The admin token.
    Admin,
    /// To one stream.
    Token(String),
}

/// What is authenticated: until when (unix seconds), and which one of many it is.
const EXPIRES: usize = 8;
const NUMBER: usize = 8;

impl Keyring {
    /// The first is the current one; there is at least one.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let key = |secret: &[u8]| {
            let mut tokens = [0; 32];
            let mut hasher = blake3::Hasher::new_derive_key("pitwall 2026 playback tokens");
            hasher.update(secret).finalize_xof().fill(&mut tokens);
            Key { shown: blake3::hash(secret), tokens }
        };
        Self { keys: keys.into_iter().map(key).collect(), admin: None }
    }

    /// With the token that commands are given with.
    #[must_use]
    pub fn with_admin(self, admin: Option<AdminToken>) -> Self {
        Self { admin, ..self }
    }

    fn is_shown(&self, given: &str) -> bool {
        // Comparing hashes takes the same time wherever they differ.
        let given = blake3::hash(given.as_bytes());
        self.keys.iter().fold(false, |found, key| (key.shown == given) | found)
    }

    fn mint(&self, door: Door<'_>, expires: u64, number: u64) -> Option<String> {
        let current = self.keys.first()?;
        let mut token = [expires.to_be_bytes(), number.to_be_bytes()].concat();
        let mac = current.mac(door, &token);
        token.extend_from_slice(mac.as_bytes());
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    fn opens(&self, token: &str, door: Door<'_>, now: u64) -> Result<(), Problem> {
        let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| Problem::KeyInvalid)?;
        let (told, mac) = token.split_at_checked(EXPIRES + NUMBER).ok_or(Problem::KeyInvalid)?;
        // It compares in constant time.
        let given = blake3::Hash::from_slice(mac).map_err(|_| Problem::KeyInvalid)?;
        let is_mac = |key: &Key| key.mac(door, told) == given;
        if !self.keys.iter().any(is_mac) {
            return Err(Problem::KeyInvalid);
        }
        let expires = told.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        if expires <= now { Err(Problem::KeyExpired) } else { Ok(()) }
    }
}

impl Key {
    fn mac(&self, door: Door<'_>, told: &[u8]) -> blake3::Hash {
        let (kind, name) = match door {
            Door::Stream(stream) => (b's', stream),
            Door::Guide => (b'g', ""),
            Door::Api | Door::House => (b'h', ""),
        };
        let mut hasher = blake3::Hasher::new_keyed(&self.tokens);
        hasher.update(told).update(&[kind]).update(name.as_bytes());
        hasher.finalize()
    }
}

impl Access {
    /// May this request go through that door?
    pub fn judge(
        &self,
        door: Door<'_>,
        query: &Query<'_>,
        headers: &HeaderMap,
        now: u64,
    ) -> Result<Pass, Problem> {
        let Self::Key(keyring) = self else { return Ok(Pass::Open) };
        if let Some(given) = query.get(PARAMETER)? {
            if keyring.is_shown(&given) {
                return Ok(Pass::Key);
            }
            return keyring.opens(&given, door, now).map(|()| Pass::Token(given.into_owned()));
        }
        if door == Door::Api && keyring.admin.as_ref().is_some_and(|it| it.is_shown(headers)) {
            return Ok(Pass::Admin);
        }
        let Some(cookie) = cookie(headers) else {
            let shows_token = door == Door::Api && admin::bearer(headers).is_some();
            return Err(if shows_token { Problem::AdminTokenInvalid } else { Problem::KeyMissing });
        };
        keyring.opens(cookie, Door::House, now).map(|()| Pass::Cookie)
    }

    /// For the links of a playlist: what leads on as this pass did.
    pub fn token(&self, pass: &Pass, door: Door<'_>, now: u64) -> Option<String> {
        let Self::Key(keyring) = self else { return None };
        match pass {
            // It ends when it ends: who shows it does not keep it for ever.
            Pass::Token(token) => Some(token.clone()),
            _ => keyring.mint(door, now + TOKEN_SECONDS, rand::random()),
        }
    }

    /// What a browser shows from now on instead of the key.
    pub fn cookie(&self, pass: &Pass, secure: bool, now: u64) -> Option<String> {
        let (Self::Key(keyring), Pass::Key) = (self, pass) else { return None };
        let value = keyring.mint(Door::House, now + COOKIE_SECONDS, rand::random())?;
        let secure = if secure { "; Secure" } else { "" };
        Some(format!(
            "{COOKIE}={value}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{secure}"
        ))
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim() == COOKIE).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const KEY: &str = "the-key-of-everybody-who-watches-here";
    const NOW: u64 = 1_780_000_000;

    fn access(keys: &[&str]) -> Access {
        Access::Key(Keyring::new(keys.iter().map(|key| key.as_bytes())))
    }

    fn judge(
        access: &Access,
        door: Door<'_>,
        query: &str,
        cookie: &str,
        now: u64,
    ) -> Result<Pass, Problem> {
        let mut headers = HeaderMap::new();
        if !cookie.is_empty() {
            headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        access.judge(door, &Query(query), &headers, now)
    }

    /// Whoever may change streams may look at them, and no more: not watch, not see the page.
    #[test]
    fn who_shows_the_admin_token() {
        let token = "the-token-of-whoever-runs-this-place";
        let keyring =
            Keyring::new([KEY.as_bytes()]).with_admin(Some(AdminToken::new(token.as_bytes())));
        let (edge, none) = (Access::Key(keyring), access(&[KEY]));
        let cookie = edge.cookie(&Pass::Key, false, NOW).unwrap();
        let cookie = cookie.split(';').next().unwrap();
        let bearer = format!("Bearer {token}");
        let (key, world) = (format!("key={KEY}"), Door::Stream("world-feed"));
        let (missing, invalid) = (Err(Problem::KeyMissing), Err(Problem::AdminTokenInvalid));
        for (name, access, door, query, shown, cookie, expected) in [
            ("the token", &edge, Door::Api, "", bearer.as_str(), "", Ok(Pass::Admin)),
            (
                "in small letters",
                &edge,
                Door::Api,
                "",
                &bearer.replace('B', "b"),
                "",
                Ok(Pass::Admin),
            ),
            (
                "beside an old cookie",
                &edge,
                Door::Api,
                "",
                &bearer,
                "pitwall=AAAA",
                Ok(Pass::Admin),
            ),
            ("beside the key", &edge, Door::Api, &key, &bearer, "", Ok(Pass::Key)),
            ("another token", &edge, Door::Api, "", "Bearer another", "", invalid.clone()),
            (
                "the key as a token",
                &edge,
                Door::Api,
                "",
                &format!("Bearer {KEY}"),
                "",
                invalid.clone(),
            ),
            ("something else", &edge, Door::Api, "", "Basic YTpi", "", missing.clone()),
            ("beside a cookie", &edge, Door::Api, "", "Bearer another", cookie, Ok(Pass::Cookie)),
            ("to watch", &edge, world, "", &bearer, "", missing.clone()),
            ("for the page", &edge, Door::House, "", &bearer, "", missing.clone()),
            ("for the guide", &edge, Door::Guide, "", &bearer, "", missing),
            ("none is configured", &none, Door::Api, "", &bearer, "", invalid),
            (
                "as a key",
                &edge,
                Door::Api,
                &format!("key={token}"),
                "",
                "",
                Err(Problem::KeyInvalid),
            ),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::AUTHORIZATION, shown), (header::COOKIE, cookie)] {
                if !value.is_empty() {
                    headers.insert(name, HeaderValue::from_str(value).unwrap());
                }
            }
            let judged = access.judge(door, &Query(query), &headers, NOW);
            assert_eq!(judged, expected, "{name}");
        }
    }

    #[test]
    fn who_is_let_in() {
        let (edge, other) = (access(&[KEY]), access(&["another-key-that-is-long-enough-too"]));
        let (world, pit) = (Door::Stream("world-feed"), Door::Stream("pit-lane"));
        let token = edge.token(&Pass::Key, world, NOW).unwrap();
        let foreign = other.token(&Pass::Key, world, NOW).unwrap();
        let cookie = edge.cookie(&Pass::Key, true, NOW).unwrap();
        assert!(cookie.ends_with("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"));
        let cookie = cookie.split_once(';').unwrap().0;
        let jar = format!("theme=dark; {cookie}; a=b");
        let (key, shown) = (format!("key={KEY}"), format!("x=1&key={token}"));
        let (day, later) = (24 * 3600, 31 * 24 * 3600);
        let pass = || Ok(Pass::Token(token.clone()));
        for (name, door, query, cookie, now, expected) in [
            ("nothing", world, "", "", NOW, Err(Problem::KeyMissing)),
            ("the key", world, key.as_str(), "", NOW, Ok(Pass::Key)),
            ("the key at the door", Door::House, &key, "", NOW, Ok(Pass::Key)),
            ("the key for the API", Door::Api, &key, "", NOW, Ok(Pass::Key)),
            ("a token for the API", Door::Api, &shown, "", NOW, Err(Problem::KeyInvalid)),
            ("a cookie for the API", Door::Api, "", cookie, NOW, Ok(Pass::Cookie)),
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
            ("a token", world, &shown, "", NOW + day, pass()),
            ("of another stream", pit, &shown, "", NOW, Err(Problem::KeyInvalid)),
            ("of a stream, at the door", Door::House, &shown, "", NOW, Err(Problem::KeyInvalid)),
            ("an old token", world, &shown, "", NOW + 2 * day, Err(Problem::KeyExpired)),
            (
                "of another house",
                world,
                &format!("key={foreign}"),
                "",
                NOW,
                Err(Problem::KeyInvalid),
            ),
            ("a cookie", world, "", &jar, NOW + day, Ok(Pass::Cookie)),
            ("a cookie at the door", Door::House, "", cookie, NOW, Ok(Pass::Cookie)),
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
            assert_eq!(judge(&edge, door, query, cookie, now), expected, "{name}");
        }
        assert_eq!(judge(&Access::Open, world, "key=a&key=b", "", NOW), Ok(Pass::Open));
    }

    #[test]
    fn a_token_is_carried_on_as_it_is() {
        let (edge, door) = (access(&[KEY]), Door::Stream("world-feed"));
        let token = edge.token(&Pass::Cookie, door, NOW).unwrap();
        assert_ne!(edge.token(&Pass::Cookie, door, NOW), Some(token.clone()), "each viewer's own");
        let carried = edge.token(&Pass::Token(token.clone()), door, NOW + 1000);
        assert_eq!(carried, Some(token));
        assert_eq!(Access::Open.token(&Pass::Open, door, NOW), None);
        assert_eq!(edge.cookie(&Pass::Cookie, true, NOW), None);
    }

    #[test]
    fn keys_rotate_without_a_break_and_forgery_fails() {
        let door = Door::Stream("world-feed");
        let old = access(&[KEY]).token(&Pass::Key, door, NOW).unwrap();
        let rotated = access(&["the-new-key-which-is-long-enough-too", KEY]);
        assert!(judge(&rotated, door, &format!("key={old}"), "", NOW).is_ok());
        assert!(judge(&rotated, door, &format!("key={KEY}"), "", NOW).is_ok());
        let bytes = URL_SAFE_NO_PAD.decode(&old).unwrap();
        for index in 0..bytes.len() {
            let mut touched = bytes.clone();
            touched[index] ^= 1;
            let query = format!("key={}", URL_SAFE_NO_PAD.encode(touched));
            assert_eq!(judge(&rotated, door, &query, "", NOW), Err(Problem::KeyInvalid), "{index}");
        }
        for length in 0..bytes.len() {
            let query = format!("key={}", URL_SAFE_NO_PAD.encode(&bytes[..length]));
            assert_eq!(
                judge(&rotated, door, &query, "", NOW),
                Err(Problem::KeyInvalid),
                "{length}"
            );
        }
    }
}
