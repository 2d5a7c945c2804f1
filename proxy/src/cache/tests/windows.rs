//! Objects of which only a window is held: too large for the cache, or without room in the budget.

use super::fetch_budget::BudgetShare;
use super::*;

/// 8 MiB, which is two windows.
const CHUNK_COUNT: usize = 128;
const WINDOW_BYTES: usize = 4 << 20;

/// Caches in which no object of [`CHUNK_COUNT`] chunks is stored: it is too large, or others use the
/// budget.
fn caches() -> [(Arc<SegmentCache>, Option<Arc<BudgetShare>>); 2] {
    let full = segment_cache(12 << 20, 12 << 20);
    let others = full.budget.new_share();
    assert!(others.try_grow(6 << 20));
    [(segment_cache(CHUNK_BYTES, 1 << 25), None), (full, Some(others))]
}

#[tokio::test]
async fn readers_share_one_fetch_of_what_is_not_stored() {
    for kind in ["sized", "unsized"] {
        let (address, origin) = origin().await;
        for (cache, _others) in caches() {
            let before = origin.requests.load(Ordering::SeqCst);
            let path = format!("/{kind}/{CHUNK_COUNT}");
            let mut reading = Vec::new();
            for _ in 0..20 {
                let (mut reader, _) = expect_inflight(open(&cache, target(address, &path)).await);
                reading.push(tokio::spawn(async move { read_all(&mut reader).await }));
            }
            origin.chunks.add_permits(CHUNK_COUNT);
            for read in reading {
                assert_eq!(read.await.unwrap(), Ok(CHUNK_COUNT * CHUNK_BYTES), "{kind}");
            }
            assert_eq!(origin.requests.load(Ordering::SeqCst), before + 1, "{kind}");
            assert!(
                cache.objects.find_fresh(&ObjectKey::of(&target(address, &path), None)).is_none()
            );
        }
    }
}

#[tokio::test]
async fn a_reader_that_stands_still_is_cut_off_and_the_others_read_on() {
    for kind in ["sized", "unsized"] {
        let (address, origin) = origin().await;
        let cache = segment_cache(CHUNK_BYTES, 1 << 25);
        let path = format!("/{kind}/{CHUNK_COUNT}");
        let (mut stalled, _) = expect_inflight(open(&cache, target(address, &path)).await);
        let (mut reader, coalesced) = expect_inflight(open(&cache, target(address, &path)).await);
        assert!(coalesced);
        origin.chunks.add_permits(CHUNK_COUNT);
        assert!(stalled.read().await.unwrap().is_some());
        assert_eq!(read_all(&mut reader).await, Ok(CHUNK_COUNT * CHUNK_BYTES), "{kind}");
        // The connection is aborted while it waits for its client.
        stalled.wait_until_cut_off().await;
        assert!(matches!(stalled.read().await, Err(Problem::Busy(_))));
        drop((stalled, reader));
        assert_eq!(cache.inflight_bytes(), 0);
    }
}

#[tokio::test]
async fn a_lone_reader_is_waited_for() {
    let (address, origin) = origin().await;
    let cache = segment_cache(CHUNK_BYTES, 1 << 25);
    let path = format!("/sized/{CHUNK_COUNT}");
    let (mut reader, _) = expect_inflight(open(&cache, target(address, &path)).await);
    origin.chunks.add_permits(CHUNK_COUNT);
    let first = reader.read().await.unwrap().unwrap().len();
    while cache.inflight_bytes() < WINDOW_BYTES as u64 / 2 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    assert_eq!(read_all(&mut reader).await, Ok(CHUNK_COUNT * CHUNK_BYTES - first));
    assert!(cache.inflight_bytes() <= WINDOW_BYTES as u64);
}

#[tokio::test]
async fn who_comes_after_the_beginning_is_gone_has_a_fetch_of_their_own() {
    let (address, origin) = origin().await;
    let cache = segment_cache(CHUNK_BYTES, 1 << 25);
    let path = format!("/sized/{CHUNK_COUNT}");
    let (mut first, _) = expect_inflight(open(&cache, target(address, &path)).await);
    // The beginning goes when more than a window has been read.
    origin.chunks.add_permits(CHUNK_COUNT - 1);
    let mut read = 0;
    while read < WINDOW_BYTES + CHUNK_BYTES {
        read += first.read().await.unwrap().unwrap().len();
    }
    let (mut second, coalesced) = expect_inflight(open(&cache, target(address, &path)).await);
    assert!(!coalesced);
    origin.chunks.add_permits(CHUNK_COUNT + 1);
    let (first, second) = tokio::join!(read_all(&mut first), read_all(&mut second));
    assert_eq!((first.unwrap() + read, second.unwrap()), (8 << 20, 8 << 20));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_window_that_breaks_off_is_an_error_for_all_its_readers() {
    let (address, origin) = origin().await;
    let cache = segment_cache(CHUNK_BYTES, 1 << 25);
    let path = format!("/cut/{CHUNK_COUNT}");
    let mut reading = Vec::new();
    for _ in 0..5 {
        let (mut reader, _) = expect_inflight(open(&cache, target(address, &path)).await);
        reading.push(tokio::spawn(async move { read_all(&mut reader).await }));
    }
    // It is asked for once more, in vain: its beginning is no longer held.
    origin.chunks.add_permits(2 * CHUNK_COUNT);
    for read in reading {
        assert!(matches!(read.await.unwrap(), Err(Problem::UpstreamInvalid(_))));
    }
}

#[tokio::test]
async fn a_range_of_what_is_not_stored_does_not_wait_for_it() {
    let (address, origin) = origin().await;
    let cache = segment_cache(CHUNK_BYTES, 1 << 25);
    let segment = target(address, &format!("/sized/{CHUNK_COUNT}"));
    let (_whole, _) = expect_inflight(open(&cache, segment.clone()).await);
    let rest = cache.open_object(segment, range_request("bytes=1-")).await;
    assert!(matches!(rest, Ok(OpenedObject::Bypass(_))));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_prefetch_does_not_move_a_window() {
    let (address, origin) = origin().await;
    let cache = segment_cache(CHUNK_BYTES, 1 << 25);
    let path = format!("/sized/{CHUNK_COUNT}");
    origin.chunks.add_permits(CHUNK_COUNT);
    let prefetch = cache.prefetch(&target(address, &path), None, false);
    assert_eq!(prefetch.wait_until_done().await, Ok(()));
    // The first viewer finds the beginning, and fetches nothing anew.
    let (mut reader, coalesced) = expect_inflight(open(&cache, target(address, &path)).await);
    assert!(coalesced);
    assert_eq!(read_all(&mut reader).await, Ok(CHUNK_COUNT * CHUNK_BYTES));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
}
