use super::*;

#[tokio::test]
async fn too_large_objects_pass_through_with_their_range() {
    let (address, origin) = origin().await;
    for storage in [storage(PIECE, 1 << 24), storage(1 << 24, PIECE)] {
        let asked = Asked { range: Range::parse(b"bytes=1-"), if_range: None };
        let opened = storage.open(target(address, "/sized/2"), asked).await;
        let Ok(Opened::Passing(response)) = opened else { panic!("not passed through") };
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(response.headers()["x-range"], "bytes=1-");
        let opened = open(&storage, target(address, "/sized/2")).await;
        assert!(matches!(opened, Ok(Opened::Passing(_))));
    }
    // The answer that was too large for storage is the one that is passed on.
    assert_eq!(origin.requests.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn without_room_everything_passes_through() {
    let (address, origin) = origin().await;
    origin.pieces.add_permits(4);
    let config = CacheConfig { bytes: ByteSize::b(0), ..CacheConfig::default() };
    let storage = Storage::new(config, Arc::new(Fetcher::new(Timeouts::default(), vec![])));
    for _ in 0..2 {
        let opened = open(&storage, target(address, "/sized/2")).await;
        assert!(matches!(opened, Ok(Opened::Passing(_))));
    }
    assert!(matches!(storage.prefetch(&target(address, "/sized/2"), None, false), Ahead::Skipped));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
}
