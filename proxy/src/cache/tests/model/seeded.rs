//! Chance that is the same for the same seed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// A sequence of numbers (SplitMix64), which all tasks of a schedule share.
#[derive(Clone)]
pub(super) struct Seeded(Arc<AtomicU64>);

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed.wrapping_mul(0xd6e8_feb8_6659_fd93))))
    }

    /// A number from 0 to `limit` - 1.
    pub(super) fn below(&self, limit: usize) -> usize {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % limit as u64) as usize
    }

    /// True in one of so many cases.
    pub(super) fn chance(&self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// A task that is polled later than it could be, now and then, so that tasks which are ready at the
/// same time run in any order.
pub(super) struct Interleaved<F> {
    task: Pin<Box<F>>,
    seeded: Seeded,
}

impl<F: Future> Interleaved<F> {
    pub(super) fn new(task: F, seeded: Seeded) -> Self {
        Self { task: Box::pin(task), seeded }
    }
}

impl<F: Future> Future for Interleaved<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.seeded.chance(3) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.task.as_mut().poll(context)
    }
}
