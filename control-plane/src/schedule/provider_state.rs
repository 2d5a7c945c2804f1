//! [`ProviderState`]: one provider, its last good snapshot, and when it is polled next. A failure
//! of one provider does not affect the others.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pitwall_fetch::Fetcher;
use pitwall_upstream_map::documents::{ProviderStatus, Schedule};
use tokio::time::Instant;

use super::cadence;
use super::calendar::{ProviderResponse, summarize_rejected};
use super::provider::{Provider, ProviderError, ProviderFault};
use super::provider_snapshot::ProviderSnapshot;
use super::schedule_file::StoredProvider;

/// A provider is locked while a session is live and for half an hour more; a snapshot older than
/// this under a lock is stale.
const LOCK_MAX_DURATION: Duration = Duration::from_hours(12);

/// Deadline of a whole calendar: the other providers of the same poll wait for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// A provider whose responses are implausible for this long is believed: in 2020 most of a season
/// was called off.
const IMPLAUSIBLE_ACCEPT_AFTER: SignedDuration = SignedDuration::from_hours(24);

pub(crate) struct ProviderState {
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) snapshot: Option<ProviderSnapshot>,
    pub(crate) next_poll: Instant,
    /// The first poll of the current series of failures.
    pub(crate) stale_since: Option<Timestamp>,
    /// Why the last poll failed, or which items of its response were rejected.
    pub(crate) error: Option<String>,
    /// The first of the responses that were refused as implausible, since the last good one.
    implausible_since: Option<Timestamp>,
    failure_count: u32,
}

impl ProviderState {
    pub(crate) fn new(provider: Box<dyn Provider>, stored: Option<StoredProvider>) -> Self {
        let (snapshot, stale_since) = match stored {
            Some(StoredProvider { opinion, stale_since }) => (Some(opinion), stale_since),
            None => (None, None),
        };
        Self {
            provider,
            snapshot,
            next_poll: Instant::now(),
            stale_since,
            error: None,
            implausible_since: None,
            failure_count: 0,
        }
    }

    /// The provider's part of the schedule file.
    pub(crate) fn to_stored(&self) -> Option<StoredProvider> {
        let opinion = self.snapshot.clone()?;
        Some(StoredProvider { opinion, stale_since: self.stale_since })
    }

    pub(crate) async fn fetch_response(
        &self,
        fetcher: &Fetcher,
        now: Timestamp,
    ) -> Result<ProviderResponse, ProviderError> {
        let timed_out =
            || ProviderError::new(format!("no whole answer in {} s", FETCH_TIMEOUT.as_secs()));
        let response =
            tokio::time::timeout(FETCH_TIMEOUT, self.provider.fetch_calendar(fetcher, now)).await;
        response.unwrap_or_else(|_| Err(timed_out()))
    }

    /// Replaces the snapshot by that of a plausible response; any other response leaves the last
    /// snapshot in place.
    ///
    /// # Errors
    /// The error of the response, or that it is implausible.
    pub(crate) fn apply_response(
        &mut self,
        response: Result<ProviderResponse, ProviderError>,
        now: Timestamp,
    ) -> Result<(), ProviderError> {
        let refused_for = self.implausible_since.map(|since| now.duration_since(since));
        let accept_break = refused_for.is_some_and(|refused| refused >= IMPLAUSIBLE_ACCEPT_AFTER);
        let result = response.and_then(|response| {
            ProviderSnapshot::from_response(
                &*self.provider,
                self.snapshot.as_ref(),
                response,
                accept_break,
                now,
            )
        });
        match result {
            Ok((snapshot, rejected)) => {
                self.snapshot = Some(snapshot);
                self.implausible_since = None;
                (self.failure_count, self.stale_since) = (0, None);
                self.error = summarize_rejected(&rejected);
                Ok(())
            }
            Err(error) => {
                if error.fault != ProviderFault::Locked
                    || self.snapshot_age(now) > LOCK_MAX_DURATION
                {
                    self.stale_since.get_or_insert(now);
                }
                if error.fault == ProviderFault::Implausible {
                    self.implausible_since.get_or_insert(now);
                }
                self.error = Some(error.message.clone());
                self.failure_count = self.failure_count.saturating_add(1);
                Err(error)
            }
        }
    }

    /// The interval until the next poll, given the outcome of
    /// [`apply_response`](Self::apply_response).
    pub(crate) fn next_interval(
        &self,
        outcome: &Result<(), ProviderError>,
        schedule: &Schedule,
        now: Timestamp,
    ) -> Duration {
        match outcome {
            Ok(()) => cadence::poll_interval(schedule, now),
            // A lock ends with the live session: polling more often does not open it.
            Err(error) if error.fault == ProviderFault::Locked => {
                cadence::poll_interval(schedule, now).max(error.retry_after.unwrap_or_default())
            }
            Err(error) => {
                cadence::retry_backoff(self.failure_count, error.retry_after, schedule, now)
            }
        }
    }

    /// The interval until the first poll after a start: a young snapshot from disk counts as a
    /// poll.
    pub(crate) fn first_interval(&self, schedule: &Schedule, now: Timestamp) -> Duration {
        cadence::poll_interval(schedule, now).saturating_sub(self.snapshot_age(now))
    }

    /// The time since the snapshot was fetched. Without a snapshot, or if a clock that was ahead
    /// dated it in the future, [`Duration::MAX`].
    fn snapshot_age(&self, now: Timestamp) -> Duration {
        let age = self.snapshot.as_ref().map(|one| now.duration_since(one.fetched_at));
        age.and_then(|age| Duration::try_from(age).ok()).unwrap_or(Duration::MAX)
    }

    pub(crate) fn status(&self) -> ProviderStatus {
        ProviderStatus {
            name: self.provider.name().to_owned(),
            fetched_at: self.snapshot.as_ref().map(|snapshot| snapshot.fetched_at),
            stale_since: self.stale_since,
            error: self.error.clone(),
        }
    }
}
