use super::*;

#[tokio::test]
async fn too_large_objects_bypass_the_cache_with_their_range() {
    let (address, origin) = origin().await;
    for cache in [segment_cache(CHUNK_BYTES, 1 << 24), segment_cache(1 << 24, CHUNK_BYTES)] {
        let range_request = RangeRequest { range: ByteRange::parse(b"bytes=1-"), if_range: None };
        let lookup = cache.open_object(target(address, "/sized/2"), range_request).await;
        let Ok(CacheLookup::Bypass(response)) = lookup else { panic!("no bypass") };
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(response.headers()["x-range"], "bytes=1-");
        let lookup = open(&cache, target(address, "/sized/2")).await;
        assert!(matches!(lookup, Ok(CacheLookup::Bypass(_))));
    }
    // The response that was too large for the cache is itself the bypass response.
    assert_eq!(origin.requests.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn without_room_everything_passes_through() {
    let (address, origin) = origin().await;
    origin.chunks.add_permits(4);
    let config = CacheConfig { bytes: ByteSize::b(0), ..CacheConfig::default() };
    let cache = SegmentCache::new(config, Arc::new(Fetcher::new(Timeouts::default(), vec![])));
    for _ in 0..2 {
        let lookup = open(&cache, target(address, "/sized/2")).await;
        assert!(matches!(lookup, Ok(CacheLookup::Bypass(_))));
    }
    assert!(matches!(
        cache.prefetch(&target(address, "/sized/2"), None, false),
        PrefetchOutcome::Skipped
    ));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
}
