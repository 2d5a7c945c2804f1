//! [`FaultyStore`]: a store that can be made to fail.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use pitwall_upstream_map::store::{CurrentMap, SpliceDecision, SpliceProposal};
use pitwall_upstream_map::{MapReach, StoreError, UpstreamMap};

use super::*;

pub(super) struct FaultyStore {
    store: Arc<MemoryStore>,
    is_gone: AtomicBool,
    is_hanging: AtomicBool,
    has_own_edge_alone: AtomicBool,
}

impl FaultyStore {
    pub(super) fn of(store: Arc<MemoryStore>) -> Self {
        Self {
            store,
            is_gone: AtomicBool::new(false),
            is_hanging: AtomicBool::new(false),
            has_own_edge_alone: AtomicBool::new(false),
        }
    }

    pub(super) fn go_down(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
    }

    /// From now on nothing is answered, and nothing refused.
    pub(super) fn hang(&self) {
        self.is_hanging.store(true, Ordering::SeqCst);
    }

    /// From now on maps reach the edge of this process alone, without a lease.
    pub(super) fn lead_own_edge_alone(&self) {
        self.has_own_edge_alone.store(true, Ordering::SeqCst);
    }

    pub(super) fn come_back(&self) {
        self.is_gone.store(false, Ordering::SeqCst);
        self.is_hanging.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn publish(&self, map: UpstreamMap) -> Result<MapReach, StoreError> {
        while self.is_hanging.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        match self.is_gone.load(Ordering::SeqCst) {
            true => Err(StoreError::Unreachable("it is gone".to_owned())),
            false => {
                let reach = self.store.publish(map).await?;
                Ok(if self.holds_lease() { reach } else { MapReach::OwnEdge })
            }
        }
    }

    async fn publish_within(
        &self,
        map: UpstreamMap,
        limit: Duration,
    ) -> Result<MapReach, StoreError> {
        let published = tokio::time::timeout(limit, self.publish(map)).await;
        published.unwrap_or_else(|_| Err(StoreError::Unreachable("it hangs".to_owned())))
    }

    fn holds_lease(&self) -> bool {
        !self.has_own_edge_alone.load(Ordering::SeqCst)
    }

    fn current_map(&self) -> &CurrentMap {
        self.store.current_map()
    }

    async fn propose_splice(&self, proposal: &SpliceProposal) -> SpliceDecision {
        self.store.propose_splice(proposal).await
    }
}
