//! [`Held`]: what every store keeps in memory, so that reading never waits.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::demand::Demand;
use crate::map::UpstreamMap;

pub struct Held {
    map: ArcSwap<UpstreamMap>,
    changes: watch::Sender<u64>,
    /// Why what is stored cannot be read here, as long as that is so.
    unreadable: Mutex<Option<String>>,
    pub(super) fence: watch::Sender<Option<u64>>,
    pub(super) demand: Demand,
}

impl Held {
    /// Until there is a newer map, and as long as nobody says otherwise of who may publish.
    pub fn new(map: UpstreamMap, fence: Option<u64>) -> Self {
        Self {
            changes: watch::Sender::new(map.version),
            unreadable: Mutex::default(),
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

    pub(super) fn unreadable(&self) -> Option<String> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes why what is stored cannot be read, or that it can; says whether that is news.
    pub(super) fn set_unreadable(&self, why: Option<String>) -> bool {
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *unreadable != why;
        *unreadable = why;
        news
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
