//! [`Vault`]: entries hold URLs, headers and cookies, so nothing leaves this process in clear, and
//! nothing that somebody else wrote is taken for ours.
//!
//! Deterministic (AES-SIV, RFC 5297): there is no nonce to keep apart between machines. The name
//! of its field is authenticated with each entry, so that one cannot stand in for another.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;

/// The secret that links are sealed with, and the one before the last rotation. What is in the
/// store has keys of its own, derived from them.
pub struct StoreKeys {
    pub current: [u8; 32],
    pub previous: Option<[u8; 32]>,
}

#[derive(Clone)]
pub(super) struct Vault {
    current: [u8; 64],
    previous: Option<[u8; 64]>,
}

/// What an entry held.
pub(super) struct Opened {
    pub(super) plain: Vec<u8>,
    /// With the key before the last rotation, which will be gone one day.
    pub(super) previous: bool,
}

impl Vault {
    pub(super) fn new(keys: &StoreKeys) -> Self {
        Self { current: derive(&keys.current), previous: keys.previous.as_ref().map(derive) }
    }

    pub(super) fn seal(&self, field: &str, plain: &[u8]) -> Vec<u8> {
        seal_with(&self.current, field, plain)
    }

    /// As the key before the last rotation seals it; empty where there is none.
    pub(super) fn seal_as_before(&self, field: &str, plain: &[u8]) -> Vec<u8> {
        self.previous.as_ref().map_or(Vec::new(), |key| seal_with(key, field, plain))
    }

    pub(super) fn open(&self, field: &str, sealed: &[u8]) -> Option<Opened> {
        let open = |key: &[u8; 64]| {
            Aes256Siv::new(&(*key).into()).decrypt([field.as_bytes()], sealed).ok()
        };
        if let Some(plain) = open(&self.current) {
            return Some(Opened { plain, previous: false });
        }
        let plain = self.previous.as_ref().and_then(open)?;
        Some(Opened { plain, previous: true })
    }
}

fn seal_with(key: &[u8; 64], field: &str, plain: &[u8]) -> Vec<u8> {
    let mut cipher = Aes256Siv::new(&(*key).into());
    // SIV fails only past its limit on associated data, which one entry is not.
    cipher.encrypt([field.as_bytes()], plain).unwrap_or_default()
}

fn derive(secret: &[u8; 32]) -> [u8; 64] {
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

    fn vault(current: u8, previous: Option<u8>) -> Vault {
        Vault::new(&StoreKeys { current: [current; 32], previous: previous.map(|key| [key; 32]) })
    }

    #[test]
    fn opens_what_it_sealed_where_it_sealed_it_and_through_one_rotation() {
        let sealed = vault(1, None).seal("stream/a", b"secret");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        for (opener, field, expected) in [
            (vault(1, None), "stream/a", Some(false)),
            (vault(2, Some(1)), "stream/a", Some(true)),
            (vault(2, None), "stream/a", None),
            (vault(1, None), "stream/b", None),
        ] {
            let opened = opener.open(field, &sealed);
            assert_eq!(opened.as_ref().map(|it| it.previous), expected, "{field}");
            assert!(opened.is_none_or(|it| it.plain == b"secret"));
        }
    }

    #[test]
    fn refuses_what_was_touched() {
        let vault = vault(1, None);
        let sealed = vault.seal("f", b"text");
        for index in 0..sealed.len() {
            let mut touched = sealed.clone();
            touched[index] ^= 1;
            assert!(vault.open("f", &touched).is_none(), "byte {index}");
        }
        assert!(vault.open("f", b"").is_none() && vault.open("f", &sealed[..8]).is_none());
    }
}
