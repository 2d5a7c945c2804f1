//! Limit of the bytes that all fetches in flight hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The budget, in bytes, shared by all fetches.
#[derive(Clone)]
pub struct FetchBudget {
    used_bytes: Arc<AtomicU64>,
    limit_bytes: u64,
}

/// A part of the budget, released on drop.
pub struct BudgetReservation {
    budget: FetchBudget,
    bytes: u64,
}

impl FetchBudget {
    pub fn new(limit: u64) -> Self {
        Self { used_bytes: Arc::default(), limit_bytes: limit }
    }

    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Whether so little of the budget is used that a prefetch may start.
    pub fn has_prefetch_room(&self) -> bool {
        self.used_bytes() < self.limit_bytes / 2
    }
}

impl BudgetReservation {
    pub fn empty(budget: &FetchBudget) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    /// Reserves `bytes` more, or returns `false` if the budget does not have them.
    pub fn try_grow(&mut self, bytes: u64) -> bool {
        let limit = self.budget.limit_bytes;
        let is_grown = self
            .budget
            .used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= limit)
            })
            .is_ok();
        if is_grown {
            self.bytes += bytes;
        }
        is_grown
    }

    pub fn release(&mut self) {
        self.budget.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }
}

impl Drop for BudgetReservation {
    fn drop(&mut self) {
        self.release();
    }
}
