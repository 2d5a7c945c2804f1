//! [`RedisStore`]: many processes on many machines, all of which serve from memory.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use prometheus::Registry;
use redis::aio::MultiplexedConnection;

use super::address::RedisAddress;
use super::agree::Speaker;
use super::disk::Disk;
use super::ledger_file::LedgerFile;
use super::link::Link;
use super::metrics::Metrics;
use super::mirror::Mirror;
use super::script::Names;
use super::vault::{StoreKeys, Vault};
use super::{Agreed, Held, Leadership, Ledger, Store, StoreError, Word};
use crate::map::UpstreamMap;

pub struct RedisConfig {
    pub address: RedisAddress,
    /// Of all keys: installations with different ones do not meet.
    pub prefix: String,
    pub keys: StoreKeys,
    /// Where the operator finds the file that they are in, for messages: key and path.
    pub key_file: String,
    /// Where the last good map is kept.
    pub state_dir: PathBuf,
    /// For so long a control plane leads without being heard of.
    pub lease: Duration,
    /// A lost notice is found within this.
    pub check_every: Duration,
}

impl RedisConfig {
    pub const LEASE: Duration = Duration::from_secs(9);
    pub const CHECK_EVERY: Duration = Duration::from_secs(2);
}

/// Edges [`follow`](Self::follow) it; control planes also [`lead`](Self::lead), one at a time.
pub struct RedisStore {
    pub(super) held: Held,
    /// Who leads while this process does not.
    pub(super) leader: Mutex<Leadership>,
    /// Of the map that is held, as Redis has it: changed together with it.
    pub(super) mirror: Mutex<Mirror>,
    /// One publication at a time, over one connection.
    pub(super) writer: tokio::sync::Mutex<Option<MultiplexedConnection>>,
    /// What edges have agreed on, as far as this one has heard.
    pub(super) ledger: Ledger,
    pub(super) ledger_file: Arc<LedgerFile>,
    pub(super) speaker: Speaker,
    pub(super) vault: Vault,
    pub(super) key_file: String,
    /// Another process was found to have other keys, which is logged once.
    pub(super) met_stranger: AtomicBool,
    pub(super) link: Link,
    pub(super) names: Names,
    pub(super) disk: Disk,
    pub(super) metrics: Metrics,
    /// Of this process: nobody else has it.
    pub(super) name: String,
    pub(super) lease: Duration,
    pub(super) check_every: Duration,
}

impl RedisStore {
    /// Reads the last good map from disk, and does not go anywhere yet.
    pub fn new(config: RedisConfig, registry: &Registry) -> prometheus::Result<Arc<Self>> {
        let metrics = Metrics::register(registry)?;
        let vault = Vault::new(&config.keys);
        let disk = Disk::new(config.state_dir.clone());
        let (kept, mut wrong) = disk.load(&vault);
        let (ledger_file, ledger, damaged) = LedgerFile::open(config.state_dir, vault.clone());
        wrong.extend(damaged);
        for (path, error) in wrong {
            metrics.refused.with_label_values(&["disk"]).inc();
            tracing::warn!(path = %path.display(), %error, "what is on disk is ignored");
        }
        let held = kept.unwrap_or_default();
        if held.version > 0 {
            tracing::info!(version = held.version, streams = held.streams.len(), "map from disk");
        }
        Ok(Arc::new(Self {
            held: Held::new(held, None),
            leader: Mutex::new(Leadership::Unknown),
            mirror: Mutex::default(),
            writer: tokio::sync::Mutex::default(),
            ledger,
            ledger_file: Arc::new(ledger_file),
            speaker: Speaker::default(),
            vault,
            key_file: config.key_file,
            met_stranger: AtomicBool::new(false),
            link: Link::new(config.address),
            names: Names::new(&config.prefix),
            disk,
            metrics,
            name: format!("{:032x}", rand::random::<u128>()),
            lease: config.lease,
            check_every: config.check_every,
        }))
    }

    pub(super) fn mirror(&self) -> MutexGuard<'_, Mirror> {
        self.mirror.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held, with what is known of it.
    pub(super) fn snapshot(&self) -> (Arc<UpstreamMap>, Mirror) {
        let mirror = self.mirror();
        (self.held.map(), mirror.clone())
    }

    /// Swaps in a map that Redis has. Older ones are refused: a replica that took over may be
    /// behind, and a leader that sees it writes everything again.
    pub(super) fn install(&self, map: UpstreamMap, mirror: Mirror) -> Result<(), u64> {
        let mut known = self.mirror();
        self.held.swap(map, u64::ge)?;
        *known = mirror;
        drop(known);
        self.heard();
        Ok(())
    }

    /// Something that another process wrote is sealed with a key that this one does not have: while
    /// keys are rotated in the wrong order, links of one edge are refused by another.
    pub(super) fn meet_stranger(&self, what: &str) {
        self.metrics.refused.with_label_values(&["damaged"]).inc();
        if !self.met_stranger.swap(true, Ordering::Relaxed) {
            let Self { key_file, .. } = self;
            tracing::warn!(
                "{what} sealed with another key than {key_file}: links of one process are refused \
                 by another. Give all of them the same keys; to rotate, [old, new] everywhere \
                 first, then [new, old] everywhere, then [new]"
            );
        }
    }

    /// What is held is what is stored.
    pub(super) fn heard(&self) {
        self.held.set_unreadable(None);
        #[expect(clippy::cast_precision_loss, reason = "a metric")]
        self.metrics.heard.set(Timestamp::now().as_millisecond() as f64 / 1000.0);
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn publish(&self, map: UpstreamMap) -> Result<(), StoreError> {
        self.write(map, None).await
    }

    async fn publish_within(&self, map: UpstreamMap, limit: Duration) -> Result<(), StoreError> {
        self.write_within(map, limit).await
    }

    fn held(&self) -> &Held {
        &self.held
    }

    async fn agree(&self, word: &Word) -> Agreed {
        self.agreed(word).await
    }

    fn leadership(&self) -> Leadership {
        match *self.held.fence.borrow() {
            Some(_) => Leadership::Ours,
            None => self.leader.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
