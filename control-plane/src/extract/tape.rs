//! [`Tape`]: everything that a run hears from outside goes through here, so that it can be
//! recorded, and heard again without a network.

mod folder;
mod recording;

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use self::recording::Answer;
pub(super) use self::recording::Exchange;
pub use self::recording::{Recording, RecordingError};
use super::error::Failure;
use super::mask;
use super::trace::Track;

pub(crate) struct Tape {
    /// What time it is for the run: when a replay happened, not when it is repeated.
    pub(crate) at: Timestamp,
    /// Of everything random.
    pub(crate) seed: u64,
    mode: Mode,
}

enum Mode {
    Live,
    Recording(Mutex<Vec<Exchange>>),
    Replaying(Mutex<HashMap<Vec<usize>, VecDeque<Exchange>>>),
}

/// What was asked: a method and a URL, or a program and what it was to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub method: String,
    pub target: String,
}

impl Ask {
    pub(crate) fn new(method: impl Into<String>, target: impl Into<String>) -> Self {
        Self { method: method.into(), target: target.into() }
    }
}

impl Tape {
    pub(crate) fn live() -> Self {
        Self { at: Timestamp::now(), seed: rand::random(), mode: Mode::Live }
    }

    pub(crate) fn record() -> Self {
        Self { mode: Mode::Recording(Mutex::default()), ..Self::live() }
    }

    pub(crate) fn replay(recording: &Recording) -> Self {
        let mut tracks: HashMap<_, VecDeque<_>> = HashMap::new();
        for exchange in &recording.exchanges {
            tracks.entry(exchange.track.clone()).or_default().push_back(exchange.clone());
        }
        let mode = Mode::Replaying(Mutex::new(tracks));
        Self { at: recording.at, seed: recording.seed, mode }
    }

    pub(crate) fn is_replay(&self) -> bool {
        matches!(self.mode, Mode::Replaying(_))
    }

    /// The answer to `ask`: what `live` says, or what it said when it was recorded.
    pub(crate) async fn exchange(
        &self,
        track: &Track,
        ask: Ask,
        live: impl Future<Output = Result<Answer, Failure>>,
    ) -> Result<Answer, Failure> {
        match &self.mode {
            Mode::Live => live.await,
            Mode::Recording(exchanges) => {
                let answer = live.await;
                let exchange = Exchange { track: track.path.clone(), ask, answer: answer.clone() };
                exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
                answer
            }
            Mode::Replaying(tracks) => {
                let mut tracks = tracks.lock().unwrap_or_else(PoisonError::into_inner);
                let next = tracks.get_mut(&track.path).and_then(VecDeque::pop_front);
                let next = next.ok_or("the recording ends before this")?;
                if next.ask != ask {
                    let detail = format!(
                        "{} {}, recorded was {} {}",
                        ask.method,
                        mask::value("", &ask.target),
                        next.ask.method,
                        mask::value("", &next.ask.target),
                    );
                    let failure = Failure::lasting("this request was not recorded");
                    return Err(Failure { detail: Some(detail), ..failure });
                }
                next.answer
            }
        }
    }

    /// What was recorded so far.
    pub(crate) fn exchanges(self) -> Vec<Exchange> {
        match self.mode {
            Mode::Recording(exchanges) => {
                let mut exchanges = exchanges.into_inner().unwrap_or_else(PoisonError::into_inner);
                exchanges.sort_by(|a, b| a.track.cmp(&b.track));
                exchanges
            }
            Mode::Live | Mode::Replaying(_) => Vec::new(),
        }
    }
}
