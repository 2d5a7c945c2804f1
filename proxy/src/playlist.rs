//! Playlists, fetched and rewritten once for all players that poll at the same moment.
//!
//! - [`rewrite_cache`]: what the next rewrite of a playlist takes over from the last.

pub mod multivariant;
pub mod rewrite_cache;
pub mod uri_mappers;

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use http::header::{self, HeaderName, HeaderValue};
use pitwall_fetch::{Fetcher, Request};
use pitwall_hls::PlaylistTiming;
use url::Url;

use crate::http::problem::{Problem, upstream_status_problem};
use crate::http::response::{Response, etag_of};
use crate::shards::Shards;
use crate::upstream::target::UpstreamTarget;
use rewrite_cache::{RewriteCache, RewrittenPlaylist};

/// A rewritten playlist, ready to be sent to any number of players.
#[derive(Debug)]
pub struct Playlist {
    pub bytes: Bytes,
    etag: HeaderValue,
    /// `None` for a multivariant playlist and for JSON documents.
    reload_interval: Option<ReloadInterval>,
    content_type: &'static str,
    /// How long the upstream took to respond, as `Server-Timing`.
    server_timing: HeaderValue,
    pub fetched_at: Instant,
}

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

impl Playlist {
    pub fn new(
        bytes: Vec<u8>,
        content_type: &'static str,
        reload_interval: Option<ReloadInterval>,
        fetch_duration: Duration,
    ) -> Self {
        Self {
            etag: etag_of(&bytes),
            bytes: bytes.into(),
            reload_interval,
            content_type,
            server_timing: server_timing_of(fetch_duration),
            fetched_at: Instant::now(),
        }
    }

    /// The same playlist, fetched again in `fetch_duration`.
    fn with_new_fetch(&self, fetch_duration: Duration) -> Self {
        let (bytes, etag) = (self.bytes.clone(), self.etag.clone());
        let server_timing = server_timing_of(fetch_duration);
        Self { bytes, etag, server_timing, fetched_at: Instant::now(), ..*self }
    }

    /// The same fetch with another text.
    pub fn with_bytes(&self, bytes: Bytes) -> Self {
        Self { etag: etag_of(&bytes), bytes, server_timing: self.server_timing.clone(), ..*self }
    }

    pub fn to_response(&self) -> Response {
        let response = Response::ok(self.content_type, self.bytes.clone())
            .header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
            .header(header::ETAG, self.etag.clone())
            .header(SERVER_TIMING, self.server_timing.clone());
        match self.fetched_at.elapsed().as_secs() {
            0 => response,
            // A stale playlist, served because its upstream failed, says its age (RFC 9111, 5.1).
            age => response.header(header::AGE, age),
        }
    }

    /// How long after its fetch the playlist may be served when no newer one can be fetched: three
    /// target durations.
    pub fn stale_if_error_lifetime(&self) -> Duration {
        self.reload_interval
            .map_or(Duration::from_secs(2), |reload_interval| reload_interval.target_duration)
            * 3
    }
}

fn server_timing_of(fetch_duration: Duration) -> HeaderValue {
    let text = format!("origin;dur={:.1}", fetch_duration.as_secs_f64() * 1000.0);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// How often players reload a media playlist.
#[derive(Clone, Copy, Debug)]
pub struct ReloadInterval {
    target_duration: Duration,
    part_target: Option<Duration>,
}

impl ReloadInterval {
    pub fn of(timing: &PlaylistTiming) -> Self {
        // A playlist may declare any target duration; no wait that depends on it is longer than for
        // a minute.
        let duration =
            |seconds: f64| Duration::try_from_secs_f64(seconds.min(60.0)).unwrap_or_default();
        let target = timing.target_duration.map_or(Duration::from_secs(2), duration);
        Self { target_duration: target, part_target: timing.part_target.map(duration) }
    }

    /// How long a response may be reused. A player polls once in a target duration or partial
    /// segment, so a response older than a fraction of that would add to its latency.
    fn freshness_lifetime(self) -> Duration {
        let part_lifetime = self.part_target.map_or(Duration::MAX, |part| part / 2);
        part_lifetime.min(self.target_duration / 4)
    }
}

/// Result of a poll, shared by all its callers.
pub type PlaylistResult = Result<Arc<Playlist>, Problem>;

/// Single flight for playlist polls: those in flight, and those whose result is still fresh.
pub struct PlaylistPoller {
    polls: Shards<PollTable>,
    pub rewrite_cache: RewriteCache,
    max_age: Duration,
}

struct PollTable {
    by_key: HashMap<String, InflightPoll>,
    /// When expired polls were last removed.
    swept_at: Instant,
}

/// The result of a poll, and until when it may be served again.
#[derive(Clone)]
pub struct PollOutcome {
    pub result: PlaylistResult,
    pub fresh_until: Instant,
}

struct InflightPoll {
    outcome: Shared<BoxFuture<'static, PollOutcome>>,
    completed: Arc<OnceLock<PollOutcome>>,
}

/// How often expired polls are removed. There may be thousands, so it is not done on each poll.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl PlaylistPoller {
    pub fn new(max_age: Duration) -> Self {
        let polls = Shards::new(|| PollTable { by_key: HashMap::new(), swept_at: Instant::now() });
        Self { polls, rewrite_cache: RewriteCache::default(), max_age }
    }

    /// The result of the poll in flight for `key`, a fresh result, or that of `fetch`. The fetch
    /// continues when the caller that started it leaves. A `blocking` result is never reused, and
    /// its deadline is longer: past it the result is [`Problem::UpstreamTimeout`].
    pub async fn poll<F>(
        &self,
        key: String,
        blocking: bool,
        fetch: impl FnOnce() -> F + Send,
    ) -> PollOutcome
    where
        F: Future<Output = PlaylistResult> + Send + 'static,
    {
        // The future is boxed because it is large and would be copied at every step to its task.
        let fetch = || fetch().boxed();
        let (max_age, deadline) = if blocking {
            (Duration::ZERO, BLOCKING_RELOAD_TIMEOUT * 2)
        } else {
            (self.max_age, PLAYLIST_FETCH_TIMEOUT)
        };
        let outcome = {
            let mut polls = self.polls.of_key(&key);
            let now = Instant::now();
            polls.remove_expired(now);
            match polls.by_key.get(&key) {
                Some(poll) => match poll.completed.get() {
                    Some(completed) if completed.fresh_until > now => return completed.clone(),
                    None => poll.outcome.clone(),
                    Some(_) => polls.start_poll(key, max_age, deadline, fetch()),
                },
                None => polls.start_poll(key, max_age, deadline, fetch()),
            }
        };
        outcome.await
    }
}

impl PlaylistPoller {
    /// Remembers a rewritten playlist for the next rewrite of the same `key`.
    pub fn store_rewritten(&self, key: String, rewritten: RewrittenPlaylist) -> Arc<Playlist> {
        let rewritten = Arc::new(rewritten);
        self.rewrite_cache.insert(key, rewritten.clone());
        rewritten.playlist.clone()
    }
}

impl PollTable {
    fn remove_expired(&mut self, now: Instant) {
        if now.duration_since(self.swept_at) >= SWEEP_INTERVAL {
            self.swept_at = now;
            self.by_key
                .retain(|_, poll| poll.completed.get().is_none_or(|it| it.fresh_until > now));
        }
    }

    fn start_poll(
        &mut self,
        key: String,
        max_age: Duration,
        deadline: Duration,
        fetch: BoxFuture<'static, PlaylistResult>,
    ) -> Shared<BoxFuture<'static, PollOutcome>> {
        let poll = InflightPoll::start(max_age, deadline, fetch);
        let outcome = poll.outcome.clone();
        self.by_key.insert(key, poll);
        outcome
    }
}

impl InflightPoll {
    fn start(
        max_age: Duration,
        deadline: Duration,
        fetch: BoxFuture<'static, PlaylistResult>,
    ) -> Self {
        let completed = Arc::new(OnceLock::new());
        let completed_cell = completed.clone();
        // The task itself records its result: all callers may have left by then, and a result
        // without an expiry would be served for ever.
        let task = tokio::spawn(async move {
            let fetched = AssertUnwindSafe(tokio::time::timeout(deadline, fetch)).catch_unwind();
            let result = match fetched.await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Problem::UpstreamTimeout),
                Err(_) => Err(Problem::UpstreamInvalid("fetching the playlist failed".to_owned())),
            };
            let lifetime = match &result {
                Ok(playlist) => playlist.reload_interval.map_or(max_age, |reload_interval| {
                    max_age.min(reload_interval.freshness_lifetime())
                }),
                Err(_) => Duration::ZERO,
            };
            let outcome = PollOutcome { result, fresh_until: Instant::now() + lifetime };
            let _ = completed_cell.set(outcome.clone());
            outcome
        });
        let outcome = task
            .map(|joined| {
                joined.unwrap_or_else(|_| PollOutcome {
                    result: Err(Problem::Unavailable("shutting down")),
                    fresh_until: Instant::now(),
                })
            })
            .boxed()
            .shared();
        Self { outcome, completed }
    }
}

/// A poll's key. Other delivery directives have another response.
pub fn build_poll_key(playlist: &str, directives: Option<&str>) -> String {
    match directives {
        Some(directives) => format!("{playlist} {directives}"),
        None => playlist.to_owned(),
    }
}

/// An upstream's response to a request for a playlist or document.
#[derive(Clone)]
pub struct UpstreamPlaylist {
    pub body: Bytes,
    /// The URL after redirects, against which relative URIs are resolved.
    pub base_url: Url,
    pub fetch_duration: Duration,
}

/// Deadline of a playlist fetch. A player's buffer is a few seconds long, and all players that poll
/// the playlist wait for the same fetch.
const PLAYLIST_FETCH_TIMEOUT: Duration = Duration::from_secs(8);

/// How long an upstream may delay the first byte of its response to a blocking reload.
const BLOCKING_RELOAD_TIMEOUT: Duration = Duration::from_secs(20);

/// Fetches a playlist or document of at most `limit` bytes, with the delivery directives appended
/// to its query.
///
/// # Errors
/// The problem of the fetch, or of a status that is no success.
pub async fn fetch_playlist(
    fetcher: &Fetcher,
    target: &UpstreamTarget,
    directives: Option<&str>,
    limit: usize,
) -> Result<UpstreamPlaylist, Problem> {
    let started = Instant::now();
    let mut url = target.url.clone();
    if let Some(directives) = directives {
        let query = match url.query() {
            Some(query) => format!("{query}&{directives}"),
            None => directives.to_owned(),
        };
        url.set_query(Some(&query));
    }
    let mut request = Request::get(url)
        .source_headers(target.headers().clone())
        .forward_header(header::ACCEPT, HeaderValue::from_static("*/*"));
    request.private_host_filter.clone_from(&target.profile.private_hosts);
    if directives.is_some() {
        request = request.first_byte_timeout(BLOCKING_RELOAD_TIMEOUT);
    }
    let response = target.send(fetcher, request).await?;
    if !response.status().is_success() {
        return Err(upstream_status_problem(response.status()));
    }
    let base_url = response.url().clone();
    let body = response.bytes(limit).await?;
    Ok(UpstreamPlaylist { body, base_url, fetch_duration: started.elapsed() })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn playlist(target: Option<u64>) -> PlaylistResult {
        let reload_interval = target.map(|target| ReloadInterval {
            target_duration: Duration::from_secs(target),
            part_target: None,
        });
        Ok(Arc::new(Playlist::new(b"#EXTM3U".to_vec(), "x", reload_interval, Duration::ZERO)))
    }

    async fn polls(max_age: Duration, blocking: bool, result: fn() -> PlaylistResult) -> usize {
        let poller = PlaylistPoller::new(max_age);
        let fetches = Arc::new(AtomicUsize::new(0));
        let poll = || {
            let fetches = fetches.clone();
            poller.poll("key".into(), blocking, move || async move {
                fetches.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                result()
            })
        };
        let together: Vec<_> = (0..50).map(|_| poll()).collect();
        futures::future::join_all(together).await;
        let _ = poll().await;
        fetches.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn polls_share_a_fetch() {
        let hour = Duration::from_secs(3600);
        // (max_age, blocking, result) -> fetches for 50 polls at once and one after them
        assert_eq!(polls(hour, false, || playlist(None)).await, 1);
        assert_eq!(polls(hour, false, || playlist(Some(6))).await, 1);
        assert_eq!(polls(Duration::ZERO, false, || playlist(None)).await, 2);
        assert_eq!(polls(hour, true, || playlist(None)).await, 2);
        assert_eq!(polls(hour, false, || Err(Problem::UpstreamTimeout)).await, 2);
    }

    #[tokio::test]
    async fn a_result_without_a_waiting_caller_still_expires() {
        let poller = PlaylistPoller::new(Duration::ZERO);
        let (sent, started) = tokio::sync::oneshot::channel();
        let mut first = Box::pin(poller.poll("key".into(), false, move || async move {
            let _ = sent.send(());
            playlist(None)
        }));
        // The poll is started, and dropped before it has ended.
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        started.await.unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let fresh = || async { Err(Problem::UpstreamTimeout) };
        assert!(poller.poll("key".into(), false, fresh).await.result.is_err());
    }

    #[test]
    fn an_answer_is_reused_for_a_fraction_of_what_the_playlist_takes_to_move() {
        let milliseconds = Duration::from_millis;
        for (target, part, expected) in
            [(6000, None, 1500), (6000, Some(1000), 500), (1000, Some(800), 250), (0, None, 0)]
        {
            let reload_interval = ReloadInterval {
                target_duration: milliseconds(target),
                part_target: part.map(milliseconds),
            };
            assert_eq!(
                reload_interval.freshness_lifetime(),
                milliseconds(expected),
                "{target} {part:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_poll_times_out_and_a_panicking_one_is_not_reused() {
        let poller = PlaylistPoller::new(Duration::from_secs(3600));
        let poll =
            |fetch: BoxFuture<'static, PlaylistResult>| poller.poll("key".into(), false, || fetch);
        let started = tokio::time::Instant::now();
        let dripped = poll(futures::future::pending().boxed()).await;
        assert_eq!(dripped.result.unwrap_err(), Problem::UpstreamTimeout);
        assert_eq!(started.elapsed().as_secs(), PLAYLIST_FETCH_TIMEOUT.as_secs());
        let panicked = poll(async { panic!("as a bug would") }.boxed()).await;
        assert!(matches!(panicked.result, Err(Problem::UpstreamInvalid(_))));
        assert!(poll(async { playlist(None) }.boxed()).await.result.is_ok());
    }
}
