//! Leading: of several control planes one publishes, by a lease that it has to renew.
//!
//! A leader that was paused may believe in a lease that it lost. Its fence is lower than its
//! successor's, so that whatever it publishes is refused.
//!
//! The lease says where its holder takes commands, so that the others can pass theirs on.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::read::Session;
use super::redis::RedisStore;
use super::script::{self, Claim, How, Lease};
use super::{Leadership, StoreError};

/// A standby asks so often whether the leader is gone, and a leader that has lost Redis whether
/// it is back.
const ASK_EVERY: Duration = Duration::from_millis(500);
const GOODBYE: Duration = Duration::from_secs(1);
/// What a lease is sealed as.
const LEASE: &str = "lease";

impl RedisStore {
    /// Leads whenever nobody else does, until `stop` completes; then somebody else may at once.
    /// `place`: where this one takes commands, if others can reach it.
    pub async fn lead(
        self: Arc<Self>,
        place: Option<String>,
        stop: impl Future<Output = ()> + Send,
    ) {
        if place.is_none() {
            tracing::info!("others cannot pass commands on to this one: [control] advertise");
        }
        let holder = format!("{} {}", self.name, place.unwrap_or_default());
        let holder = self.vault.seal(LEASE, holder.as_bytes());
        tokio::select! {
            never = self.campaign(&holder) => match never {},
            () = stop => {}
        }
        if self.held.fence.borrow().is_some() {
            self.step_down("this control plane stops");
            // Without it the lease ends by itself.
            let _ = timeout(GOODBYE, self.release(&holder)).await;
        }
    }

    async fn campaign(&self, holder: &[u8]) -> Infallible {
        let mut last_fence = 0;
        let mut until = Instant::now();
        let mut complained = false;
        let mut stands_by_for = None;
        loop {
            let asked = Instant::now();
            let leads = self.held.fence.borrow().is_some();
            let deadline = if leads { until } else { asked + self.lease * 2 / 3 };
            let Ok(held) = timeout_at(deadline, self.hold(holder, last_fence)).await else {
                self.know_leader(Leadership::Unreachable);
                self.step_down("the lease could not be renewed");
                // It may be to a machine that is gone, and the next answer comes from another one.
                *self.writer.lock().await = None;
                if !std::mem::replace(&mut complained, true) {
                    tracing::warn!("the lease cannot be asked for: no answer from the store");
                }
                continue;
            };
            match held {
                Ok(Lease::Ours(fence)) => {
                    complained = false;
                    stands_by_for = None;
                    last_fence = fence;
                    until = asked + self.lease;
                    if !leads {
                        self.catch_up().await;
                    }
                    self.step_up(fence);
                    self.keep_alive().await;
                    sleep_until(asked + self.lease / 3).await;
                }
                Ok(Lease::Theirs(holder)) => {
                    complained = false;
                    self.heard_of(&holder);
                    self.step_down("another control plane leads");
                    if stands_by_for.as_ref() != Some(&holder) {
                        self.say_for_whom();
                        stands_by_for = Some(holder);
                    }
                    sleep(ASK_EVERY.min(self.lease / 3)).await;
                }
                Err(error) => {
                    self.know_leader(Leadership::Unreachable);
                    if !std::mem::replace(&mut complained, true) {
                        tracing::warn!(%error, "the lease cannot be asked for");
                    }
                    let again = Instant::now() + ASK_EVERY.min(self.lease / 9);
                    if leads && until <= again {
                        sleep_until(until).await;
                        self.step_down("the lease could not be renewed");
                    } else {
                        sleep_until(again).await;
                    }
                }
            }
        }
    }

    async fn hold(&self, holder: &[u8], last_fence: u64) -> Result<Lease, StoreError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.connection(&mut writer).await?;
        let claim = Claim {
            holder,
            lease_ms: u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX),
            now_ms: Timestamp::now().as_millisecond(),
            last_fence,
        };
        let held = claim.hold(&self.names, &mut connection).await;
        self.checked(held, &mut writer)
    }

    async fn release(&self, holder: &[u8]) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.connection(&mut writer).await?;
        script::release(&self.names, holder, &mut connection).await
    }

    /// Whoever begins to lead goes by the newest map there is, which it may not have read yet: it
    /// has just started, or the store has just come back.
    async fn catch_up(&self) {
        let read = async {
            let connection = {
                let mut writer = self.writer.lock().await;
                self.connection(&mut writer).await?
            };
            self.read_whole(&mut Session { connection, refused: None }).await
        };
        match timeout(self.lease / 3, read).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the newest map cannot be read"),
            Err(_) => tracing::warn!("the newest map cannot be read: no answer"),
        }
    }

    /// Was what is published lost? Redis was flushed, or a replica that is behind took over.
    async fn keep_alive(&self) {
        if self.held.version() == 0 {
            return;
        }
        let kept = async {
            if self.is_stored().await? {
                return Ok(());
            }
            match self.write_again(How::Whole).await {
                // It was not lost, only not read yet.
                Err(StoreError::Outdated { .. } | StoreError::NotLeading) => Ok(()),
                written => written,
            }
        };
        match timeout(self.lease / 3, kept).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "whether the map is stored is not known"),
            Err(_) => tracing::warn!("whether the map is stored is not known: no answer"),
        }
    }

    /// Of the other one, which leads.
    pub(super) fn heard_of(&self, holder: &[u8]) {
        let opened = self.vault.open(LEASE, holder);
        let text = opened.and_then(|opened| String::from_utf8(opened.plain).ok());
        let place = text.as_deref().and_then(|text| Some(text.split_once(' ')?.1));
        let place = place.filter(|place| !place.is_empty()).map(str::to_owned);
        self.know_leader(Leadership::Theirs(place));
    }

    fn know_leader(&self, leader: Leadership) {
        *self.leader.lock().unwrap_or_else(PoisonError::into_inner) = leader;
    }

    fn say_for_whom(&self) {
        match &*self.leader.lock().unwrap_or_else(PoisonError::into_inner) {
            Leadership::Theirs(Some(leader)) => {
                tracing::info!(leader, "this control plane stands by: another one leads");
            }
            _ => tracing::info!(
                "this control plane stands by: another one leads, which does not say where it \
                 takes commands ([control] advertise)"
            ),
        }
    }

    fn step_up(&self, fence: u64) {
        self.know_leader(Leadership::Unknown);
        self.metrics.leads.set(1);
        let before = self.held.fence.send_replace(Some(fence));
        if before.is_none() {
            tracing::info!(fence, "this control plane leads");
        }
    }

    pub(super) fn step_down(&self, why: &str) {
        self.metrics.leads.set(0);
        if self.held.fence.send_replace(None).is_some() {
            tracing::warn!(why, "this control plane stands by");
        }
    }
}
