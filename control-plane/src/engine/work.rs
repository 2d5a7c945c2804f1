//! What takes time, done in tasks beside the queue. A task that panics costs one run.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use pitwall_fetch::Fetcher;
use pitwall_upstream_map::StreamId;
use pitwall_upstream_map::documents::ExtractorError;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::Key;
use crate::check::{self, CheckError, Checked};
use crate::extract::{Candidate, Found, Runner};
use crate::source::Source;

/// The outside world, as the engine needs it.
#[async_trait]
pub(crate) trait Work: Send + Sync + 'static {
    async fn extract(&self, source: &Source) -> Found;

    async fn check(&self, source: &Source, candidate: &Candidate) -> Result<Checked, CheckError>;

    async fn recheck(
        &self,
        source: &Source,
        candidate: &Candidate,
        last: &Checked,
    ) -> Result<Checked, CheckError>;
}

pub(crate) enum Event {
    /// A found candidate is good.
    Passed {
        key: Key,
        candidate: Candidate,
        checked: Checked,
    },
    /// A source's run is over, its candidates all checked.
    Ran {
        source: usize,
        report: Report,
    },
    Rechecked {
        key: Key,
        generation: u64,
        result: Result<Checked, CheckError>,
    },
}

pub(crate) struct Report {
    pub(crate) duration: Duration,
    /// How many were found.
    pub(crate) candidates: usize,
    /// Of the candidate that lives shortest.
    pub(crate) expires_at: Option<Timestamp>,
    /// The first thing that went wrong, fit for the public.
    pub(crate) failure: Option<ExtractorError>,
}

pub(crate) struct Recheck {
    pub(crate) key: Key,
    pub(crate) generation: u64,
    pub(crate) source: Arc<Source>,
    pub(crate) candidate: Candidate,
    pub(crate) last: Checked,
}

/// Candidates of one source are checked together, a few at a time.
const CHECKS_AT_ONCE: usize = 8;

/// Runs a source and checks what it finds.
pub(crate) async fn extract(
    work: Arc<dyn Work>,
    index: usize,
    source: Arc<Source>,
    events: mpsc::Sender<Event>,
) {
    let began = Instant::now();
    let run = AssertUnwindSafe(extract_and_check(&*work, index, &source, &events));
    let report = run.catch_unwind().await.unwrap_or_else(|_| Report {
        duration: Duration::ZERO,
        candidates: 0,
        expires_at: None,
        failure: Some(failure("run", "it panicked")),
    });
    let report = Report { duration: began.elapsed(), ..report };
    let _ = events.send(Event::Ran { source: index, report }).await;
}

async fn extract_and_check(
    work: &dyn Work,
    index: usize,
    source: &Source,
    events: &mpsc::Sender<Event>,
) -> Report {
    let Found { candidates, failures, .. } = work.extract(source).await;
    for error in &failures {
        tracing::warn!(source = source.name, %error, "extraction failed");
    }
    let failed = failures.first().map(|error| failure(&error.step, &error.message));
    let expires_at = candidates.iter().filter_map(|candidate| candidate.expires_at).min();
    let found = candidates.len();
    let checks: Vec<_> = keyed(index, candidates)
        .map(|(key, candidate)| offer(work, source, key, candidate, events).boxed())
        .collect();
    let mut checks = futures::stream::iter(checks).buffer_unordered(CHECKS_AT_ONCE);
    let mut refused = None;
    while let Some(check) = checks.next().await {
        refused = refused.or(check);
    }
    Report { duration: Duration::ZERO, candidates: found, expires_at, failure: failed.or(refused) }
}

/// The stream of each candidate, and its number among those of the same stream.
fn keyed(source: usize, candidates: Vec<Candidate>) -> impl Iterator<Item = (Key, Candidate)> {
    let mut counts: HashMap<StreamId, usize> = HashMap::new();
    candidates.into_iter().enumerate().filter_map(move |(position, candidate)| {
        let candidate = Candidate { position, ..candidate };
        let stream = StreamId::of_feed(&candidate.feed)?;
        let count = counts.entry(stream.clone()).or_default();
        let ordinal = *count;
        *count += 1;
        Some((Key { stream, source, ordinal }, candidate))
    })
}

/// Checks a candidate and offers it to the queue at once: a slow one does not hold up the
/// others. Answers what is wrong with it.
async fn offer(
    work: &dyn Work,
    source: &Source,
    key: Key,
    candidate: Candidate,
    events: &mpsc::Sender<Event>,
) -> Option<ExtractorError> {
    match work.check(source, &candidate).await {
        Ok(checked) => {
            let _ = events.send(Event::Passed { key, candidate, checked }).await;
            None
        }
        Err(error) => {
            tracing::warn!(source = source.name, stream = %key.stream, %error, "check failed");
            Some(failure("check", &format!("{}: {error}", candidate.feed)))
        }
    }
}

pub(crate) async fn recheck(work: Arc<dyn Work>, job: Recheck, events: mpsc::Sender<Event>) {
    let Recheck { key, generation, source, candidate, last } = job;
    let check = AssertUnwindSafe(work.recheck(&source, &candidate, &last)).catch_unwind();
    let result = check.await.unwrap_or_else(|_| Err(CheckError::new("the check panicked")));
    if let Err(error) = &result {
        tracing::warn!(source = source.name, stream = %key.stream, %error, "recheck failed");
    }
    let _ = events.send(Event::Rechecked { key, generation, result }).await;
}

fn failure(step: &str, message: &str) -> ExtractorError {
    ExtractorError { step: step.to_owned(), message: message.to_owned() }
}

/// The real thing.
pub(crate) struct Network {
    runner: Arc<Runner>,
    fetcher: Arc<Fetcher>,
    checks: Semaphore,
}

impl Network {
    pub(crate) fn new(runner: Arc<Runner>, fetcher: Arc<Fetcher>) -> Self {
        Self { runner, fetcher, checks: Semaphore::new(16) }
    }
}

#[async_trait]
impl Work for Network {
    async fn extract(&self, source: &Source) -> Found {
        self.runner.run(source).await
    }

    async fn check(&self, source: &Source, candidate: &Candidate) -> Result<Checked, CheckError> {
        let _permit = self.checks.acquire().await;
        check::check(&self.fetcher, source, candidate).await
    }

    async fn recheck(
        &self,
        source: &Source,
        candidate: &Candidate,
        last: &Checked,
    ) -> Result<Checked, CheckError> {
        let _permit = self.checks.acquire().await;
        check::recheck(&self.fetcher, source, candidate, last).await
    }
}
