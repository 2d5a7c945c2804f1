use super::*;

fn rewrite_key() -> RewriteKey {
    RewriteKey {
        base_url: Url::parse("http://origin.example/live/v.m3u8").unwrap(),
        seal_period: 1,
        expires: None,
        extension: "ts",
        upstream_generation: 1,
        splice: None,
    }
}

/// The playlist of segments `names`, the first of which has the media sequence number `first`.
fn upstream_playlist(first: u64, names: &[&str]) -> UpstreamPlaylist {
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    for name in names {
        text.push_str(&format!("#EXTINF:2,\n{name}\n"));
    }
    UpstreamPlaylist {
        body: text.into(),
        base_url: rewrite_key().base_url,
        fetch_duration: Duration::ZERO,
    }
}

/// The rewritten playlist, and how many links were made for it.
fn rewrite_counting_links(
    last: Option<&RewrittenPlaylist>,
    upstream_playlist: UpstreamPlaylist,
    rewrite_key: RewriteKey,
) -> (RewrittenPlaylist, usize) {
    let mut made = 0;
    let mut uri_mapper = |reference: &UriReference<'_>, out: &mut Vec<u8>| {
        made += 1;
        out.extend_from_slice(format!("/{}", reference.sequence.unwrap()).as_bytes());
    };
    let imported = Variables::default();
    let rewritten = RewrittenPlaylist::rewrite(
        last,
        upstream_playlist,
        rewrite_key,
        &imported,
        "x",
        &mut uri_mapper,
    )
    .unwrap();
    (rewritten, made)
}

#[test]
fn only_what_is_new_is_linked_anew() {
    let (first, made) = rewrite_counting_links(
        None,
        upstream_playlist(7, &["a.ts", "b.ts", "c.ts"]),
        rewrite_key(),
    );
    assert_eq!(made, 3);
    assert!(first.new_resources.is_empty(), "a first look is no news");
    for (what, next, links, new_resources) in [
        ("the same", upstream_playlist(7, &["a.ts", "b.ts", "c.ts"]), 0, vec![]),
        ("moved on by one", upstream_playlist(8, &["b.ts", "c.ts", "d.ts"]), 1, vec!["d.ts"]),
        ("another name for a number", upstream_playlist(7, &["a.ts", "x.ts", "c.ts"]), 1, vec![]),
        ("far ahead", upstream_playlist(90, &["p", "q", "r", "s", "t"]), 5, vec!["r", "s", "t"]),
        ("begun anew", upstream_playlist(0, &["a.ts"]), 1, vec![]),
    ] {
        let unshared = rewrite_counting_links(None, clone_playlist(&next), rewrite_key()).0;
        let (second, made) = rewrite_counting_links(Some(&first), next, rewrite_key());
        assert_eq!(made, links, "{what}");
        assert_eq!(second.playlist.bytes, unshared.playlist.bytes, "{what}");
        assert_eq!(second.playlist.etag, unshared.playlist.etag, "{what}");
        assert_eq!(new_resource_names(&second), new_resources, "{what}");
    }
}

fn new_resource_names(rewritten: &RewrittenPlaylist) -> Vec<&str> {
    rewritten.new_resources.iter().filter_map(|one| one.url.rsplit('/').next()).collect()
}

#[test]
fn what_players_ask_for_next() {
    let names = &["a.ts", "b.ts", "c.ts", "d.ts"];
    let elsewhere = Url::parse("http://origin.example/another/v.m3u8").unwrap();
    let moved = RewriteKey { base_url: elsewhere.clone(), ..rewrite_key() };
    let renewed = RewriteKey { upstream_generation: 2, ..moved.clone() };
    let from = |upstream| NumberMapping { upstream, published: 100, ..NumberMapping::default() };
    let switched = |upstream| RewriteKey { splice: Some(from(upstream)), ..rewrite_key() };
    let (first, _) = rewrite_counting_links(None, upstream_playlist(7, names), rewrite_key());
    for (what, last, base, rewrite_key, new_resources) in [
        ("a first look", None, None, rewrite_key(), vec![]),
        ("nothing new", Some(&first), None, rewrite_key(), vec![]),
        ("another server each time", Some(&first), Some(&elsewhere), moved, vec![]),
        ("other tokens", Some(&first), Some(&elsewhere), renewed, vec!["b.ts", "c.ts", "d.ts"]),
        ("it plays again", Some(&first), None, switched(9), vec!["c.ts", "d.ts"]),
        ("who has just begun to play", None, None, switched(9), vec!["c.ts", "d.ts"]),
        ("nothing of it is published yet", None, None, switched(11), vec![]),
    ] {
        let mut next = upstream_playlist(7, names);
        next.base_url = base.unwrap_or(&next.base_url).clone();
        let (rewritten, _) = rewrite_counting_links(last, next, rewrite_key);
        assert_eq!(new_resource_names(&rewritten), new_resources, "{what}");
    }
}

#[test]
fn a_segment_is_of_no_use_without_its_map_and_key() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n\
            #EXT-X-MAP:URI=\"old.mp4\"\n#EXTINF:2,\na.m4s\n\
            #EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"9@4\"\n\
            #EXTINF:2,\nb.m4s\n";
    let response = UpstreamPlaylist { body: text.into(), ..upstream_playlist(7, &[]) };
    let imported = Variables::default();
    let mut uri_mapper = |reference: &UriReference<'_>, out: &mut Vec<u8>| {
        out.extend_from_slice(match reference.role {
            UriRole::Segment => b"/live/s/v/8.m4s?u=A",
            UriRole::Map => b"/live/s/v/x/a0.mp4?u=A",
            _ => b"/live/s/v/x/b0.key?u=A",
        });
    };
    let (first, _) = rewrite_counting_links(None, upstream_playlist(7, &["a.m4s"]), rewrite_key());
    let rewritten = RewrittenPlaylist::rewrite(
        Some(&first),
        response,
        rewrite_key(),
        &imported,
        "x",
        &mut uri_mapper,
    )
    .unwrap();
    assert_eq!(new_resource_names(&rewritten), ["b.m4s", "i.mp4", "k"]);
    let of: Vec<_> = rewritten
        .new_resources
        .iter()
        .map(|one| (one.byte_range, one.is_long_lived, one.number))
        .collect();
    let [map, key] = [Some(0xa0), Some(0xb0)];
    assert_eq!(of, [(None, false, Some(8)), (Some((9, 4)), true, map), (None, true, key)]);
}

#[test]
fn what_is_missing_is_not_fetched() {
    let (first, _) = rewrite_counting_links(None, upstream_playlist(7, &["a.ts"]), rewrite_key());
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2,\na.ts\n\
            #EXTINF:2,\nb.ts\n#EXT-X-GAP\n#EXTINF:2,\nc.ts\n";
    let response = UpstreamPlaylist { body: text.into(), ..upstream_playlist(7, &[]) };
    let (rewritten, _) = rewrite_counting_links(Some(&first), response, rewrite_key());
    assert_eq!(new_resource_names(&rewritten), ["b.ts"]);
}

fn clone_playlist(upstream_playlist: &UpstreamPlaylist) -> UpstreamPlaylist {
    let UpstreamPlaylist { body, base_url: base, fetch_duration } = upstream_playlist;
    UpstreamPlaylist { body: body.clone(), base_url: base.clone(), fetch_duration: *fetch_duration }
}

#[test]
fn on_other_terms_nothing_is_taken_over() {
    let (first, _) = rewrite_counting_links(None, upstream_playlist(7, &["a.ts"]), rewrite_key());
    for other in [
        RewriteKey { seal_period: 2, ..rewrite_key() },
        RewriteKey { expires: Some(1), ..rewrite_key() },
        RewriteKey { extension: "aac", ..rewrite_key() },
        RewriteKey { upstream_generation: 2, ..rewrite_key() },
        RewriteKey {
            splice: Some(NumberMapping { published: 1, ..NumberMapping::default() }),
            ..rewrite_key()
        },
        RewriteKey {
            base_url: Url::parse("http://other.example/live/v.m3u8").unwrap(),
            ..rewrite_key()
        },
    ] {
        assert_eq!(
            rewrite_counting_links(Some(&first), upstream_playlist(7, &["a.ts"]), other).1,
            1
        );
    }
}
