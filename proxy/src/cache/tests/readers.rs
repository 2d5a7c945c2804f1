use super::*;

#[tokio::test]
async fn many_readers_share_one_fetch() {
    let (address, origin) = origin().await;
    let cache = large_cache();
    let (mut first, coalesced) = expect_inflight(open(&cache, target(address, "/sized/4")).await);
    assert!(!coalesced);
    // The first reader gets the first chunk before there is a second.
    origin.chunks.add_permits(1);
    assert!(first.read().await.unwrap().is_some());
    let mut readers = Vec::new();
    for _ in 0..50 {
        let (reader, coalesced) = expect_inflight(open(&cache, target(address, "/sized/4")).await);
        assert!(coalesced);
        readers.push(reader);
    }
    // The reader that started the fetch leaves, and the others go on.
    drop(first);
    origin.chunks.add_permits(3);
    for reader in &mut readers {
        assert_eq!(read_all(reader).await.unwrap(), 4 * CHUNK_BYTES);
    }
    let object = wait_until_stored(&cache, &target(address, "/sized/4")).await;
    assert_eq!(object.body().total_length(), 4 * CHUNK_BYTES as u64);
    assert!(matches!(open(&cache, target(address, "/sized/4")).await, Ok(OpenedObject::Hit(_))));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
    // What is stored is not in flight, however long its readers take.
    assert_eq!(cache.inflight_bytes(), 0);
}

/// A reader with many bytes to write would keep the thread until its socket is full.
#[tokio::test]
async fn all_concurrent_readers_get_first_bytes_before_any_gets_more() {
    const READERS: usize = 8;
    let (address, origin) = origin().await;
    let cache = large_cache();
    let (mut first, _) = expect_inflight(open(&cache, target(address, "/sized/4")).await);
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(expect_inflight(open(&cache, target(address, "/sized/4")).await).0);
    }
    origin.chunks.add_permits(4);
    // The whole object is received, so that no reader waits for the origin.
    read_all(&mut first).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let reading = readers.into_iter().enumerate().map(|(reader_index, mut reader)| {
        let order = order.clone();
        tokio::spawn(async move {
            while reader.read().await.unwrap().is_some() {
                order.lock().unwrap().push(reader_index);
            }
        })
    });
    futures::future::join_all(reading.collect::<Vec<_>>()).await;
    let order = order.lock().unwrap();
    let (first_reads, rest) = order.split_at(READERS);
    let mut first_readers = first_reads.to_vec();
    first_readers.sort_unstable();
    assert_eq!((first_readers, rest.is_empty()), ((0..READERS).collect(), false), "{order:?}");
}

#[tokio::test]
async fn ranges_are_read_while_the_object_is_in_flight() {
    let (address, origin) = origin().await;
    let (mut reader, _) = expect_inflight(open(&large_cache(), target(address, "/sized/3")).await);
    assert_eq!(reader.metadata().length, Some(3 * CHUNK_BYTES as u64));
    reader.restrict_to_range(CHUNK_BYTES as u64 - 1, Some(CHUNK_BYTES as u64 + 1));
    origin.chunks.add_permits(3);
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.read().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!(bytes, [0, 1]);
}

#[tokio::test]
async fn an_object_of_unknown_length_is_stored_when_it_is_small() {
    let (address, origin) = origin().await;
    let cache = large_cache();
    let (mut reader, _) = expect_inflight(open(&cache, target(address, "/unsized/2")).await);
    assert_eq!(reader.metadata().length, None);
    origin.chunks.add_permits(2);
    assert_eq!(read_all(&mut reader).await.unwrap(), 2 * CHUNK_BYTES);
    let object = wait_until_stored(&cache, &target(address, "/unsized/2")).await;
    assert_eq!(object.body().total_length(), 2 * CHUNK_BYTES as u64);
}

#[tokio::test]
async fn a_reader_of_a_fetch_goes_on_in_the_stored_object() {
    for kind in ["sized", "unsized"] {
        let (address, origin) = origin().await;
        let cache = large_cache();
        let segment = target(address, &format!("/{kind}/4"));
        let (mut slow, _) = expect_inflight(open(&cache, segment.clone()).await);
        let (mut other, _) = expect_inflight(open(&cache, segment.clone()).await);
        origin.chunks.add_permits(4);
        let first = slow.read().await.unwrap().unwrap().len();
        read_all(&mut other).await.unwrap();
        wait_until_stored(&cache, &segment).await;
        assert_eq!(read_all(&mut slow).await, Ok(4 * CHUNK_BYTES - first), "{kind}");
        assert_eq!(slow.metadata().length, Some(4 * CHUNK_BYTES as u64), "{kind}");
    }
}

/// A client of HTTP/1.0 has to be told the length.
#[tokio::test]
async fn a_body_of_unknown_length_can_be_waited_for() {
    let (address, origin) = origin().await;
    let cache = large_cache();
    let (mut reader, _) = expect_inflight(open(&cache, target(address, "/unsized/2")).await);
    origin.chunks.add_permits(2);
    assert_eq!(reader.wait_for_length().await, Ok(()));
    assert_eq!(reader.metadata().length, Some(2 * CHUNK_BYTES as u64));
    assert_eq!(read_all(&mut reader).await, Ok(2 * CHUNK_BYTES));
    let (mut cut, _) = expect_inflight(open(&cache, target(address, "/cut/2")).await);
    // It is asked for three times.
    origin.chunks.add_permits(3 * 2);
    assert!(matches!(cut.wait_for_length().await, Err(Problem::UpstreamInvalid(_))));
}
