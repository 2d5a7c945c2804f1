//! [`FaultyStore`]: a store that can be made to fail.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use pitwall_upstream_map::store::{CurrentMap, SpliceDecision, SpliceProposal};
use pitwall_upstream_map::{StoreError, UpstreamMap};

use super::*;

pub(super) struct FaultyStore {
    store: Arc<MemoryStore>,
    is_gone: AtomicBool,
}

impl FaultyStore {
    pub(super) fn of(store: Arc<MemoryStore>) -> Self {
        Self { store, is_gone: AtomicBool::new(false) }
    }

    pub(super) fn go_down(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
    }

    pub(super) fn come_back(&self) {
        self.is_gone.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn publish(&self, map: UpstreamMap) -> Result<(), StoreError> {
        match self.is_gone.load(Ordering::SeqCst) {
            true => Err(StoreError::Unreachable("it is gone".to_owned())),
            false => self.store.publish(map).await,
        }
    }

    fn current_map(&self) -> &CurrentMap {
        self.store.current_map()
    }

    async fn propose_splice(&self, proposal: &SpliceProposal) -> SpliceDecision {
        self.store.propose_splice(proposal).await
    }
}
