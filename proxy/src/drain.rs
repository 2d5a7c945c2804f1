//! Whether the process is about to stop.

use std::sync::Arc;

use tokio::sync::watch;

/// Set once, and seen by everybody.
#[derive(Clone)]
pub struct Draining(Arc<watch::Sender<bool>>);

impl Draining {
    pub fn set(&self) {
        self.0.send_replace(true);
    }

    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    pub async fn wait(&self) {
        // The sender is held here, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(|draining| *draining).await;
    }
}

impl Default for Draining {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}
