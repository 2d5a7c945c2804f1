//! Selects the next jobs within concurrency limits. Pure functions.

use std::collections::BTreeMap;

use tokio::time::Instant;

/// A job that is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DueJob {
    pub(crate) source: usize,
    pub(crate) due_at: Instant,
    /// A stream that depends on the job is watched.
    pub(crate) is_watched: bool,
}

pub(crate) struct ConcurrencyLimits {
    pub(crate) max_running: usize,
    /// A source gets no more concurrent jobs than a few viewers would cause requests.
    pub(crate) max_per_source: usize,
}

/// Indices into `due` in the order in which the jobs are to start: jobs of watched streams first,
/// then the longest overdue. `running`: the number of running jobs per source.
pub(crate) fn select_jobs(
    due: &[DueJob],
    running: &BTreeMap<usize, usize>,
    limits: &ConcurrencyLimits,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..due.len()).collect();
    order.sort_by_key(|&index| due.get(index).map(|due| (!due.is_watched, due.due_at)));
    let mut running = running.clone();
    let mut free = limits.max_running.saturating_sub(running.values().sum());
    order.retain(|&index| {
        let Some(due) = due.get(index) else { return false };
        let of_source = running.entry(due.source).or_default();
        let starts = free > 0 && *of_source < limits.max_per_source;
        if starts {
            *of_source += 1;
            free -= 1;
        }
        starts
    });
    order
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn watched_then_longest_overdue_jobs_start() {
        let now = Instant::now();
        let due = |source, late, watched| DueJob {
            source,
            due_at: now - Duration::from_secs(late),
            is_watched: watched,
        };
        let limits = ConcurrencyLimits { max_running: 4, max_per_source: 2 };
        for (name, given, running, expected) in [
            ("nothing", &[][..], &[][..], &[][..]),
            ("longest first", &[due(0, 1, false), due(1, 5, false)], &[], &[1, 0]),
            ("watched first", &[due(0, 9, false), due(1, 1, true)], &[], &[1, 0]),
            (
                "two of a source",
                &[due(0, 3, false), due(0, 2, false), due(0, 1, false), due(1, 1, false)],
                &[],
                &[0, 1, 3],
            ),
            ("one runs", &[due(0, 3, false), due(0, 2, false)], &[(0, 1)], &[0]),
            ("all are busy", &[due(2, 3, true)], &[(0, 2), (1, 2)], &[]),
            ("one is free", &[due(2, 3, false), due(3, 1, true)], &[(0, 2), (1, 1)], &[1]),
        ] {
            let running = running.iter().copied().collect();
            assert_eq!(select_jobs(given, &running, &limits), expected, "{name}");
        }
    }
}
