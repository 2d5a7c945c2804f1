//! [`MemoryStore`]: writer and readers in one process.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::watch;

use super::{Agreed, Ledger, Store, StoreError, Word};
use crate::demand::Demand;
use crate::map::UpstreamMap;

pub struct MemoryStore {
    current: ArcSwap<UpstreamMap>,
    changes: watch::Sender<u64>,
    /// There is nobody else to lead.
    fence: watch::Sender<Option<u64>>,
    demand: Demand,
    ledger: Ledger,
}

impl MemoryStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(UpstreamMap::default()),
            changes: watch::Sender::new(0),
            fence: watch::Sender::new(Some(0)),
            demand: Demand::default(),
            ledger: Ledger::default(),
        })
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn publish(&self, map: UpstreamMap) -> Result<(), StoreError> {
        let offered = map.version;
        let mut current = 0;
        // Under the sender's lock, so that two publishers cannot pass each other.
        let published = self.changes.send_if_modified(|last| {
            current = *last;
            if offered <= *last {
                return false;
            }
            self.current.store(Arc::new(map));
            *last = offered;
            true
        });
        if published { Ok(()) } else { Err(StoreError::Outdated { offered, current }) }
    }

    fn current(&self) -> Arc<UpstreamMap> {
        self.current.load_full()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn demand(&self) -> &Demand {
        &self.demand
    }

    async fn agree(&self, word: &Word) -> Agreed {
        self.ledger.agree(word)
    }

    fn fence(&self) -> watch::Receiver<Option<u64>> {
        self.fence.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(version: u64) -> UpstreamMap {
        UpstreamMap { version, ..UpstreamMap::default() }
    }

    #[tokio::test]
    async fn publishing_tells_readers_and_refuses_what_is_older() {
        let store = MemoryStore::new();
        let mut changes = store.changes();
        assert_eq!(store.current().version, 0);
        store.publish(map(7)).await.unwrap();
        assert_eq!(*changes.borrow_and_update(), 7);
        for outdated in [7, 6] {
            let refused = store.publish(map(outdated)).await.unwrap_err();
            assert!(matches!(refused, StoreError::Outdated { current: 7, .. }), "{refused}");
        }
        assert!(!changes.has_changed().unwrap());
        assert_eq!(store.current().version, 7);
    }
}
