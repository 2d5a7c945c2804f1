//! How many viewers' connections fit into the open-file limit of this process. Some descriptors are
//! reserved for the admin listener, the process itself and upstreams, so that a crowd of viewers
//! neither fails health probes nor breaks the playback of those who already watch.

/// Descriptors for runtimes, listeners, state files, Redis and the admin listener.
const RESERVED_DESCRIPTORS: usize = 64;

/// Descriptors for connections to upstreams, of `limit` open files.
fn upstream_descriptors(limit: usize) -> usize {
    (limit / 8).clamp(16, 1024)
}

/// Viewers' connections that `limit` open files leave room for.
pub fn max_connections(limit: usize) -> usize {
    limit.saturating_sub(RESERVED_DESCRIPTORS + upstream_descriptors(limit)).max(1)
}

/// The open-file limit that this many viewers' connections need.
pub fn required_descriptors(connections: usize) -> usize {
    let without_upstreams = connections.saturating_add(RESERVED_DESCRIPTORS);
    let limit = without_upstreams.saturating_add(without_upstreams / 7);
    without_upstreams.saturating_add(upstream_descriptors(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_required_descriptors_leave_room_for_the_connections() {
        for (limit, expected) in [(0, 1), (64, 1), (128, 48), (1024, 832), (20_000, 18_912)] {
            assert_eq!(max_connections(limit), expected, "{limit}");
        }
        for wanted in [1, 48, 832, 7000, 50_000] {
            let needed = required_descriptors(wanted);
            assert!(max_connections(needed) >= wanted, "{wanted} need {needed}");
        }
    }
}
