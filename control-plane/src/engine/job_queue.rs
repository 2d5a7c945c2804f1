//! [`JobQueue`]: which jobs start next, within concurrency limits.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::due_times::DueTimes;
use crate::model::UpstreamKey;

/// Jobs by the time when they are due: those on which a watched stream depends start first, then the
/// longest overdue.
pub(crate) struct JobQueue<K> {
    watched: DueTimes<K>,
    unwatched: DueTimes<K>,
    /// Number of running jobs by source.
    running: BTreeMap<usize, usize>,
    limits: ConcurrencyLimits,
}

pub(crate) struct ConcurrencyLimits {
    pub(crate) max_running: usize,
    /// A source gets no more concurrent jobs than a few viewers would cause requests.
    pub(crate) max_per_source: usize,
}

/// Identifies a job: a run by its source, a check by its upstream.
pub(crate) trait JobKey: Clone + Ord {
    /// The index of the source that the job asks.
    fn source(&self) -> usize;
}

impl JobKey for usize {
    fn source(&self) -> usize {
        *self
    }
}

impl JobKey for UpstreamKey {
    fn source(&self) -> usize {
        self.source
    }
}

impl<K: JobKey> JobQueue<K> {
    pub(crate) fn new(limits: ConcurrencyLimits) -> Self {
        Self {
            watched: DueTimes::default(),
            unwatched: DueTimes::default(),
            running: BTreeMap::new(),
            limits,
        }
    }

    /// Replaces the time at which a job is due; `None`: it is not to start, as while it runs.
    pub(crate) fn schedule(&mut self, key: &K, due_at: Option<Instant>, is_watched: bool) {
        self.watched.set(key, due_at.filter(|_| is_watched));
        self.unwatched.set(key, due_at.filter(|_| !is_watched));
    }

    /// The due jobs that the limits allow, which from now on count as running.
    pub(crate) fn take_due_jobs(&mut self, now: Instant) -> Vec<K> {
        let mut free = self.limits.max_running.saturating_sub(self.running.values().sum::<usize>());
        let mut started = Vec::new();
        for key in self.watched.due(now).chain(self.unwatched.due(now)) {
            if free == 0 {
                break;
            }
            let of_source = self.running.entry(key.source()).or_default();
            if *of_source < self.limits.max_per_source {
                *of_source += 1;
                free -= 1;
                started.push(key.clone());
            }
        }
        started.iter().for_each(|key| self.schedule(key, None, false));
        started
    }

    /// A job of the source has ended.
    pub(crate) fn end_job(&mut self, source: usize) {
        if let Some(running) = self.running.get_mut(&source) {
            *running = running.saturating_sub(1);
            if *running == 0 {
                self.running.remove(&source);
            }
        }
    }

    /// Number of jobs that are due and wait for another one to end.
    pub(crate) fn count_overdue(&self, now: Instant) -> usize {
        self.watched.due(now).count() + self.unwatched.due(now).count()
    }

    /// When the next job becomes due. Jobs that are due already wait for another one to end.
    pub(crate) fn next_after(&self, now: Instant) -> Option<Instant> {
        [&self.watched, &self.unwatched].into_iter().filter_map(|it| it.next_after(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pitwall_upstream_map::StreamId;

    use super::*;

    #[test]
    fn watched_then_longest_overdue_jobs_start() {
        let now = Instant::now();
        let key = |source, ordinal| {
            let stream = StreamId::of_feed("World feed").unwrap();
            UpstreamKey { stream, source, ordinal }
        };
        // Jobs as (source, seconds overdue, watched), and the sources of those that run.
        for (name, jobs, running, expected) in [
            ("nothing", &[][..], &[][..], &[][..]),
            ("longest first", &[(0, 1, false), (1, 5, false)], &[], &[1, 0]),
            ("watched first", &[(0, 9, false), (1, 1, true)], &[], &[1, 0]),
            (
                "two of a source",
                &[(0, 4, false), (0, 3, false), (0, 2, false), (1, 1, false)],
                &[],
                &[0, 1, 3],
            ),
            ("one runs", &[(0, 3, false), (0, 2, false)], &[0], &[0]),
            ("all are busy", &[(2, 3, true)], &[0, 0, 1, 1], &[]),
            ("one is free", &[(2, 3, false), (3, 1, true)], &[0, 0, 1], &[1]),
        ] {
            let limits = ConcurrencyLimits { max_running: 4, max_per_source: 2 };
            let mut queue = JobQueue::new(limits);
            for (ordinal, source) in running.iter().enumerate() {
                queue.schedule(&key(*source, 100 + ordinal), Some(now), false);
                assert_eq!(queue.take_due_jobs(now).len(), 1, "{name}");
            }
            for (ordinal, (source, late, watched)) in jobs.iter().enumerate() {
                let due_at = now - Duration::from_secs(*late);
                queue.schedule(&key(*source, ordinal), Some(due_at), *watched);
            }
            let started: Vec<_> = queue.take_due_jobs(now).iter().map(|key| key.ordinal).collect();
            assert_eq!(started, expected, "{name}");
            assert_eq!(queue.count_overdue(now), jobs.len() - expected.len(), "{name}");
        }
    }

    #[test]
    fn a_job_that_ends_makes_room() {
        let now = Instant::now();
        let mut queue = JobQueue::new(ConcurrencyLimits { max_running: 1, max_per_source: 1 });
        for source in [0, 1] {
            queue.schedule(&source, Some(now), false);
        }
        assert_eq!((queue.take_due_jobs(now), queue.take_due_jobs(now)), (vec![0], vec![]));
        queue.end_job(0);
        assert_eq!(queue.take_due_jobs(now), [1]);
    }
}
