//! How many bytes may be in fills at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Clone)]
pub struct Budget {
    used: Arc<AtomicU64>,
    limit: u64,
}

/// A part of the budget, given back when it is dropped.
pub struct Reserved {
    budget: Budget,
    bytes: u64,
}

impl Budget {
    pub fn new(limit: u64) -> Self {
        Self { used: Arc::default(), limit }
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Is so little of it in use that something may be fetched that nobody has asked for?
    pub fn is_idle(&self) -> bool {
        self.used() < self.limit / 2
    }
}

impl Reserved {
    pub fn nothing(budget: &Budget) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    pub fn grow(&mut self, bytes: u64) -> bool {
        let limit = self.budget.limit;
        let grown = self
            .budget
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= limit)
            })
            .is_ok();
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    pub fn release(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.release();
    }
}
