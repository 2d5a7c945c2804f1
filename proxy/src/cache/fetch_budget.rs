//! Limit of the bodies that are in memory and not in the object store: those being fetched, those
//! passed through, and those that were evicted and are still being read.
//!
//! A body in the store can be evicted to make room; here each byte is held for a reader. The shares
//! that slow readers keep are therefore revoked when the room is needed, the one first whose
//! readers have gone longest without progress, and its transfers are aborted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long a reader must have made no progress for its share to be revoked in favour of a new
/// fetch.
const STALLED_AFTER: Duration = Duration::from_secs(1);
/// The same for evicted bodies that take more than their part: who reads at full speed has read to
/// the end before.
pub(super) const EVICTED_STALLED_AFTER: Duration = Duration::from_millis(250);

/// The budget, in bytes, shared by all fetches.
#[derive(Clone)]
pub struct FetchBudget(Arc<BudgetState>);

struct BudgetState {
    limit_bytes: u64,
    used_bytes: AtomicU64,
    /// Shares that may be revoked, and those that were revoked and are not released yet.
    revocable: Mutex<Vec<Weak<BudgetShare>>>,
    released: Notify,
    created_at: Instant,
}

/// The share of one body, released on drop.
pub struct BudgetShare {
    budget: FetchBudget,
    bytes: AtomicU64,
    /// Milliseconds from the creation of the budget to the last progress of a reader.
    progress_at: AtomicU64,
    is_revocable: AtomicBool,
    is_evicted: AtomicBool,
    is_revoked: AtomicBool,
    /// Notified when readers are to be aborted: all of them, or some of an in-flight fetch.
    cut_off: Notify,
}

impl FetchBudget {
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(BudgetState {
            limit_bytes: limit,
            used_bytes: AtomicU64::default(),
            revocable: Mutex::default(),
            released: Notify::default(),
            created_at: Instant::now(),
        }))
    }

    pub fn used_bytes(&self) -> u64 {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    /// An empty share.
    pub fn new_share(&self) -> Arc<BudgetShare> {
        let share = BudgetShare {
            budget: self.clone(),
            bytes: AtomicU64::default(),
            progress_at: AtomicU64::default(),
            is_revocable: AtomicBool::default(),
            is_evicted: AtomicBool::default(),
            is_revoked: AtomicBool::default(),
            cut_off: Notify::default(),
        };
        share.mark_progress();
        Arc::new(share)
    }

    /// Whether fetches use so little of the budget that a prefetch may start.
    pub fn has_prefetch_room(&self) -> bool {
        let evicted = total_bytes(&self.revocable_shares(), BudgetShare::is_evicted);
        self.used_bytes().saturating_sub(evicted) < self.0.limit_bytes / 2
    }

    /// The revocable shares that still exist.
    fn revocable_shares(&self) -> Vec<Arc<BudgetShare>> {
        let mut shares = Vec::new();
        self.lock_revocable().retain(|share| {
            let share = share.upgrade();
            let exists = share.is_some();
            shares.extend(share);
            exists
        });
        shares
    }

    fn lock_revocable(&self) -> MutexGuard<'_, Vec<Weak<BudgetShare>>> {
        self.0.revocable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed_millis(&self) -> u64 {
        u64::try_from(self.0.created_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time that long ago; `None` before the budget was created.
    fn timestamp_before(&self, duration: Duration) -> Option<u64> {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.elapsed_millis().checked_sub(millis)
    }

    /// Revokes evicted bodies where they take more than half of the budget, or the budget is
    /// exceeded.
    fn revoke_excess(&self) {
        let shares = self.revocable_shares();
        let limit = self.0.limit_bytes;
        let excess = self.used_bytes().saturating_sub(limit);
        let evicted = total_bytes(&shares, BudgetShare::is_evicted);
        if let Some(latest_progress) = self.timestamp_before(EVICTED_STALLED_AFTER) {
            revoke(shares, excess.max(evicted.saturating_sub(limit / 2)), latest_progress);
        }
    }

    /// Revokes shares whose readers have stalled, so that `bytes` can be reserved soon.
    fn revoke_stalled(&self, bytes: u64) {
        let missing = (self.used_bytes() + bytes).saturating_sub(self.0.limit_bytes);
        if let Some(latest_progress) = self.timestamp_before(STALLED_AFTER) {
            revoke(self.revocable_shares(), missing, latest_progress);
        }
    }
}

fn total_bytes(shares: &[Arc<BudgetShare>], matches: impl Fn(&BudgetShare) -> bool) -> u64 {
    shares.iter().filter(|share| matches(share)).map(|share| share.bytes()).sum()
}

/// Revokes shares, those without progress for longest first, until `bytes` will be released or the
/// others have progressed after `latest_progress`.
fn revoke(mut shares: Vec<Arc<BudgetShare>>, bytes: u64, latest_progress: u64) {
    let mut released = total_bytes(&shares, BudgetShare::is_revoked);
    if released >= bytes {
        return;
    }
    shares.sort_by_cached_key(|share| share.progress_at.load(Ordering::Relaxed));
    for share in shares.iter().filter(|share| !share.is_revoked()) {
        if released >= bytes || share.progress_at.load(Ordering::Relaxed) > latest_progress {
            break;
        }
        released += share.bytes();
        share.revoke();
    }
}

impl BudgetShare {
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The limit of the whole budget.
    pub fn budget_limit_bytes(&self) -> u64 {
        self.budget.0.limit_bytes
    }

    /// Reserves `bytes` more, or returns `false` if the budget does not have them.
    pub fn try_grow(&self, bytes: u64) -> bool {
        let limit = self.budget.0.limit_bytes;
        let used_bytes = &self.budget.0.used_bytes;
        let is_grown = !self.is_revoked()
            && used_bytes
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                    used.checked_add(bytes).filter(|used| *used <= limit)
                })
                .is_ok();
        if is_grown {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        is_grown
    }

    /// As [`try_grow`](Self::try_grow), but waits up to `timeout` for room, and takes it from
    /// readers that have stalled.
    pub async fn grow(&self, bytes: u64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            let released = self.budget.0.released.notified();
            if self.try_grow(bytes) {
                return true;
            }
            let limit = self.budget.0.limit_bytes;
            if bytes > limit || self.is_revoked() {
                return false;
            }
            self.budget.revoke_stalled(bytes);
            // A reader that stalls while this waits is found by looking again.
            let wake = deadline.min(Instant::now() + STALLED_AFTER / 4);
            if timeout_at(wake, released).await.is_err() && Instant::now() >= deadline {
                return self.try_grow(bytes);
            }
        }
    }

    /// Releases what exceeds `bytes`.
    pub fn shrink_to(&self, bytes: u64) {
        let before = self.bytes.fetch_min(bytes, Ordering::Relaxed);
        let released = before.saturating_sub(bytes);
        if released == 0 {
            return;
        }
        let state = &self.budget.0;
        state.used_bytes.fetch_sub(released, Ordering::Relaxed);
        state.released.notify_waiters();
    }

    /// Lets the budget revoke the share.
    pub fn make_revocable(self: &Arc<Self>) {
        if self.is_revocable.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut revocable = self.budget.lock_revocable();
        if revocable.len() == revocable.capacity() {
            revocable.retain(|share| share.strong_count() > 0);
        }
        revocable.push(Arc::downgrade(self));
    }

    /// Charges `bytes` of a body that has left the store while it is read: they are in memory
    /// already, so that they may exceed the budget until others are revoked.
    pub fn charge_evicted(self: &Arc<Self>, bytes: u64) {
        self.shrink_to(0);
        self.is_evicted.store(true, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.budget.0.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.make_revocable();
    }

    /// Revokes shares where evicted bodies take too much of the budget.
    pub fn revoke_budget_excess(&self) {
        self.budget.revoke_excess();
    }

    /// Records that a reader has taken bytes, so that it is not the first to be cut off.
    pub fn mark_progress(&self) {
        self.progress_at.store(self.budget.elapsed_millis(), Ordering::Relaxed);
    }

    fn is_evicted(&self) -> bool {
        self.is_evicted.load(Ordering::Relaxed)
    }

    pub fn is_revoked(&self) -> bool {
        self.is_revoked.load(Ordering::Acquire)
    }

    fn revoke(&self) {
        self.is_revoked.store(true, Ordering::Release);
        self.cut_off.notify_waiters();
    }

    /// Has readers look whether they are cut off.
    pub fn notify_readers(&self) {
        self.cut_off.notify_waiters();
    }

    /// Waits until `is_cut_off`, which is asked whenever readers are cut off.
    pub async fn wait_until_cut_off(&self, is_cut_off: impl Fn() -> bool) {
        loop {
            let notified = self.cut_off.notified();
            if is_cut_off() {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}
