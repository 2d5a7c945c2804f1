//! The store that is configured, and what has to run beside it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use pitwall_proxy::Server;
use pitwall_upstream_map::{MemoryStore, RedisConfig, RedisStore, Store};
use prometheus::Registry;

use crate::config::StoreConfig;
use crate::secret::SealKeys;

#[derive(Clone)]
pub(crate) enum AnyStore {
    Memory(Arc<MemoryStore>),
    Redis(Arc<RedisStore>),
}

impl AnyStore {
    pub(crate) fn open(
        config: StoreConfig,
        keys: &SealKeys,
        state: &Path,
        is_source: impl Fn(&str) -> bool,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let StoreConfig::Redis { address, prefix } = config else {
            return Ok(Self::Memory(MemoryStore::kept_in(
                state.to_owned(),
                &keys.store(),
                is_source,
            )));
        };
        let config = RedisConfig {
            address: *address,
            prefix,
            keys: keys.store(),
            key_file: keys.place.clone(),
            state_dir: state.to_owned(),
            lease: RedisConfig::LEASE,
            check_every: RedisConfig::CHECK_EVERY,
        };
        let store = RedisStore::new(config, registry).context("a metric cannot be registered")?;
        Ok(Self::Redis(store))
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => store.clone(),
            Self::Redis(store) => store.clone(),
        }
    }

    /// For an edge and a control plane in one process, which takes commands at `place`.
    pub(crate) fn run_beside(&self, place: Option<String>, server: &mut Server) {
        match self {
            Self::Memory(store) => {
                let store = store.clone();
                server.add_background("store", 1, |stop| store.keep(stop));
            }
            Self::Redis(store) => {
                let leader = store.clone();
                follow_beside(store.clone(), server);
                server.add_background("leading", 1, |stop| leader.lead(place, stop));
            }
        }
    }
}

/// For an edge.
pub(crate) fn follow_beside(store: Arc<RedisStore>, server: &mut Server) {
    server.add_background("store", 1, |stop| store.follow(stop));
}
