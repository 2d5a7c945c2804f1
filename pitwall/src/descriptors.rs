//! The open-file limit. A login and a service get a low one, which is only the soft one.

use std::num::NonZeroUsize;

use pitwall_proxy::config::EdgeConfig;
use pitwall_proxy::descriptors::{connections, needed};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one; says what holds then.
pub(crate) fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let holds = if limit.current == limit.maximum {
        limit.current
    } else {
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(error) => {
                tracing::warn!(%error, "the open-file limit cannot be raised");
                limit.current
            }
        }
    };
    holds.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Takes no more connections than there are open files for, and says so.
pub(crate) fn fit(edge: &mut EdgeConfig) {
    let (limit, wanted) = (raise(), edge.limits.connections);
    let room = NonZeroUsize::new(connections(limit)).unwrap_or(NonZeroUsize::MIN);
    if room >= wanted {
        return;
    }
    edge.limits.connections = room;
    tracing::warn!(
        "at most {room} connections at once, not the {wanted} of [edge.limits] connections: this \
         process may have {limit} open files and would need {}, one for each connection and the rest \
         for upstreams, the admin listener and itself. Raise the limit (LimitNOFILE= of systemd, \
         --ulimit nofile= of docker, ulimit -n) or lower connections",
        needed(wanted.get())
    );
}
