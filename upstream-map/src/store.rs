//! How a map travels from the control plane to every edge.
//!
//! - [`memory`]: writer and readers in one process.
//! - [`redis`]: many processes on many machines.
//!
//! Both have what they know in memory: [`held`].
//!
//! What the latter is made of: [`address`] says where it is and [`link`] goes there; [`entries`]
//! is the map in pieces, [`vault`] encrypts them, [`mirror`] knows what is stored; [`script`] is
//! what runs over there; [`follow`] and [`read`] read, [`publish`] writes, [`lead`] says who may; [`disk`]
//! outlives all of it; [`feedback`] carries the demand back; [`metrics`] counts.
//!
//! Edges also agree on how streams are published when their sources change: [`ledger`], in memory
//! or through Redis ([`agree`]), and on disk ([`ledger_file`]).

mod address;
mod agree;
mod disk;
mod entries;
mod feedback;
mod follow;
mod held;
mod lead;
mod ledger;
mod ledger_file;
mod link;
mod memory;
mod metrics;
mod mirror;
mod publish;
mod read;
mod redis;
mod script;
mod vault;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::address::{BadAddress, RedisAddress};
pub use self::held::Held;
pub use self::ledger::{Agreed, Ledger, Part, Word};
pub use self::memory::MemoryStore;
pub use self::redis::{RedisConfig, RedisStore};
pub use self::vault::StoreKeys;
use crate::demand::Demand;
use crate::map::UpstreamMap;

/// Where maps are published and read. Reading never waits: every store keeps the last map
/// it saw in memory.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes `map` the current one; refused unless its version is higher than any before
    /// ([`UpstreamMap::next_version`]), so that a writer that was paused cannot undo a newer one,
    /// and unless this process leads.
    async fn publish(&self, map: UpstreamMap) -> Result<(), StoreError>;

    /// Makes `map` the current one within `limit`, or never: what was refused, or not answered for
    /// in that time, is not published later either. Answers soon after `limit` at the latest.
    async fn publish_within(&self, map: UpstreamMap, limit: Duration) -> Result<(), StoreError> {
        // A store in this process takes a map at once.
        let _ = limit;
        self.publish(map).await
    }

    /// What is known here: all that follows is read from it.
    fn held(&self) -> &Held;

    /// The last map seen; an empty one with version 0 before the first.
    fn current(&self) -> Arc<UpstreamMap> {
        self.held().map()
    }

    /// Why the newest map cannot be read here, in words for the operator; `None` if it can. An edge that plays on with an old map, which no other
    /// edge has, is not ready for more viewers.
    fn unreadable(&self) -> Option<String> {
        self.held().unreadable()
    }

    /// Told the version of each new map.
    fn changes(&self) -> watch::Receiver<u64> {
        self.held().changes()
    }

    /// What edges tell the control plane.
    fn demand(&self) -> &Demand {
        &self.held().demand
    }

    /// Says what an edge wants to publish, and hears what all edges do. Never waits for long: where
    /// the others cannot be asked, it is decided here, from what was agreed before.
    async fn agree(&self, word: &Word) -> Agreed;

    /// The fence under which this process may publish; `None` while another one leads.
    fn fence(&self) -> watch::Receiver<Option<u64>> {
        self.held().fence.subscribe()
    }

    /// Who leads, as far as this process knows.
    fn leadership(&self) -> Leadership {
        match *self.fence().borrow() {
            Some(_) => Leadership::Ours,
            None => Leadership::Unknown,
        }
    }
}

/// Who may publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    Ours,
    /// Another process, which takes commands at this address, if it says at which.
    Theirs(Option<String>),
    /// Nobody: the store, which says who may, cannot be reached.
    Unreachable,
    /// The store was not asked yet.
    Unknown,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    #[error("version {offered} is not newer than {current}, which is already published")]
    Outdated { offered: u64, current: u64 },
    #[error("another control plane leads")]
    NotLeading,
    #[error("the map cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
}

#[cfg(test)]
mod tests;
