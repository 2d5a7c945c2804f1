use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::playlist::ReloadInterval;

fn playlist(target: Option<u64>) -> PlaylistResult {
    let reload_interval = target.map(|target| ReloadInterval {
        target_duration: Duration::from_secs(target),
        part_target: None,
    });
    Ok(Arc::new(ServedPlaylist::new(b"#EXTM3U".to_vec(), "x", reload_interval, Duration::ZERO)))
}

fn failure() -> PlaylistResult {
    Err(Problem::UpstreamTimeout)
}

async fn polls(max_age: Duration, result: fn() -> PlaylistResult) -> usize {
    let poller = PlaylistPoller::new(max_age);
    let fetches = Arc::new(AtomicUsize::new(0));
    let poll = || {
        let fetches = fetches.clone();
        poller.poll("key".into(), None, None, move |_| async move {
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
    // (max_age, result) -> fetches for 50 polls at once and one after them
    assert_eq!(polls(hour, || playlist(None)).await, 1);
    assert_eq!(polls(hour, || playlist(Some(6))).await, 1);
    assert_eq!(polls(Duration::ZERO, || playlist(None)).await, 2);
    assert_eq!(polls(Duration::ZERO, failure).await, 1);
}

/// Another edge has published more: a result from before, and a poll that began before, are not
/// enough.
#[tokio::test(start_paused = true)]
async fn a_fresh_result_is_polled_again_if_there_is_something_newer() {
    let poller = PlaylistPoller::new(Duration::from_secs(3600));
    let fetches = Arc::new(AtomicUsize::new(0));
    let poll = |not_before| {
        let fetches = fetches.clone();
        poller.poll("key".into(), None, not_before, move |_| async move {
            fetches.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
            playlist(None)
        })
    };
    let heard_at = Instant::now() + Duration::from_millis(20);
    let later = async {
        tokio::time::sleep_until(heard_at).await;
        futures::future::join(poll(Some(heard_at)), poll(Some(heard_at))).await
    };
    futures::future::join(poll(None), later).await;
    assert_eq!(fetches.load(Ordering::Relaxed), 2, "those who know of it share a poll");
    poll(Some(heard_at)).await;
    assert_eq!(fetches.load(Ordering::Relaxed), 2, "once is enough");
    poll(Some(Instant::now() + Duration::from_millis(1))).await;
    assert_eq!(fetches.load(Ordering::Relaxed), 3, "there is more again");
}

/// Thirty players poll each tenth of a second, with three kinds of directives, while the
/// upstream fails.
#[tokio::test(start_paused = true)]
async fn a_failing_upstream_is_asked_twice_a_second_then_less() {
    let poller = PlaylistPoller::new(Duration::from_millis(500));
    let fetches = Arc::new(Mutex::new(Vec::new()));
    let begun = Instant::now();
    let poll_for = async |seconds: u64, works: bool| {
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            for player in 0..30 {
                let directives = (player % 3 > 0).then(|| format!("_HLS_msn={player}"));
                let fetches = fetches.clone();
                let fetch = move |_| async move {
                    fetches.lock().unwrap().push(begun.elapsed());
                    if works { playlist(None) } else { failure() }
                };
                let outcome = poller.poll("key".into(), directives, None, fetch).await;
                assert!(outcome.result.is_ok() || !works || outcome.fresh_until > Instant::now());
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        std::mem::take(&mut *fetches.lock().unwrap()).len()
    };
    let first = poll_for(2, false).await;
    assert!((3..=4).contains(&first), "{first} in the first two seconds");
    let growing = poll_for(3, false).await;
    assert!((2..=5).contains(&growing), "{growing} in the next three");
    let later = poll_for(20, false).await;
    assert!((8..=10).contains(&later), "{later} in twenty seconds of a long outage");
    let recovered = poll_for(3, true).await;
    assert!(recovered > 0, "it is asked again within the pause");
    let again = poll_for(2, false).await;
    assert!((3..=5).contains(&again), "{again}: a new failure begins with the short pause");
}

#[tokio::test(start_paused = true)]
async fn directives_do_not_multiply_polls() {
    let poller = PlaylistPoller::new(Duration::from_millis(500));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let poll = |directives: String| {
        let sent = sent.clone();
        poller.poll("key".into(), Some(directives), None, move |directives| async move {
            sent.lock().unwrap().push(directives);
            tokio::time::sleep(Duration::from_secs(6)).await;
            playlist(None)
        })
    };
    let held: Vec<_> = (0..60).map(|n| poll(format!("_HLS_throughput={n}"))).collect();
    futures::future::join_all(held).await;
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    assert_eq!(sent.len(), DIRECTIVE_POLLS_IN_FLIGHT + 1, "{sent:?}");
    assert_eq!(sent.iter().filter(|directives| directives.is_none()).count(), 1);
}

#[tokio::test]
async fn a_result_without_a_waiting_caller_still_expires() {
    let poller = PlaylistPoller::new(Duration::ZERO);
    let (sent, started) = tokio::sync::oneshot::channel();
    let mut first = Box::pin(poller.poll("key".into(), None, None, move |_| async move {
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
    let fresh = |_| async { failure() };
    assert!(poller.poll("key".into(), None, None, fresh).await.result.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_slow_poll_times_out_and_a_panicking_one_is_a_failure() {
    let poller = PlaylistPoller::new(Duration::from_secs(3600));
    let poll = |fetch: BoxFuture<'static, PlaylistResult>| {
        poller.poll("key".into(), None, None, |_| fetch)
    };
    let started = Instant::now();
    let dripped = poll(futures::future::pending().boxed()).await;
    assert_eq!(dripped.result.unwrap_err(), Problem::UpstreamTimeout);
    assert_eq!(started.elapsed().as_secs(), PLAYLIST_FETCH_TIMEOUT.as_secs());
    tokio::time::advance(FAILURE_LIFETIME_MAX).await;
    let panicked = poll(async { panic!("as a bug would") }.boxed()).await;
    assert!(matches!(panicked.result, Err(Problem::UpstreamInvalid(_))));
    tokio::time::advance(FAILURE_LIFETIME_MAX).await;
    assert!(poll(async { playlist(None) }.boxed()).await.result.is_ok());
}
