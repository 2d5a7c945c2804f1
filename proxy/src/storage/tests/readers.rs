use super::*;

#[tokio::test]
async fn many_readers_share_one_fetch() {
    let (address, origin) = origin().await;
    let storage = roomy();
    let (mut first, joined) = filling(open(&storage, target(address, "/sized/4")).await);
    assert!(!joined);
    // The first viewer sees the first piece before there is a second.
    origin.pieces.add_permits(1);
    assert!(first.read().await.unwrap().is_some());
    let mut readers = Vec::new();
    for _ in 0..50 {
        let (reader, joined) = filling(open(&storage, target(address, "/sized/4")).await);
        assert!(joined);
        readers.push(reader);
    }
    // The one that began it leaves; nobody else notices.
    drop(first);
    origin.pieces.add_permits(3);
    for reader in &mut readers {
        assert_eq!(read_all(reader).await.unwrap(), 4 * PIECE);
    }
    let object = stored(&storage, &target(address, "/sized/4")).await;
    assert_eq!(object.body().end(), 4 * PIECE as u64);
    assert!(matches!(open(&storage, target(address, "/sized/4")).await, Ok(Opened::Stored(_))));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
    // What slow readers hold counts until they have left.
    assert_eq!(storage.filling_bytes(), 4 * PIECE as u64);
    drop(readers);
    assert_eq!(storage.filling_bytes(), 0);
}

/// A reader with much to write would keep the thread until its socket is full.
#[tokio::test]
async fn in_a_herd_everybody_gets_first_bytes_before_anybody_gets_more() {
    const READERS: usize = 8;
    let (address, origin) = origin().await;
    let storage = roomy();
    let (mut first, _) = filling(open(&storage, target(address, "/sized/4")).await);
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(filling(open(&storage, target(address, "/sized/4")).await).0);
    }
    origin.pieces.add_permits(4);
    // All of it is there, so that no reader waits for the origin.
    read_all(&mut first).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let reading = readers.into_iter().enumerate().map(|(who, mut reader)| {
        let order = order.clone();
        tokio::spawn(async move {
            while reader.read().await.unwrap().is_some() {
                order.lock().unwrap().push(who);
            }
        })
    });
    futures::future::join_all(reading.collect::<Vec<_>>()).await;
    let order = order.lock().unwrap();
    let (firsts, rest) = order.split_at(READERS);
    let mut seen = firsts.to_vec();
    seen.sort_unstable();
    assert_eq!((seen, rest.is_empty()), ((0..READERS).collect(), false), "{order:?}");
}

#[tokio::test]
async fn ranges_are_read_while_it_fills() {
    let (address, origin) = origin().await;
    let (mut reader, _) = filling(open(&roomy(), target(address, "/sized/3")).await);
    assert_eq!(reader.opened_head().length, Some(3 * PIECE as u64));
    reader.seek(PIECE as u64 - 1, Some(PIECE as u64 + 1));
    origin.pieces.add_permits(3);
    let mut bytes = Vec::new();
    while let Some(piece) = reader.read().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes, [0, 1]);
}

#[tokio::test]
async fn an_object_of_unknown_length_is_stored_when_it_is_small() {
    let (address, origin) = origin().await;
    let storage = roomy();
    let (mut reader, _) = filling(open(&storage, target(address, "/unsized/2")).await);
    assert_eq!(reader.opened_head().length, None);
    origin.pieces.add_permits(2);
    assert_eq!(read_all(&mut reader).await.unwrap(), 2 * PIECE);
    let object = stored(&storage, &target(address, "/unsized/2")).await;
    assert_eq!(object.body().end(), 2 * PIECE as u64);
}

#[tokio::test]
async fn one_that_turns_out_to_be_too_large_is_held_in_a_window() {
    let (address, origin) = origin().await;
    let storage = storage(2 * PIECE, 1 << 24);
    let pieces = 64;
    let path = format!("/unsized/{pieces}");
    let (mut reader, _) = filling(open(&storage, target(address, &path)).await);
    origin.pieces.add_permits(pieces);
    assert_eq!(read_all(&mut reader).await.unwrap(), pieces * PIECE);
    assert!(storage.shelf.get(&Key::of(&target(address, &path), None)).is_none());
    assert_eq!(storage.filling_bytes(), 0);
}
