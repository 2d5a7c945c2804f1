//! Who is next, where only so many may run at once. Pure.

use std::collections::BTreeMap;

use tokio::time::Instant;

/// Something that is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) source: usize,
    pub(crate) at: Instant,
    /// Somebody watches what depends on it.
    pub(crate) watched: bool,
}

pub(crate) struct Limits {
    pub(crate) at_once: usize,
    /// One source is not asked more at once than a few viewers would.
    pub(crate) per_source: usize,
}

/// Indices into `due`, in the order in which they are to start: what is watched first, then
/// what waits longest. `running`: how many of each source run already.
pub(crate) fn next(due: &[Due], running: &BTreeMap<usize, usize>, limits: &Limits) -> Vec<usize> {
    let mut order: Vec<usize> = (0..due.len()).collect();
    order.sort_by_key(|&index| due.get(index).map(|due| (!due.watched, due.at)));
    let mut running = running.clone();
    let mut free = limits.at_once.saturating_sub(running.values().sum());
    order.retain(|&index| {
        let Some(due) = due.get(index) else { return false };
        let of_source = running.entry(due.source).or_default();
        let starts = free > 0 && *of_source < limits.per_source;
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
    fn who_is_next() {
        let now = Instant::now();
        let due =
            |source, late, watched| Due { source, at: now - Duration::from_secs(late), watched };
        let limits = Limits { at_once: 4, per_source: 2 };
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
            assert_eq!(next(given, &running, &limits), expected, "{name}");
        }
    }
}
