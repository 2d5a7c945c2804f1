//! Seals: the authenticated, encrypted form in which an upstream URL travels in a link.
//!
//! Deterministic (AES-SIV, RFC 5297): the same URL, purpose, path and period give the same
//! link, bit for bit. Players compare links to know a map, a key or a part again, and every
//! cache keys by them.
//!
//! Layout before base64url: key id, purpose and the period's low bits, SIV (16), ciphertext.

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
    key: [u8; 64],
    key_id: u8,
    name_key: [u8; 32],
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
}

impl Sealer {
    pub fn new(secret: &[u8; 32]) -> Self {
        let derive = |context: &str, out: &mut [u8]| {
            blake3::Hasher::new_derive_key(context).update(secret).finalize_xof().fill(out);
        };
        let (mut key, mut id, mut name_key) = ([0; 64], [0; 1], [0; 32]);
        derive("pitwall 2026 seal key", &mut key);
        derive("pitwall 2026 seal key id", &mut id);
        derive("pitwall 2026 link names", &mut name_key);
        Self { key, key_id: id[0], name_key }
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
        let period = now / PERIOD_SECONDS;
        let header = self.header(purpose, period);
        let mut plain = Vec::with_capacity(profile.len() + 1 + url.len());
        plain.extend_from_slice(profile.as_bytes());
        plain.push(0);
        plain.extend_from_slice(url.as_bytes());
        let associated = associated(header, period);
        // SIV fails only past its limit on associated data, which two entries are not.
        let Ok(sealed) =
            Aes256Siv::new(&self.key.into()).encrypt([&associated[..], path.as_bytes()], &plain)
        else {
            return;
        };
        let mut link = Vec::with_capacity(HEADER + sealed.len());
        link.extend_from_slice(&header);
        link.extend_from_slice(&sealed);
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
        if header[0] != self.key_id || sealed.len() < SIV {
            return Err(Problem::SealInvalid);
        }
        let purpose = match header[1] >> PERIOD_BITS {
            0 => Purpose::Playlist,
            1 => Purpose::Document,
            2 => Purpose::Media,
            _ => return Err(Problem::SealInvalid),
        };
        let current = now / PERIOD_SECONDS;
        let period = nearest_period(current, header[1]);
        let plain = Aes256Siv::new(&self.key.into())
            .decrypt([&associated(*header, period)[..], path.as_bytes()], sealed)
            .map_err(|_| Problem::SealInvalid)?;
        // One period ahead is another edge whose clock is a little ahead of ours.
        if period + 1 < current || period > current + 1 {
            return Err(Problem::SealExpired);
        }
        let plain = String::from_utf8(plain).map_err(|_| Problem::SealInvalid)?;
        let (profile, url) = plain.split_once('\0').ok_or(Problem::SealInvalid)?;
        Ok(Sealed { profile: profile.to_owned(), url: url.to_owned(), purpose })
    }

    /// A short name for a URL that says nothing about it: the same URL keeps the same name.
    pub fn name(&self, url: &str) -> String {
        let hash = blake3::keyed_hash(&self.name_key, url.as_bytes());
        hash.to_hex().chars().take(16).collect()
    }

    fn header(&self, purpose: Purpose, period: u64) -> [u8; HEADER] {
        let low = (period % (1 << PERIOD_BITS)) as u8;
        [self.key_id, ((purpose as u8) << PERIOD_BITS) | low]
    }
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
            Sealed { profile: "source".into(), url: URL.into(), purpose: Purpose::Media }
        );
    }

    #[test]
    fn is_deterministic_within_a_period() {
        assert_eq!(seal("/p", NOW), seal("/p", NOW + 1));
        assert_ne!(seal("/p", NOW), seal("/q", NOW));
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
