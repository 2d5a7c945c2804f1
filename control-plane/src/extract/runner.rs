//! [`Runner`]: runs sources, bounded in time and number, each isolated from what the others do.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use pitwall_fetch::Fetcher;
use tokio::sync::{OnceCell, Semaphore};

use super::candidate::{Candidate, Found};
use super::config::ExtractConfig;
use super::error::ExtractError;
use super::tape::{Recording, Tape};
use super::trace::{Trace, TracedStep};
use super::{Context, scratch, tools::Tools};
use crate::source::Source;

pub struct Runner {
    fetcher: Arc<Fetcher>,
    tools: Tools,
    at_once: Semaphore,
    /// Programs and browsers weigh more than requests.
    heavy: Semaphore,
    /// Before the first run: what those left who were killed is gone.
    swept: OnceCell<()>,
    /// Of the last run of each source.
    traces: Mutex<HashMap<String, Arc<[TracedStep]>>>,
}

/// A run, from outside.
pub struct Extraction {
    pub candidates: Vec<Candidate>,
    pub failures: Vec<ExtractError>,
    /// What was found and cannot be a stream.
    pub unusable: Vec<ExtractError>,
    /// How many were found beyond those that are taken.
    pub dropped: usize,
    pub steps: Vec<TracedStep>,
}

impl Runner {
    pub fn new(fetcher: Arc<Fetcher>, config: &ExtractConfig) -> Self {
        Self {
            fetcher,
            tools: Tools::new(config),
            at_once: Semaphore::new(config.at_once.get()),
            heavy: Semaphore::new(config.programs_at_once.get()),
            swept: OnceCell::new(),
            traces: Mutex::default(),
        }
    }

    /// Why a source cannot work on this machine: what it needs is not installed, or off.
    pub fn missing(&self, source: &Source) -> Option<String> {
        self.tools.missing(source.extractor.needs()?)
    }

    /// The steps of the last run of a source, masked.
    pub fn last_trace(&self, source: &str) -> Option<Arc<[TracedStep]>> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner).get(source).cloned()
    }

    pub(crate) async fn run(&self, source: &Source) -> Found {
        let (found, _) = self.on(source, &Tape::live()).await;
        found
    }

    /// Runs a source once and says what it did.
    pub async fn extract(&self, source: &Source) -> Extraction {
        let (found, steps) = self.on(source, &Tape::live()).await;
        Extraction::new(found, steps)
    }

    /// Like [`extract`](Self::extract), and keeps what was heard.
    pub async fn record(&self, source: &Source) -> (Extraction, Recording) {
        let tape = Tape::record();
        let (found, steps) = self.on(source, &tape).await;
        let recording = Recording {
            source: source.name.clone(),
            kind: source.kind().to_owned(),
            at: tape.at,
            seed: tape.seed,
            good: found.failures.is_empty() && !found.candidates.is_empty(),
            exchanges: tape.exchanges(),
            steps: steps.clone(),
        };
        (Extraction::new(found, steps), recording)
    }

    /// Runs a source on what was recorded, without any network.
    pub async fn replay(&self, source: &Source, recording: &Recording) -> Extraction {
        let (found, steps) = self.on(source, &Tape::replay(recording)).await;
        Extraction::new(found, steps)
    }

    async fn on(&self, source: &Source, tape: &Tape) -> (Found, Vec<TracedStep>) {
        // A profile is many files. If it cannot be done this time, it is done some other time.
        let sweep = || async { tokio::task::spawn_blocking(scratch::sweep).await.unwrap_or(()) };
        self.swept.get_or_init(sweep).await;
        // Waiting for one's turn is no part of the deadline. A closed semaphore is not a thing.
        let _heavy = match source.extractor.needs() {
            Some(_) => self.heavy.acquire().await.ok(),
            None => None,
        };
        let _turn = self.at_once.acquire().await;
        let trace = Trace::default();
        let context = Context {
            source,
            fetcher: &self.fetcher,
            tools: &self.tools,
            policy: source.policy(),
            tape,
            trace: &trace,
        };
        let found = within_deadline(source, &context).await.tidy();
        let steps = trace.steps();
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        traces.insert(source.name.clone(), steps.clone().into());
        (found, steps)
    }
}

async fn within_deadline(source: &Source, context: &Context<'_>) -> Found {
    let deadline = source.extractor.timeout();
    let run = AssertUnwindSafe(source.extractor.extract(context)).catch_unwind();
    match tokio::time::timeout(deadline, run).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => Found::failed(ExtractError::new("run", "the extractor panicked", false)),
        Err(_) => {
            let message = format!("not finished within {}", humantime::format_duration(deadline));
            Found::failed(ExtractError::new("run", message, true))
        }
    }
}

impl Extraction {
    fn new(found: Found, steps: Vec<TracedStep>) -> Self {
        let Found { candidates, failures, unusable, dropped } = found;
        Self { candidates, failures, unusable, dropped, steps }
    }
}
