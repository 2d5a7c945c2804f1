//! [`NegativeCache`]: what upstreams have just refused.

use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;
use url::Url;

use super::inflight_fetch::NotCacheable;
use super::object_key::ObjectKey;

/// How long an upstream's error response is repeated for other requests. It is short, because a
/// segment that is announced too early exists a moment later.
pub(super) const PROBLEM_TTL: Duration = Duration::from_secs(1);

/// How long an object is known not to be available in ranges.
const RANGE_IGNORED_TTL: Duration = Duration::from_secs(60);

/// Limit of the entries, which are small: the holder of one link may request any number of objects.
const ENTRIES_MAX: u64 = 4096;

/// Why fetches had no cacheable body, for as long as that is repeated.
pub(super) struct NegativeCache(Cache<ObjectKey, NegativeEntry>);

/// Why a fetch had no cacheable body, for which URL, and until when that is repeated. With another
/// token, and so another URL, the upstream may respond otherwise.
#[derive(Clone)]
struct NegativeEntry {
    reason: NotCacheable,
    url: Url,
    expires_at: Instant,
}

impl Default for NegativeCache {
    fn default() -> Self {
        Self(Cache::new(ENTRIES_MAX))
    }
}

impl NegativeCache {
    pub(super) fn find(&self, key: &ObjectKey, url: &Url) -> Option<NotCacheable> {
        let entry = self.0.get(key)?;
        let has_new_url = matches!(entry.reason, NotCacheable::Problem(_)) && entry.url != *url;
        (Instant::now() < entry.expires_at && !has_new_url).then_some(entry.reason)
    }

    pub(super) fn insert(&self, key: ObjectKey, reason: NotCacheable, url: Url) {
        let ttl = match reason {
            NotCacheable::Problem(_) => PROBLEM_TTL,
            NotCacheable::RangeIgnored => RANGE_IGNORED_TTL,
        };
        self.0.insert(key, NegativeEntry { reason, url, expires_at: Instant::now() + ttl });
    }
}
