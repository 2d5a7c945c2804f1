//! [`Baseline`]: hashes of the entries that the store is known to hold, so that only changed
//! entries are sent. Pure.
//!
//! The digest is one more entry: the version and a combined hash of all other entries. It ties the
//! entries to one map, so that a reader accepts them only together, as they were published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entries::{Delta, Entries};

pub(super) const DIGEST_FIELD: &str = "head";
/// Not encrypted, because the script compares versions.
pub(super) const VERSION_FIELD: &str = "version";

#[derive(Clone, Default)]
pub(super) struct Baseline {
    /// Hashes of the entries.
    entries: BTreeMap<Arc<str>, [u8; 32]>,
    /// Entries that are sealed with the previous key, so they are written again as if they had
    /// changed.
    uses_previous_key: BTreeSet<Arc<str>>,
    /// Entries of kinds that only another version of the control plane writes.
    unknown: BTreeSet<Arc<str>>,
    sum: [u8; 32],
    /// The digest as stored, sealed; processes with equal sealed digests have the same map.
    pub(super) sealed_digest: Vec<u8>,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MapDigest {
    pub(super) version: u64,
    entries: usize,
    sum: [u8; 32],
}

impl Baseline {
    pub(super) fn from_entries(entries: &Entries) -> Self {
        let mut baseline = Self::default();
        for (field, plain) in entries {
            baseline.set(field, plain, false);
        }
        baseline
    }

    pub(super) fn set(&mut self, field: &str, plain: &[u8], uses_previous_key: bool) {
        let (field, hash): (Arc<str>, _) = (field.into(), hash_entry(field, plain));
        self.toggle_hash(&hash);
        if uses_previous_key {
            self.uses_previous_key.insert(field.clone());
        } else {
            self.uses_previous_key.remove(&field);
        }
        if let Some(previous) = self.entries.insert(field, hash) {
            self.toggle_hash(&previous);
        }
    }

    pub(super) fn remove(&mut self, field: &str) {
        self.uses_previous_key.remove(field);
        self.unknown.remove(field);
        if let Some(previous) = self.entries.remove(field) {
            self.toggle_hash(&previous);
        }
    }

    /// The fields of entries that have to be written again even if they have not changed.
    pub(super) fn fields_with_previous_key(&self) -> impl Iterator<Item = &str> {
        self.uses_previous_key.iter().map(|field| &**field)
    }

    pub(super) fn mark_unsupported(&mut self, field: &str) {
        self.unknown.insert(field.into());
    }

    /// The fields of entries that this version does not write.
    pub(super) fn unsupported_fields(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(|field| &**field)
    }

    /// Leaves in `delta` only what the store does not have.
    pub(super) fn retain_unstored(&self, delta: &mut Delta) {
        delta.changed.retain(|field, plain| {
            self.uses_previous_key.contains(field.as_str())
                || self.entries.get(field.as_str()) != Some(&hash_entry(field, plain))
        });
        delta.removed.retain(|field| self.entries.contains_key(field.as_str()));
    }

    pub(super) fn apply(&mut self, delta: &Delta) {
        delta.changed.iter().for_each(|(field, plain)| self.set(field, plain, false));
        delta.removed.iter().for_each(|field| self.remove(field));
    }

    /// XORs an entry's hash into the sum or out of it, so that the order of entries does not
    /// matter.
    fn toggle_hash(&mut self, hash: &[u8; 32]) {
        self.sum.iter_mut().zip(hash).for_each(|(sum, byte)| *sum ^= byte);
    }

    pub(super) fn digest(&self, version: u64) -> MapDigest {
        MapDigest { version, entries: self.entries.len(), sum: self.sum }
    }
}

fn hash_entry(field: &str, plain: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(field.as_bytes()).update(&[0]).update(plain);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(all: &[(&str, &str)]) -> Entries {
        all.iter().map(|(field, plain)| ((*field).to_owned(), plain.as_bytes().to_vec())).collect()
    }

    fn delta(changed: &[(&str, &str)], removed: &[&str]) -> Delta {
        let removed = removed.iter().map(|field| (*field).to_owned()).collect();
        Delta { changed: entries(changed), removed }
    }

    #[test]
    fn what_the_store_has_is_not_written() {
        let mut baseline = Baseline::from_entries(&entries(&[("a", "1"), ("b", "2"), ("c", "3")]));
        let mut delta = delta(&[("a", "1"), ("b", "9"), ("d", "4")], &["c", "e"]);
        baseline.retain_unstored(&mut delta);
        assert_eq!(delta.field_names(), ["b", "d", "c"]);
        baseline.apply(&delta);
        let whole = Baseline::from_entries(&entries(&[("a", "1"), ("b", "9"), ("d", "4")]));
        assert!(baseline.digest(1) == whole.digest(1));
    }

    #[test]
    fn digests_are_equal_when_all_entries_are() {
        let mut baseline = Baseline::from_entries(&entries(&[("a", "1"), ("b", "2")]));
        baseline.set("b", b"3", false);
        baseline.set("c", b"4", false);
        baseline.remove("a");
        let same = Baseline::from_entries(&entries(&[("c", "4"), ("b", "3")]));
        assert!(baseline.digest(7) == same.digest(7));
        assert!(baseline.digest(7) != same.digest(8));
        let swapped = Baseline::from_entries(&entries(&[("b", "4"), ("c", "3")]));
        assert!(baseline.digest(7) != swapped.digest(7), "values belong to fields");
    }

    #[test]
    fn entries_sealed_with_the_previous_key_are_written_again() {
        let mut baseline = Baseline::default();
        baseline.set("a", b"1", true);
        baseline.set("b", b"2", false);
        assert_eq!(baseline.fields_with_previous_key().collect::<Vec<_>>(), ["a"]);
        let mut delta = delta(&[("a", "1"), ("b", "2")], &[]);
        baseline.retain_unstored(&mut delta);
        assert_eq!(delta.field_names(), ["a"]);
        baseline.apply(&delta);
        assert_eq!(baseline.fields_with_previous_key().next(), None);
    }
}
