use super::*;
use crate::cache::fetch_budget::EVICTED_STALLED_AFTER;

#[tokio::test]
async fn a_token_does_not_name_another_object() {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let key = |path| ObjectKey::of(&target(address, path), None);
    assert!(key("/a?token=1") == key("/a?token=2"));
    assert!(key("/a?id=1") != key("/a?id=2"));
    let other = target_of_profile("other", UpstreamLimiter::default(), address, "/a");
    assert!(ObjectKey::of(&other, None) != key("/a"));
}

/// An encoder with a ring of names gives the name of one segment to another.
#[tokio::test]
async fn a_name_that_comes_again_is_another_object() {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let numbered = |object_number| UpstreamTarget { object_number, ..target(address, "/a") };
    let keys = [None, Some(7), Some(13)].map(|number| ObjectKey::of(&numbered(number), None));
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    assert!(
        ObjectKey::purge_key_of(&numbered(Some(7))) == ObjectKey::purge_key_of(&numbered(Some(13)))
    );
}

#[tokio::test]
async fn purged_objects_are_removed_and_their_fetches_not_stored() {
    let (address, origin) = origin().await;
    for (scope, is_removed) in [
        (PurgeScope::Stream("world".into()), true),
        (PurgeScope::Stream("other".into()), false),
        (PurgeScope::Urls(vec![ObjectKey::purge_key_of(&target(address, "/file"))]), true),
        (PurgeScope::Urls(vec![ObjectKey::purge_key_of(&target(address, "/other"))]), false),
    ] {
        let cache = large_cache();
        for range in ["bytes=100-199", "bytes=200-299"] {
            open_range(&cache, address, range).await;
        }
        let range_key = ObjectKey::of(&target(address, "/file"), Some((200, 299)));
        wait_until_key_stored(&cache, range_key).await;
        let before = cache.stored_bytes();
        assert_eq!(cache.purge(&scope), if is_removed { 2 } else { 0 });
        assert_eq!(cache.stored_bytes(), if is_removed { 0 } else { before });
    }
    let cache = large_cache();
    let (mut reader, _) = expect_inflight(open(&cache, target(address, "/sized/1")).await);
    cache.purge(&PurgeScope::Stream("world".into()));
    origin.chunks.add_permits(1);
    assert_eq!(read_all(&mut reader).await.unwrap(), CHUNK_BYTES);
    tokio::task::yield_now().await;
    assert_eq!(cache.stored_bytes(), 0);
}

fn small_cache(stored_chunks: usize, fill_chunks: usize) -> Arc<SegmentCache> {
    let config = CacheConfig {
        bytes: ByteSize((stored_chunks * (CHUNK_BYTES + 512)) as u64),
        fill_bytes: ByteSize((fill_chunks * CHUNK_BYTES) as u64),
        max_object: ByteSize::mib(1),
        disk: None,
    };
    SegmentCache::new(&config, upstreams(), None)
}

/// Fetches the objects with these numbers, and opens each once it is stored.
async fn open_stored(
    cache: &Arc<SegmentCache>,
    address: SocketAddr,
    numbers: std::ops::Range<usize>,
) -> Vec<StoredReader> {
    let mut readers = Vec::new();
    for n in numbers {
        let segment = target(address, &format!("/sized/1?n={n}"));
        let (mut reader, _) = expect_inflight(open(cache, segment.clone()).await);
        read_all(&mut reader).await.unwrap();
        readers.push(StoredReader::new(wait_until_stored(cache, &segment).await));
    }
    readers
}

/// Readers keep what was evicted in memory, so that it counts in the budget.
#[tokio::test]
async fn evicted_objects_count_until_they_are_read() {
    let (address, origin) = origin().await;
    origin.chunks.add_permits(100);
    let cache = small_cache(4, 8);
    let mut readers = open_stored(&cache, address, 0..6).await;
    assert_eq!(cache.inflight_bytes(), 2 * CHUNK_BYTES as u64);
    for reader in &mut readers {
        assert_eq!(reader.read().unwrap().unwrap().len(), CHUNK_BYTES);
    }
    drop(readers.remove(0));
    assert_eq!(cache.inflight_bytes(), CHUNK_BYTES as u64);
    drop(readers);
    assert_eq!(cache.inflight_bytes(), 0);
    assert_eq!(cache.stored_bytes(), 4 * (CHUNK_BYTES as u64 + 512));
}

#[tokio::test]
async fn who_reads_evicted_objects_slowest_is_cut_off() {
    const HALF_OF_BUDGET: usize = 4;
    let (address, origin) = origin().await;
    origin.chunks.add_permits(100);
    let cache = small_cache(4, 2 * HALF_OF_BUDGET);
    // All but the last four are evicted, and those may take half of the budget.
    let all = 4 + HALF_OF_BUDGET + 3;
    let mut readers = open_stored(&cache, address, 0..all).await;
    let is_cut_off = |reader: &StoredReader| {
        futures::FutureExt::now_or_never(reader.wait_until_cut_off()).is_some()
    };
    assert!(!readers.iter().any(is_cut_off), "all have just read");
    tokio::time::pause();
    tokio::time::advance(EVICTED_STALLED_AFTER).await;
    tokio::time::resume();
    readers.extend(open_stored(&cache, address, all..all + 1).await);
    let (cut_off, others) = readers.split_at(4);
    for reader in cut_off {
        reader.wait_until_cut_off().await;
    }
    assert_eq!(others.iter().position(is_cut_off), None);
    assert!(matches!(readers.first_mut().unwrap().read(), Err(Problem::Busy(_))));
    assert!(readers.last_mut().unwrap().read().is_ok());
    drop(readers.drain(..4));
    assert_eq!(cache.inflight_bytes(), (HALF_OF_BUDGET * CHUNK_BYTES) as u64);
    // What has been cut off is fetched anew.
    let again = open(&cache, target(address, "/sized/1?n=0")).await;
    assert!(!expect_inflight(again).1);
}

#[tokio::test]
async fn fetches_have_room_for_one_object_at_least() {
    let (address, origin) = origin().await;
    origin.chunks.add_permits(100);
    // The store gives what the budget of fetches lacks, and no more.
    for (fill_chunks, stored) in [(1, 33), (16, 48), (64, 64)] {
        let config = CacheConfig {
            bytes: ByteSize((64 * CHUNK_BYTES) as u64),
            fill_bytes: ByteSize((fill_chunks * CHUNK_BYTES) as u64),
            max_object: ByteSize::gib(1),
            disk: None,
        };
        let cache = SegmentCache::new(&config, upstreams(), None);
        let segment = target(address, &format!("/sized/20?fill={fill_chunks}"));
        origin.chunks.add_permits(20);
        read_all(&mut expect_inflight(open(&cache, segment.clone()).await).0).await.unwrap();
        wait_until_stored(&cache, &segment).await;
        let room = cache.budget.new_share();
        assert_eq!(room.budget_limit_bytes() + stored as u64 * CHUNK_BYTES as u64, {
            (64 + fill_chunks) as u64 * CHUNK_BYTES as u64
        });
    }
}

#[tokio::test]
async fn what_was_not_read_for_longest_makes_room() {
    let (address, origin) = origin().await;
    origin.chunks.add_permits(100);
    let cache = small_cache(4, 16);
    let nth = |n: usize| target(address, &format!("/sized/1?n={n}"));
    for n in 0..8 {
        let (mut reader, _) = expect_inflight(open(&cache, nth(n)).await);
        read_all(&mut reader).await.unwrap();
        wait_until_stored(&cache, &nth(n)).await;
        // The object is read again and again, as a popular rendition's map is.
        assert!(cache.objects.find_fresh(&ObjectKey::of(&nth(0), None)).is_some(), "after {n}");
        assert!(cache.stored_bytes() <= 4 * (CHUNK_BYTES as u64 + 512), "after {n}");
    }
    let stored: Vec<usize> = (0..8)
        .filter(|n| cache.objects.find_fresh(&ObjectKey::of(&nth(*n), None)).is_some())
        .collect();
    assert_eq!(stored, [0, 5, 6, 7]);
}

#[tokio::test]
async fn an_object_that_has_left_the_window_is_fetched_anew() {
    let (address, origin) = origin().await;
    origin.chunks.add_permits(2);
    let cache = large_cache();
    let segment = target(address, "/sized/1");
    let timing = pitwall_hls::PlaylistTiming {
        target_duration: Some(2.0),
        segment_count: 6,
        ..pitwall_hls::PlaylistTiming::default()
    };
    cache.lifetimes.record_playlist("test", segment.url.as_str(), &timing);
    read_all(&mut expect_inflight(open(&cache, segment.clone()).await).0).await.unwrap();
    wait_until_stored(&cache, &segment).await;
    tokio::time::pause();
    for (seconds, is_stored) in [(17, true), (1, false)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert_eq!(
            cache.objects.find_fresh(&ObjectKey::of(&segment, None)).is_some(),
            is_stored,
            "{seconds}"
        );
    }
}
