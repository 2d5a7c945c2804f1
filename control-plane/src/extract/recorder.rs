//! [`HttpRecorder`]: every exchange of a run with a server, program or browser goes through it, so
//! that the exchange can be recorded, and replayed without a network.
//!
//! - [`recording`]: the recorded run and its exchanges.
//! - [`directory`]: recordings on disk.

mod directory;
mod recording;

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(super) use self::recording::RecordedExchange;
pub(crate) use self::recording::RecordedResponse;
pub use self::recording::{Recording, RecordingError};
use super::error::StepFailure;
use super::mask;
use super::trace::RunBranch;

pub(crate) struct HttpRecorder {
    /// The time that the run sees; in a replay, the time of the recording.
    pub(crate) now: Timestamp,
    /// The seed of every random value of the run, so that a replay draws the same ones.
    pub(crate) seed: u64,
    mode: RecorderMode,
}

enum RecorderMode {
    Live,
    Recording(Mutex<Vec<RecordedExchange>>),
    /// The exchanges not yet replayed, by the path of their branch.
    Replaying(Mutex<HashMap<Vec<usize>, VecDeque<RecordedExchange>>>),
}

/// The request of an exchange: a method and a URL, or a program (`RUN name`) or browser (`BROWSE`)
/// and the page that it opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedRequest {
    pub method: String,
    pub target: String,
}

impl RecordedRequest {
    pub(crate) fn new(method: impl Into<String>, target: impl Into<String>) -> Self {
        Self { method: method.into(), target: target.into() }
    }
}

impl HttpRecorder {
    pub(crate) fn new_live() -> Self {
        Self { now: Timestamp::now(), seed: rand::random(), mode: RecorderMode::Live }
    }

    pub(crate) fn new_recording() -> Self {
        Self { mode: RecorderMode::Recording(Mutex::default()), ..Self::new_live() }
    }

    pub(crate) fn new_replaying(recording: &Recording) -> Self {
        let mut branches: HashMap<_, VecDeque<_>> = HashMap::new();
        for exchange in &recording.exchanges {
            branches.entry(exchange.track.clone()).or_default().push_back(exchange.clone());
        }
        let mode = RecorderMode::Replaying(Mutex::new(branches));
        Self { now: recording.at, seed: recording.seed, mode }
    }

    pub(crate) fn is_replay(&self) -> bool {
        matches!(self.mode, RecorderMode::Replaying(_))
    }

    /// The response to `request`: that of `live`, or in a replay the recorded one.
    ///
    /// # Errors
    /// The failure of `live`; in a replay, also that the recording has no further exchange in this
    /// branch, or that its next request is another one.
    pub(crate) async fn run_exchange(
        &self,
        branch: &RunBranch,
        request: RecordedRequest,
        live: impl Future<Output = Result<RecordedResponse, StepFailure>>,
    ) -> Result<RecordedResponse, StepFailure> {
        match &self.mode {
            RecorderMode::Live => live.await,
            RecorderMode::Recording(exchanges) => {
                let response = live.await;
                let exchange = RecordedExchange {
                    track: branch.path.clone(),
                    ask: request,
                    answer: response.clone(),
                };
                exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
                response
            }
            RecorderMode::Replaying(branches) => {
                let mut branches = branches.lock().unwrap_or_else(PoisonError::into_inner);
                let next = branches.get_mut(&branch.path).and_then(VecDeque::pop_front);
                let next = next.ok_or("the recording ends before this")?;
                if next.ask != request {
                    let detail = format!(
                        "{} {}, recorded was {} {}",
                        request.method,
                        mask::mask_value("", &request.target),
                        next.ask.method,
                        mask::mask_value("", &next.ask.target),
                    );
                    let failure = StepFailure::permanent("this request was not recorded");
                    return Err(StepFailure { detail: Some(detail), ..failure });
                }
                next.answer
            }
        }
    }

    /// The recorded exchanges, branch by branch; empty unless the mode is
    /// [`Recording`](RecorderMode::Recording).
    pub(crate) fn into_exchanges(self) -> Vec<RecordedExchange> {
        match self.mode {
            RecorderMode::Recording(exchanges) => {
                let mut exchanges = exchanges.into_inner().unwrap_or_else(PoisonError::into_inner);
                exchanges.sort_by(|a, b| a.track.cmp(&b.track));
                exchanges
            }
            RecorderMode::Live | RecorderMode::Replaying(_) => Vec::new(),
        }
    }
}
