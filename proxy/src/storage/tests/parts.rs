use super::*;

#[tokio::test]
async fn a_part_is_fetched_and_kept_alone() {
    let (address, origin) = origin().await;
    let storage = roomy();
    for (range, content_range, length, fetches) in [
        ("bytes=100-199", Some("bytes 100-199/1000"), 100, 1),
        ("bytes=100-199", Some("bytes 100-199/1000"), 100, 1),
        ("bytes=200-299", Some("bytes 200-299/1000"), 100, 2),
        ("bytes=900-1999", Some("bytes 900-999/1000"), 100, 3),
        // Not satisfiable: the whole says so, and from then on has it all.
        ("bytes=5000-5001", None, 1000, 5),
        ("bytes=0-9", None, 1000, 5),
    ] {
        let got = part(&storage, address, range).await;
        assert_eq!((got.0.as_deref(), got.1), (content_range, length), "{range}");
        if content_range.is_none() {
            stored(&storage, &target(address, "/file")).await;
        } else {
            let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let slice = Some((first.parse().unwrap(), last.parse().unwrap()));
            stored_as(&storage, Key::of(&target(address, "/file"), slice)).await;
        }
        assert_eq!(origin.requests.load(Ordering::SeqCst), fetches, "{range}");
    }
}

#[tokio::test]
async fn what_an_upstream_says_of_parts_is_not_believed() {
    let (address, _) = origin().await;
    // A whole object is whole, whatever else its headers say.
    let (reader, _) = filling(open(&roomy(), target(address, "/stray")).await);
    assert!(reader.opened_head().content_range.is_none());
    for lie in ["0-18446744073709551615_5", "3-0_4", "1-4_5", "0-9_4", "0-1_4", "nonsense"] {
        let lies = target(address, &format!("/lies/{lie}"));
        for range in ["bytes=0-3", "bytes=2-"] {
            let problem = roomy().open(lies.clone(), asked(range)).await.err();
            let invalid = matches!(problem, Some(Problem::UpstreamInvalid(_)));
            assert!(invalid, "{lie} to {range}: {problem:?}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_ignores_ranges_is_read_whole() {
    let (address, origin) = origin().await;
    let storage = roomy();
    origin.pieces.add_permits(10);
    let opened = storage.open(target(address, "/unsized/1"), asked("bytes=0-9")).await;
    assert_eq!(read_all(&mut filling(opened).0).await.unwrap(), PIECE);
}
