//! [`Desk`]: one provider, what it said last, and when it is asked again. No provider's trouble
//! is another's.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pitwall_fetch::Fetcher;
use pitwall_upstream_map::documents::{ProviderStatus, Schedule};
use tokio::time::Instant;

use super::cadence;
use super::calendar::{Answer, summarize};
use super::opinion::Opinion;
use super::provider::{Fault, Provider, ProviderError};
use super::snapshot::Kept;

/// A lock lasts as long as a session and half an hour; what is locked for longer has closed.
const LONG_LOCK: Duration = Duration::from_hours(12);

/// For a whole answer, whatever it drips: others are waiting for their turn.
const DEADLINE: Duration = Duration::from_secs(60);

/// What is told for so long may be what happened: in 2020 most of a season was called off.
const INSISTS: SignedDuration = SignedDuration::from_hours(24);

pub(crate) struct Desk {
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) opinion: Option<Opinion>,
    pub(crate) due: Instant,
    /// Since when it could not be read.
    pub(crate) stale_since: Option<Timestamp>,
    /// Why it could not be read, or what of its last answer could not be used.
    pub(crate) error: Option<String>,
    /// Since when nothing that came could be believed.
    refused_since: Option<Timestamp>,
    failures: u32,
}

impl Desk {
    pub(crate) fn new(provider: Box<dyn Provider>, kept: Option<Kept>) -> Self {
        let (opinion, stale_since) = match kept {
            Some(Kept { opinion, stale_since }) => (Some(opinion), stale_since),
            None => (None, None),
        };
        Self {
            provider,
            opinion,
            due: Instant::now(),
            stale_since,
            error: None,
            refused_since: None,
            failures: 0,
        }
    }

    /// For the snapshot.
    pub(crate) fn kept(&self) -> Option<Kept> {
        let opinion = self.opinion.clone()?;
        Some(Kept { opinion, stale_since: self.stale_since })
    }

    pub(crate) async fn ask(
        &self,
        fetcher: &Fetcher,
        now: Timestamp,
    ) -> Result<Answer, ProviderError> {
        let late = || ProviderError::new(format!("no whole answer in {} s", DEADLINE.as_secs()));
        let answer = tokio::time::timeout(DEADLINE, self.provider.fetch(fetcher, now)).await;
        answer.unwrap_or_else(|_| Err(late()))
    }

    /// Takes an answer, or keeps what was said last.
    pub(crate) fn take(
        &mut self,
        answer: Result<Answer, ProviderError>,
        now: Timestamp,
    ) -> Result<(), ProviderError> {
        let refused = self.refused_since.map(|since| now.duration_since(since));
        let insists = refused.is_some_and(|refused| refused >= INSISTS);
        let opinion = answer.and_then(|fresh| {
            Opinion::form(&*self.provider, self.opinion.as_ref(), fresh, insists, now)
        });
        match opinion {
            Ok((opinion, rejected)) => {
                self.opinion = Some(opinion);
                self.refused_since = None;
                (self.failures, self.stale_since) = (0, None);
                self.error = summarize(&rejected);
                Ok(())
            }
            Err(error) => {
                if error.fault != Fault::Locked || self.age(now) > LONG_LOCK {
                    self.stale_since.get_or_insert(now);
                }
                if error.fault == Fault::Refused {
                    self.refused_since.get_or_insert(now);
                }
                self.error = Some(error.message.clone());
                self.failures = self.failures.saturating_add(1);
                Err(error)
            }
        }
    }

    /// How long to wait after [`take`](Self::take).
    pub(crate) fn wait(
        &self,
        outcome: &Result<(), ProviderError>,
        schedule: &Schedule,
        now: Timestamp,
    ) -> Duration {
        match outcome {
            Ok(()) => cadence::next(schedule, now),
            // To ask more often opens nothing.
            Err(error) if error.fault == Fault::Locked => {
                cadence::next(schedule, now).max(error.retry_after.unwrap_or_default())
            }
            Err(error) => cadence::retry(self.failures, error.retry_after, schedule, now),
        }
    }

    /// An opinion that is still young is as good as a fetch.
    pub(crate) fn first(&self, schedule: &Schedule, now: Timestamp) -> Duration {
        cadence::next(schedule, now).saturating_sub(self.age(now))
    }

    /// Since it was read. Nothing, and what a clock that was ahead has dated, is old.
    fn age(&self, now: Timestamp) -> Duration {
        let age = self.opinion.as_ref().map(|one| now.duration_since(one.fetched_at));
        age.and_then(|age| Duration::try_from(age).ok()).unwrap_or(Duration::MAX)
    }

    pub(crate) fn status(&self) -> ProviderStatus {
        ProviderStatus {
            name: self.provider.name().to_owned(),
            fetched_at: self.opinion.as_ref().map(|opinion| opinion.fetched_at),
            stale_since: self.stale_since,
            error: self.error.clone(),
        }
    }
}
