//! [`Sealer`]: seals, the authenticated and encrypted form in which an upstream URL travels in a
//! link.
//!
//! Seals are deterministic (AES-SIV, RFC 5297): the same URL, purpose, path and period give the
//! same link, bit for bit. Players compare links to recognise a map, a key or a partial segment,
//! and every cache uses them as keys.
//!
//! Layout before base64url: key id (1 byte), purpose and the period's low bits (1), SIV (16),
//! ciphertext.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::http::problem::Problem;
use crate::shards::Shards;

/// A seal is valid in the period in which it was made and in the next, so that a link lasts longer
/// than a session.
const PERIOD_SECONDS: u64 = 24 * 60 * 60;
const HEADER_BYTES: usize = 2;
const SIV_BYTES: usize = 16;
/// How many low bits of the period the header holds; the other two bits of the byte are the
/// purpose.
const PERIOD_BITS: u8 = 6;

/// Makes and opens seals.
pub struct Sealer {
    /// Makes seals, and opens those that it made.
    current: SealKey,
    /// Opens the seals that were made before the last rotation.
    previous: Option<SealKey>,
    /// The key of [`Sealer::opaque_name`].
    name_key: [u8; 32],
}

struct SealKey {
    id: u8,
    /// The cipher with its key schedule, which takes a good part of the time to seal one URL; one
    /// for each thread, as it has a state while it is used.
    ciphers: Shards<Aes256Siv>,
}

/// Hashes a secret of any length to the 32 bytes that [`Sealer::new`] takes.
pub fn hash_secret(secret: &[u8]) -> [u8; 32] {
    *blake3::hash(secret).as_bytes()
}

/// What a link may be used for. A link of one purpose is refused on the routes of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Playlist = 0,
    /// JSON that HLS refers to: a steering manifest or an asset list.
    Document = 1,
    Media = 2,
}

/// The contents of a seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealContents {
    pub purpose: Purpose,
    /// Expiry in unix seconds, of a seal that expires before its period does.
    pub expires: Option<u64>,
    /// Profile and URL, separated by a zero.
    text: String,
}

impl SealContents {
    /// The profile of the source to fetch with; empty for a link made from a plain `url=`.
    pub fn profile(&self) -> &str {
        self.text.split_once('\0').map_or("", |(profile, _)| profile)
    }

    pub fn url(&self) -> &str {
        self.text.split_once('\0').map_or("", |(_, url)| url)
    }
}

impl SealKey {
    fn new(secret: &[u8; 32]) -> Self {
        let (mut cipher_key, mut id) = ([0; 64], [0; 1]);
        derive_key("pitwall 2026 seal key", secret, &mut cipher_key);
        derive_key("pitwall 2026 seal key id", secret, &mut id);
        Self { id: id[0], ciphers: Shards::new(|| Aes256Siv::new(&cipher_key.into())) }
    }
}

fn derive_key(context: &str, secret: &[u8; 32], out: &mut [u8]) {
    blake3::Hasher::new_derive_key(context).update(secret).finalize_xof().fill(out);
}

impl Sealer {
    pub fn new(secret: &[u8; 32]) -> Self {
        Self::with_previous_key(secret, None)
    }

    /// A sealer that seals with `secret`, and also opens what was sealed with `previous`.
    pub fn with_previous_key(secret: &[u8; 32], previous: Option<&[u8; 32]>) -> Self {
        let mut name_key = [0; 32];
        derive_key("pitwall 2026 link names", secret, &mut name_key);
        Self { current: SealKey::new(secret), previous: previous.map(SealKey::new), name_key }
    }

    /// Appends the seal of `url` for links with this `path` to `out`. `now`: unix seconds.
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

    /// Like [`seal`](Self::seal), for a link that is refused from `expires` (unix seconds) on, and
    /// in any case when its period is over.
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
        let period = seal_period(now);
        let header = self.seal_header(purpose, period);
        let associated = associated_data(header, period);
        let mut sealed =
            Vec::with_capacity(HEADER_BYTES + SIV_BYTES + profile.len() + url.len() + 32);
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&[0; SIV_BYTES]);
        sealed.extend_from_slice(profile.as_bytes());
        sealed.push(0);
        sealed.extend_from_slice(url.as_bytes());
        if let Some(expires) = expires {
            sealed.push(0);
            sealed.extend_from_slice(expires.to_string().as_bytes());
        }
        let (front, plain) = sealed.split_at_mut(HEADER_BYTES + SIV_BYTES);
        let (_, siv) = front.split_at_mut(HEADER_BYTES);
        // SIV fails only with more entries of associated data than it permits, and two are not.
        let mut cipher = self.current.ciphers.lock_thread_shard();
        let associated = [&associated[..], path.as_bytes()];
        let Ok(tag) = cipher.encrypt_inout_detached(associated, plain.into()) else { return };
        siv.copy_from_slice(&tag);
        let start = out.len();
        out.resize(start + base64::encoded_len(sealed.len(), false).unwrap_or(0), 0);
        if let Some(slot) = out.get_mut(start..) {
            // Encoding cannot fail, as the slot has the encoded length.
            let _ = URL_SAFE_NO_PAD.encode_slice(&sealed, slot);
        }
    }

    /// Opens a seal for a link with this `path`. `now`: unix seconds.
    ///
    /// # Errors
    /// [`Problem::SealInvalid`] for a seal that was not made with these keys for this path,
    /// [`Problem::SealExpired`] for one whose period or expiry is over.
    pub fn unseal(&self, seal: &str, path: &str, now: u64) -> Result<SealContents, Problem> {
        let mut bytes = URL_SAFE_NO_PAD.decode(seal).map_err(|_| Problem::SealInvalid)?;
        let (header, sealed) =
            bytes.split_first_chunk_mut::<HEADER_BYTES>().ok_or(Problem::SealInvalid)?;
        let (siv, text) =
            sealed.split_first_chunk_mut::<SIV_BYTES>().ok_or(Problem::SealInvalid)?;
        let purpose = match header[1] >> PERIOD_BITS {
            0 => Purpose::Playlist,
            1 => Purpose::Document,
            2 => Purpose::Media,
            _ => return Err(Problem::SealInvalid),
        };
        let current = seal_period(now);
        let period = nearest_period(current, header[1]);
        let associated = associated_data(*header, period);
        let associated = [&associated[..], path.as_bytes()];
        // Both keys are tried where they have the same id, which is only 8 bits. A key that does
        // not open a seal leaves it as it was.
        let keys = [Some(&self.current), self.previous.as_ref()];
        let mut keys = keys.into_iter().flatten().filter(|key| key.id == header[0]);
        let is_opened = keys.any(|key| {
            let mut cipher = key.ciphers.lock_thread_shard();
            cipher.decrypt_inout_detached(associated, (&mut *text).into(), &(*siv).into()).is_ok()
        });
        if !is_opened {
            return Err(Problem::SealInvalid);
        }
        // A seal of the next period comes from an edge whose clock is slightly ahead.
        if period + 1 < current || period > current + 1 {
            return Err(Problem::SealExpired);
        }
        bytes.drain(..HEADER_BYTES + SIV_BYTES);
        let mut text = String::from_utf8(bytes).map_err(|_| Problem::SealInvalid)?;
        let (profile, rest) = text.split_once('\0').ok_or(Problem::SealInvalid)?;
        let expires = match rest.split_once('\0') {
            Some((url, expires)) => {
                let (length, expires) = (profile.len() + 1 + url.len(), expires.parse());
                text.truncate(length);
                Some(expires.map_err(|_| Problem::SealInvalid)?)
            }
            None => None,
        };
        if expires.is_some_and(|expires: u64| expires <= now) {
            return Err(Problem::SealExpired);
        }
        Ok(SealContents { purpose, expires, text })
    }

    /// A name for a URL in a link's path: 16 hex digits, the same for the same URL, that reveal
    /// nothing of it.
    pub fn opaque_name(&self, url: &str) -> String {
        let hash = blake3::keyed_hash(&self.name_key, url.as_bytes()).to_hex();
        hash.get(..16).unwrap_or_default().to_owned()
    }

    fn seal_header(&self, purpose: Purpose, period: u64) -> [u8; HEADER_BYTES] {
        let low = (period % (1 << PERIOD_BITS)) as u8;
        [self.current.id, ((purpose as u8) << PERIOD_BITS) | low]
    }
}

/// The end of the seal period of a time, both in unix seconds.
pub fn seal_period_end(now: u64) -> u64 {
    (seal_period(now) + 1) * PERIOD_SECONDS
}

/// The seal period of a time in unix seconds: seals of the same URL are equal within a period.
pub fn seal_period(now: u64) -> u64 {
    now / PERIOD_SECONDS
}

fn associated_data(header: [u8; HEADER_BYTES], period: u64) -> [u8; HEADER_BYTES + 8] {
    let mut associated = [0; HEADER_BYTES + 8];
    let (head, tail) = associated.split_at_mut(HEADER_BYTES);
    head.copy_from_slice(&header);
    tail.copy_from_slice(&period.to_be_bytes());
    associated
}

/// The period nearest to the current one that has the low bits in this header byte.
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

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;
