use super::*;

#[tokio::test]
async fn a_token_does_not_name_another_object() {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let key = |path| Key::of(&target(address, path), None);
    assert!(key("/a?token=1") == key("/a?token=2"));
    assert!(key("/a?id=1") != key("/a?id=2"));
    let other = Target { profile: "other".into(), ..target(address, "/a") };
    assert!(Key::of(&other, None) != key("/a"));
}

#[tokio::test]
async fn purged_objects_are_gone_and_their_fills_are_not_kept() {
    let (address, origin) = origin().await;
    for (purge, gone) in [
        (Purge::Stream("world".into()), true),
        (Purge::Stream("other".into()), false),
        (Purge::Wholes(vec![Key::of(&target(address, "/file"), None)]), true),
        (Purge::Wholes(vec![Key::of(&target(address, "/other"), None)]), false),
    ] {
        let storage = roomy();
        for range in ["bytes=100-199", "bytes=200-299"] {
            part(&storage, address, range).await;
        }
        let slice = Key::of(&target(address, "/file"), Some((200, 299)));
        stored_as(&storage, slice).await;
        let before = storage.stored_bytes();
        assert_eq!(storage.purge(&purge), if gone { 2 } else { 0 });
        assert_eq!(storage.stored_bytes(), if gone { 0 } else { before });
    }
    let storage = roomy();
    let (mut reader, _) = filling(open(&storage, target(address, "/sized/1")).await);
    storage.purge(&Purge::Stream("world".into()));
    origin.pieces.add_permits(1);
    assert_eq!(read_all(&mut reader).await.unwrap(), PIECE);
    tokio::task::yield_now().await;
    assert_eq!(storage.stored_bytes(), 0);
}

#[tokio::test]
async fn what_was_not_read_for_longest_makes_room() {
    let (address, origin) = origin().await;
    origin.pieces.add_permits(100);
    let config = CacheConfig {
        bytes: ByteSize((4 * (PIECE + 512)) as u64),
        fill_bytes: ByteSize::mib(1),
        max_object: ByteSize::mib(1),
    };
    let storage = Storage::new(config, Arc::new(Fetcher::new(Timeouts::default(), vec![])));
    let nth = |n: usize| target(address, &format!("/sized/1?n={n}"));
    for n in 0..8 {
        let (mut reader, _) = filling(open(&storage, nth(n)).await);
        read_all(&mut reader).await.unwrap();
        stored(&storage, &nth(n)).await;
        // Read again and again, as a popular rendition's map is.
        assert!(storage.shelf.get(&Key::of(&nth(0), None)).is_some(), "after {n}");
        assert!(storage.stored_bytes() <= 4 * (PIECE as u64 + 512), "after {n}");
    }
    let kept: Vec<usize> =
        (0..8).filter(|n| storage.shelf.get(&Key::of(&nth(*n), None)).is_some()).collect();
    assert_eq!(kept, [0, 5, 6, 7]);
}

#[tokio::test]
async fn an_object_that_has_left_the_window_is_fetched_anew() {
    let (address, origin) = origin().await;
    origin.pieces.add_permits(2);
    let storage = roomy();
    let segment = target(address, "/sized/1");
    let tempo = pitwall_hls::Tempo {
        target_duration: Some(2.0),
        segments: 6,
        ..pitwall_hls::Tempo::default()
    };
    storage.lifetimes.tell("test", segment.url.as_str(), &tempo);
    read_all(&mut filling(open(&storage, segment.clone()).await).0).await.unwrap();
    stored(&storage, &segment).await;
    tokio::time::pause();
    for (seconds, kept) in [(17, true), (1, false)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert_eq!(storage.shelf.get(&Key::of(&segment, None)).is_some(), kept, "{seconds}");
    }
}
