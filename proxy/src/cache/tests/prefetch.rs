use super::*;
use crate::cache::fetch_progress::FetchEvent;

fn is_started(outcome: &PrefetchOutcome) -> bool {
    matches!(outcome, PrefetchOutcome::Inflight { coalesced: false, .. })
}

#[tokio::test]
async fn a_prefetched_object_is_a_hit_and_coalesced_while_in_flight() {
    let (address, origin) = origin().await;
    let cache = large_cache();
    let segment = target(address, "/sized/2");
    let first = cache.prefetch(&segment, None, false);
    assert!(is_started(&first));
    let second = cache.prefetch(&segment, None, false);
    assert!(matches!(second, PrefetchOutcome::Inflight { coalesced: true, .. }), "once is enough");
    let (mut viewer, coalesced) = expect_inflight(open(&cache, segment.clone()).await);
    assert!(coalesced);
    origin.chunks.add_permits(2);
    assert_eq!(read_all(&mut viewer).await.unwrap(), 2 * CHUNK_BYTES);
    assert_eq!((first.wait_until_done().await, second.wait_until_done().await), (Ok(()), Ok(())));
    wait_until_stored(&cache, &segment).await;
    assert!(matches!(open(&cache, segment.clone()).await, Ok(OpenedObject::Hit(_))));
    assert!(matches!(cache.prefetch(&segment, None, false), PrefetchOutcome::Stored));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
    // A byte range is fetched as the range that a player will request.
    assert!(is_started(&cache.prefetch(&target(address, "/file"), Some((100, 200)), false)));
    let range_key = ObjectKey::of(&target(address, "/file"), Some((200, 299)));
    assert_eq!(wait_until_key_stored(&cache, range_key).await.body().total_length(), 100);
}

/// A map that is an object of its own, and one that is a byte range of a file.
#[tokio::test]
async fn a_long_lived_object_is_fetched_again_before_it_is_stale() {
    for (path, range) in [("/sized/1", None), ("/file", Some((100, 200)))] {
        let (address, origin) = origin().await;
        let cache = large_cache();
        let map = target(address, path);
        let key = ObjectKey::of(&map, range.map(|(length, offset)| (offset, offset + length - 1)));
        origin.chunks.add_permits(1);
        cache.prefetch(&map, range, true).wait_until_done().await.unwrap();
        let first = wait_until_key_stored(&cache, key).await;
        let half_lifetime = (first.expires_at - first.stored_at) / 2;
        tokio::time::pause();
        tokio::time::advance(half_lifetime / 2).await;
        assert!(
            matches!(cache.prefetch(&map, range, true), PrefetchOutcome::Stored),
            "it is young"
        );
        tokio::time::advance(half_lifetime).await;
        assert!(matches!(cache.prefetch(&map, range, false), PrefetchOutcome::Stored), "a segment");
        assert!(matches!(cache.prefetch(&map, range, true), PrefetchOutcome::Refreshing), "{path}");
        assert!(matches!(cache.prefetch(&map, range, true), PrefetchOutcome::Stored), "under way");
        tokio::time::resume();
        let range_request = match range {
            Some(_) => range_request("bytes=200-299"),
            None => RangeRequest::default(),
        };
        let meanwhile = cache.open_object(map, range_request).await;
        assert!(matches!(meanwhile, Ok(OpenedObject::Hit(_))), "{path}");
        origin.chunks.add_permits(1);
        while cache.inflight.contains(&key) {
            tokio::task::yield_now().await;
        }
        assert!(wait_until_key_stored(&cache, key).await.stored_at > first.stored_at);
        assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn the_prefetch_of_an_endless_object_ends() {
    let (address, origin) = origin().await;
    let cache = segment_cache(CHUNK_BYTES, 1 << 25);
    let endless = target(address, "/unsized/1000");
    let outcome = cache.prefetch(&endless, None, false);
    origin.chunks.add_permits(3);
    assert_eq!(outcome.wait_until_done().await, Ok(()));
}

#[tokio::test]
async fn a_failed_prefetch_returns_its_problem() {
    let (address, origin) = origin().await;
    let cache = large_cache();
    let gone = target(address, "/gone");
    let expected = Err(Problem::UpstreamStatus(StatusCode::GONE));
    let first = cache.prefetch(&gone, None, false);
    assert!(is_started(&first));
    assert_eq!(first.wait_until_done().await, expected);
    // The error response is cached for a moment.
    assert_eq!(cache.prefetch(&gone, None, false).wait_until_done().await, expected);
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_prefetch_takes_no_capacity_that_requests_need() {
    let (address, origin) = origin().await;
    // The viewer's fetch takes more than half of the budget.
    let cache = segment_cache(3 * CHUNK_BYTES, 3 * CHUNK_BYTES);
    let (_reader, _) = expect_inflight(open(&cache, target(address, "/sized/2")).await);
    // The source allows one request, which is in flight for a viewer.
    let limiter = UpstreamLimiters::default().limiter_for("club", Some(1));
    let _permit = limiter.acquire().await.unwrap();
    let limited = target_of_profile("test", limiter, address, "/sized/1");
    for (what, cache, target, byte_range) in [
        ("no room", cache, target(address, "/sized/1"), None),
        ("no connection", large_cache(), limited, None),
        ("past all ends", large_cache(), target(address, "/file"), Some((u64::MAX, 1))),
        ("nothing", large_cache(), target(address, "/file"), Some((0, 1))),
    ] {
        let inflight_before = cache.inflight.lock().len();
        let outcome = cache.prefetch(&target, byte_range, false);
        assert!(matches!(outcome, PrefetchOutcome::Skipped), "{what}: {outcome:?}");
        // A fetch that had begun would not have reached the origin yet.
        assert_eq!(cache.inflight.lock().len(), inflight_before, "{what}: a fetch has begun");
    }
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_fetch_of_which_nothing_comes_stalls_and_may_go_on() {
    let (address, origin) = origin().await;
    let cache = large_cache();
    let limit = Duration::from_millis(200);
    let outcome = cache.prefetch(&target(address, "/sized/3"), None, false);
    let PrefetchOutcome::Inflight { mut progress, .. } = outcome else { panic!("{outcome:?}") };
    // Each chunk comes soon enough after the one before.
    let (event, ()) = tokio::join!(progress.wait_for_event(limit), async {
        for _ in 0..2 {
            tokio::time::sleep(limit / 2).await;
            origin.chunks.add_permits(1);
        }
    });
    assert_eq!(event, FetchEvent::Stalled, "the last one does not come");
    origin.chunks.add_permits(1);
    assert_eq!(progress.wait_for_event(Duration::from_secs(9)).await, FetchEvent::Completed);
    let gone = cache.prefetch(&target(address, "/gone"), None, false);
    let PrefetchOutcome::Inflight { mut progress, .. } = gone else { panic!("{gone:?}") };
    assert_eq!(progress.wait_for_end().await, FetchEvent::Failed);
}
