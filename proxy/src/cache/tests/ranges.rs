use super::*;

#[tokio::test]
async fn a_range_is_fetched_and_stored_alone() {
    let (address, origin) = origin().await;
    let cache = large_cache();
    for (range, content_range, length, fetches) in [
        ("bytes=100-199", Some("bytes 100-199/1000"), 100, 1),
        ("bytes=100-199", Some("bytes 100-199/1000"), 100, 1),
        ("bytes=200-299", Some("bytes 200-299/1000"), 100, 2),
        ("bytes=900-1999", Some("bytes 900-999/1000"), 100, 3),
        // A range that is not satisfiable: the whole object is fetched to say so, and is stored
        // from then on.
        ("bytes=5000-5001", None, 1000, 5),
        ("bytes=0-9", None, 1000, 5),
    ] {
        let opened = open_range(&cache, address, range).await;
        assert_eq!((opened.0.as_deref(), opened.1), (content_range, length), "{range}");
        if content_range.is_none() {
            wait_until_stored(&cache, &target(address, "/file")).await;
        } else {
            let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let bounds = Some((first.parse().unwrap(), last.parse().unwrap()));
            wait_until_key_stored(&cache, ObjectKey::of(&target(address, "/file"), bounds)).await;
        }
        assert_eq!(origin.requests.load(Ordering::SeqCst), fetches, "{range}");
    }
}

#[tokio::test]
async fn a_wrong_content_range_of_an_upstream_is_rejected() {
    let (address, _) = origin().await;
    // A 200 response is a whole object, whatever its Content-Range says.
    let (reader, _) = expect_inflight(open(&large_cache(), target(address, "/stray")).await);
    assert!(reader.metadata().content_range.is_none());
    for content_range in
        ["0-18446744073709551615_5", "3-0_4", "1-4_5", "0-9_4", "0-1_4", "nonsense"]
    {
        let lying = target(address, &format!("/lies/{content_range}"));
        for range in ["bytes=0-3", "bytes=2-"] {
            let problem =
                large_cache().open_object(lying.clone(), range_request(range)).await.err();
            let is_invalid = matches!(problem, Some(Problem::UpstreamInvalid(_)));
            assert!(is_invalid, "{content_range} to {range}: {problem:?}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_ignores_ranges_is_read_whole() {
    let (address, origin) = origin().await;
    let cache = large_cache();
    origin.chunks.add_permits(10);
    let lookup = cache.open_object(target(address, "/unsized/1"), range_request("bytes=0-9")).await;
    assert_eq!(read_all(&mut expect_inflight(lookup).0).await.unwrap(), CHUNK_BYTES);
}
