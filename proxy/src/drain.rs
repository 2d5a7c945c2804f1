//! [`DrainSignal`]: whether this process takes no new viewers any more, and why.

use std::sync::Arc;

use tokio::sync::watch;

/// Why a process drains, which all clones share. It is set once.
#[derive(Clone)]
pub struct DrainSignal(Arc<watch::Sender<Option<DrainReason>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainReason {
    /// The process stops: viewers have to find another edge.
    Stop,
    /// A successor listens on the same sockets: a viewer who connects again reaches it.
    HandOver,
}

impl DrainSignal {
    /// Begins to drain. Does nothing if that has begun.
    pub fn start_drain(&self, reason: DrainReason) {
        self.0.send_if_modified(|current| {
            let is_first = current.is_none();
            current.get_or_insert(reason);
            is_first
        });
    }

    pub fn reason(&self) -> Option<DrainReason> {
        *self.0.borrow()
    }

    pub fn is_draining(&self) -> bool {
        self.reason().is_some()
    }

    /// Whether this process stops without a successor, so that health probes have to fail.
    pub fn is_stopping(&self) -> bool {
        self.reason() == Some(DrainReason::Stop)
    }

    pub async fn wait_until_draining(&self) -> DrainReason {
        // Waiting fails only when the sender is dropped, and `self` holds it.
        let reason = self.0.subscribe().wait_for(Option::is_some).await.map(|reason| *reason);
        reason.ok().flatten().unwrap_or(DrainReason::Stop)
    }
}

impl Default for DrainSignal {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}
