//! [`MemoryStore`]: writer and readers in one process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::disk_snapshot::{self, DiskSnapshot};
use super::entry_cipher::EntryCipher;
use super::registry_file::RegistryFile;
use super::{
    CurrentMap, MapReach, ONLY_LEADER, SpliceDecision, SpliceProposal, SpliceRegistry, Store,
    StoreError, StoreSecrets,
};
use crate::map::UpstreamMap;
use crate::state_directory::StateDirectory;

/// A store in memory, optionally with a copy on disk.
pub struct MemoryStore {
    current_map: CurrentMap,
    splice_registry: SpliceRegistry,
    persistence: Option<Persistence>,
}

/// State that outlives the process: the last map, so that known streams play again at once, and the
/// splice registry, so that players find the numbers they know.
struct Persistence {
    disk_snapshot: DiskSnapshot,
    cipher: EntryCipher,
    registry_file: Arc<RegistryFile>,
}

/// Minimum interval between saved maps. Maps change often, but a start only needs the active
/// upstreams, which rarely change.
const SNAPSHOT_SAVE_INTERVAL: Duration = Duration::from_secs(2);

impl MemoryStore {
    /// A store without a copy on disk.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::from_parts(UpstreamMap::default(), SpliceRegistry::default(), None))
    }

    /// A store that continues from the state of the last process. Sources for which `is_source` is
    /// false are dropped from the map.
    pub fn with_state_dir(
        state_dir: impl Into<StateDirectory>,
        keys: &StoreSecrets,
        is_source: impl Fn(&str) -> bool,
    ) -> Arc<Self> {
        let state_dir = state_dir.into();
        let (disk_snapshot, cipher) =
            (DiskSnapshot::new(state_dir.clone()), EntryCipher::new(keys));
        let (map, mut load_errors) = disk_snapshot.load_map(&cipher);
        let (registry_file, splice_registry, registry_errors) =
            RegistryFile::open(state_dir, cipher.clone());
        load_errors.extend(registry_errors);
        for (path, error) in load_errors {
            tracing::warn!(path = %path.display(), %error, "the state file cannot be read and is ignored");
        }
        let mut map = map.unwrap_or_default();
        map.retain_sources(is_source);
        if map.version > 0 {
            tracing::info!(
                version = map.version,
                streams = map.streams.len(),
                "the last map was loaded from disk"
            );
        }
        let persistence =
            Persistence { disk_snapshot, cipher, registry_file: Arc::new(registry_file) };
        Arc::new(Self::from_parts(map, splice_registry, Some(persistence)))
    }

    fn from_parts(
        map: UpstreamMap,
        splice_registry: SpliceRegistry,
        persistence: Option<Persistence>,
    ) -> Self {
        Self { current_map: CurrentMap::new(map, ONLY_LEADER), splice_registry, persistence }
    }

    /// Writes state to disk until `stop` completes.
    pub async fn run_persistence(self: Arc<Self>, stop: impl Future<Output = ()> + Send) {
        let Some(persistence) = &self.persistence else { return stop.await };
        let save_registry = async {
            loop {
                persistence.registry_file.wait_for_write_request().await;
                persistence.registry_file.write(&self.splice_registry).await;
            }
        };
        let mut changes = self.subscribe_versions();
        let save_maps = async {
            while changes.changed().await.is_ok() {
                let began_at = Instant::now();
                persistence.disk_snapshot.save_map_or_warn(self.map(), &persistence.cipher).await;
                sleep(disk_snapshot::pause_after_save(SNAPSHOT_SAVE_INTERVAL, began_at.elapsed()))
                    .await;
            }
        };
        tokio::select! {
            _ = async {
                tokio::join!(save_registry, save_maps, persistence.registry_file.run_journal())
            } => {}
            () = stop => {}
        }
        persistence.registry_file.write(&self.splice_registry).await;
        persistence.disk_snapshot.save_map_or_warn(self.map(), &persistence.cipher).await;
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn publish(&self, map: UpstreamMap) -> Result<MapReach, StoreError> {
        let offered = map.version;
        let published = self.current_map.replace_map(map, u64::gt);
        published.map_err(|current| StoreError::Outdated { offered, current })?;
        Ok(MapReach::AllEdges)
    }

    fn current_map(&self) -> &CurrentMap {
        &self.current_map
    }

    async fn save_state(&self) {
        let Some(persistence) = &self.persistence else { return };
        persistence.registry_file.write_all(&self.splice_registry).await;
        persistence.disk_snapshot.save_map_or_warn(self.map(), &persistence.cipher).await;
    }

    async fn propose_splice(&self, proposal: &SpliceProposal) -> SpliceDecision {
        let decision = self.splice_registry.propose(proposal);
        if let Some(persistence) = &self.persistence {
            persistence
                .registry_file
                .ensure_reserved(&proposal.stream, decision.next_number, proposal.start.is_some())
                .await;
            persistence
                .registry_file
                .record_number(&proposal.stream, &proposal.rendition, decision.next_number)
                .await;
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(version: u64) -> UpstreamMap {
        UpstreamMap { version, ..UpstreamMap::default() }
    }

    fn keys() -> StoreSecrets {
        StoreSecrets { current: [1; 32], previous: None }
    }

    /// A killed process writes nothing at its end, so the file must hold whatever a proposal's
    /// reply promised.
    #[tokio::test]
    async fn splice_decisions_outlive_a_killed_process() {
        use crate::store::splice_registry::tests::{check, query};
        let state = tempfile::tempdir().unwrap();
        let store = || MemoryStore::with_state_dir(state.path().to_owned(), &keys(), |_| true);
        let first = store();
        let persistence_task = tokio::spawn(first.clone().run_persistence(std::future::pending()));
        let start = Some(crate::store::RenditionStart { published: 107, record: b"a".to_vec() });
        first
            .propose_splice(&SpliceProposal {
                switch_record: b"a".to_vec(),
                start,
                ..query("v", 3)
            })
            .await;
        for next in 108..500 {
            first
                .propose_splice(&SpliceProposal {
                    switch_record: b"a".to_vec(),
                    next_number: next,
                    ..query("v", 3)
                })
                .await;
        }
        persistence_task.abort();
        let restarted = store();
        let decision = restarted.propose_splice(&query("v", 0)).await;
        check("the same splice goes on, from where it was", &decision, (3, "a", "a", 499));
        let next_decision = restarted
            .propose_splice(&SpliceProposal { switch_record: b"b".to_vec(), ..query("v", 4) })
            .await;
        assert!(
            next_decision.first_free_number() >= 499,
            "another one begins above: {}",
            next_decision.first_free_number()
        );
        // The records cannot be read, and the numbers can.
        for file in ["splices", "splices.previous"] {
            std::fs::write(state.path().join(file), "damaged").unwrap();
        }
        let begins = SpliceProposal {
            switch_record: b"c".to_vec(),
            start: Some(crate::store::RenditionStart { published: 0, record: b"c".to_vec() }),
            ..query("v", 1)
        };
        check("nothing begins below", &store().propose_splice(&begins).await, (1, "c", "", 499));
    }

    #[tokio::test]
    async fn a_successor_begins_with_what_was_released_and_nothing_is_written_beside_it() {
        use crate::store::splice_registry::tests::{check, query};
        use crate::store::tests::sample_map;
        let state = tempfile::tempdir().unwrap();
        let directory = StateDirectory::from(state.path().to_owned());
        let first = MemoryStore::with_state_dir(directory.clone(), &keys(), |_| true);
        let persistence_task = tokio::spawn(first.clone().run_persistence(std::future::pending()));
        let publish_number = async |next_number| {
            let switch_record = b"a".to_vec();
            let proposal = SpliceProposal { switch_record, next_number, ..query("v", 3) };
            first.propose_splice(&proposal).await
        };
        let start = Some(crate::store::RenditionStart { published: 7, record: b"a".to_vec() });
        let beginning = SpliceProposal { switch_record: b"a".to_vec(), start, ..query("v", 3) };
        first.propose_splice(&beginning).await;
        let check_successor = async |what: &str, version, next_number| {
            let store = MemoryStore::with_state_dir(state.path().to_owned(), &keys(), |_| true);
            assert_eq!(store.map().version, version, "{what}");
            check(what, &store.propose_splice(&query("v", 0)).await, (3, "a", "a", next_number));
        };
        first.publish(sample_map(7, &["World feed"])).await.unwrap();
        publish_number(8).await;
        first.yield_leadership().await;
        assert_eq!(*first.subscribe_fence().borrow(), None);
        first.save_state().await;
        directory.release();
        check_successor("all is there", 7, 8).await;
        first.publish(sample_map(8, &["World feed"])).await.unwrap();
        publish_number(20).await;
        first.save_state().await;
        check_successor("of the old process nothing is written", 7, 8).await;
        directory.reclaim();
        first.save_state().await;
        first.resume_leadership();
        assert_eq!(*first.subscribe_fence().borrow(), ONLY_LEADER);
        check_successor("the successor failed: all is written", 8, 20).await;
        persistence_task.abort();
    }

    #[tokio::test]
    async fn the_last_map_outlives_the_process_without_removed_sources() {
        use crate::store::tests::sample_map;
        let state = tempfile::tempdir().unwrap();
        let store = |is_source: fn(&str) -> bool| {
            MemoryStore::with_state_dir(state.path().to_owned(), &keys(), is_source)
        };
        let first = store(|_| true);
        assert_eq!(first.map().version, 0);
        first.publish(sample_map(7, &["World feed"])).await.unwrap();
        first.run_persistence(std::future::ready(())).await;
        for (is_source, version, streams) in
            [((|_| true) as fn(&str) -> bool, 7, 1), (|_| false, 7, 0)]
        {
            let map = store(is_source).map();
            assert_eq!((map.version, map.streams.len()), (version, streams));
        }
    }

    #[tokio::test]
    async fn publishing_notifies_readers_and_rejects_older_versions() {
        let store = MemoryStore::new();
        let mut changes = store.subscribe_versions();
        assert_eq!(store.map().version, 0);
        store.publish(map(7)).await.unwrap();
        assert_eq!(*changes.borrow_and_update(), 7);
        for outdated in [7, 6] {
            let error = store.publish(map(outdated)).await.unwrap_err();
            assert!(matches!(error, StoreError::Outdated { current: 7, .. }), "{error}");
        }
        assert!(!changes.has_changed().unwrap());
        assert_eq!(store.map().version, 7);
    }
}
