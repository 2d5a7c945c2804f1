//! Extractions and checks, run in tasks beside the queue. A task that panics costs one run.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _};
use pitwall_fetch::Fetcher;
use pitwall_upstream_map::documents::ExtractorError;
use pitwall_upstream_map::{MapReach, StoreError, StreamId};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::check::{self, CheckError, CheckFindings};
use crate::clock::Clock;
use crate::extract::{Candidate, ConfiguredSource, ExtractionRunner, ExtractorOutput, TracedStep};
use crate::model::UpstreamKey;
use crate::model::liveness::LivenessDetector;
use crate::model::run_report::CheckTrace;
use crate::model::run_report::{CHECK_STEP, SourceRunReport};
use crate::source::Source;

/// Executes extractions and checks; tests replace the network by a script.
#[async_trait]
pub(crate) trait JobExecutor: Send + Sync + 'static {
    async fn extract_candidates(&self, source: &ConfiguredSource) -> ExtractorOutput;

    async fn check_candidate(
        &self,
        source: &Source,
        candidate: &Candidate,
    ) -> Result<CheckFindings, CheckError>;

    async fn recheck_candidate(
        &self,
        source: &Source,
        candidate: &Candidate,
        last: &CheckFindings,
    ) -> Result<CheckFindings, CheckError>;

    /// The steps of a source's last run, with secrets masked.
    fn last_run_steps(&self, _: &Source) -> Arc<[TracedStep]> {
        Arc::default()
    }
}

pub(crate) enum EngineEvent {
    /// Of a job for a source, as the source was configured when the job began.
    OfSource { source: Arc<ConfiguredSource>, event: Box<JobEvent> },
    /// The store has taken a map, or not.
    PublicationEnded { version: u64, result: Result<MapReach, StoreError> },
}

pub(crate) enum JobEvent {
    /// A candidate passed its check.
    CandidatePassed {
        key: UpstreamKey,
        candidate: Candidate,
        findings: CheckFindings,
    },
    /// A candidate failed its check.
    CandidateRejected {
        key: UpstreamKey,
        position: usize,
        reason: String,
    },
    /// A run of a source has ended, all its candidates checked.
    RunEnded {
        source: usize,
        report: SourceRunReport,
    },
    RecheckEnded {
        key: UpstreamKey,
        generation: u64,
        result: Result<CheckFindings, CheckError>,
    },
}

impl JobEvent {
    /// The index of the source.
    pub(super) fn source(&self) -> usize {
        match self {
            Self::CandidatePassed { key, .. }
            | Self::CandidateRejected { key, .. }
            | Self::RecheckEnded { key, .. } => key.source,
            Self::RunEnded { source, .. } => *source,
        }
    }
}

/// Sends the events of a source's jobs to the engine.
struct JobEventSender {
    source: Arc<ConfiguredSource>,
    events: mpsc::Sender<EngineEvent>,
}

impl JobEventSender {
    /// Sending fails only when the engine is gone, and nobody then waits for the event.
    async fn send(&self, event: JobEvent) {
        let source = self.source.clone();
        let _ = self.events.send(EngineEvent::OfSource { source, event: Box::new(event) }).await;
    }
}

pub(crate) struct RecheckJob {
    pub(crate) key: UpstreamKey,
    pub(crate) generation: u64,
    pub(crate) source: Arc<ConfiguredSource>,
    pub(crate) candidate: Candidate,
    pub(crate) last_findings: CheckFindings,
    /// The error of the last check, which is not logged again.
    pub(crate) last_error: Option<String>,
}

/// Maximum number of candidates of one source that are checked concurrently; the source's
/// `connections` may lower it. Without it, rechecks of active upstreams would queue behind all new
/// candidates.
const CANDIDATE_CHECK_MAX_CONCURRENCY: usize = 8;

/// Runs a source and checks its candidates. `last_failures`: the failures of the last run, which
/// are not logged again.
pub(crate) async fn run_extraction(
    executor: Arc<dyn JobExecutor>,
    index: usize,
    source: Arc<ConfiguredSource>,
    last_failures: Vec<ExtractorError>,
    clock: Clock,
    events: mpsc::Sender<EngineEvent>,
) {
    let began_at = Instant::now();
    let events = JobEventSender { source: source.clone(), events };
    let run = ExtractionRun {
        executor: &*executor,
        source: &source,
        last_failures: &last_failures,
        clock: &clock,
        events: &events,
    };
    let span = tracing::debug_span!("run", source = source.name);
    let run = AssertUnwindSafe(run.extract_and_check(index).instrument(span)).catch_unwind();
    let report = run.await.unwrap_or_else(|_| SourceRunReport {
        failures: vec![extractor_error("run", "it panicked")],
        steps: executor.last_run_steps(&source),
        ..SourceRunReport::default()
    });
    let report = SourceRunReport { duration: began_at.elapsed(), ..report };
    events.send(JobEvent::RunEnded { source: index, report }).await;
}

/// One run of a source.
struct ExtractionRun<'a> {
    executor: &'a dyn JobExecutor,
    source: &'a ConfiguredSource,
    last_failures: &'a [ExtractorError],
    clock: &'a Clock,
    events: &'a JobEventSender,
}

impl ExtractionRun<'_> {
    async fn extract_and_check(&self, index: usize) -> SourceRunReport {
        let ExtractorOutput { candidates, failures, unusable, dropped } =
            self.executor.extract_candidates(self.source).await;
        for error in &failures {
            if !self.last_failures.contains(&extractor_error(&error.step, &error.message)) {
                tracing::warn!(source = self.source.name, %error, "extraction failed");
            }
        }
        let mut report = SourceRunReport {
            is_complete: failures.is_empty(),
            candidates: candidates.len(),
            dropped,
            expires_at: candidates.iter().filter_map(|candidate| candidate.expires_at).min(),
            has_unknown_expiry: candidates.iter().any(|candidate| candidate.expires_at.is_none()),
            steps: self.executor.last_run_steps(self.source),
            failures: failures.iter().map(|one| extractor_error(&one.step, &one.message)).collect(),
            unusable: unusable.first().map(|first| {
                let messages: Vec<&str> = unusable.iter().map(|one| one.message.as_str()).collect();
                extractor_error(&first.step, &messages.join("; "))
            }),
            ..SourceRunReport::default()
        };
        let checks: Vec<_> = assign_upstream_keys(index, candidates)
            .map(|(key, candidate)| self.check_and_report(key, candidate).boxed())
            .collect();
        let allowed = self
            .source
            .connections
            .map_or(CANDIDATE_CHECK_MAX_CONCURRENCY, |limit| limit.get() as usize);
        let max_concurrency = allowed.min(CANDIDATE_CHECK_MAX_CONCURRENCY);
        let mut checks = futures::stream::iter(checks).buffer_unordered(max_concurrency);
        while let Some((check, failure)) = checks.next().await {
            report.failures.extend(failure);
            report.checks.push(check);
        }
        report
    }

    /// Checks a candidate and reports the result to the engine at once, so that a slow candidate
    /// does not delay the others. Also returns the trace and, for the public, the failure.
    async fn check_and_report(
        &self,
        key: UpstreamKey,
        candidate: Candidate,
    ) -> (CheckTrace, Option<ExtractorError>) {
        let feed = candidate.feed.clone();
        let rules = &self.source.check;
        let check =
            self.executor.check_candidate(self.source, &candidate).await.and_then(|findings| {
                LivenessDetector::check_first_findings(&findings, rules, self.clock.now())
                    .map(|()| findings)
            });
        match check {
            Ok(findings) => {
                self.events.send(JobEvent::CandidatePassed { key, candidate, findings }).await;
                (CheckTrace { feed, refused: None }, None)
            }
            Err(error) => {
                let source = &self.source.name;
                let failure = extractor_error(CHECK_STEP, &format!("{feed}: {}", error.message));
                if !self.last_failures.contains(&failure) {
                    tracing::warn!(source, stream = %key.stream, %error, "check failed");
                }
                let (position, reason) = (candidate.position, error.message.clone());
                self.events.send(JobEvent::CandidateRejected { key, position, reason }).await;
                (CheckTrace { feed, refused: Some(error.to_string()) }, Some(failure))
            }
        }
    }
}

/// Assigns each candidate its stream and its number among the candidates of that stream.
fn assign_upstream_keys(
    source: usize,
    candidates: Vec<Candidate>,
) -> impl Iterator<Item = (UpstreamKey, Candidate)> {
    let mut counts: HashMap<StreamId, usize> = HashMap::new();
    candidates.into_iter().enumerate().filter_map(move |(position, candidate)| {
        let candidate = Candidate { position, ..candidate };
        let stream = StreamId::of_feed(&candidate.feed)?;
        let count = counts.entry(stream.clone()).or_default();
        let ordinal = *count;
        *count += 1;
        Some((UpstreamKey { stream, source, ordinal }, candidate))
    })
}

pub(crate) async fn run_recheck(
    executor: Arc<dyn JobExecutor>,
    job: RecheckJob,
    events: mpsc::Sender<EngineEvent>,
) {
    let RecheckJob { key, generation, source, candidate, last_findings, last_error } = job;
    let check = AssertUnwindSafe(executor.recheck_candidate(&source, &candidate, &last_findings))
        .catch_unwind();
    let result = check.await.unwrap_or_else(|_| Err(CheckError::new("the check panicked")));
    if let Err(error) = &result
        && last_error.as_ref() != Some(&error.message)
    {
        tracing::warn!(source = source.name, stream = %key.stream, %error, "recheck failed");
    }
    let events = JobEventSender { source, events };
    events.send(JobEvent::RecheckEnded { key, generation, result }).await;
}

fn extractor_error(step: &str, message: &str) -> ExtractorError {
    ExtractorError { step: step.to_owned(), message: message.to_owned() }
}

fn check_span(source: &Source, candidate: &Candidate) -> tracing::Span {
    tracing::debug_span!("check", source = source.name, feed = candidate.feed)
}

/// The executor that uses the network.
pub(crate) struct NetworkExecutor {
    runner: Arc<ExtractionRunner>,
    fetcher: Arc<Fetcher>,
    /// Permits for checks of new candidates, so that they do not starve rechecks of active
    /// upstreams.
    candidate_check_permits: Semaphore,
}

impl NetworkExecutor {
    pub(crate) fn new(runner: Arc<ExtractionRunner>, fetcher: Arc<Fetcher>) -> Self {
        Self {
            runner,
            fetcher,
            candidate_check_permits: Semaphore::new(CANDIDATE_CHECK_MAX_CONCURRENCY),
        }
    }
}

#[async_trait]
impl JobExecutor for NetworkExecutor {
    async fn extract_candidates(&self, source: &ConfiguredSource) -> ExtractorOutput {
        self.runner.run(source).await
    }

    async fn check_candidate(
        &self,
        source: &Source,
        candidate: &Candidate,
    ) -> Result<CheckFindings, CheckError> {
        let _permit = self.candidate_check_permits.acquire().await;
        let span = check_span(source, candidate);
        check::check_candidate(&self.fetcher, source, candidate).instrument(span).await
    }

    async fn recheck_candidate(
        &self,
        source: &Source,
        candidate: &Candidate,
        last: &CheckFindings,
    ) -> Result<CheckFindings, CheckError> {
        let span = check_span(source, candidate);
        check::recheck_candidate(&self.fetcher, source, candidate, last).instrument(span).await
    }

    fn last_run_steps(&self, source: &Source) -> Arc<[TracedStep]> {
        self.runner.last_trace(&source.name).unwrap_or_default()
    }
}
