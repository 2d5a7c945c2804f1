//! Which objects are on disk, from the oldest to the newest, and how much they take.

use std::collections::{BTreeMap, HashMap};

use super::object_file::FileHeader;
use crate::cache::object_key::ObjectKey;
use crate::cache::purge_scope::PurgeScope;

/// What a file takes of the disk is a multiple of this.
const BLOCK_BYTES: u64 = 4096;

/// The index of a disk tier.
pub(super) struct DiskIndex {
    max_bytes: u64,
    used_bytes: u64,
    entries: HashMap<ObjectKey, IndexEntry>,
    /// By age, oldest first.
    order: BTreeMap<u64, ObjectKey>,
    next: u64,
}

struct IndexEntry {
    age: u64,
    bytes: u64,
    url_key: ObjectKey,
    stream: Option<std::sync::Arc<str>>,
}

impl DiskIndex {
    pub(super) fn new(max_bytes: u64) -> Self {
        let (entries, order) = (HashMap::new(), BTreeMap::new());
        Self { max_bytes, used_bytes: 0, entries, order, next: 0 }
    }

    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// Records a file of `length` bytes as the newest.
    pub(super) fn insert(&mut self, key: ObjectKey, length: u64, header: &FileHeader) {
        self.remove(&key);
        let (age, bytes) = (self.next, disk_bytes(length));
        self.next += 1;
        self.used_bytes += bytes;
        self.order.insert(age, key);
        let (url_key, stream) = (header.url_key(), header.stream.as_deref().map(Into::into));
        self.entries.insert(key, IndexEntry { age, bytes, url_key, stream });
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.age);
            self.used_bytes -= entry.bytes;
        }
    }

    /// Takes the oldest objects out of the index until there is room for a file of `length` bytes,
    /// and returns them. `None` if it is larger than all the room.
    pub(super) fn make_room(&mut self, length: u64) -> Option<Vec<ObjectKey>> {
        let room = self.max_bytes.checked_sub(disk_bytes(length))?;
        let mut removed = Vec::new();
        while self.used_bytes > room
            && let Some((_, key)) = self.order.pop_first()
        {
            self.remove(&key);
            removed.push(key);
        }
        Some(removed)
    }

    pub(super) fn remove_matching(&mut self, scope: &PurgeScope) -> Vec<ObjectKey> {
        let matches = |entry: &IndexEntry| scope.matches(&entry.url_key, entry.stream.as_ref());
        let matching = self.entries.iter().filter(|(_, entry)| matches(entry));
        let keys: Vec<ObjectKey> = matching.map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| self.remove(key));
        keys
    }
}

fn disk_bytes(length: u64) -> u64 {
    length.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}
