//! [`CurrentMap`]: the state that every store has in memory, so that reading never waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::feedback::EdgeFeedback;
use crate::map::UpstreamMap;

/// How long a control plane that no longer leads may take to save what it knows.
const LEADER_REST_TIMEOUT: Duration = Duration::from_secs(1);

/// The current map, the fencing token, and the feedback of edges.
pub struct CurrentMap {
    map: ArcSwap<UpstreamMap>,
    versions: watch::Sender<u64>,
    /// Why the stored map cannot be read here, while that is so.
    unreadable_reason: Mutex<Option<String>>,
    /// Fencing token under which this process may publish; `None` while it is not the leader.
    pub(super) fence: watch::Sender<Option<u64>>,
    /// Whether a control plane of this process works as the leader, or saves what it knows after
    /// that.
    pub(super) is_leader_working: watch::Sender<bool>,
    pub(super) feedback: EdgeFeedback,
}

impl CurrentMap {
    /// Starts with `map` and the fencing token `fence`, which both may be replaced later.
    pub fn new(map: UpstreamMap, fence: Option<u64>) -> Self {
        Self {
            versions: watch::Sender::new(map.version),
            unreadable_reason: Mutex::default(),
            map: ArcSwap::from_pointee(map),
            fence: watch::Sender::new(fence),
            is_leader_working: watch::Sender::new(false),
            feedback: EdgeFeedback::default(),
        }
    }

    /// Waits until the control plane of this process, which may no longer publish, has saved what
    /// it knows. A disk that hangs is not waited for.
    pub(super) async fn wait_until_leader_rests(&self) {
        let mut working = self.is_leader_working.subscribe();
        let rests = working.wait_for(|is_working| !*is_working);
        if tokio::time::timeout(LEADER_REST_TIMEOUT, rests).await.is_err() {
            tracing::warn!("the history is not saved: the disk of [state] dir is slow; check it");
        }
    }

    pub(super) fn map(&self) -> Arc<UpstreamMap> {
        self.map.load_full()
    }

    pub(super) fn version(&self) -> u64 {
        self.map.load().version
    }

    pub(super) fn unreadable_reason(&self) -> Option<String> {
        self.unreadable_reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records why the stored map cannot be read, or that it can; returns whether that changed.
    pub(super) fn set_unreadable_reason(&self, reason: Option<String>) -> bool {
        let mut current = self.unreadable_reason.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *current != reason;
        *current = reason;
        changed
    }

    pub(super) fn subscribe_versions(&self) -> watch::Receiver<u64> {
        self.versions.subscribe()
    }

    /// Replaces the map and notifies subscribers if `may_follow` accepts its version after the last
    /// one; else returns the last version as an error.
    pub(super) fn replace_map(
        &self,
        map: UpstreamMap,
        may_follow: fn(&u64, &u64) -> bool,
    ) -> Result<(), u64> {
        let (version, mut result) = (map.version, Ok(()));
        // Done under the sender's lock, so that two swaps cannot overtake each other.
        self.versions.send_if_modified(|last| {
            if !may_follow(&version, last) {
                result = Err(*last);
                return false;
            }
            self.map.store(Arc::new(map));
            std::mem::replace(last, version) != version
        });
        result
    }
}
