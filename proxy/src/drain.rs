//! [`DrainSignal`]: whether this process is draining before it stops.

use std::sync::Arc;

use tokio::sync::watch;

/// A flag that is set once, when the process begins to drain, and that all clones share.
#[derive(Clone)]
pub struct DrainSignal(Arc<watch::Sender<bool>>);

impl DrainSignal {
    pub fn start_drain(&self) {
        self.0.send_replace(true);
    }

    pub fn is_draining(&self) -> bool {
        *self.0.borrow()
    }

    pub async fn wait_until_draining(&self) {
        // Waiting fails only when the sender is dropped, and `self` holds it.
        let _ = self.0.subscribe().wait_for(|draining| *draining).await;
    }
}

impl Default for DrainSignal {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}
