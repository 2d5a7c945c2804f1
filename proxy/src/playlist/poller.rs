//! [`PlaylistPoller`]: single flight for playlist polls, and the pace at which they reach an
//! upstream.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::rewrite_cache::{RewriteCache, RewrittenPlaylist};
use super::{BLOCKING_RELOAD_TIMEOUT, PLAYLIST_FETCH_TIMEOUT, ServedPlaylist};
use crate::http::problem::Problem;
use crate::shards::Shards;

/// Result of a poll, shared by all its callers.
pub type PlaylistResult = Result<Arc<ServedPlaylist>, Problem>;

/// The polls in flight, those whose result is still fresh, and those that have just failed.
pub struct PlaylistPoller {
    polls: Shards<PollTable>,
    pub rewrite_cache: RewriteCache,
    max_age: Duration,
}

struct PollTable {
    by_playlist: HashMap<String, PlaylistPolls>,
    /// When expired polls were last removed.
    swept_at: Instant,
}

/// The polls of one playlist.
struct PlaylistPolls {
    /// By the delivery directives that are sent upstream.
    by_directives: HashMap<Option<String>, InflightPoll>,
    last_failure: Arc<Mutex<Option<PollFailure>>>,
    /// Polls with directives since then.
    directive_window: (Instant, u32),
}

/// The failure that is the answer for a while, however many players ask.
struct PollFailure {
    problem: Problem,
    until: Instant,
    /// Failures without a success between them.
    count: u32,
}

/// The result of a poll, and until when it may be served again.
#[derive(Clone)]
pub struct PollOutcome {
    pub result: PlaylistResult,
    pub started_at: Instant,
    pub fresh_until: Instant,
}

struct InflightPoll {
    started_at: Instant,
    outcome: Shared<BoxFuture<'static, PollOutcome>>,
    completed: Arc<OnceLock<PollOutcome>>,
}

/// How often expired polls are removed. There may be thousands, so it is not done on each poll.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long a failure is the answer. An edge leaves a source that has failed for two seconds, so
/// that the first few failures are not further apart.
const FAILURE_LIFETIME_MIN: Duration = Duration::from_millis(500);
const FAILURE_LIFETIME_MAX: Duration = Duration::from_secs(2);
const FAILURES_BEFORE_GROWTH: u32 = 5;

/// Polls with directives that reach an upstream: further ones are answered without them. A media
/// playlist needs one for each partial segment.
const DIRECTIVE_POLLS_PER_SECOND: u32 = 8;
const DIRECTIVE_POLLS_IN_FLIGHT: usize = 4;

impl PlaylistPoller {
    pub fn new(max_age: Duration) -> Self {
        let polls =
            Shards::new(|| PollTable { by_playlist: HashMap::new(), swept_at: Instant::now() });
        Self { polls, rewrite_cache: RewriteCache::default(), max_age }
    }

    /// The result of the poll of `playlist` that is in flight with these delivery directives, a
    /// fresh result, a failure that is too recent to ask again, or the result of `fetch`, which is
    /// given the directives to send. The fetch continues when the caller that started it leaves.
    /// Past its deadline the result is [`Problem::UpstreamTimeout`]. `not_before`: a poll that
    /// started earlier is not enough, because there is something newer since.
    pub async fn poll<F>(
        &self,
        playlist: String,
        directives: Option<String>,
        not_before: Option<Instant>,
        fetch: impl FnOnce(Option<String>) -> F + Send,
    ) -> PollOutcome
    where
        F: Future<Output = PlaylistResult> + Send + 'static,
    {
        let outcome = {
            let mut table = self.polls.lock_shard_of_key(&playlist);
            let now = Instant::now();
            table.remove_expired(now);
            let polls =
                table.by_playlist.entry(playlist).or_insert_with(|| PlaylistPolls::new(now));
            if let Some(failed) = polls.find_recent_failure(now) {
                return failed;
            }
            let directives = polls.grant_directives(directives, now);
            let poll = polls.by_directives.get(&directives);
            match poll.filter(|poll| not_before.is_none_or(|at| poll.started_at >= at)) {
                Some(poll) => match poll.completed.get() {
                    Some(completed) if completed.fresh_until > now => return completed.clone(),
                    None => poll.outcome.clone(),
                    // The future is boxed because it is large and would be copied at every step to
                    // its task.
                    Some(_) => {
                        let fetch = fetch(directives.clone()).boxed();
                        polls.start_poll(directives, self.max_age, fetch)
                    }
                },
                None => {
                    let fetch = fetch(directives.clone()).boxed();
                    polls.start_poll(directives, self.max_age, fetch)
                }
            }
        };
        outcome.await
    }

    /// Remembers a rewritten playlist for the next rewrite of the same `key`.
    pub fn store_rewritten(
        &self,
        key: String,
        rewritten: RewrittenPlaylist,
    ) -> Arc<ServedPlaylist> {
        let rewritten = Arc::new(rewritten);
        self.rewrite_cache.insert(key, rewritten.clone());
        rewritten.playlist.clone()
    }
}

impl PollTable {
    fn remove_expired(&mut self, now: Instant) {
        if now.duration_since(self.swept_at) >= SWEEP_INTERVAL {
            self.swept_at = now;
            self.by_playlist.retain(|_, polls| polls.retain_unexpired(now));
        }
    }
}

impl PlaylistPolls {
    fn new(now: Instant) -> Self {
        Self {
            by_directives: HashMap::new(),
            last_failure: Arc::default(),
            directive_window: (now, 0),
        }
    }

    /// Whether anything of the playlist is left.
    fn retain_unexpired(&mut self, now: Instant) -> bool {
        self.by_directives.retain(|_, poll| !poll.is_expired(now));
        let failure = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        // A count of failures outlives the pause that the last one made.
        let is_failing = |it: &PollFailure| it.until + 2 * FAILURE_LIFETIME_MAX > now;
        !self.by_directives.is_empty() || failure.as_ref().is_some_and(is_failing)
    }

    fn find_recent_failure(&self, now: Instant) -> Option<PollOutcome> {
        let failure = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = failure.as_ref().filter(|failure| failure.until > now)?;
        let (result, fresh_until) = (Err(failure.problem.clone()), failure.until);
        Some(PollOutcome { result, started_at: now, fresh_until })
    }

    /// The directives, unless polls with other directives have used up what the upstream may be
    /// asked.
    fn grant_directives(&mut self, directives: Option<String>, now: Instant) -> Option<String> {
        if directives.is_none() || self.by_directives.contains_key(&directives) {
            return directives;
        }
        let (since, count) = &mut self.directive_window;
        if now.duration_since(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        let in_flight = self
            .by_directives
            .iter()
            .filter(|(directives, poll)| directives.is_some() && poll.completed.get().is_none());
        if *count == DIRECTIVE_POLLS_PER_SECOND || in_flight.count() >= DIRECTIVE_POLLS_IN_FLIGHT {
            return None;
        }
        *count += 1;
        directives
    }

    fn start_poll(
        &mut self,
        directives: Option<String>,
        max_age: Duration,
        fetch: BoxFuture<'static, PlaylistResult>,
    ) -> Shared<BoxFuture<'static, PollOutcome>> {
        // An upstream may hold a request with directives back until it has what they ask for.
        let deadline = match directives {
            Some(_) => BLOCKING_RELOAD_TIMEOUT * 2,
            None => PLAYLIST_FETCH_TIMEOUT,
        };
        let poll = InflightPoll::start(max_age, deadline, self.last_failure.clone(), fetch);
        let outcome = poll.outcome.clone();
        self.by_directives.insert(directives, poll);
        outcome
    }
}

impl InflightPoll {
    fn is_expired(&self, now: Instant) -> bool {
        self.completed.get().is_some_and(|completed| completed.fresh_until <= now)
    }

    fn start(
        max_age: Duration,
        deadline: Duration,
        last_failure: Arc<Mutex<Option<PollFailure>>>,
        fetch: BoxFuture<'static, PlaylistResult>,
    ) -> Self {
        let started_at = Instant::now();
        let completed = Arc::new(OnceLock::new());
        let completed_cell = completed.clone();
        // The task itself records its result: all callers may have left by then, and a result
        // without an expiry would be served for ever.
        let task = async move {
            let fetched = AssertUnwindSafe(tokio::time::timeout(deadline, fetch)).catch_unwind();
            let result = match fetched.await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Problem::UpstreamTimeout),
                Err(_) => Err(Problem::UpstreamInvalid("fetching the playlist failed".to_owned())),
            };
            let now = Instant::now();
            let mut failure = last_failure.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh_until = match &result {
                Ok(playlist) => {
                    *failure = None;
                    let freshness = playlist.reload_interval.map(|it| it.freshness_lifetime());
                    now + freshness.map_or(max_age, |freshness| max_age.min(freshness))
                }
                Err(problem) => {
                    let count = failure.as_ref().map_or(0, |failure| failure.count) + 1;
                    let until =
                        now + failure_lifetime(count).mul_f64(1.0 + 0.2 * rand::random::<f64>());
                    *failure = Some(PollFailure { problem: problem.clone(), until, count });
                    until
                }
            };
            drop(failure);
            let outcome = PollOutcome { result, started_at, fresh_until };
            let _ = completed_cell.set(outcome.clone());
            outcome
        };
        let task = tokio::spawn(task.instrument(tracing::debug_span!("poll")));
        let outcome = task
            .map(move |joined| {
                joined.unwrap_or_else(|_| PollOutcome {
                    result: Err(Problem::Unavailable("shutting down")),
                    started_at,
                    fresh_until: Instant::now(),
                })
            })
            .boxed()
            .shared();
        Self { started_at, outcome, completed }
    }
}

/// How long the `count`th failure in a row is the answer, before jitter, by which edges that failed
/// at the same moment do not ask again at the same moment.
fn failure_lifetime(count: u32) -> Duration {
    let doublings = count.saturating_sub(FAILURES_BEFORE_GROWTH).min(8);
    (FAILURE_LIFETIME_MIN * (1 << doublings)).min(FAILURE_LIFETIME_MAX)
}

#[cfg(test)]
mod tests;
