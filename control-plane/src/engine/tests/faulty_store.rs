//! [`FaultyStore`]: a store that can be made to fail.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use pitwall_upstream_map::store::{CurrentMap, SpliceDecision, SpliceProposal};
use pitwall_upstream_map::{StoreError, UpstreamMap};

use super::*;

pub(super) struct FaultyStore {
    store: Arc<MemoryStore>,
    is_gone: AtomicBool,
    is_hanging: AtomicBool,
}

impl FaultyStore {
    pub(super) fn of(store: Arc<MemoryStore>) -> Self {
        Self { store, is_gone: AtomicBool::new(false), is_hanging: AtomicBool::new(false) }
    }

    pub(super) fn go_down(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
    }

    /// From now on nothing is answered, and nothing refused.
    pub(super) fn hang(&self) {
        self.is_hanging.store(true, Ordering::SeqCst);
    }

    pub(super) fn come_back(&self) {
        self.is_gone.store(false, Ordering::SeqCst);
        self.is_hanging.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn publish(&self, map: UpstreamMap) -> Result<(), StoreError> {
        while self.is_hanging.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        match self.is_gone.load(Ordering::SeqCst) {
            true => Err(StoreError::Unreachable("it is gone".to_owned())),
            false => self.store.publish(map).await,
        }
    }

    async fn publish_within(&self, map: UpstreamMap, limit: Duration) -> Result<(), StoreError> {
        let published = tokio::time::timeout(limit, self.publish(map)).await;
        published.unwrap_or_else(|_| Err(StoreError::Unreachable("it hangs".to_owned())))
    }

    fn current_map(&self) -> &CurrentMap {
        self.store.current_map()
    }

    async fn propose_splice(&self, proposal: &SpliceProposal) -> SpliceDecision {
        self.store.propose_splice(proposal).await
    }
}
