//! [`Baseline`]: hashes of the entries that the store is known to hold, so that only changed
//! entries are sent. Pure.
//!
//! The digest is one more entry: the version and a combined hash of all other entries. It ties the
//! entries to one map, so that a reader accepts them only together, as they were published.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entries::Entries;

pub(super) const DIGEST_FIELD: &str = "head";
/// Not encrypted, because the script compares versions.
pub(super) const VERSION_FIELD: &str = "version";

#[derive(Clone, Default)]
pub(super) struct Baseline {
    entries: BTreeMap<Arc<str>, KnownEntry>,
    sum: [u8; 32],
    /// The digest as stored, sealed; processes with equal sealed digests have the same map.
    pub(super) sealed_digest: Vec<u8>,
}

#[derive(Clone, Copy)]
struct KnownEntry {
    hash: [u8; 32],
    /// The entry is sealed with the previous key, so it is written again as if it had changed.
    uses_previous_key: bool,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MapDigest {
    pub(super) version: u64,
    entries: usize,
    sum: [u8; 32],
}

/// The writes that turn one map into another.
pub(super) struct Delta<'a> {
    pub(super) changed: Vec<(&'a str, &'a [u8])>,
    pub(super) removed: Vec<&'a str>,
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
        let entry = KnownEntry { hash: hash_entry(field, plain), uses_previous_key };
        self.toggle_hash(&entry.hash);
        if let Some(previous) = self.entries.insert(field.into(), entry) {
            self.toggle_hash(&previous.hash);
        }
    }

    pub(super) fn remove(&mut self, field: &str) {
        if let Some(previous) = self.entries.remove(field) {
            self.toggle_hash(&previous.hash);
        }
    }

    /// XORs an entry's hash into the sum or out of it, so that the order of entries does not
    /// matter.
    fn toggle_hash(&mut self, hash: &[u8; 32]) {
        self.sum.iter_mut().zip(hash).for_each(|(sum, byte)| *sum ^= byte);
    }

    pub(super) fn digest(&self, version: u64) -> MapDigest {
        MapDigest { version, entries: self.entries.len(), sum: self.sum }
    }

    pub(super) fn delta<'a>(&'a self, entries: &'a Entries) -> Delta<'a> {
        let is_changed = |field: &str, plain: &[u8]| {
            let known = self.entries.get(field);
            known.is_none_or(|known| {
                known.uses_previous_key || known.hash != hash_entry(field, plain)
            })
        };
        let all = entries.iter().map(|(field, plain)| (field.as_str(), plain.as_slice()));
        let changed_entries = all.filter(|(field, plain)| is_changed(field, plain)).collect();
        let removed_fields =
            self.entries.keys().map(|field| &**field).filter(|field| !entries.contains_key(*field));
        Delta { changed: changed_entries, removed: removed_fields.collect() }
    }
}

impl<'a> Delta<'a> {
    pub(super) fn full(entries: &'a Entries) -> Self {
        let all = entries.iter().map(|(field, plain)| (field.as_str(), plain.as_slice()));
        Self { changed: all.collect(), removed: Vec::new() }
    }

    pub(super) fn fields(&self) -> Vec<&'a str> {
        let set = self.changed.iter().map(|(field, _)| *field);
        set.chain(self.removed.iter().copied()).collect()
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

    #[test]
    fn a_delta_contains_only_changed_entries() {
        let baseline = Baseline::from_entries(&entries(&[("a", "1"), ("b", "2"), ("c", "3")]));
        let new_entries = entries(&[("a", "1"), ("b", "9"), ("d", "4")]);
        let delta = baseline.delta(&new_entries);
        assert_eq!(delta.changed, [("b", &b"9"[..]), ("d", b"4")]);
        assert_eq!(delta.removed, ["c"]);
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
        assert_eq!(baseline.delta(&entries(&[("a", "1"), ("b", "2")])).changed, [("a", &b"1"[..])]);
    }
}
