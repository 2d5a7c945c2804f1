//! The open-file limit of this process. Logins and service managers set a low soft limit, which can
//! be raised to the hard one.

use std::num::NonZeroUsize;

use pitwall_proxy::config::EdgeConfig;
use pitwall_proxy::server::file_descriptors::{max_connections, required_descriptors};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one; gives the limit that then applies.
pub(crate) fn raise_open_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let applied = if limit.current == limit.maximum {
        limit.current
    } else {
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(error) => {
                tracing::warn!(%error, "the soft limit of open files cannot be raised to the hard one: raise it before the start");
                limit.current
            }
        }
    };
    applied.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Lowers the limit of connections to what the open-file limit permits, and logs a warning if it
/// does.
pub(crate) fn fit_connection_limit(edge: &mut EdgeConfig) {
    let (limit, wanted) = (raise_open_file_limit(), edge.limits.connections);
    let permitted = NonZeroUsize::new(max_connections(limit)).unwrap_or(NonZeroUsize::MIN);
    if permitted >= wanted {
        return;
    }
    edge.limits.connections = permitted;
    tracing::warn!(
        "at most {permitted} connections at once, not the {wanted} of [edge.limits] connections: this \
         process may have {limit} open files and would need {}, one for each connection and the rest \
         for upstreams, the admin listener and itself. Raise the limit (LimitNOFILE= of systemd, \
         --ulimit nofile= of docker, ulimit -n) or lower connections",
        required_descriptors(wanted.get())
    );
}
