//! How many connections fit into the open files that this process may have: some are kept for the
//! admin listener and the process itself, some for upstreams, so that viewers who come beyond them
//! cost neither a probe nor those who watch.

/// For runtimes, listeners, state files, Redis and the admin listener.
const OWN: usize = 64;

/// For connections to upstreams.
fn upstream(limit: usize) -> usize {
    (limit / 8).clamp(16, 1024)
}

/// Viewers' connections that `limit` open files leave room for.
pub fn connections(limit: usize) -> usize {
    limit.saturating_sub(OWN + upstream(limit)).max(1)
}

/// The open files that so many connections need.
pub fn needed(connections: usize) -> usize {
    let least = connections.saturating_add(OWN);
    least.saturating_add(upstream(least.saturating_add(least / 7)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_enough() {
        for (limit, expected) in [(0, 1), (64, 1), (128, 48), (1024, 832), (20_000, 18_912)] {
            assert_eq!(connections(limit), expected, "{limit}");
        }
        for wanted in [1, 48, 832, 7000, 50_000] {
            let needed = needed(wanted);
            assert!(connections(needed) >= wanted, "{wanted} need {needed}");
        }
    }
}
