//! Playlists, fetched and rewritten once for everybody who asks at the same moment.
//!
//! - [`version`]: what the next version of a playlist takes over from the last.

pub mod version;

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use http::header::{self, HeaderValue};
use pitwall_fetch::{Fetcher, Request};
use pitwall_hls::Tempo;
use url::Url;

use crate::answer::etag_of;
use crate::problem::{Problem, of_upstream_status};
use crate::target::Target;
use version::{Version, Versions};

/// A rewritten playlist, ready to be sent to any number of players.
#[derive(Debug)]
pub struct Playlist {
    pub bytes: Bytes,
    pub etag: Arc<str>,
    /// `None` for a multivariant playlist and for JSON documents.
    pace: Option<Pace>,
    pub content_type: &'static str,
    /// How long the upstream took.
    pub upstream: Duration,
    pub fetched: Instant,
}

impl Playlist {
    pub fn new(
        bytes: Vec<u8>,
        content_type: &'static str,
        pace: Option<Pace>,
        upstream: Duration,
    ) -> Self {
        Self {
            etag: etag_of(&bytes).into(),
            bytes: bytes.into(),
            pace,
            content_type,
            upstream,
            fetched: Instant::now(),
        }
    }

    /// The same, had again.
    fn again(&self, upstream: Duration) -> Self {
        let (bytes, etag) = (self.bytes.clone(), self.etag.clone());
        Self { bytes, etag, upstream, fetched: Instant::now(), ..*self }
    }

    /// The same moment, as another text.
    pub fn with(&self, bytes: Bytes) -> Self {
        Self { etag: etag_of(&bytes).into(), bytes, ..*self }
    }

    /// For how long the playlist is worth something when no newer one can be had.
    pub fn bridges(&self) -> Duration {
        self.pace.map_or(Duration::from_secs(2), |pace| pace.target) * 3
    }
}

/// How fast a media playlist moves.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    target: Duration,
    part: Option<Duration>,
}

impl Pace {
    pub fn of(tempo: &Tempo) -> Self {
        // As long as they may claim to be, a minute is all that anything waits for them.
        let duration =
            |seconds: f64| Duration::try_from_secs_f64(seconds.min(60.0)).unwrap_or_default();
        let target = tempo.target_duration.map_or(Duration::from_secs(2), duration);
        Self { target, part: tempo.part_target.map(duration) }
    }

    /// A player polls every target duration, or every part: an older answer would show in its
    /// latency.
    fn reuse(self) -> Duration {
        let of_part = self.part.map_or(Duration::MAX, |part| part / 2);
        of_part.min(self.target / 4)
    }
}

pub type Fetched = Result<Arc<Playlist>, Problem>;

/// Polls that are in flight, and those whose answer is still fresh.
pub struct Playlists {
    polls: Mutex<Polls>,
    pub versions: Versions,
    max_age: Duration,
}

struct Polls {
    by_key: HashMap<String, Poll>,
    /// When those that nobody can use were last dropped.
    swept: Instant,
}

struct Poll {
    answer: Shared<BoxFuture<'static, Fetched>>,
    /// The answer, and until when it may be given again.
    done: Arc<OnceLock<(Fetched, Instant)>>,
}

/// Old answers are looked for this often, and not on every poll: there may be thousands.
const SWEEP: Duration = Duration::from_secs(1);

impl Playlists {
    pub fn new(max_age: Duration) -> Self {
        let polls = Polls { by_key: HashMap::new(), swept: Instant::now() };
        Self { polls: Mutex::new(polls), versions: Versions::default(), max_age }
    }

    /// The answer of the poll under way for `key`, or a fresh one, or that of `fetch`. The
    /// fetch goes on when whoever asked first leaves.
    pub async fn poll<F>(
        &self,
        key: String,
        blocking: bool,
        fetch: impl FnOnce() -> F + Send,
    ) -> Fetched
    where
        F: Future<Output = Fetched> + Send + 'static,
    {
        // It is large, and on its way to its task it would be copied at every step.
        let fetch = || fetch().boxed();
        let (max_age, deadline) =
            if blocking { (Duration::ZERO, BLOCKING * 2) } else { (self.max_age, DEADLINE) };
        let answer = {
            let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            polls.sweep(now);
            match polls.by_key.get(&key) {
                Some(poll) => match poll.done.get() {
                    Some((answer, until)) if *until > now => return answer.clone(),
                    None => poll.answer.clone(),
                    Some(_) => polls.start(key, max_age, deadline, fetch()),
                },
                None => polls.start(key, max_age, deadline, fetch()),
            }
        };
        answer.await
    }
}

impl Playlists {
    /// Remembers a version: the next is made of it.
    pub fn keep(&self, name: String, version: Version) -> Arc<Playlist> {
        let version = Arc::new(version);
        self.versions.keep(name, version.clone());
        version.playlist.clone()
    }
}

impl Polls {
    fn sweep(&mut self, now: Instant) {
        if now.duration_since(self.swept) >= SWEEP {
            self.swept = now;
            self.by_key.retain(|_, poll| poll.done.get().is_none_or(|(_, until)| *until > now));
        }
    }

    fn start(
        &mut self,
        key: String,
        max_age: Duration,
        deadline: Duration,
        fetch: BoxFuture<'static, Fetched>,
    ) -> Shared<BoxFuture<'static, Fetched>> {
        let poll = Poll::start(max_age, deadline, fetch);
        let answer = poll.answer.clone();
        self.by_key.insert(key, poll);
        answer
    }
}

impl Poll {
    fn start(max_age: Duration, deadline: Duration, fetch: BoxFuture<'static, Fetched>) -> Self {
        let done = Arc::new(OnceLock::new());
        let known = done.clone();
        // The task itself says when it was done: whoever asked may be gone by then.
        let task = tokio::spawn(async move {
            let fetched = AssertUnwindSafe(tokio::time::timeout(deadline, fetch)).catch_unwind();
            let answer = match fetched.await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(Problem::UpstreamTimeout),
                Err(_) => Err(Problem::UpstreamInvalid("reading it failed".to_owned())),
            };
            let age = match &answer {
                Ok(playlist) => playlist.pace.map_or(max_age, |pace| max_age.min(pace.reuse())),
                Err(_) => Duration::ZERO,
            };
            let _ = known.set((answer.clone(), Instant::now() + age));
            answer
        });
        let answer = task
            .map(|joined| joined.unwrap_or(Err(Problem::Unavailable("shutting down"))))
            .boxed()
            .shared();
        Self { answer, done }
    }
}

/// A poll's key: what is asked of an upstream with other directives is another answer.
pub fn with_directives(playlist: &str, directives: Option<&str>) -> String {
    match directives {
        Some(directives) => format!("{playlist} {directives}"),
        None => playlist.to_owned(),
    }
}

/// What an upstream answered to a request for a playlist or document.
#[derive(Clone)]
pub struct UpstreamAnswer {
    pub body: Bytes,
    /// After redirects: what relative URIs are relative to.
    pub base: Url,
    pub took: Duration,
}

/// All that a playlist may take. A viewer's buffer is a few seconds long, and everybody who
/// polls it waits for the same fetch.
const DEADLINE: Duration = Duration::from_secs(8);

/// How long an upstream may hold back its answer to a blocking reload.
const BLOCKING: Duration = Duration::from_secs(20);

pub async fn fetch(
    fetcher: &Fetcher,
    target: &Target,
    directives: Option<&str>,
    limit: usize,
) -> Result<UpstreamAnswer, Problem> {
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
        .source_headers(target.headers.clone())
        .forward(header::ACCEPT, HeaderValue::from_static("*/*"));
    request.private_hosts.clone_from(&target.private_hosts);
    if directives.is_some() {
        request = request.first_byte(BLOCKING);
    }
    let response = target.send(fetcher, request).await?;
    if response.status() != http::StatusCode::OK {
        return Err(of_upstream_status(response.status()));
    }
    let base = response.url().clone();
    let body = response.bytes(limit).await?;
    Ok(UpstreamAnswer { body, base, took: started.elapsed() })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn playlist(target: Option<u64>) -> Fetched {
        let pace = target.map(|target| Pace { target: Duration::from_secs(target), part: None });
        Ok(Arc::new(Playlist::new(b"#EXTM3U".to_vec(), "x", pace, Duration::ZERO)))
    }

    async fn polls(max_age: Duration, blocking: bool, answer: fn() -> Fetched) -> usize {
        let playlists = Playlists::new(max_age);
        let fetches = Arc::new(AtomicUsize::new(0));
        let poll = || {
            let fetches = fetches.clone();
            playlists.poll("key".into(), blocking, move || async move {
                fetches.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                answer()
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
        // (max_age, blocking, answer) -> fetches for 50 polls at once and one after them
        assert_eq!(polls(hour, false, || playlist(None)).await, 1);
        assert_eq!(polls(hour, false, || playlist(Some(6))).await, 1);
        assert_eq!(polls(Duration::ZERO, false, || playlist(None)).await, 2);
        assert_eq!(polls(hour, true, || playlist(None)).await, 2);
        assert_eq!(polls(hour, false, || Err(Problem::UpstreamTimeout)).await, 2);
    }

    #[tokio::test]
    async fn an_answer_nobody_waited_for_grows_old_all_the_same() {
        let playlists = Playlists::new(Duration::ZERO);
        let (sent, came) = tokio::sync::oneshot::channel();
        let mut first = Box::pin(playlists.poll("key".into(), false, move || async move {
            let _ = sent.send(());
            playlist(None)
        }));
        // Begun, and left before it was done.
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        came.await.unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let fresh = || async { Err(Problem::UpstreamTimeout) };
        assert!(playlists.poll("key".into(), false, fresh).await.is_err());
    }

    #[test]
    fn an_answer_is_reused_for_a_fraction_of_what_the_playlist_takes_to_move() {
        let milliseconds = Duration::from_millis;
        for (target, part, expected) in
            [(6000, None, 1500), (6000, Some(1000), 500), (1000, Some(800), 250), (0, None, 0)]
        {
            let pace = Pace { target: milliseconds(target), part: part.map(milliseconds) };
            assert_eq!(pace.reuse(), milliseconds(expected), "{target} {part:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_drips_ends_and_one_that_panics_is_forgotten() {
        let playlists = Playlists::new(Duration::from_secs(3600));
        let poll =
            |fetch: BoxFuture<'static, Fetched>| playlists.poll("key".into(), false, || fetch);
        let started = tokio::time::Instant::now();
        let dripped = poll(futures::future::pending().boxed()).await;
        assert_eq!(dripped.unwrap_err(), Problem::UpstreamTimeout);
        assert_eq!(started.elapsed().as_secs(), DEADLINE.as_secs());
        let panicked = poll(async { panic!("as a bug would") }.boxed()).await;
        assert!(matches!(panicked, Err(Problem::UpstreamInvalid(_))));
        assert!(poll(async { playlist(None) }.boxed()).await.is_ok());
    }
}
