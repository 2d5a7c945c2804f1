//! A store that can be made to fail.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use pitwall_upstream_map::store::{Agreed, Held, Word};
use pitwall_upstream_map::{StoreError, UpstreamMap};

use super::*;

pub(super) struct Faulty {
    store: Arc<MemoryStore>,
    is_gone: AtomicBool,
}

impl Faulty {
    pub(super) fn of(store: Arc<MemoryStore>) -> Self {
        Self { store, is_gone: AtomicBool::new(false) }
    }

    pub(super) fn goes(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
    }

    pub(super) fn comes_back(&self) {
        self.is_gone.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for Faulty {
    async fn publish(&self, map: UpstreamMap) -> Result<(), StoreError> {
        match self.is_gone.load(Ordering::SeqCst) {
            true => Err(StoreError::Unreachable("it is gone".to_owned())),
            false => self.store.publish(map).await,
        }
    }

    fn held(&self) -> &Held {
        self.store.held()
    }

    async fn agree(&self, word: &Word) -> Agreed {
        self.store.agree(word).await
    }
}
