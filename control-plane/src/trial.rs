//! [`TrialRuns`]: dry runs of sources that are not saved yet: what would be found, and does it play?

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use pitwall_fetch::Fetcher;
use pitwall_upstream_map::documents::ExtractorError;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::clock::Clock;
use crate::extract::{
    Candidate, ConfiguredSource, ExtractError, ExtractionRunner, TracedStep, mask_value,
};
use crate::playability::check_playability;

/// Runs at the same time; each may start a browser.
const RUNNING_MAX: usize = 2;
/// Ended runs whose results are kept.
const KEPT_MAX: usize = 16;
/// Candidates of one run that are checked; the others are listed.
const CHECKED_MAX: usize = 12;
const CHECKS_AT_ONCE: usize = 3;
/// The deadline of all checks of one run.
const CHECKS_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct TrialRuns {
    runner: Arc<ExtractionRunner>,
    fetcher: Arc<Fetcher>,
    clock: Clock,
    /// The oldest first.
    trials: Mutex<VecDeque<(String, Trial)>>,
}

/// As many trials run as may.
#[derive(Debug)]
pub(crate) struct TrialsBusy;

/// Response to a trial that has been started.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TrialStarted {
    /// `/api/trials/{id}` has the result.
    pub(crate) trial: String,
}

/// Response of `GET /api/trials/{id}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Trial {
    /// Name of the source.
    source: String,
    started_at: Timestamp,
    /// `None` while the trial runs.
    result: Option<TrialResult>,
}

/// What a dry run came to. URLs are shown without tokens.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TrialResult {
    duration_ms: u64,
    candidates: Vec<TriedCandidate>,
    /// What failed; a run with candidates and failures found only a part.
    failures: Vec<ExtractorError>,
    /// What the source lists and cannot be a stream.
    unusable: Vec<ExtractorError>,
    /// Steps of the extractor, with secrets masked.
    steps: Vec<TracedStep>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct TriedCandidate {
    feed: String,
    /// With secrets masked.
    playlist: String,
    expires_at: Option<Timestamp>,
    /// `None` for a candidate that was not checked, as others were enough.
    plays: Option<bool>,
    /// The renditions that viewers would get, or why there are none.
    found: Option<String>,
}

impl TrialRuns {
    /// `runner`: one of its own, so that a trial neither waits for the runs of the engine nor
    /// replaces a trace of theirs.
    pub(crate) fn new(runner: Arc<ExtractionRunner>, fetcher: Arc<Fetcher>, clock: Clock) -> Self {
        Self { runner, fetcher, clock, trials: Mutex::default() }
    }

    /// Starts a trial in a task of its own.
    ///
    /// # Errors
    /// [`TrialsBusy`]
    pub(crate) fn start(self: &Arc<Self>, source: ConfiguredSource) -> Result<String, TrialsBusy> {
        let id: [u8; 8] = rand::random();
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let trial =
            Trial { source: source.name.clone(), started_at: self.clock.now(), result: None };
        let mut trials = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        let running = trials.iter().filter(|(_, trial)| trial.result.is_none()).count();
        if running >= RUNNING_MAX {
            return Err(TrialsBusy);
        }
        trials.push_back((id.clone(), trial));
        if trials.len() > KEPT_MAX
            && let Some(oldest) = trials.iter().position(|(_, trial)| trial.result.is_some())
        {
            trials.remove(oldest);
        }
        drop(trials);
        let (runs, trial) = (self.clone(), id.clone());
        tokio::spawn(async move {
            // One that panics must not count as running for ever.
            let run = std::panic::AssertUnwindSafe(runs.run(&source));
            let result = futures::FutureExt::catch_unwind(run).await;
            let mut trials = runs.trials.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(result) => {
                    if let Some((_, trial)) = trials.iter_mut().find(|(id, _)| *id == trial) {
                        trial.result = Some(result);
                    }
                }
                Err(_) => trials.retain(|(id, _)| *id != trial),
            }
        });
        Ok(id)
    }

    pub(crate) fn get(&self, id: &str) -> Option<Trial> {
        let trials = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        trials.iter().find(|(known, _)| known == id).map(|(_, trial)| trial.clone())
    }

    async fn run(&self, source: &ConfiguredSource) -> TrialResult {
        let began_at = Instant::now();
        let extraction = self.runner.extract(source).await;
        let deadline = Instant::now() + CHECKS_TIMEOUT;
        let candidates = futures::stream::iter(extraction.candidates.into_iter().enumerate())
            .map(|(index, candidate)| async move {
                match index < CHECKED_MAX {
                    true => self.check(source, &candidate, deadline).await,
                    false => TriedCandidate::of(&candidate),
                }
            })
            .buffered(CHECKS_AT_ONCE)
            .collect()
            .await;
        TrialResult {
            duration_ms: u64::try_from(began_at.elapsed().as_millis()).unwrap_or(u64::MAX),
            candidates,
            failures: extraction.failures.iter().map(public_error).collect(),
            unusable: extraction.unusable.iter().map(public_error).collect(),
            steps: extraction.steps,
        }
    }

    async fn check(
        &self,
        source: &ConfiguredSource,
        candidate: &Candidate,
        deadline: Instant,
    ) -> TriedCandidate {
        let check = check_playability(&self.fetcher, source, candidate);
        let checked = tokio::time::timeout_at(deadline, check).await;
        let (plays, found) = match checked {
            Ok(Ok(renditions)) => (true, renditions),
            Ok(Err(why)) => (false, why),
            Err(_) => (false, "its check took too long".to_owned()),
        };
        TriedCandidate { plays: Some(plays), found: Some(found), ..TriedCandidate::of(candidate) }
    }
}

impl TriedCandidate {
    fn of(candidate: &Candidate) -> Self {
        Self {
            feed: candidate.feed.clone(),
            playlist: mask_value("playlist", candidate.playlist.as_str()),
            expires_at: candidate.expires_at,
            plays: None,
            found: None,
        }
    }
}

fn public_error(error: &ExtractError) -> ExtractorError {
    let message = error.detail.as_ref().unwrap_or(&error.message).clone();
    ExtractorError { step: error.step.clone(), message }
}
