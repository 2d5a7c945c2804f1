use super::*;
use crate::cache::bypass::Bypass;
use crate::cache::fetch_budget::FetchBudget;

#[tokio::test]
async fn without_room_everything_passes_through() {
    let (address, origin) = origin().await;
    origin.chunks.add_permits(4);
    let config = CacheConfig { bytes: ByteSize::b(0), ..CacheConfig::default() };
    let cache = SegmentCache::new(&config, upstreams(), None);
    for _ in 0..2 {
        let lookup = open(&cache, target(address, "/sized/2")).await;
        assert!(matches!(lookup, Ok(OpenedObject::Bypass(_))));
    }
    assert!(matches!(
        cache.prefetch(&target(address, "/sized/2"), None, false),
        PrefetchOutcome::Skipped
    ));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_rest_of_a_file_is_passed_through() {
    let (address, _origin) = origin().await;
    let cache = large_cache();
    let lookup = cache.open_object(target(address, "/sized/2"), range_request("bytes=1-")).await;
    let Ok(OpenedObject::Bypass(bypass)) = lookup else { panic!("no bypass") };
    assert_eq!(bypass.response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(bypass.response.headers()["x-range"], "bytes=1-");
    assert!(cache.inflight_bytes() > 0);
    drop(bypass);
    assert_eq!(cache.inflight_bytes(), 0);
}

/// What is passed through counts in the budget: one more waits, and takes the room of one whose
/// reader has stalled.
#[tokio::test(start_paused = true)]
async fn a_stalled_reader_gives_way_to_a_new_one() {
    let budget = FetchBudget::new(512 * 1024);
    let shares = [budget.new_share(), budget.new_share()];
    for share in &shares {
        assert!(share.try_grow(256 * 1024));
        share.make_revocable();
    }
    tokio::time::advance(Duration::from_secs(2)).await;
    shares[1].mark_progress();
    let started = Instant::now();
    let readers = shares.map(|share| {
        tokio::spawn(async move {
            share.wait_until_cut_off(|| share.is_revoked()).await;
            share.bytes()
        })
    });
    tokio::task::yield_now().await;
    assert!(Bypass::reserve(&budget).await.is_ok());
    let [stalled, active] = readers;
    assert_eq!(stalled.await.unwrap(), 256 * 1024);
    assert!(!active.is_finished(), "who reads on is not cut off");
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(budget.used_bytes(), 256 * 1024);
    active.abort();
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_in_vain_where_all_others_read_on() {
    let budget = FetchBudget::new(256 * 1024);
    let share = budget.new_share();
    assert!(share.try_grow(256 * 1024));
    let started = Instant::now();
    assert!(matches!(Bypass::reserve(&budget).await, Err(Problem::Busy(_))));
    assert_eq!(started.elapsed().as_secs(), 5);
    drop(share);
    assert!(Bypass::reserve(&budget).await.is_ok());
}
