//! [`DueTimes`]: what is due when.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use tokio::time::Instant;

/// Keys by the time when each is due; a key is due at most once.
pub(crate) struct DueTimes<K> {
    by_time: BTreeMap<Instant, BTreeSet<K>>,
    by_key: BTreeMap<K, Instant>,
}

impl<K> Default for DueTimes<K> {
    fn default() -> Self {
        Self { by_time: BTreeMap::new(), by_key: BTreeMap::new() }
    }
}

impl<K: Clone + Ord> DueTimes<K> {
    /// Replaces the time of a key; `None` removes the key.
    pub(crate) fn set(&mut self, key: &K, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.by_key.insert(key.clone(), at),
            None => self.by_key.remove(key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before
            && let Some(keys) = self.by_time.get_mut(&before)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.by_time.remove(&before);
            }
        }
        if let Some(at) = at {
            self.by_time.entry(at).or_default().insert(key.clone());
        }
    }

    /// The keys that are due by now, the longest overdue first.
    pub(crate) fn due(&self, now: Instant) -> impl Iterator<Item = &K> {
        self.by_time.range(..=now).flat_map(|(_, keys)| keys)
    }

    /// Removes the keys that are due by now.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<K> {
        let keys: Vec<K> = self.due(now).cloned().collect();
        keys.iter().for_each(|key| self.set(key, None));
        keys
    }

    /// The first time after now.
    pub(crate) fn next_after(&self, now: Instant) -> Option<Instant> {
        self.by_time.range((Bound::Excluded(now), Bound::Unbounded)).next().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn keys_are_due_once_and_in_the_order_of_their_times() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut times = DueTimes::default();
        for (key, seconds) in [("a", 3), ("b", 1), ("c", 1), ("d", 2), ("b", 4)] {
            times.set(&key, Some(at(seconds)));
        }
        times.set(&"d", None);
        times.set(&"e", Some(at(2)));
        assert_eq!(times.next_after(at(0)), Some(at(1)));
        assert_eq!(times.next_after(at(1)), Some(at(2)), "what is due already is not next");
        for (seconds, expected) in [(0, &[][..]), (3, &["c", "e", "a"]), (3, &[]), (9, &["b"])] {
            assert_eq!(times.take_due(at(seconds)), expected, "after {seconds} s");
        }
        assert_eq!(times.next_after(at(0)), None);
    }
}
