use super::*;
use crate::slots::Slots;

#[tokio::test]
async fn what_is_fetched_ahead_is_a_hit_and_joined_while_it_comes() {
    let (address, origin) = origin().await;
    let storage = roomy();
    let ahead = target(address, "/sized/2");
    assert!(storage.prefetch(ahead.clone(), None));
    assert!(!storage.prefetch(ahead.clone(), None), "once is enough");
    let (mut viewer, joined) = filling(open(&storage, ahead.clone()).await);
    assert!(joined);
    origin.pieces.add_permits(2);
    assert_eq!(read_all(&mut viewer).await.unwrap(), 2 * PIECE);
    stored(&storage, &ahead).await;
    assert!(matches!(open(&storage, ahead.clone()).await, Ok(Opened::Stored(_))));
    assert!(!storage.prefetch(ahead, None));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
    // A part is fetched as the part that a player will ask for.
    assert!(storage.prefetch(target(address, "/file"), Some((100, 200))));
    let part = Key::of(&target(address, "/file"), Some((200, 299)));
    assert_eq!(stored_as(&storage, part).await.body().end(), 100);
}

#[tokio::test]
async fn nothing_is_fetched_ahead_of_those_who_wait() {
    let (address, origin) = origin().await;
    // Half of the room for fills is taken.
    let storage = storage(1 << 20, 3 * PIECE);
    let (_reader, _) = filling(open(&storage, target(address, "/sized/2")).await);
    assert!(!storage.prefetch(target(address, "/sized/1"), None));
    // The source allows one request, which a viewer's takes.
    let slot = Slots::default().of("club", Some(1));
    let _taken = slot.take().await.unwrap();
    let limited = Target { slot, ..target(address, "/sized/1") };
    assert!(!roomy().prefetch(limited, None));
    assert!(!roomy().prefetch(target(address, "/file"), Some((u64::MAX, 1))));
    assert!(!roomy().prefetch(target(address, "/file"), Some((0, 1))));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
}
