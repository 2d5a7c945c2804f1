//! [`Held`]: what every store keeps in memory, so that reading never waits.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::demand::Demand;
use crate::map::UpstreamMap;

pub struct Held {
    map: ArcSwap<UpstreamMap>,
    changes: watch::Sender<u64>,
    pub(super) fence: watch::Sender<Option<u64>>,
    pub(super) demand: Demand,
}

impl Held {
    /// Until there is a newer map, and as long as nobody says otherwise of who may publish.
    pub fn new(map: UpstreamMap, fence: Option<u64>) -> Self {
        Self {
            changes: watch::Sender::new(map.version),
            map: ArcSwap::from_pointee(map),
            fence: watch::Sender::new(fence),
            demand: Demand::default(),
        }
    }

    pub(super) fn map(&self) -> Arc<UpstreamMap> {
        self.map.load_full()
    }

    pub(super) fn version(&self) -> u64 {
        self.map.load().version
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Swaps in a map whose version may follow the last one, and tells of it; else says which
    /// that is.
    pub(super) fn swap(
        &self,
        map: UpstreamMap,
        may_follow: fn(&u64, &u64) -> bool,
    ) -> Result<(), u64> {
        let (version, mut swapped) = (map.version, Ok(()));
        // Under the sender's lock, so that two cannot pass each other.
        self.changes.send_if_modified(|last| {
            if !may_follow(&version, last) {
                swapped = Err(*last);
                return false;
            }
            self.map.store(Arc::new(map));
            std::mem::replace(last, version) != version
        });
        swapped
    }
}
