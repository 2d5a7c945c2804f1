//! [`MemoryStore`]: writer and readers in one process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::disk::Disk;
use super::vault::Vault;
use super::{Agreed, Held, Ledger, Store, StoreError, StoreKeys, Word};
use crate::map::UpstreamMap;

pub struct MemoryStore {
    held: Held,
    ledger: Ledger,
    kept: Option<Kept>,
}

/// What outlives the process: what was agreed on, so that players find their numbers again.
struct Kept {
    disk: Disk,
    vault: Vault,
    changed: Notify,
}

/// Disks are slow.
const SAVE_EVERY: Duration = Duration::from_secs(2);

impl MemoryStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::with(Ledger::default(), None))
    }

    /// One that goes on where the last process was, as far as splices are concerned.
    pub fn kept_in(state_dir: PathBuf, keys: &StoreKeys) -> Arc<Self> {
        let (disk, vault) = (Disk::new(state_dir), Vault::new(keys));
        let (ledger, wrong) = disk.load_splices(&vault);
        for (path, error) in wrong {
            tracing::warn!(path = %path.display(), %error, "what is on disk is ignored");
        }
        Arc::new(Self::with(ledger, Some(Kept { disk, vault, changed: Notify::new() })))
    }

    fn with(ledger: Ledger, kept: Option<Kept>) -> Self {
        // There is nobody else to lead.
        Self { held: Held::new(UpstreamMap::default(), Some(0)), ledger, kept }
    }

    /// Keeps what has to be kept, until `stop` completes.
    pub async fn keep(self: Arc<Self>, stop: impl Future<Output = ()> + Send) {
        let Some(kept) = &self.kept else { return stop.await };
        let saving = async {
            loop {
                kept.changed.notified().await;
                self.save().await;
                tokio::time::sleep(SAVE_EVERY).await;
            }
        };
        tokio::select! {
            () = saving => {}
            () = stop => {}
        }
        self.save().await;
    }

    async fn save(self: &Arc<Self>) {
        let store = self.clone();
        let saved = tokio::task::spawn_blocking(move || match &store.kept {
            Some(kept) => kept.disk.save_splices(&store.ledger, &kept.vault),
            None => Ok(()),
        });
        match saved.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "splices are not kept on disk"),
            Err(error) => tracing::error!(%error, "splices are not kept on disk"),
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn publish(&self, map: UpstreamMap) -> Result<(), StoreError> {
        let offered = map.version;
        let published = self.held.swap(map, u64::gt);
        published.map_err(|current| StoreError::Outdated { offered, current })
    }

    fn held(&self) -> &Held {
        &self.held
    }

    async fn agree(&self, word: &Word) -> Agreed {
        let agreed = self.ledger.agree(word);
        if let Some(kept) = self.kept.as_ref().filter(|_| word.part.is_some()) {
            kept.changed.notify_one();
        }
        agreed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(version: u64) -> UpstreamMap {
        UpstreamMap { version, ..UpstreamMap::default() }
    }

    #[tokio::test]
    async fn what_was_agreed_on_outlives_the_process() {
        use crate::store::ledger::tests::{check, word};
        let state = tempfile::tempdir().unwrap();
        let keys = StoreKeys { current: [1; 32], previous: None };
        let store = || MemoryStore::kept_in(state.path().to_owned(), &keys);
        let first = store();
        let part = Some(crate::store::Part { published: 107, record: b"a".to_vec() });
        first.agree(&Word { change: b"a".to_vec(), part, ..word("v", 3) }).await;
        first.keep(std::future::ready(())).await;
        check("again", &store().agree(&word("v", 0)).await, (3, "a", "a", 107));
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
