//! Fetches of objects that players are about to request.

use std::sync::Arc;

use super::shared_fetch::JoinOutcome;
use super::{RANGE_OBJECT_MAX_BYTES, SegmentCache};
use crate::cache::inflight_fetch::NotCacheable;
use crate::cache::object_key::ObjectKey;
use crate::cache::prefetch_outcome::PrefetchOutcome;
use crate::upstream::target::UpstreamTarget;

impl SegmentCache {
    /// Fetches an object that players will request, unless that would take the budget or a permit
    /// from requests in progress. An `is_long_lived` object, a map or a key, is needed for as long
    /// as the playlist plays, which may outlive its source: it is fetched again before it is stale.
    pub fn prefetch(
        self: &Arc<Self>,
        target: &UpstreamTarget,
        byte_range: Option<(u64, u64)>,
        is_long_lived: bool,
    ) -> PrefetchOutcome {
        let bounds = match byte_range {
            None => None,
            Some((length @ 1..=RANGE_OBJECT_MAX_BYTES, offset)) => {
                match offset.checked_add(length - 1) {
                    Some(last) => Some((offset, last)),
                    None => return PrefetchOutcome::Skipped,
                }
            }
            Some(_) => return PrefetchOutcome::Skipped,
        };
        if self.max_object_bytes == 0 {
            return PrefetchOutcome::Skipped;
        }
        let key = ObjectKey::of(target, bounds);
        let may_start =
            || self.budget.has_prefetch_room() && target.profile.limiter.has_free_permit();
        match self.objects.find_fresh(&key) {
            Some(object) if is_long_lived && object.is_due_for_refresh() && may_start() => {
                let mut inflight = self.inflight.lock();
                if inflight.find(&key).is_some() {
                    return PrefetchOutcome::Stored;
                }
                let (guard, reader) = self.register_fetch(&mut inflight, key, target);
                // What is on disk is no fresher than what is stored.
                self.spawn_fetch(guard, target, bounds, None);
                drop(inflight);
                tokio::spawn(reader.read_to_end());
                return PrefetchOutcome::Refreshing;
            }
            Some(_) => return PrefetchOutcome::Stored,
            None if self.inflight.contains(&key) || may_start() => {}
            None => return PrefetchOutcome::Skipped,
        }
        match self.join_or_start_fetch(target, bounds) {
            JoinOutcome::Inflight(reader, coalesced) => {
                let progress = reader.observe_fetch();
                PrefetchOutcome::Inflight {
                    completion: tokio::spawn(reader.read_to_end()),
                    progress,
                    coalesced,
                }
            }
            JoinOutcome::Hit(_) => PrefetchOutcome::Stored,
            JoinOutcome::NotCacheable(NotCacheable::Problem(problem)) => {
                PrefetchOutcome::Failed(problem)
            }
            JoinOutcome::NotCacheable(_) => PrefetchOutcome::Skipped,
        }
    }
}
