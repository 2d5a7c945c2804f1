use super::*;
use crate::slots::Slots;

fn is_begun(ahead: &Ahead) -> bool {
    matches!(ahead, Ahead::Coming { joined: false, .. })
}

#[tokio::test]
async fn what_is_fetched_ahead_is_a_hit_and_joined_while_it_comes() {
    let (address, origin) = origin().await;
    let storage = roomy();
    let ahead = target(address, "/sized/2");
    let first = storage.prefetch(&ahead, None, false);
    assert!(is_begun(&first));
    let second = storage.prefetch(&ahead, None, false);
    assert!(matches!(second, Ahead::Coming { joined: true, .. }), "once is enough");
    let (mut viewer, joined) = filling(open(&storage, ahead.clone()).await);
    assert!(joined);
    origin.pieces.add_permits(2);
    assert_eq!(read_all(&mut viewer).await.unwrap(), 2 * PIECE);
    assert_eq!((first.end().await, second.end().await), (Ok(()), Ok(())));
    stored(&storage, &ahead).await;
    assert!(matches!(open(&storage, ahead.clone()).await, Ok(Opened::Stored(_))));
    assert!(matches!(storage.prefetch(&ahead, None, false), Ahead::Stored));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
    // A part is fetched as the part that a player will ask for.
    assert!(is_begun(&storage.prefetch(&target(address, "/file"), Some((100, 200)), false)));
    let part = Key::of(&target(address, "/file"), Some((200, 299)));
    assert_eq!(stored_as(&storage, part).await.body().end(), 100);
}

/// A map of its own, and one that is a part of a file.
#[tokio::test]
async fn what_stays_is_fetched_again_before_it_is_too_old() {
    for (path, range) in [("/sized/1", None), ("/file", Some((100, 200)))] {
        let (address, origin) = origin().await;
        let storage = roomy();
        let map = target(address, path);
        let key = Key::of(&map, range.map(|(length, offset)| (offset, offset + length - 1)));
        origin.pieces.add_permits(1);
        storage.prefetch(&map, range, true).end().await.unwrap();
        let first = stored_as(&storage, key).await;
        let half = (first.until - first.stored) / 2;
        tokio::time::pause();
        tokio::time::advance(half / 2).await;
        assert!(matches!(storage.prefetch(&map, range, true), Ahead::Stored), "it is young");
        tokio::time::advance(half).await;
        assert!(matches!(storage.prefetch(&map, range, false), Ahead::Stored), "a segment");
        assert!(matches!(storage.prefetch(&map, range, true), Ahead::Renewed), "{path}");
        assert!(matches!(storage.prefetch(&map, range, true), Ahead::Stored), "under way");
        tokio::time::resume();
        let asked = match range {
            Some(_) => asked("bytes=200-299"),
            None => Asked::default(),
        };
        let meanwhile = storage.open(map, asked).await;
        assert!(matches!(meanwhile, Ok(Opened::Stored(_))), "{path}");
        origin.pieces.add_permits(1);
        while storage.is_filling(&key) {
            tokio::task::yield_now().await;
        }
        assert!(stored_as(&storage, key).await.stored > first.stored);
        assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn what_never_ends_is_not_read_for_nobody() {
    let (address, origin) = origin().await;
    let storage = storage(PIECE, 1 << 25);
    let endless = target(address, "/unsized/1000");
    let ahead = storage.prefetch(&endless, None, false);
    origin.pieces.add_permits(3);
    assert_eq!(ahead.end().await, Ok(()));
}

#[tokio::test]
async fn what_cannot_be_had_is_said() {
    let (address, origin) = origin().await;
    let storage = roomy();
    let gone = target(address, "/gone");
    let refused = Err(Problem::UpstreamStatus(StatusCode::GONE));
    let first = storage.prefetch(&gone, None, false);
    assert!(is_begun(&first));
    assert_eq!(first.end().await, refused);
    // Remembered for a moment.
    assert_eq!(storage.prefetch(&gone, None, false).end().await, refused);
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nothing_is_fetched_ahead_of_those_who_wait() {
    let (address, origin) = origin().await;
    // Half of the room for fills is taken.
    let storage = storage(1 << 20, 3 * PIECE);
    let (_reader, _) = filling(open(&storage, target(address, "/sized/2")).await);
    // The source allows one request, which a viewer's takes.
    let slot = Slots::default().of("club", Some(1));
    let _taken = slot.take().await.unwrap();
    let limited = Target { slot, ..target(address, "/sized/1") };
    for (what, storage, target, byte_range) in [
        ("no room", storage, target(address, "/sized/1"), None),
        ("no connection", roomy(), limited, None),
        ("past all ends", roomy(), target(address, "/file"), Some((u64::MAX, 1))),
        ("nothing", roomy(), target(address, "/file"), Some((0, 1))),
    ] {
        let ahead = storage.prefetch(&target, byte_range, false);
        assert!(matches!(ahead, Ahead::Skipped), "{what}: {ahead:?}");
    }
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
}
