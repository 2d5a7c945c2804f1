//! Seals: the authenticated, encrypted form in which an upstream URL travels in a link.
//!
//! Deterministic (AES-SIV, RFC 5297): the same URL, purpose, path and period give the same
//! link, bit for bit. Players compare links to know a map, a key or a part again, and every
//! cache keys by them.
//!
//! Layout before base64url: key id, purpose and the period's low bits, SIV (16), ciphertext.

use std::sync::Mutex;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::problem::Problem;

/// A link outlives a viewing: it works in the period it was made in and in the next.
const PERIOD_SECONDS: u64 = 24 * 60 * 60;
const HEADER: usize = 2;
const SIV: usize = 16;
const PERIOD_BITS: u8 = 6;

pub struct Sealer {
    /// Seals, and opens what it sealed.
    current: Key,
    /// Opens what was sealed before the last rotation.
    previous: Option<Key>,
    name_key: [u8; 32],
}

struct Key {
    id: u8,
    key: [u8; 64],
    /// With its key schedule made, which is a good part of sealing one URL.
    ready: Mutex<Aes256Siv>,
}

/// A key of any length, as the one that [`Sealer::new`] takes.
pub fn digest(secret: &[u8]) -> [u8; 32] {
    *blake3::hash(secret).as_bytes()
}

/// What a link may be used for. A link for one is refused on the routes of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Playlist = 0,
    Document = 1,
    Media = 2,
}

/// What a seal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Empty for a link made from a plain `url=`.
    pub profile: String,
    pub url: String,
    pub purpose: Purpose,
    /// Unix seconds, when it was made to end before its period does.
    pub expires: Option<u64>,
}

impl Key {
    fn new(secret: &[u8; 32]) -> Self {
        let (mut key, mut id) = ([0; 64], [0; 1]);
        derive("pitwall 2026 seal key", secret, &mut key);
        derive("pitwall 2026 seal key id", secret, &mut id);
        Self { id: id[0], key, ready: Mutex::new(Aes256Siv::new(&key.into())) }
    }

    /// Nobody waits: who finds the cipher in use makes another.
    fn with_cipher<T>(&self, work: impl FnOnce(&mut Aes256Siv) -> T) -> T {
        match self.ready.try_lock() {
            Ok(mut ready) => work(&mut ready),
            Err(_) => work(&mut Aes256Siv::new(&self.key.into())),
        }
    }
}

fn derive(context: &str, secret: &[u8; 32], out: &mut [u8]) {
    blake3::Hasher::new_derive_key(context).update(secret).finalize_xof().fill(out);
}

impl Sealer {
    pub fn new(secret: &[u8; 32]) -> Self {
        Self::rotated(secret, None)
    }

    /// Seals with `secret`, and still opens what `previous` sealed.
    pub fn rotated(secret: &[u8; 32], previous: Option<&[u8; 32]>) -> Self {
        let mut name_key = [0; 32];
        derive("pitwall 2026 link names", secret, &mut name_key);
        Self { current: Key::new(secret), previous: previous.map(Key::new), name_key }
    }

    /// Appends the seal of `url` for links with this `path` to `out`.
    pub fn seal(
        &self,
        purpose: Purpose,
        path: &str,
        profile: &str,
        url: &str,
        now: u64,
        out: &mut Vec<u8>,
    ) {
        self.seal_until(purpose, path, profile, url, now, None, out);
    }

    /// Like [`seal`](Self::seal), for a link that is refused from `expires` (unix seconds) on.
    /// Its period is the longest that it can live.
    #[expect(clippy::too_many_arguments, reason = "each is one part of what is sealed")]
    pub fn seal_until(
        &self,
        purpose: Purpose,
        path: &str,
        profile: &str,
        url: &str,
        now: u64,
        expires: Option<u64>,
        out: &mut Vec<u8>,
    ) {
        let period = period(now);
        let header = self.header(purpose, period);
        let associated = associated(header, period);
        let mut link = Vec::with_capacity(HEADER + SIV + profile.len() + url.len() + 32);
        link.extend_from_slice(&header);
        link.extend_from_slice(&[0; SIV]);
        link.extend_from_slice(profile.as_bytes());
        link.push(0);
        link.extend_from_slice(url.as_bytes());
        if let Some(expires) = expires {
            link.push(0);
            link.extend_from_slice(expires.to_string().as_bytes());
        }
        let (front, plain) = link.split_at_mut(HEADER + SIV);
        let (_, siv) = front.split_at_mut(HEADER);
        // SIV fails only past its limit on associated data, which two entries are not.
        let Ok(tag) = self.current.with_cipher(|cipher| {
            cipher.encrypt_inout_detached([&associated[..], path.as_bytes()], plain.into())
        }) else {
            return;
        };
        siv.copy_from_slice(&tag);
        let start = out.len();
        out.resize(start + base64::encoded_len(link.len(), false).unwrap_or(0), 0);
        if let Some(slot) = out.get_mut(start..) {
            // The slot was made to size.
            let _ = URL_SAFE_NO_PAD.encode_slice(&link, slot);
        }
    }

    pub fn unseal(&self, seal: &str, path: &str, now: u64) -> Result<Sealed, Problem> {
        let link = URL_SAFE_NO_PAD.decode(seal).map_err(|_| Problem::SealInvalid)?;
        let (header, sealed) = link.split_first_chunk::<HEADER>().ok_or(Problem::SealInvalid)?;
        // Two secrets may share an id: both are tried.
        let keys = [Some(&self.current), self.previous.as_ref()];
        let mut keys = keys.into_iter().flatten().filter(|key| key.id == header[0]);
        if sealed.len() < SIV {
            return Err(Problem::SealInvalid);
        }
        let purpose = match header[1] >> PERIOD_BITS {
            0 => Purpose::Playlist,
            1 => Purpose::Document,
            2 => Purpose::Media,
            _ => return Err(Problem::SealInvalid),
        };
        let current = period(now);
        let period = nearest_period(current, header[1]);
        let open = |key: &Key| {
            let associated = associated(*header, period);
            key.with_cipher(|cipher| cipher.decrypt([&associated[..], path.as_bytes()], sealed))
                .ok()
        };
        let plain = keys.find_map(open).ok_or(Problem::SealInvalid)?;
        // One period ahead is another edge whose clock is a little ahead of ours.
        if period + 1 < current || period > current + 1 {
            return Err(Problem::SealExpired);
        }
        let plain = String::from_utf8(plain).map_err(|_| Problem::SealInvalid)?;
        let (profile, rest) = plain.split_once('\0').ok_or(Problem::SealInvalid)?;
        let (url, expires) = match rest.split_once('\0') {
            Some((url, expires)) => (url, Some(expires.parse().map_err(|_| Problem::SealInvalid)?)),
            None => (rest, None),
        };
        if expires.is_some_and(|expires: u64| expires <= now) {
            return Err(Problem::SealExpired);
        }
        Ok(Sealed { profile: profile.to_owned(), url: url.to_owned(), purpose, expires })
    }

    /// A short name for a URL that says nothing about it: the same URL keeps the same name.
    pub fn name(&self, url: &str) -> String {
        let hash = blake3::keyed_hash(&self.name_key, url.as_bytes()).to_hex();
        hash.get(..16).unwrap_or_default().to_owned()
    }

    fn header(&self, purpose: Purpose, period: u64) -> [u8; HEADER] {
        let low = (period % (1 << PERIOD_BITS)) as u8;
        [self.current.id, ((purpose as u8) << PERIOD_BITS) | low]
    }
}

/// Links made in one are the same for the same URL.
pub fn period(now: u64) -> u64 {
    now / PERIOD_SECONDS
}

fn associated(header: [u8; HEADER], period: u64) -> [u8; HEADER + 8] {
    let mut associated = [0; HEADER + 8];
    let (head, tail) = associated.split_at_mut(HEADER);
    head.copy_from_slice(&header);
    tail.copy_from_slice(&period.to_be_bytes());
    associated
}

/// The period nearest to the current one that has these low bits.
fn nearest_period(current: u64, header: u8) -> u64 {
    let span = 1u64 << PERIOD_BITS;
    let low = u64::from(header) % span;
    let candidate = current - current % span + low;
    if candidate > current + span / 2 {
        candidate.saturating_sub(span)
    } else if candidate + span / 2 < current {
        candidate + span
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = PERIOD_SECONDS;
    const NOW: u64 = 20_500 * DAY + 1_000;
    const URL: &str = "https://cdn.example.com/a/b/seg-1.ts?token=secret";

    fn sealer() -> Sealer {
        Sealer::new(&[7; 32])
    }

    fn seal(path: &str, now: u64) -> String {
        let mut out = Vec::new();
        sealer().seal(Purpose::Media, path, "source", URL, now, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn opens_what_it_made() {
        let opened = sealer().unseal(&seal("/live/x/v/1.ts", NOW), "/live/x/v/1.ts", NOW).unwrap();
        assert_eq!(
            opened,
            Sealed {
                profile: "source".into(),
                url: URL.into(),
                purpose: Purpose::Media,
                expires: None
            }
        );
    }

    #[test]
    fn is_deterministic_within_a_period() {
        assert_eq!(seal("/p", NOW), seal("/p", NOW + 1));
        assert_ne!(seal("/p", NOW), seal("/q", NOW));
    }

    /// Links outlive a release: any other byte would make every player reload its map and keys.
    #[test]
    fn is_aes_siv_and_nothing_else() {
        let sealer = sealer();
        let header = sealer.header(Purpose::Media, NOW / PERIOD_SECONDS);
        let sealed = Aes256Siv::new(&sealer.current.key.into())
            .encrypt(
                [&associated(header, NOW / PERIOD_SECONDS)[..], b"/p"],
                format!("source\0{URL}").as_bytes(),
            )
            .unwrap();
        let expected = URL_SAFE_NO_PAD.encode([&header[..], &sealed].concat());
        let mut out = Vec::new();
        sealer.seal(Purpose::Media, "/p", "source", URL, NOW, &mut out);
        // Again with the cipher just used, and with another because that one is taken.
        sealer.seal(Purpose::Media, "/p", "source", URL, NOW, &mut out);
        let taken = sealer.current.ready.lock();
        sealer.seal(Purpose::Media, "/p", "source", URL, NOW, &mut out);
        assert!(sealer.unseal(&expected, "/p", NOW).is_ok());
        drop(taken);
        assert_eq!(String::from_utf8(out).unwrap(), expected.repeat(3));
    }

    #[test]
    fn lives_for_two_periods() {
        let made = seal("/p", NOW);
        for (later, expected) in [
            (0, Ok(())),
            (DAY, Ok(())),
            (2 * DAY, Err(Problem::SealExpired)),
            (30 * DAY, Err(Problem::SealExpired)),
        ] {
            let got = sealer().unseal(&made, "/p", NOW + later).map(drop);
            assert_eq!(got, expected, "{later} seconds later");
        }
    }

    #[test]
    fn may_end_sooner() {
        let mut out = Vec::new();
        sealer().seal_until(Purpose::Media, "/p", "source", URL, NOW, Some(NOW + 60), &mut out);
        let made = String::from_utf8(out).unwrap();
        for (later, expected) in [(0, Ok(())), (59, Ok(())), (60, Err(Problem::SealExpired))] {
            assert_eq!(sealer().unseal(&made, "/p", NOW + later).map(drop), expected, "{later}");
        }
    }

    #[test]
    fn keys_rotate_without_a_break() {
        let (old, new) = ([7; 32], [9; 32]);
        let made = seal("/p", NOW);
        let rotated = Sealer::rotated(&new, Some(&old));
        assert_eq!(rotated.unseal(&made, "/p", NOW).unwrap().url, URL);
        let mut fresh = Vec::new();
        rotated.seal(Purpose::Media, "/p", "source", URL, NOW, &mut fresh);
        let fresh = String::from_utf8(fresh).unwrap();
        assert!(Sealer::new(&new).unseal(&fresh, "/p", NOW).is_ok());
        assert_eq!(Sealer::new(&new).unseal(&made, "/p", NOW), Err(Problem::SealInvalid));
        assert_eq!(sealer().unseal(&fresh, "/p", NOW), Err(Problem::SealInvalid));
    }

    #[test]
    fn refuses_what_it_did_not_make() {
        let made = seal("/p", NOW);
        let other = Sealer::new(&[8; 32]).unseal(&made, "/p", NOW);
        assert_eq!(other, Err(Problem::SealInvalid));
        assert_eq!(sealer().unseal(&made, "/q", NOW), Err(Problem::SealInvalid));
        for index in 0..made.len() {
            let mut flipped = made.clone().into_bytes();
            flipped[index] = if flipped[index] == b'A' { b'B' } else { b'A' };
            let flipped = String::from_utf8(flipped).unwrap();
            if flipped != made {
                assert!(sealer().unseal(&flipped, "/p", NOW).is_err(), "character {index}");
            }
        }
        for garbage in ["", "AAAA", "!!!!", "Zm9v"] {
            assert_eq!(sealer().unseal(garbage, "/p", NOW), Err(Problem::SealInvalid));
        }
    }

    #[test]
    fn hides_its_target_and_stays_short() {
        let long = format!("https://cdn.example.com/{}", "a".repeat(300 - 24));
        let mut out = Vec::new();
        sealer().seal(Purpose::Media, "/p", "source", &long, NOW, &mut out);
        assert!(out.len() < 600, "{} bytes", out.len());
        let decoded = URL_SAFE_NO_PAD.decode(&out).unwrap();
        assert!(!decoded.windows(11).any(|window| window == b"cdn.example"));
    }

    #[test]
    fn names_are_stable_and_mute() {
        assert_eq!(sealer().name(URL), sealer().name(URL));
        assert_ne!(sealer().name(URL), sealer().name("https://cdn.example.com/"));
        assert_eq!(sealer().name(URL).len(), 16);
    }
}
