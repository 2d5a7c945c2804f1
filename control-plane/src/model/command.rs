//! An operator's commands: run a source, switch a stream, get the trace of the last run.

use pitwall_upstream_map::StreamId;
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

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SwitchResult {
    pub(crate) stream: StreamId,
    pub(crate) from: Option<String>,
    pub(crate) to: String,
    pub(crate) pinned: bool,
}
