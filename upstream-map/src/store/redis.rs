//! [`RedisStore`]: many processes on many machines, all of which serve reads from memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use prometheus::Registry;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::time::Instant;

use super::baseline::Baseline;
use super::disk_snapshot::DiskSnapshot;
use super::entry_cipher::{EntryCipher, StoreSecrets};
use super::metrics::StoreMetrics;
use super::own_edge::MapOrigin;
use super::redis_address::RedisAddress;
use super::redis_connector::RedisConnector;
use super::redis_scripts::RedisKeys;
use super::registry_client::RegistryClient;
use super::registry_file::RegistryFile;
use super::{
    CurrentMap, Leadership, MapReach, PeerNextNumber, SpliceDecision, SpliceProposal,
    SpliceRegistry, Store, StoreError,
};
use crate::map::UpstreamMap;
use crate::state_directory::StateDirectory;

/// Configuration of a [`RedisStore`].
pub struct RedisConfig {
    pub address: RedisAddress,
    /// Prefix of all keys; installations with different prefixes share nothing.
    pub prefix: String,
    pub keys: StoreSecrets,
    /// Configuration key and path of the key file, for log messages.
    pub key_file: String,
    /// Directory of the disk snapshots.
    pub state_dir: StateDirectory,
    /// Lease duration: how long a leader stays leader without renewing.
    pub lease_duration: Duration,
    /// Interval of checks for a missed change notice.
    pub check_interval: Duration,
    /// Whether an edge runs in the process of this control plane, which it leads on while Redis
    /// cannot be reached.
    pub has_own_edge: bool,
}

impl RedisConfig {
    pub const LEASE_DURATION: Duration = Duration::from_secs(9);
    pub const CHECK_INTERVAL: Duration = Duration::from_secs(2);
}

/// A store over Redis. Edges [`run_sync`](Self::run_sync); control planes also
/// [`run_leader_election`](Self::run_leader_election).
pub struct RedisStore {
    pub(super) current_map: CurrentMap,
    /// The leader while this process is not.
    pub(super) leadership: Mutex<Leadership>,
    /// Whether this process leaves the lease to its successor.
    pub(super) yields_leadership: watch::Sender<bool>,
    /// Hashes of the current map's entries as Redis has them; changed together with the map.
    pub(super) baseline: Mutex<Baseline>,
    /// Connection for writing; the lock allows one publication at a time.
    pub(super) writer_connection: tokio::sync::Mutex<Option<MultiplexedConnection>>,
    /// Splice decisions known to this process.
    pub(super) splice_registry: SpliceRegistry,
    pub(super) registry_file: Arc<RegistryFile>,
    pub(super) registry_client: RegistryClient,
    pub(super) cipher: EntryCipher,
    pub(super) key_file: String,
    /// A record sealed with an unknown key was seen; the warning is logged once.
    pub(super) has_seen_foreign_key: AtomicBool,
    pub(super) connector: RedisConnector,
    pub(super) keys: RedisKeys,
    pub(super) disk_snapshot: DiskSnapshot,
    pub(super) metrics: StoreMetrics,
    /// Random id, unique to this process.
    pub(super) process_id: String,
    pub(super) lease_duration: Duration,
    pub(super) check_interval: Duration,
    pub(super) has_own_edge: bool,
    /// Changed only while `baseline` is locked, or by the leader election.
    pub(super) map_origin: Mutex<MapOrigin>,
    /// Until when the lease holds that this process has, or had.
    pub(super) lease_end: Mutex<Option<Instant>>,
}

impl RedisStore {
    /// Creates the store with the last good map from disk, without connecting.
    ///
    /// # Errors
    /// If a metric is already registered in `registry`.
    pub fn new(config: RedisConfig, registry: &Registry) -> prometheus::Result<Arc<Self>> {
        let metrics = StoreMetrics::register(registry)?;
        let cipher = EntryCipher::new(&config.keys);
        let disk_snapshot = DiskSnapshot::new(config.state_dir.clone());
        let (saved_map, mut load_errors) = disk_snapshot.load_map(&cipher);
        let (registry_file, splice_registry, registry_errors) =
            RegistryFile::open(config.state_dir, cipher.clone());
        load_errors.extend(registry_errors);
        for (path, error) in load_errors {
            metrics.rejected.with_label_values(&["disk"]).inc();
            tracing::warn!(path = %path.display(), %error, "the state file cannot be read and is ignored");
        }
        let map = saved_map.unwrap_or_default();
        if map.version > 0 {
            tracing::info!(
                version = map.version,
                streams = map.streams.len(),
                "the last map was loaded from disk"
            );
        }
        Ok(Arc::new(Self {
            current_map: CurrentMap::new(map, None),
            leadership: Mutex::new(Leadership::Unknown),
            yields_leadership: watch::Sender::new(false),
            baseline: Mutex::default(),
            writer_connection: tokio::sync::Mutex::default(),
            splice_registry,
            registry_file: Arc::new(registry_file),
            registry_client: RegistryClient::default(),
            cipher,
            key_file: config.key_file,
            has_seen_foreign_key: AtomicBool::new(false),
            connector: RedisConnector::new(config.address),
            keys: RedisKeys::new(&config.prefix),
            disk_snapshot,
            metrics,
            process_id: format!("{:032x}", rand::random::<u128>()),
            lease_duration: config.lease_duration,
            check_interval: config.check_interval,
            has_own_edge: config.has_own_edge,
            map_origin: Mutex::new(MapOrigin::Store),
            lease_end: Mutex::new(None),
        }))
    }

    pub(super) fn lock_baseline(&self) -> MutexGuard<'_, Baseline> {
        self.baseline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current map and its baseline, consistent with each other.
    pub(super) fn map_and_baseline(&self) -> (Arc<UpstreamMap>, Baseline) {
        let baseline = self.lock_baseline();
        (self.current_map.map(), baseline.clone())
    }

    /// Installs a map that Redis has. Returns the current version as an error if the map is older:
    /// a promoted replica may be behind, and the leader then writes everything again. A map that was
    /// made here while another control plane led is replaced whatever its version.
    pub(super) fn install_map(&self, map: UpstreamMap, baseline: Baseline) -> Result<(), u64> {
        let mut current_baseline = self.lock_baseline();
        let is_superseded = self.map_origin() == MapOrigin::Superseded;
        self.current_map.replace_map(map, if is_superseded { |_, _| true } else { u64::ge })?;
        if is_superseded {
            self.set_map_origin(MapOrigin::Store);
        }
        *current_baseline = baseline;
        drop(current_baseline);
        self.mark_synced();
        Ok(())
    }

    /// Counts a record of another process that is sealed with a key that this process does not
    /// have, and warns once. If keys are rotated in the wrong order, one edge rejects the links of
    /// another.
    pub(super) fn warn_of_foreign_seal_key(&self, what: &str) {
        self.metrics.rejected.with_label_values(&["damaged"]).inc();
        if !self.has_seen_foreign_key.swap(true, Ordering::Relaxed) {
            let Self { key_file, .. } = self;
            tracing::warn!(
                "{what} sealed with another key than {key_file}: links of one process are refused \
                 by another. Give all of them the same keys; to rotate, [old, new] everywhere \
                 first, then [new, old] everywhere, then [new]"
            );
        }
    }

    /// Records that the current map is the stored one.
    pub(super) fn mark_synced(&self) {
        self.current_map.set_unreadable_reason(None);
        #[expect(clippy::cast_precision_loss, reason = "a metric")]
        self.metrics.last_sync.set(Timestamp::now().as_millisecond() as f64 / 1000.0);
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn publish(&self, map: UpstreamMap) -> Result<MapReach, StoreError> {
        self.publish_map(map).await
    }

    async fn publish_within(
        &self,
        map: UpstreamMap,
        limit: Duration,
    ) -> Result<MapReach, StoreError> {
        self.publish_switch(map, limit).await
    }

    fn holds_lease(&self) -> bool {
        self.is_lease_running()
    }

    fn leads_own_edge_only(&self) -> bool {
        self.map_origin() == MapOrigin::OwnEdge
    }

    fn current_map(&self) -> &CurrentMap {
        &self.current_map
    }

    async fn propose_splice(&self, proposal: &SpliceProposal) -> SpliceDecision {
        self.decide_splice(proposal).await
    }

    fn find_peer_next_number(&self, stream: &str, rendition: &str) -> Option<PeerNextNumber> {
        self.registry_client.peer_numbers.get(stream, rendition)
    }

    async fn yield_leadership(&self) {
        self.yields_leadership.send_replace(true);
        let mut fence = self.current_map.fence.subscribe();
        // Waiting fails only when the sender is dropped, and `self` holds it.
        let _ = fence.wait_for(Option::is_none).await;
        self.current_map.wait_until_leader_rests().await;
    }

    fn resume_leadership(&self) {
        self.yields_leadership.send_replace(false);
    }

    async fn save_state(&self) {
        self.registry_file.write_all(&self.splice_registry).await;
        self.disk_snapshot.save_map_or_warn(self.current_map.map(), &self.cipher).await;
    }

    fn leadership(&self) -> Leadership {
        match *self.current_map.fence.borrow() {
            Some(_) => Leadership::Leader,
            None => self.leadership.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
