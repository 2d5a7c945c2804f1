//! [`ObjectKey`]: under what an object is stored.

use crate::upstream::target::UpstreamTarget;

/// Cache key of an object: a hash of the URL without its token, the request profile, the number in
/// its link, and the byte range if it is a part.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectKey(pub(super) [u8; 32]);

impl ObjectKey {
    pub fn of(target: &UpstreamTarget, bounds: Option<(u64, u64)>) -> Self {
        let mut hasher = Self::hash_url(target);
        if let Some(number) = target.object_number {
            hasher.update(&number.to_le_bytes());
        }
        if let Some((first, last)) = bounds {
            hasher.update(&first.to_le_bytes()).update(&last.to_le_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The same key for all objects that the URL has named, and their ranges.
    pub fn purge_key_of(target: &UpstreamTarget) -> Self {
        Self(*Self::hash_url(target).finalize().as_bytes())
    }

    /// The key in hexadecimal digits.
    pub fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    fn hash_url(target: &UpstreamTarget) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new();
        for component in [&*target.profile.id, &*target.canonical_url()] {
            // Each length comes first, so that no two lists of parts hash alike.
            hasher.update(&component.len().to_le_bytes());
            hasher.update(component.as_bytes());
        }
        hasher
    }
}
