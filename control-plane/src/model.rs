//! What the control plane knows: sources' states, tracked upstreams, streams and their rankings, and
//! what operators want. Data and functions without I/O.
//!
//! - [`tracked_upstream`]: an upstream from its first passed check on; [`liveness`]: whether its
//!   playlists still advance; [`upstream_stats`]: what its score is computed from; [`figures`]: what
//!   is shown of it; [`upstream_table`]: all of them.
//! - [`source_state`]: what is known of a source, and when it runs next; [`run_report`],
//!   [`run_trace`]: what its last run found, and did.
//! - [`known_streams`]: all streams that sources name, and their outages; [`outage_cause`]: why a
//!   stream is down, in words.
//! - [`ranking`]: a stream's upstreams, best first; [`continuity`]: what players make of a splice
//!   between two of them.
//! - [`command`]: what an operator wants; [`alert`]: what an operator is told.

pub(crate) mod alert;
pub(crate) mod command;
pub(crate) mod continuity;
pub(crate) mod figures;
pub(crate) mod known_streams;
pub(crate) mod liveness;
pub(crate) mod outage_cause;
pub(crate) mod ranking;
pub(crate) mod run_report;
pub(crate) mod run_trace;
pub(crate) mod source_state;
pub(crate) mod tracked_upstream;
pub(crate) mod upstream_stats;
pub(crate) mod upstream_table;

use pitwall_upstream_map::StreamId;

/// Identifies an upstream: its stream, the index of its source in the configuration, and its number
/// among that source's candidates for the stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UpstreamKey {
    pub(crate) stream: StreamId,
    pub(crate) source: usize,
    pub(crate) ordinal: usize,
}
