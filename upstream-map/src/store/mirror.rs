//! [`Mirror`]: what is known to be stored, so that only what changed travels. Pure.
//!
//! The head is one more entry: the version, and a sum over all others. It makes the entries one
//! map: a reader takes them only together, as they were published.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entries::Entries;

pub(super) const HEAD: &str = "head";
/// In clear, for the script that compares it.
pub(super) const VERSION: &str = "version";

#[derive(Clone, Default)]
pub(super) struct Mirror {
    entries: BTreeMap<Arc<str>, Known>,
    sum: [u8; 32],
    /// As it is stored, sealed: who has the same has the same map.
    pub(super) head: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Known {
    hash: [u8; 32],
    /// Sealed with a key that is going: it is written again as if it had changed.
    previous_key: bool,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) version: u64,
    entries: usize,
    sum: [u8; 32],
}

/// What has to be written to turn one map into another.
pub(super) struct Delta<'a> {
    pub(super) set: Vec<(&'a str, &'a [u8])>,
    pub(super) gone: Vec<&'a str>,
}

impl Mirror {
    pub(super) fn of(entries: &Entries) -> Self {
        let mut mirror = Self::default();
        for (field, plain) in entries {
            mirror.set(field, plain, false);
        }
        mirror
    }

    pub(super) fn set(&mut self, field: &str, plain: &[u8], previous_key: bool) {
        let known = Known { hash: hash(field, plain), previous_key };
        self.toggle(&known.hash);
        if let Some(before) = self.entries.insert(field.into(), known) {
            self.toggle(&before.hash);
        }
    }

    pub(super) fn remove(&mut self, field: &str) {
        if let Some(before) = self.entries.remove(field) {
            self.toggle(&before.hash);
        }
    }

    /// In or out: the order in which entries come and go does not matter.
    fn toggle(&mut self, hash: &[u8; 32]) {
        self.sum.iter_mut().zip(hash).for_each(|(sum, byte)| *sum ^= byte);
    }

    pub(super) fn head(&self, version: u64) -> Head {
        Head { version, entries: self.entries.len(), sum: self.sum }
    }

    pub(super) fn delta<'a>(&'a self, entries: &'a Entries) -> Delta<'a> {
        let changed = |field: &str, plain: &[u8]| {
            let known = self.entries.get(field);
            known.is_none_or(|known| known.previous_key || known.hash != hash(field, plain))
        };
        let all = entries.iter().map(|(field, plain)| (field.as_str(), plain.as_slice()));
        let set = all.filter(|(field, plain)| changed(field, plain)).collect();
        let gone =
            self.entries.keys().map(|field| &**field).filter(|field| !entries.contains_key(*field));
        Delta { set, gone: gone.collect() }
    }
}

impl<'a> Delta<'a> {
    pub(super) fn whole(entries: &'a Entries) -> Self {
        let all = entries.iter().map(|(field, plain)| (field.as_str(), plain.as_slice()));
        Self { set: all.collect(), gone: Vec::new() }
    }

    pub(super) fn fields(&self) -> Vec<&'a str> {
        let set = self.set.iter().map(|(field, _)| *field);
        set.chain(self.gone.iter().copied()).collect()
    }
}

fn hash(field: &str, plain: &[u8]) -> [u8; 32] {
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
    fn only_what_changed_travels() {
        let before = Mirror::of(&entries(&[("a", "1"), ("b", "2"), ("c", "3")]));
        let after = entries(&[("a", "1"), ("b", "9"), ("d", "4")]);
        let delta = before.delta(&after);
        assert_eq!(delta.set, [("b", &b"9"[..]), ("d", b"4")]);
        assert_eq!(delta.gone, ["c"]);
    }

    #[test]
    fn heads_are_equal_when_all_entries_are() {
        let mut mirror = Mirror::of(&entries(&[("a", "1"), ("b", "2")]));
        mirror.set("b", b"3", false);
        mirror.set("c", b"4", false);
        mirror.remove("a");
        let same = Mirror::of(&entries(&[("c", "4"), ("b", "3")]));
        assert!(mirror.head(7) == same.head(7));
        assert!(mirror.head(7) != same.head(8));
        let swapped = Mirror::of(&entries(&[("b", "4"), ("c", "3")]));
        assert!(mirror.head(7) != swapped.head(7), "values belong to fields");
    }

    #[test]
    fn what_an_old_key_sealed_is_written_again() {
        let mut mirror = Mirror::default();
        mirror.set("a", b"1", true);
        mirror.set("b", b"2", false);
        assert_eq!(mirror.delta(&entries(&[("a", "1"), ("b", "2")])).set, [("a", &b"1"[..])]);
    }
}
