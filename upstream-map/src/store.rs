//! How a map travels from the control plane to every edge.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::watch;

use crate::demand::Demand;
use crate::map::UpstreamMap;

/// Where maps are published and read. Reading never waits: every store keeps the last map
/// it saw in memory.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes `map` the current one; refused unless its version is higher than any before
    /// ([`UpstreamMap::next_version`]), so that a writer that was paused cannot undo a newer one.
    async fn publish(&self, map: UpstreamMap) -> Result<(), StoreError>;

    /// The last map seen; an empty one with version 0 before the first.
    fn current(&self) -> Arc<UpstreamMap>;

    /// Told the version of each new map.
    fn changes(&self) -> watch::Receiver<u64>;

    /// What edges tell the control plane.
    fn demand(&self) -> &Demand;
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    #[error("version {offered} is not newer than {current}, which is already published")]
    Outdated { offered: u64, current: u64 },
}

/// Writer and readers in one process.
pub struct MemoryStore {
    current: ArcSwap<UpstreamMap>,
    changes: watch::Sender<u64>,
    demand: Demand,
}

impl MemoryStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(UpstreamMap::default()),
            changes: watch::Sender::new(0),
            demand: Demand::default(),
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
