//! An operator's commands: run a source, switch a stream, get the trace of the last run or who
//! watches what.

use pitwall_upstream_map::{MapReach, StreamId};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::run_trace::RunTrace;

/// A command is executed by the engine between two events. No command waits for an upstream; only a
/// switch waits for the store.
pub(crate) enum Command {
    Run {
        extractor: String,
        reply: ReplySender<RunStarted>,
    },
    Switch {
        stream: String,
        request: SwitchRequest,
        requested_at: Instant,
        reply: ReplySender<SwitchResult>,
    },
    GetTrace {
        extractor: String,
        reply: ReplySender<RunTrace>,
    },
    GetViewers {
        reply: ReplySender<ViewerCounts>,
    },
}

pub(crate) type ReplySender<T> = oneshot::Sender<Result<T, CommandError>>;

/// Which source shall be active.
pub(crate) struct SwitchRequest {
    /// `None`: the next best one.
    pub(crate) source: Option<String>,
    /// Whether the source stays active until it is down; otherwise ranking continues from it.
    pub(crate) pin: bool,
}

/// Why a command failed; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommandError {
    NoExtractor,
    NoStream,
    /// The stream has no upstream of that source, or no other one.
    NoUpstream,
    /// The upstream is down.
    UpstreamDown,
    /// No run of the source has ended yet.
    NoTrace,
    /// The store did not accept the map, with the reason. Nothing was changed.
    StoreUnavailable(String),
    /// Another control plane has become the leader.
    NotLeading,
    /// The upstreams that the last map names are still being found.
    TakingOver,
    /// The engine reached the command too late. Nothing was changed.
    Busy,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RunStarted {
    pub(crate) extractor: String,
    /// The source was already running when the command came.
    pub(crate) already_running: bool,
}

/// Response of `GET /api/viewers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ViewerCounts {
    /// Of all streams together; who watches two streams counts twice.
    pub(crate) viewers: usize,
    pub(crate) streams: Vec<StreamViewerCount>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct StreamViewerCount {
    pub(crate) stream: StreamId,
    pub(crate) feed: String,
    pub(crate) viewers: usize,
    /// The source that plays; `None` while none does.
    pub(crate) source: Option<String>,
    /// Whether an operator pinned that source.
    pub(crate) pinned: bool,
    /// How long the source has been playing; since the last restart at most.
    pub(crate) playing_seconds: Option<u64>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SwitchResult {
    pub(crate) stream: StreamId,
    pub(crate) from: Option<String>,
    pub(crate) to: String,
    pub(crate) pinned: bool,
    pub(crate) reach: MapReach,
}
