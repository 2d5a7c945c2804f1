//! The store, which carries a map from the control plane to every edge.
//!
//! - [`memory`]: writer and readers in one process.
//! - [`redis`]: many processes on many machines.
//!
//! Both serve reads from [`current_map`]. The Redis store consists of:
//!
//! - [`redis_address`] and [`redis_connector`]: the configured address, and connections to it.
//! - [`entries`], [`entry_cipher`] and [`baseline`]: the map split into entries, their encryption,
//!   and the record of what is stored.
//! - [`redis_scripts`]: Lua scripts that run atomically inside Redis.
//! - [`sync_loop`] and [`map_reader`]: reading. [`map_writer`]: writing.
//! - [`leader_election`]: which control plane may write; [`own_edge`]: what it does for the edge of
//!   its own process while Redis cannot be reached.
//! - [`disk_snapshot`]: the last good map and the splice registry on disk.
//! - [`feedback_sync`]: viewers and reports from the edges to the leader.
//! - [`metrics`]: metrics of the store.
//!
//! Edges agree on how a stream is published when its source changes through [`splice_registry`]
//! ([`splice_proposal`], [`splice_decision`]), in memory or over Redis ([`registry_client`]), and on
//! disk ([`registry_file`], [`number_journal`]).
//! Over Redis each tells the others how far it has published ([`peer_numbers`]).

mod baseline;
mod current_map;
mod disk_snapshot;
mod entries;
mod entry_cipher;
mod feedback_sync;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod known_records;
mod leader_election;
mod map_reader;
mod map_writer;
mod memory;
mod metrics;
mod number_journal;
mod own_edge;
mod peer_numbers;
mod record_compression;
mod redis;
mod redis_address;
mod redis_connector;
mod redis_error;
mod redis_scripts;
mod registry_client;
mod registry_file;
mod splice_decision;
mod splice_proposal;
mod splice_registry;
mod sync_loop;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

pub use self::current_map::CurrentMap;
pub use self::entry_cipher::StoreSecrets;
pub use self::memory::MemoryStore;
pub use self::number_journal::NextNumbers;
pub use self::peer_numbers::PeerNextNumber;
pub use self::redis::{RedisConfig, RedisStore};
pub use self::redis_address::{InvalidRedisAddress, RedisAddress};
pub use self::splice_decision::SpliceDecision;
pub use self::splice_proposal::{RenditionStart, SpliceProposal};
pub use self::splice_registry::{RegistrySnapshot, SpliceRegistry};
use crate::feedback::EdgeFeedback;
use crate::map::UpstreamMap;

/// Where maps are published and read. Reading never waits, because every store has its last map in
/// memory.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes `map` the current one.
    ///
    /// # Errors
    /// [`StoreError::Outdated`] unless its version is higher than any before
    /// ([`UpstreamMap::next_version`]), so that a writer that was paused cannot undo a newer map;
    /// [`StoreError::NotLeading`] unless this process is the leader; [`StoreError::Unreachable`] if
    /// the store does not reply.
    async fn publish(&self, map: UpstreamMap) -> Result<MapReach, StoreError>;

    /// Like [`publish`](Self::publish), but within `limit` or never: a map that was rejected or not
    /// confirmed in that time is not published later either. Returns soon after `limit` at the
    /// latest.
    async fn publish_within(
        &self,
        map: UpstreamMap,
        limit: Duration,
    ) -> Result<MapReach, StoreError> {
        // A store in this process publishes a map without waiting.
        let _ = limit;
        self.publish(map).await
    }

    /// State of this process, which the methods below read.
    fn current_map(&self) -> &CurrentMap;

    /// The last map received; an empty one with version 0 before the first.
    fn map(&self) -> Arc<UpstreamMap> {
        self.current_map().map()
    }

    /// Why the newest map cannot be read here, in words for the operator; `None` if it can. An edge
    /// that serves an old map, which no other edge has, is not ready for more viewers.
    fn unreadable_reason(&self) -> Option<String> {
        self.current_map().unreadable_reason()
    }

    /// Subscribes to the version of each new map.
    fn subscribe_versions(&self) -> watch::Receiver<u64> {
        self.current_map().subscribe_versions()
    }

    /// Feedback of the edges for the control plane.
    fn feedback(&self) -> &EdgeFeedback {
        &self.current_map().feedback
    }

    /// Proposes what an edge wants to publish, and returns what all edges publish. Never waits
    /// long: if the other edges cannot be asked, the decision is made locally from earlier
    /// decisions.
    async fn propose_splice(&self, proposal: &SpliceProposal) -> SpliceDecision;

    /// What another edge has told to have published of a rendition last. `None`: nothing, or other
    /// edges cannot be heard.
    fn find_peer_next_number(&self, stream: &str, rendition: &str) -> Option<PeerNextNumber> {
        let _ = (stream, rendition);
        None
    }

    /// Whether this process holds the right to publish to all edges, as far as it knows. Without it,
    /// the versions of maps must not follow the clock, so that they stay below those of a control
    /// plane that takes the lease meanwhile.
    fn holds_lease(&self) -> bool {
        true
    }

    /// Whether this process leads the edge of its own process alone, because the store cannot be
    /// reached: an operator's switch in the current map is meant for this edge.
    fn leads_own_edge_only(&self) -> bool {
        false
    }

    /// The fencing token with which this process may publish, another one whenever the lease was
    /// lost in between; `None` while another process leads.
    fn subscribe_fence(&self) -> watch::Receiver<Option<u64>> {
        self.current_map().fence.subscribe()
    }

    /// Records whether the control plane of this process works as the leader, or still saves what it
    /// knows.
    fn set_leader_working(&self, is_working: bool) {
        self.current_map().is_leader_working.send_replace(is_working);
    }

    /// Gives up the lead for a successor of this process, and does not seek it again until
    /// [`resume_leadership`](Self::resume_leadership). Returns when the control plane of this process
    /// has saved what it knows.
    async fn yield_leadership(&self) {
        self.current_map().fence.send_replace(None);
        self.current_map().wait_until_leader_rests().await;
    }

    /// Seeks the lead again, as the successor has failed.
    fn resume_leadership(&self) {
        self.current_map().fence.send_replace(ONLY_LEADER);
    }

    /// Writes the current map and the numbers of all streams to the state directory, if this store
    /// keeps one.
    async fn save_state(&self) {}

    /// The leader, as far as this process knows.
    fn leadership(&self) -> Leadership {
        match *self.subscribe_fence().borrow() {
            Some(_) => Leadership::Leader,
            None => Leadership::Unknown,
        }
    }
}

/// Which edges a published map has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MapReach {
    /// The map is in the store, which every edge follows.
    AllEdges,
    /// The store cannot be reached: the edge in the process of the control plane has the map, and
    /// other edges get it when the store is back, unless another control plane leads by then.
    OwnEdge,
}

/// The fence of a process that leads because it is the only one.
const ONLY_LEADER: Option<u64> = Some(0);

/// Which process may publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// This process.
    Leader,
    /// Another process, and the address at which it takes commands if it advertises one.
    Standby(Option<String>),
    /// No process: the store, which grants the lease, cannot be reached.
    Unreachable,
    /// The store has not been asked yet.
    Unknown,
}

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    #[error("version {offered} is not newer than {current}, which is already published")]
    Outdated { offered: u64, current: u64 },
    #[error("another control plane leads")]
    NotLeading,
    #[error("the map cannot be written: {0}")]
    NotSerializable(#[from] serde_json::Error),
}

#[cfg(test)]
mod tests;
