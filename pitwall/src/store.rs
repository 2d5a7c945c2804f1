//! [`AnyStore`]: the configured store and its background tasks.

use std::sync::Arc;

use anyhow::Context;
use pitwall_proxy::{Server, TaskEnd};
use pitwall_upstream_map::{MemoryStore, RedisConfig, RedisStore, StateDirectory, Store};
use prometheus::Registry;

use crate::config::StoreConfig;
use crate::secret::SealKeys;

#[derive(Clone)]
pub(crate) enum AnyStore {
    Memory(Arc<MemoryStore>),
    Redis(Arc<RedisStore>),
}

impl AnyStore {
    /// Opens the store that `[store]` configures.
    ///
    /// `is_source`: whether a source of this name is configured; an in-memory store restores no
    /// others. `has_own_edge`: whether an edge runs in the process of this control plane.
    ///
    /// # Errors
    /// A metric of the store is already registered in `registry`.
    pub(crate) fn open(
        config: StoreConfig,
        keys: &SealKeys,
        state_dir: &StateDirectory,
        is_source: impl Fn(&str) -> bool,
        has_own_edge: bool,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let StoreConfig::Redis { address, prefix } = config else {
            return Ok(Self::Memory(MemoryStore::with_state_dir(
                state_dir.clone(),
                &keys.store_keys(),
                is_source,
            )));
        };
        let config = RedisConfig {
            address: *address,
            prefix,
            keys: keys.store_keys(),
            key_file: keys.location.clone(),
            state_dir: state_dir.clone(),
            lease_duration: RedisConfig::LEASE_DURATION,
            check_interval: RedisConfig::CHECK_INTERVAL,
            has_own_edge,
        };
        let store = RedisStore::new(config, registry).context("a metric cannot be registered")?;
        Ok(Self::Redis(store))
    }

    pub(crate) fn to_dyn_store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => store.clone(),
            Self::Redis(store) => store.clone(),
        }
    }

    /// Runs the store's tasks for an edge and a control plane in one process.
    ///
    /// `advertised`: the host and port at which other control planes reach the command server.
    pub(crate) fn add_background_services(&self, advertised: Option<String>, server: &mut Server) {
        match self {
            Self::Memory(store) => {
                let store = store.clone();
                server.add_task_until(TaskEnd::LastViewer, "store", 1, |stop| {
                    store.run_persistence(stop)
                });
            }
            Self::Redis(store) => {
                let leader = store.clone();
                add_follower_service(store.clone(), server);
                server.add_background_task("leading", 1, |stop| {
                    leader.run_leader_election(advertised, stop)
                });
            }
        }
    }
}

/// Runs the task with which an edge follows the store.
pub(crate) fn add_follower_service(store: Arc<RedisStore>, server: &mut Server) {
    server.add_task_until(TaskEnd::LastViewer, "store", 1, |stop| store.run_sync(stop));
}
