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
use super::pulse::Pulse;
use super::trace::TracedCheck;
use crate::check::{self, CheckError, Checked};
use crate::clock::Clock;
use crate::extract::{Candidate, Found, Runner, TracedStep};
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

    /// What the last run of a source did, masked.
    fn steps(&self, _: &Source) -> Arc<[TracedStep]> {
        Arc::default()
    }
}

pub(crate) enum Event {
    /// A found candidate is good.
    Passed {
        key: Key,
        candidate: Candidate,
        checked: Checked,
    },
    /// A found candidate is not.
    Refused {
        key: Key,
        position: usize,
        why: String,
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

#[derive(Default)]
pub(crate) struct Report {
    pub(crate) duration: Duration,
    /// It found all that its source has.
    pub(crate) complete: bool,
    /// How many were found.
    pub(crate) candidates: usize,
    pub(crate) dropped: usize,
    /// Of the candidate that lives shortest.
    pub(crate) expires_at: Option<Timestamp>,
    /// There are candidates that do not say how long they live.
    pub(crate) undated: bool,
    /// What went wrong, the checks that failed last, fit for the public.
    pub(crate) failures: Vec<ExtractorError>,
    /// Something that was found cannot be a stream, which is no failure.
    pub(crate) unusable: Option<ExtractorError>,
    pub(crate) steps: Arc<[TracedStep]>,
    pub(crate) checks: Vec<TracedCheck>,
}

impl Report {
    /// The first thing that went wrong.
    pub(crate) fn failure(&self) -> Option<&ExtractorError> {
        self.failures.first()
    }
}

pub(crate) struct Recheck {
    pub(crate) key: Key,
    pub(crate) generation: u64,
    pub(crate) source: Arc<Source>,
    pub(crate) candidate: Candidate,
    pub(crate) last: Checked,
    /// What was wrong the last time, which is no news.
    pub(crate) error: Option<String>,
}

/// The step of a find that did not pass its check.
pub(crate) const CHECK: &str = "check";

/// Candidates of one source are checked together, a few at a time, or fewer where it allows less:
/// what plays shall not have to queue behind all that was found.
const CHECKS_AT_ONCE: usize = 8;

/// Runs a source and checks what it finds. `last`: what went wrong the last time, which is not
/// logged again.
pub(crate) async fn extract(
    work: Arc<dyn Work>,
    index: usize,
    source: Arc<Source>,
    last: Vec<ExtractorError>,
    clock: Clock,
    events: mpsc::Sender<Event>,
) {
    let began = Instant::now();
    let run = Run { work: &*work, source: &source, last: &last, clock: &clock, events: &events };
    let run = AssertUnwindSafe(run.extract_and_check(index)).catch_unwind();
    let report = run.await.unwrap_or_else(|_| Report {
        failures: vec![failure("run", "it panicked")],
        steps: work.steps(&source),
        ..Report::default()
    });
    let report = Report { duration: began.elapsed(), ..report };
    let _ = events.send(Event::Ran { source: index, report }).await;
}

/// One run of a source.
struct Run<'a> {
    work: &'a dyn Work,
    source: &'a Source,
    last: &'a [ExtractorError],
    clock: &'a Clock,
    events: &'a mpsc::Sender<Event>,
}

impl Run<'_> {
    async fn extract_and_check(&self, index: usize) -> Report {
        let Found { candidates, failures, unusable, dropped } =
            self.work.extract(self.source).await;
        for error in &failures {
            if !self.last.contains(&failure(&error.step, &error.message)) {
                tracing::warn!(source = self.source.name, %error, "extraction failed");
            }
        }
        if dropped > 0 {
            tracing::warn!(source = self.source.name, dropped, "more streams than are taken");
        }
        let mut report = Report {
            complete: failures.is_empty(),
            candidates: candidates.len(),
            dropped,
            expires_at: candidates.iter().filter_map(|candidate| candidate.expires_at).min(),
            undated: candidates.iter().any(|candidate| candidate.expires_at.is_none()),
            steps: self.work.steps(self.source),
            failures: failures.iter().map(|one| failure(&one.step, &one.message)).collect(),
            unusable: unusable.first().map(|one| failure(&one.step, &one.message)),
            ..Report::default()
        };
        let checks: Vec<_> = keyed(index, candidates)
            .map(|(key, candidate)| self.offer(key, candidate).boxed())
            .collect();
        let allowed = self.source.connections.map_or(CHECKS_AT_ONCE, |most| most.get() as usize);
        let at_once = allowed.min(CHECKS_AT_ONCE);
        let mut checks = futures::stream::iter(checks).buffer_unordered(at_once);
        while let Some((check, refused)) = checks.next().await {
            report.failures.extend(refused);
            report.checks.push(check);
        }
        report
    }

    /// Checks a candidate and offers it to the queue at once: a slow one does not hold up the
    /// others. What is wrong with it is returned as the public may know it, too.
    async fn offer(&self, key: Key, candidate: Candidate) -> (TracedCheck, Option<ExtractorError>) {
        let feed = candidate.feed.clone();
        let rules = &self.source.check;
        let check = self.work.check(self.source, &candidate).await.and_then(|checked| {
            Pulse::first_look(&checked, rules, self.clock.now()).map(|()| checked)
        });
        match check {
            Ok(checked) => {
                let _ = self.events.send(Event::Passed { key, candidate, checked }).await;
                (TracedCheck { feed, refused: None }, None)
            }
            Err(error) => {
                let source = &self.source.name;
                let refused = failure(CHECK, &format!("{feed}: {}", error.message));
                if !self.last.contains(&refused) {
                    tracing::warn!(source, stream = %key.stream, %error, "check failed");
                }
                let (position, why) = (candidate.position, error.message.clone());
                let _ = self.events.send(Event::Refused { key, position, why }).await;
                (TracedCheck { feed, refused: Some(error.to_string()) }, Some(refused))
            }
        }
    }
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

pub(crate) async fn recheck(work: Arc<dyn Work>, job: Recheck, events: mpsc::Sender<Event>) {
    let Recheck { key, generation, source, candidate, last, error: known } = job;
    let check = AssertUnwindSafe(work.recheck(&source, &candidate, &last)).catch_unwind();
    let result = check.await.unwrap_or_else(|_| Err(CheckError::new("the check panicked")));
    if let Err(error) = &result
        && known.as_ref() != Some(&error.message)
    {
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
    /// Checks of what was found: they do not take the place of those of what plays.
    finds: Semaphore,
}

impl Network {
    pub(crate) fn new(runner: Arc<Runner>, fetcher: Arc<Fetcher>) -> Self {
        Self { runner, fetcher, finds: Semaphore::new(CHECKS_AT_ONCE) }
    }
}

#[async_trait]
impl Work for Network {
    async fn extract(&self, source: &Source) -> Found {
        self.runner.run(source).await
    }

    async fn check(&self, source: &Source, candidate: &Candidate) -> Result<Checked, CheckError> {
        let _permit = self.finds.acquire().await;
        check::check(&self.fetcher, source, candidate).await
    }

    async fn recheck(
        &self,
        source: &Source,
        candidate: &Candidate,
        last: &Checked,
    ) -> Result<Checked, CheckError> {
        check::recheck(&self.fetcher, source, candidate, last).await
    }

    fn steps(&self, source: &Source) -> Arc<[TracedStep]> {
        self.runner.last_trace(&source.name).unwrap_or_default()
    }
}
