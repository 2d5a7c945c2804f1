//! The review of all known streams: which of them play now.

use super::Engine;

impl Engine {
    /// Updates the known streams; returns whether anything changed.
    pub(super) fn update_known_streams(&mut self) -> bool {
        let now = self.clock.now();
        self.known_streams.update(&self.upstreams, &self.sources, now)
    }
}
