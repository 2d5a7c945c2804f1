//! [`ExtractionRunner`]: runs sources under a deadline and a concurrency limit; a panic or failure
//! of one source does not affect the others.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use pitwall_fetch::Fetcher;
use tokio::sync::{OnceCell, Semaphore};
use tracing::Instrument as _;

use super::candidate::{Candidate, ExtractorOutput};
use super::config::ExtractConfig;
use super::configured_source::ConfiguredSource;
use super::error::ExtractError;
use super::recorder::{HttpRecorder, Recording};
use super::trace::{Trace, TracedStep};
use super::{ExtractContext, run_directory, tools::ExternalTools};

/// Runs the extractor of a source, and remembers the trace of the source's last run.
pub struct ExtractionRunner {
    fetcher: Arc<Fetcher>,
    tools: ExternalTools,
    run_permits: Semaphore,
    /// Limits programs and browsers separately: they need more memory and CPU than requests.
    program_permits: Semaphore,
    /// Set once the run directories of killed processes are removed, before the first run.
    startup_cleanup: OnceCell<()>,
    /// The masked steps of the last run, by the name of the source.
    last_traces: Mutex<HashMap<String, Arc<[TracedStep]>>>,
}

/// The result of one run, for callers outside this crate.
pub struct Extraction {
    pub candidates: Vec<Candidate>,
    pub failures: Vec<ExtractError>,
    /// Findings that cannot be a stream; the run has not failed because of them.
    pub unusable: Vec<ExtractError>,
    pub steps: Vec<TracedStep>,
}

impl ExtractionRunner {
    pub fn new(fetcher: Arc<Fetcher>, config: &ExtractConfig) -> Self {
        Self {
            fetcher,
            tools: ExternalTools::new(config),
            run_permits: Semaphore::new(config.at_once.get()),
            program_permits: Semaphore::new(config.programs_at_once.get()),
            startup_cleanup: OnceCell::new(),
            last_traces: Mutex::default(),
        }
    }

    /// Why a source cannot run on this machine: the tool that it needs is not installed, or off.
    /// `None` if the source can run.
    pub fn explain_missing(&self, source: &ConfiguredSource) -> Option<String> {
        self.tools.explain_missing(source.extractor.required_tool()?)
    }

    /// The steps of the last run of a source, masked.
    pub fn last_trace(&self, source: &str) -> Option<Arc<[TracedStep]>> {
        self.last_traces.lock().unwrap_or_else(PoisonError::into_inner).get(source).cloned()
    }

    pub(crate) async fn run(&self, source: &ConfiguredSource) -> ExtractorOutput {
        let (found, _) = self.run_with_recorder(source, &HttpRecorder::new_live()).await;
        found
    }

    /// Runs a source once, over the network.
    pub async fn extract(&self, source: &ConfiguredSource) -> Extraction {
        let (found, steps) = self.run_with_recorder(source, &HttpRecorder::new_live()).await;
        Extraction::new(found, steps)
    }

    /// Like [`extract`](Self::extract), and returns the exchanges of the run too.
    pub async fn run_and_record(&self, source: &ConfiguredSource) -> (Extraction, Recording) {
        let recorder = HttpRecorder::new_recording();
        let (found, steps) = self.run_with_recorder(source, &recorder).await;
        let recording = Recording {
            source: source.name.clone(),
            kind: source.kind.to_owned(),
            at: recorder.now,
            seed: recorder.seed,
            good: found.failures.is_empty() && !found.candidates.is_empty(),
            exchanges: recorder.into_exchanges(),
            steps: steps.clone(),
        };
        (Extraction::new(found, steps), recording)
    }

    /// Runs a source on the responses of a recording, without any network.
    pub async fn replay(&self, source: &ConfiguredSource, recording: &Recording) -> Extraction {
        let (found, steps) =
            self.run_with_recorder(source, &HttpRecorder::new_replaying(recording)).await;
        Extraction::new(found, steps)
    }

    async fn run_with_recorder(
        &self,
        source: &ConfiguredSource,
        recorder: &HttpRecorder,
    ) -> (ExtractorOutput, Vec<TracedStep>) {
        // Removal blocks, as a browser's profile is many files. What cannot be removed now is
        // removed after the next start.
        let cleanup = || async {
            tokio::task::spawn_blocking(run_directory::remove_abandoned).await.unwrap_or(())
        };
        self.startup_cleanup.get_or_init(cleanup).await;
        // The wait for a permit does not count towards the deadline of the run. The semaphores are
        // never closed, so that `acquire` does not fail.
        let _program_permit = match source.extractor.required_tool() {
            Some(_) => self.program_permits.acquire().await.ok(),
            None => None,
        };
        let _run_permit = self.run_permits.acquire().await;
        let trace = Trace::default();
        let context = ExtractContext {
            source,
            fetcher: &self.fetcher,
            tools: &self.tools,
            policy: source.fetch_policy(),
            recorder,
            trace: &trace,
        };
        let span = tracing::debug_span!("extract", source = source.name, kind = source.kind);
        let found = extract_within_deadline(source, &context).instrument(span).await.sanitize();
        let steps = trace.steps();
        let mut traces = self.last_traces.lock().unwrap_or_else(PoisonError::into_inner);
        traces.insert(source.name.clone(), steps.clone().into());
        (found, steps)
    }
}

async fn extract_within_deadline(
    source: &ConfiguredSource,
    context: &ExtractContext<'_>,
) -> ExtractorOutput {
    let deadline = source.extractor.timeout();
    let run = AssertUnwindSafe(source.extractor.extract(context)).catch_unwind();
    match tokio::time::timeout(deadline, run).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => {
            ExtractorOutput::from_error(ExtractError::new("run", "the extractor panicked", false))
        }
        Err(_) => {
            let message = format!("not finished within {}", humantime::format_duration(deadline));
            ExtractorOutput::from_error(ExtractError::new("run", message, true))
        }
    }
}

impl Extraction {
    fn new(found: ExtractorOutput, steps: Vec<TracedStep>) -> Self {
        let ExtractorOutput { candidates, failures, unusable, .. } = found;
        Self { candidates, failures, unusable, steps }
    }
}
