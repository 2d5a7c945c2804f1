//! [`Turns`]: all checks of one source together send it no more requests at once than its
//! operator allows.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A source's connections, as its checks share them; of one without a limit there are always
/// some.
#[derive(Clone)]
pub(crate) struct Turns(Option<Arc<Semaphore>>);

/// One check's share of them, while it lasts.
pub(super) struct Turn {
    /// How many requests this check may send at once.
    pub(super) at_once: usize,
    #[expect(dead_code, reason = "given back when it is dropped")]
    held: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub(crate) fn new(connections: Option<NonZeroU32>) -> Self {
        Self(connections.map(|limit| Arc::new(Semaphore::new(limit.get() as usize))))
    }

    /// Waits for one connection, and takes at once what else is free, up to `most`. Who holds
    /// some never waits for more: checks cannot block each other.
    pub(super) async fn take(&self, most: usize) -> Turn {
        let unlimited = Turn { at_once: most, held: None };
        let Some(free) = &self.0 else { return unlimited };
        // Nobody closes it.
        let Ok(mut held) = free.clone().acquire_owned().await else { return unlimited };
        while held.num_permits() < most
            && let Ok(another) = free.clone().try_acquire_owned()
        {
            held.merge(another);
        }
        Turn { at_once: held.num_permits(), held: Some(held) }
    }
}
