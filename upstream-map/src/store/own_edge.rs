//! Leading the edge of one's own process while Redis cannot be reached.
//!
//! A control plane that shares its process with an edge needs no store to reach that edge. It goes
//! on without Redis, for this edge alone:
//!
//! - **Who decides.** A control plane without the lease decides for no edge but its own. One that
//!   led when Redis was lost goes on at once; any other begins when Redis was away for as long as
//!   a lease lasts. In a process without an edge a control plane without the lease stops.
//! - **Versions.** Without the lease, the versions of maps no longer follow the clock
//!   ([`Store::holds_lease`](super::Store::holds_lease)): they stay below those of a control plane
//!   that takes the lease meanwhile, and its maps and switches win.
//! - **When Redis is back.** Whoever has the lease writes its map whole ([`RedisStore::share_map`]).
//!   If another control plane has it, or had it meanwhile, its map replaces the one that was made
//!   here ([`MapOrigin::Superseded`]). A standby leaves the lease to the former leader for a while
//!   first.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::baseline::Baseline;
use super::redis::RedisStore;
use super::{MapReach, StoreError, redis_scripts};
use crate::map::UpstreamMap;

/// How long Redis may take to accept a map until the map is installed in this process alone.
/// Shorter than an operator waits for a switch, so that a switch is in time behind another map.
const WRITE_TIMEOUT: Duration = Duration::from_millis(400);
/// A disk that hangs is not waited for: the edge of this process has the map.
const SAVE_TIMEOUT: Duration = Duration::from_millis(250);
/// Maps may be published while one is written to Redis, which is then written too.
const SHARE_ATTEMPTS: usize = 3;

/// Where the current map of this process comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapOrigin {
    /// Redis has it, or had it last.
    Store,
    /// This process leads its own edge while Redis cannot be reached.
    OwnEdge,
    /// It was made here while another control plane led: whatever Redis has replaces it.
    Superseded,
}

impl RedisStore {
    pub(super) fn map_origin(&self) -> MapOrigin {
        *self.map_origin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the origin of the current map; whether it was another one.
    pub(super) fn set_map_origin(&self, origin: MapOrigin) -> bool {
        let mut current = self.map_origin.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, origin) != origin
    }

    pub(super) fn leads_own_edge_only(&self) -> bool {
        self.map_origin() == MapOrigin::OwnEdge
    }

    /// Publishes a map to all edges, or, where Redis cannot be reached, to the edge of this
    /// process.
    pub(super) async fn publish_map(&self, map: UpstreamMap) -> Result<MapReach, StoreError> {
        if !self.has_own_edge {
            return self.write_map(map, None).await.map(|()| MapReach::AllEdges);
        }
        if !self.leads_own_edge_only() {
            match timeout(WRITE_TIMEOUT, self.write_map(map.clone(), None)).await {
                Ok(Err(StoreError::Unreachable(why))) => self.lead_own_edge(&why),
                Err(_) => self.lead_own_edge("it does not answer"),
                Ok(written) => return written.map(|()| MapReach::AllEdges),
            }
        }
        self.install_for_own_edge(map)
    }

    /// Publishes a map with a switch: to all edges within `limit`, or, where Redis cannot be
    /// reached, to the edge of this process and its disk.
    pub(super) async fn publish_switch(
        &self,
        map: UpstreamMap,
        limit: Duration,
    ) -> Result<MapReach, StoreError> {
        if !self.has_own_edge {
            return self.write_map_within(map, limit).await.map(|()| MapReach::AllEdges);
        }
        if !self.leads_own_edge_only() {
            match self.write_map_within(map.clone(), limit.min(WRITE_TIMEOUT)).await {
                Err(StoreError::Unreachable(why)) => self.lead_own_edge(&why),
                written => return written.map(|()| MapReach::AllEdges),
            }
        }
        let reach = self.install_for_own_edge(map)?;
        if timeout(SAVE_TIMEOUT, self.save_map()).await.is_err() {
            tracing::warn!("the map is not saved yet: the disk of [state] dir is slow; check it");
        }
        Ok(reach)
    }

    fn install_for_own_edge(&self, map: UpstreamMap) -> Result<MapReach, StoreError> {
        let offered = map.version;
        let mut baseline = self.lock_baseline();
        if self.current_map.fence.borrow().is_none() {
            return Err(StoreError::NotLeading);
        }
        self.current_map
            .replace_map(map, u64::gt)
            .map_err(|current| StoreError::Outdated { offered, current })?;
        // What Redis has is not known: the next map is written whole.
        *baseline = Baseline::default();
        Ok(MapReach::OwnEdge)
    }

    /// From now on maps are installed in this process alone, until
    /// [`share_map`](Self::share_map).
    fn lead_own_edge(&self, why: &str) {
        let origin = self.map_origin();
        if origin == MapOrigin::Store && self.set_map_origin(MapOrigin::OwnEdge) {
            self.metrics.is_leader.set(0);
            tracing::warn!(
                why,
                "the store cannot be reached: this control plane leads the edge of its own process \
                 alone, other edges follow when the store is back; check the Redis server"
            );
        }
    }

    /// Leads the own edge, also without having led before.
    pub(super) fn begin_to_lead_own_edge(&self, last_fence: u64, why: &str) {
        self.lead_own_edge(why);
        self.current_map.fence.send_if_modified(|fence| {
            let was_standby = fence.is_none();
            fence.get_or_insert(last_fence);
            was_standby
        });
    }

    /// Writes the map that was made here into Redis, which has answered again.
    pub(super) async fn share_map(&self) {
        for _ in 0..SHARE_ATTEMPTS {
            self.restore_map_if_lost().await;
            if !self.leads_own_edge_only() {
                return;
            }
            let baseline = self.lock_baseline();
            if !baseline.sealed_digest.is_empty() || self.current_map.version() == 0 {
                self.set_map_origin(MapOrigin::Store);
                drop(baseline);
                self.metrics.is_leader.set(1);
                tracing::info!(
                    version = self.current_map.version(),
                    "the store has the map of this control plane: all edges follow it again"
                );
                return;
            }
        }
    }

    /// Another control plane leads, or has led since: its map replaces the one that was made here.
    pub(super) fn supersede_own_map(&self) -> bool {
        if !self.leads_own_edge_only() {
            return false;
        }
        tracing::warn!(
            "another control plane has led while the store could not be reached from here: its map \
             replaces what was decided here meanwhile"
        );
        self.set_map_origin(MapOrigin::Superseded)
    }

    /// Whether Redis answers.
    pub(super) async fn is_reachable(&self) -> bool {
        let ask = async {
            let mut slot = self.writer_connection.lock().await;
            let mut connection = self.writer_connection(&mut slot).await?;
            let now = redis_scripts::redis_now_ms(&mut connection).await;
            self.discard_failed_connection(now, &mut slot)
        };
        matches!(timeout(self.lease_duration / 3, ask).await, Ok(Ok(_)))
    }

    pub(super) fn is_lease_running(&self) -> bool {
        let end = *self.lease_end.lock().unwrap_or_else(PoisonError::into_inner);
        end.is_some_and(|end| Instant::now() < end)
    }

    pub(super) fn set_lease_end(&self, end: Instant) {
        *self.lease_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }
}
