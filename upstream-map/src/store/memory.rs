//! [`MemoryStore`]: writer and readers in one process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::disk::Disk;
use super::ledger_file::LedgerFile;
use super::vault::Vault;
use super::{Agreed, Held, Ledger, Store, StoreError, StoreKeys, Word};
use crate::map::UpstreamMap;

pub struct MemoryStore {
    held: Held,
    ledger: Ledger,
    kept: Option<Kept>,
}

/// What outlives the process: the last map, so that streams that were known are played again at
/// once, and what was agreed on, so that players find their numbers again.
struct Kept {
    disk: Disk,
    vault: Vault,
    ledger_file: Arc<LedgerFile>,
}

/// Maps come often; of the last one a start needs who played, which changes seldom.
const SAVE_EVERY: Duration = Duration::from_secs(2);

impl MemoryStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::with(UpstreamMap::default(), Ledger::default(), None))
    }

    /// One that goes on where the last process was. `is_source`: which sources there still are; of
    /// others nothing is taken over.
    pub fn kept_in(
        state_dir: PathBuf,
        keys: &StoreKeys,
        is_source: impl Fn(&str) -> bool,
    ) -> Arc<Self> {
        let (disk, vault) = (Disk::new(state_dir.clone()), Vault::new(keys));
        let (map, mut wrong) = disk.load(&vault);
        let (ledger_file, ledger, damaged) = LedgerFile::open(state_dir, vault.clone());
        wrong.extend(damaged);
        for (path, error) in wrong {
            tracing::warn!(path = %path.display(), %error, "what is on disk is ignored");
        }
        let mut map = map.unwrap_or_default();
        map.retain_sources(is_source);
        if map.version > 0 {
            tracing::info!(version = map.version, streams = map.streams.len(), "map from disk");
        }
        let kept = Kept { disk, vault, ledger_file: Arc::new(ledger_file) };
        Arc::new(Self::with(map, ledger, Some(kept)))
    }

    fn with(map: UpstreamMap, ledger: Ledger, kept: Option<Kept>) -> Self {
        // There is nobody else to lead.
        Self { held: Held::new(map, Some(0)), ledger, kept }
    }

    /// Keeps what has to be kept, until `stop` completes.
    pub async fn keep(self: Arc<Self>, stop: impl Future<Output = ()> + Send) {
        let Some(kept) = &self.kept else { return stop.await };
        let splices = async {
            loop {
                kept.ledger_file.wanted().await;
                kept.ledger_file.write(&self.ledger).await;
            }
        };
        let mut changes = self.changes();
        let maps = async {
            while changes.changed().await.is_ok() {
                kept.disk.keep_map(self.current(), &kept.vault).await;
                sleep(SAVE_EVERY).await;
            }
        };
        tokio::select! {
            ((), ()) = async { tokio::join!(splices, maps) } => {}
            () = stop => {}
        }
        kept.ledger_file.write(&self.ledger).await;
        kept.disk.keep_map(self.current(), &kept.vault).await;
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
        if let Some(kept) = &self.kept {
            kept.ledger_file.cover(&word.stream, agreed.next, word.part.is_some()).await;
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

    fn keys() -> StoreKeys {
        StoreKeys { current: [1; 32], previous: None }
    }

    /// Whoever is killed says nothing: there is what was on disk when it was answered.
    #[tokio::test]
    async fn what_was_agreed_on_outlives_a_process_that_is_killed() {
        use crate::store::ledger::tests::{check, word};
        let state = tempfile::tempdir().unwrap();
        let store = || MemoryStore::kept_in(state.path().to_owned(), &keys(), |_| true);
        let first = store();
        let keeping = tokio::spawn(first.clone().keep(std::future::pending()));
        let part = Some(crate::store::Part { published: 107, record: b"a".to_vec() });
        first.agree(&Word { change: b"a".to_vec(), part, ..word("v", 3) }).await;
        for next in 108..500 {
            first.agree(&Word { change: b"a".to_vec(), next, ..word("v", 3) }).await;
        }
        keeping.abort();
        let again = store();
        let told = again.agree(&word("v", 0)).await;
        assert!(told.next <= 499, "the same splice goes on: {}", told.next);
        check("again", &told, (3, "a", "a", told.next));
        let other = again.agree(&Word { change: b"b".to_vec(), ..word("v", 4) }).await;
        assert!(other.free() >= 499, "another one begins above: {}", other.free());
    }

    #[tokio::test]
    async fn the_last_map_outlives_the_process_but_for_sources_that_are_gone() {
        use crate::store::tests::sample;
        let state = tempfile::tempdir().unwrap();
        let store = |is_source: fn(&str) -> bool| {
            MemoryStore::kept_in(state.path().to_owned(), &keys(), is_source)
        };
        let first = store(|_| true);
        assert_eq!(first.current().version, 0);
        first.publish(sample(7, &["World feed"])).await.unwrap();
        first.keep(std::future::ready(())).await;
        for (is_source, version, streams) in
            [((|_| true) as fn(&str) -> bool, 7, 1), (|_| false, 7, 0)]
        {
            let map = store(is_source).current();
            assert_eq!((map.version, map.streams.len()), (version, streams));
        }
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
