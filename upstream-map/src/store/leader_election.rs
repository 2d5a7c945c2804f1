//! Leader election: one of several control planes publishes, under a lease that it renews.
//!
//! A leader that was paused may still believe in a lease that has expired. Its fencing token is
//! lower than its successor's, so its publications are rejected.
//!
//! The lease also holds the address at which the leader takes commands, so that standbys can
//! forward theirs.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::map_reader::MapReadState;
use super::redis::RedisStore;
use super::redis_scripts::{self, LeaseClaim, LeaseReply, WriteMode};
use super::{Leadership, StoreError};

/// How often a standby asks whether the lease is free, and a leader that has lost Redis whether
/// Redis is back.
const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(500);
const LEASE_RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
/// Associated data with which a lease is sealed.
const LEASE_CIPHER_FIELD: &str = "lease";

impl RedisStore {
    /// Campaigns for the lease until `stop` completes, and releases the lease then, so that a
    /// standby can take over at once. `command_address` is where this process takes commands, if
    /// other processes can reach it.
    pub async fn run_leader_election(
        self: Arc<Self>,
        command_address: Option<String>,
        stop: impl Future<Output = ()> + Send,
    ) {
        if command_address.is_none() {
            tracing::info!(
                "other control planes cannot forward commands to this one: set [control] advertise"
            );
        }
        let holder = format!("{} {}", self.process_id, command_address.unwrap_or_default());
        let holder = self.cipher.seal(LEASE_CIPHER_FIELD, holder.as_bytes());
        let campaign_until_yielded = async {
            let mut yields = self.yields_leadership.subscribe();
            loop {
                tokio::select! {
                    never = self.campaign(&holder) => match never {},
                    _ = yields.wait_for(|yields| *yields) => {}
                }
                self.give_up_lease(&holder, "another process takes over").await;
                // Waiting fails only when the sender is dropped, and `self` holds it.
                let _ = yields.wait_for(|yields| !*yields).await;
            }
        };
        tokio::select! {
            () = campaign_until_yielded => {}
            () = stop => {}
        }
        self.give_up_lease(&holder, "this control plane stops").await;
    }

    async fn give_up_lease(&self, holder: &[u8], why: &str) {
        if self.current_map.fence.borrow().is_some() {
            self.step_down(why);
            // If the release fails, the lease expires by itself.
            let _ = timeout(LEASE_RELEASE_TIMEOUT, self.release_lease(holder)).await;
        }
    }

    async fn campaign(&self, holder: &[u8]) -> Infallible {
        let mut last_fence = 0;
        let mut lease_end = Instant::now();
        let mut has_warned = false;
        let mut known_leader = None;
        let mut lost_at = None;
        let mut yields_to_leader = false;
        loop {
            if yields_to_leader && self.is_reachable().await {
                yields_to_leader = false;
                sleep(self.lease_duration / 3).await;
            }
            let asked_at = Instant::now();
            let is_leader = self.current_map.fence.borrow().is_some();
            let deadline = match is_leader && asked_at < lease_end {
                true => lease_end,
                false => asked_at + self.lease_duration * 2 / 3,
            };
            let Ok(reply) = timeout_at(deadline, self.claim_lease(holder, last_fence)).await else {
                self.set_leadership(Leadership::Unreachable);
                yields_to_leader |= known_leader.is_some();
                let lost_at = *lost_at.get_or_insert(asked_at);
                self.go_on_without_store(is_leader, last_fence, lost_at);
                // The connection may lead to a machine that is gone, so the next attempt opens a
                // new one.
                *self.writer_connection.lock().await = None;
                if !std::mem::replace(&mut has_warned, true) {
                    tracing::warn!("the lease cannot be claimed: the store does not answer");
                }
                continue;
            };
            match reply {
                Ok(LeaseReply::Acquired(fence)) => {
                    has_warned = false;
                    known_leader = None;
                    lost_at = None;
                    let is_renewed = is_leader && fence == last_fence;
                    last_fence = fence;
                    lease_end = asked_at + self.lease_duration;
                    self.set_lease_end(lease_end);
                    // Another control plane may have led since.
                    if !is_renewed {
                        self.read_map_before_leading().await;
                    }
                    self.become_leader(fence);
                    self.share_map().await;
                    sleep_until(asked_at + self.lease_duration / 3).await;
                }
                Ok(LeaseReply::HeldByOther(holder)) => {
                    has_warned = false;
                    lost_at = None;
                    self.note_leader(&holder);
                    self.step_down("another control plane leads");
                    if self.supersede_own_map() {
                        self.read_map_before_leading().await;
                    }
                    if known_leader.as_ref() != Some(&holder) {
                        self.log_standby();
                        known_leader = Some(holder);
                    }
                    sleep(LEASE_POLL_INTERVAL.min(self.lease_duration / 3)).await;
                }
                Err(error) => {
                    self.set_leadership(Leadership::Unreachable);
                    yields_to_leader |= known_leader.is_some();
                    let lost_at = *lost_at.get_or_insert(asked_at);
                    if !std::mem::replace(&mut has_warned, true) {
                        tracing::warn!(%error, "the lease cannot be claimed: check [store] url and the Redis server");
                    }
                    let retry_at =
                        Instant::now() + LEASE_POLL_INTERVAL.min(self.lease_duration / 9);
                    if is_leader && asked_at < lease_end && lease_end <= retry_at {
                        sleep_until(lease_end).await;
                    } else {
                        sleep_until(retry_at).await;
                    }
                    if Instant::now() >= lease_end {
                        self.go_on_without_store(is_leader, last_fence, lost_at);
                    }
                }
            }
        }
    }

    /// The lease is over, or was never had, and Redis has been away since `lost_at`.
    fn go_on_without_store(&self, is_leader: bool, last_fence: u64, lost_at: Instant) {
        const WHY: &str = "the lease could not be renewed";
        if !self.has_own_edge {
            self.step_down(WHY);
        } else if is_leader || lost_at.elapsed() >= self.lease_duration {
            self.begin_to_lead_own_edge(last_fence, WHY);
        }
    }

    async fn claim_lease(&self, holder: &[u8], last_fence: u64) -> Result<LeaseReply, StoreError> {
        let mut writer_slot = self.writer_connection.lock().await;
        let mut connection = self.writer_connection(&mut writer_slot).await?;
        let claim = LeaseClaim {
            holder,
            lease_ms: u64::try_from(self.lease_duration.as_millis()).unwrap_or(u64::MAX),
            now_ms: Timestamp::now().as_millisecond(),
            last_fence,
        };
        let reply = claim.acquire(&self.keys, &mut connection).await;
        self.discard_failed_connection(reply, &mut writer_slot)
    }

    async fn release_lease(&self, holder: &[u8]) -> Result<(), StoreError> {
        let mut writer_slot = self.writer_connection.lock().await;
        let mut connection = self.writer_connection(&mut writer_slot).await?;
        redis_scripts::release_lease(&self.keys, holder, &mut connection).await
    }

    /// A new leader first reads the newest map, which it may not have yet if it has just started or
    /// the store has just come back.
    async fn read_map_before_leading(&self) {
        let read = async {
            let connection = {
                let mut writer_slot = self.writer_connection.lock().await;
                self.writer_connection(&mut writer_slot).await?
            };
            self.read_full(&mut MapReadState { connection, rejected_digest: None }).await
        };
        match timeout(self.lease_duration / 3, read).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the new leader cannot read the newest map from the store")
            }
            Err(_) => tracing::warn!(
                "the new leader cannot read the newest map: the store does not answer"
            ),
        }
    }

    /// Publishes the map again if Redis lost it, because Redis was flushed or an outdated replica
    /// was promoted.
    pub(super) async fn restore_map_if_lost(&self) {
        if self.current_map.version() == 0 {
            return;
        }
        let restore = async {
            if self.is_baseline_stored().await? {
                return Ok(());
            }
            match self.republish_map(WriteMode::Full).await {
                // The map was not lost: Redis has a newer one that has not been read yet.
                Err(StoreError::Outdated { .. } | StoreError::NotLeading) => Ok(()),
                result => result,
            }
        };
        match timeout(self.lease_duration / 3, restore).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the leader cannot check whether the store still has the map")
            }
            Err(_) => tracing::warn!(
                "the leader cannot check whether the store still has the map: no answer"
            ),
        }
    }

    /// Records the leader by the lease's content.
    pub(super) fn note_leader(&self, holder: &[u8]) {
        let lease = self.cipher.open(LEASE_CIPHER_FIELD, holder);
        let text = lease.and_then(|lease| String::from_utf8(lease.plaintext).ok());
        let command_address = text.as_deref().and_then(|text| Some(text.split_once(' ')?.1));
        let command_address = command_address
            .filter(|command_address| !command_address.is_empty())
            .map(str::to_owned);
        self.set_leadership(Leadership::Standby(command_address));
    }

    fn set_leadership(&self, leader: Leadership) {
        *self.leadership.lock().unwrap_or_else(PoisonError::into_inner) = leader;
    }

    fn log_standby(&self) {
        match &*self.leadership.lock().unwrap_or_else(PoisonError::into_inner) {
            Leadership::Standby(Some(leader)) => {
                tracing::info!(leader, "this control plane stands by: another one leads");
            }
            _ => tracing::info!(
                "this control plane stands by: another one leads, which does not say where it \
                 takes commands ([control] advertise)"
            ),
        }
    }

    fn become_leader(&self, fence: u64) {
        self.set_leadership(Leadership::Unknown);
        if !self.leads_own_edge_only() {
            self.metrics.is_leader.set(1);
        }
        let previous_fence = self.current_map.fence.send_replace(Some(fence));
        if previous_fence.is_none() {
            tracing::info!(fence, "this control plane is now the leader");
        }
    }

    pub(super) fn step_down(&self, why: &str) {
        self.metrics.is_leader.set(0);
        if self.current_map.fence.send_replace(None).is_some() {
            tracing::warn!(why, "this control plane is no longer the leader");
        }
    }
}
