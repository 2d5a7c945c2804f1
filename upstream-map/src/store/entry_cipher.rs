//! [`EntryCipher`]: authenticated encryption of entries, which contain URLs, headers and cookies:
//! nothing leaves this process in clear, and forged entries are rejected.
//!
//! The cipher is deterministic (AES-SIV, RFC 5297), so no nonces must be kept distinct between
//! machines. The field name is authenticated with each entry, so that one entry cannot replace
//! another.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;

/// How many of a sealed entry's first bytes are its synthetic IV (RFC 5297, 2.6), a MAC of field
/// name and text: entries that begin alike are the same.
pub(super) const SYNTHETIC_IV_LENGTH: usize = 16;

/// The secret with which links are sealed, and the one before the last rotation. The keys of the
/// store are derived from them.
pub struct StoreSecrets {
    pub current: [u8; 32],
    pub previous: Option<[u8; 32]>,
}

#[derive(Clone)]
pub(super) struct EntryCipher {
    current: [u8; 64],
    previous: Option<[u8; 64]>,
}

/// A decrypted entry.
pub(super) struct OpenedEntry {
    pub(super) plaintext: Vec<u8>,
    /// The entry was sealed with the previous key, which will be removed some day.
    pub(super) uses_previous_key: bool,
}

impl EntryCipher {
    pub(super) fn new(keys: &StoreSecrets) -> Self {
        Self {
            current: derive_key(&keys.current),
            previous: keys.previous.as_ref().map(derive_key),
        }
    }

    pub(super) fn seal(&self, field: &str, plain: &[u8]) -> Vec<u8> {
        seal_with(&self.current, field, plain)
    }

    /// Seals with the previous key; empty if there is none.
    pub(super) fn seal_with_previous_key(&self, field: &str, plain: &[u8]) -> Vec<u8> {
        self.previous.as_ref().map_or(Vec::new(), |key| seal_with(key, field, plain))
    }

    pub(super) fn open(&self, field: &str, sealed: &[u8]) -> Option<OpenedEntry> {
        let open = |key: &[u8; 64]| {
            Aes256Siv::new(&(*key).into()).decrypt([field.as_bytes()], sealed).ok()
        };
        if let Some(plain) = open(&self.current) {
            return Some(OpenedEntry { plaintext: plain, uses_previous_key: false });
        }
        let plain = self.previous.as_ref().and_then(open)?;
        Some(OpenedEntry { plaintext: plain, uses_previous_key: true })
    }
}

fn seal_with(key: &[u8; 64], field: &str, plain: &[u8]) -> Vec<u8> {
    let mut cipher = Aes256Siv::new(&(*key).into());
    // SIV fails only if there are too many items of associated data, and this is one.
    cipher.encrypt([field.as_bytes()], plain).unwrap_or_default()
}

fn derive_key(secret: &[u8; 32]) -> [u8; 64] {
    let mut key = [0; 64];
    blake3::Hasher::new_derive_key("pitwall 2026 store entries")
        .update(secret)
        .finalize_xof()
        .fill(&mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher_with_keys(current: u8, previous: Option<u8>) -> EntryCipher {
        EntryCipher::new(&StoreSecrets {
            current: [current; 32],
            previous: previous.map(|key| [key; 32]),
        })
    }

    #[test]
    fn entries_open_only_for_their_field_and_through_one_rotation() {
        let sealed = cipher_with_keys(1, None).seal("stream/a", b"secret");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        for (opener, field, expected) in [
            (cipher_with_keys(1, None), "stream/a", Some(false)),
            (cipher_with_keys(2, Some(1)), "stream/a", Some(true)),
            (cipher_with_keys(2, None), "stream/a", None),
            (cipher_with_keys(1, None), "stream/b", None),
        ] {
            let opened = opener.open(field, &sealed);
            assert_eq!(opened.as_ref().map(|entry| entry.uses_previous_key), expected, "{field}");
            assert!(opened.is_none_or(|entry| entry.plaintext == b"secret"));
        }
    }

    #[test]
    fn modified_entries_are_rejected() {
        let cipher = cipher_with_keys(1, None);
        let sealed = cipher.seal("f", b"text");
        for index in 0..sealed.len() {
            let mut modified = sealed.clone();
            modified[index] ^= 1;
            assert!(cipher.open("f", &modified).is_none(), "byte {index}");
        }
        assert!(cipher.open("f", b"").is_none() && cipher.open("f", &sealed[..8]).is_none());
    }
}
