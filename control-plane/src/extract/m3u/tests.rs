use std::io::Write as _;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::extract::ConfiguredSource;
use crate::extract::tests::build_runner;
use crate::extract::{Candidate, ExtractError, ExtractorOutput};

const LIST: &str = "#EXTM3U x-tvg-url=\"x\"\n\
    #EXTINF:-1 group-title=\"Motorsport\",F1 Main UHD\n#EXTVLCOPT:http-user-agent=Box/1\nhttps://a.example/main.m3u8?e=1767225600\n\
    #EXTINF:-1 group-title=\"Motorsport\",F1 Main Replay\nhttps://a.example/replay.m3u8\n\
    #EXTINF:-1 group-title=\"Motorsport\",F1 Pit Lane\n/pit.m3u8\n\
    #EXTINF:-1 group-title=\"News\",F1 News\nhttps://a.example/news.m3u8\n";

const UNNAMED: &str = "#EXTM3U\n\
    #EXTINF:-1,Гонка\n/1.m3u8\n\
    #EXTINF:-1 group-title=\"Night\",---\n/2.m3u8\n\
    /3.m3u8\n\
    #EXTINF:-1,Sport 5+\n/4.m3u8\n\
    #EXTINF:-1,Sport 5\n/5.m3u8\n";

const MIXED: &str = "#EXTM3U\n\
    #EXTINF:-1 group-title=\"A;B\",One\n/1.m3u8\n\
    #EXTINF:-1 group-title=\"A\",Two\n/2.ts\n\
    #EXTINF:-1 group-title=\"C\",Three\n/3.ts\n\
    #EXTINF:-1 group-title=\"C\",Four\nrtmp://a.example/4\n";

/// `MIXED` as other servers send it: in UTF-16, and as a gzip file.
fn encoded() -> (Vec<u8>, Vec<u8>) {
    let utf16 = std::iter::once(0xfeff).chain(MIXED.encode_utf16()).flat_map(u16::to_le_bytes);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(MIXED.as_bytes()).unwrap();
    (utf16.collect(), packed.finish().unwrap())
}

fn bzip2() -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(MIXED.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

async fn extract(keys: &str) -> Result<Vec<Candidate>, ExtractError> {
    let mut found = run(keys).await;
    if found.candidates.is_empty() { Err(found.failures.remove(0)) } else { Ok(found.candidates) }
}

async fn run(keys: &str) -> ExtractorOutput {
    let list = |headers: HeaderMap| async move {
        match headers.get("x-key").is_some_and(|key| key == "k") {
            true => LIST.into_response(),
            false => axum::http::StatusCode::FORBIDDEN.into_response(),
        }
    };
    let page = || async { Response::new(axum::body::Body::from("<html>")) };
    let router = Router::new()
        .route("/list.m3u", get(list))
        .route("/unnamed.m3u", get(|| async { UNNAMED }))
        .route("/mixed.m3u", get(|| async { MIXED }))
        .route("/utf16.m3u", get(|| async { encoded().0 }))
        .route("/list.m3u.gz", get(|| async { encoded().1 }))
        .route("/cut.m3u.gz", get(|| async { [0x1f, 0x8b, 8, 0].to_vec() }))
        .route("/list.m3u.7z", get(|| async { b"7z\xbc\xaf\x27\x1c\0\x04".to_vec() }))
        .route("/list.m3u.bz2", get(|| async { bzip2() }))
        .route("/page", get(page));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let toml = format!(
        "[[source]]\nname = 'a'\nkind = 'm3u'\nallow_private = ['127.0.0.0/8']\n{}",
        keys.replace("SITE", &format!("http://{address}"))
    );
    let source =
        ConfiguredSource::parse_file(&toml).unwrap_or_else(|error| panic!("{error}")).remove(0);
    build_runner().run(&source).await
}

#[tokio::test]
async fn filtered_and_renamed() {
    let base = "url = 'SITE/list.m3u'\nheaders = { X-Key = 'k' }\n";
    for (keys, expected) in [
        ("", vec!["F1 Main UHD", "F1 Main Replay", "F1 Pit Lane", "F1 News"]),
        ("only = { group = 'Motor' }", vec!["F1 Main UHD", "F1 Main Replay", "F1 Pit Lane"]),
        ("only = { name = 'Main' }\nexcept = { name = '(?i)replay' }", vec!["F1 Main UHD"]),
        (
            "except = { group = 'News', name = 'Replay' }\nrename = [{ name = 'Main', feed = 'World feed' }]",
            vec!["World feed", "F1 Pit Lane"],
        ),
        ("only = { name = 'Main' }\nfeed = 'World feed'", vec!["World feed", "World feed"]),
    ] {
        let found = extract(&format!("{base}{keys}")).await.unwrap();
        let feeds: Vec<_> = found.iter().map(|one| one.feed.as_str()).collect();
        assert_eq!(feeds, expected, "{keys}");
    }
    let found = extract(&format!("{base}only = {{ name = 'Main UHD' }}")).await.unwrap().remove(0);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(found.headers, [header("X-Key", "k"), header("User-Agent", "Box/1")]);
    assert_eq!(found.expires_at, Some("2026-01-01T00:00:00Z".parse().unwrap()));
}

#[tokio::test]
async fn an_entry_without_a_name_is_reported_and_the_others_stay() {
    let both = "2 without a name to make an id of: line 5, line 6";
    for (keys, feeds, unusable, failed) in [
        ("", vec!["Гонка", "Sport 5+", "Sport 5"], both, ""),
        (
            "except = { group = 'Night' }",
            vec!["Гонка", "Sport 5+", "Sport 5"],
            "1 without a name to make an id of: line 6",
            "",
        ),
        ("only = { name = 'Sport' }", vec!["Sport 5+", "Sport 5"], "", ""),
        ("only = { name = '^-*$' }", vec![], "", both),
        ("only = { name = '^-*$' }\nfeed = 'World feed'", vec!["World feed", "World feed"], "", ""),
    ] {
        let found = run(&format!("url = 'SITE/unnamed.m3u'\n{keys}")).await;
        let messages = |errors: &[ExtractError]| {
            errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; ")
        };
        let named: Vec<_> = found.candidates.iter().map(|one| one.feed.as_str()).collect();
        assert_eq!(named, feeds, "{keys}");
        assert_eq!(
            (messages(&found.unusable).as_str(), messages(&found.failures).as_str()),
            (unusable, failed),
            "{keys}"
        );
        let ids: std::collections::BTreeSet<_> =
            named.iter().filter_map(|feed| pitwall_upstream_map::StreamId::of_feed(feed)).collect();
        assert_eq!(ids.len(), feeds.iter().collect::<std::collections::BTreeSet<_>>().len());
    }
}

/// What a filter takes and cannot be a stream is reported; it is a failure if nothing else remains.
#[tokio::test]
async fn what_is_left_out_is_reported() {
    for (keys, feeds, unusable, failed) in [
        ("", vec!["One"], "3 left out: 2 not HLS (.ts), 1 not over HTTP", ""),
        ("only = { group = '^A$' }", vec!["One"], "1 left out: 1 not HLS (.ts)", ""),
        ("only = { group = '^B$' }", vec!["One"], "", ""),
        ("except = { group = 'C' }", vec!["One"], "1 left out: 1 not HLS (.ts)", ""),
        ("except = { name = '^T|Four' }", vec!["One"], "", ""),
        ("only = { group = 'C' }", vec![], "", "2 left out: 1 not HLS (.ts), 1 not over HTTP"),
    ] {
        for list in ["mixed.m3u", "utf16.m3u", "list.m3u.gz", "list.m3u.bz2"] {
            let found = run(&format!("url = 'SITE/{list}'\n{keys}")).await;
            let messages = |errors: &[ExtractError]| {
                errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; ")
            };
            let named: Vec<_> = found.candidates.iter().map(|one| one.feed.as_str()).collect();
            assert_eq!(
                (named, messages(&found.unusable).as_str(), messages(&found.failures).as_str()),
                (feeds.clone(), unusable, failed),
                "{list} {keys}"
            );
        }
    }
}

#[tokio::test]
async fn failures_name_their_step() {
    for (keys, expected) in [
        ("url = 'SITE/list.m3u'", "get: the server answered 403"),
        ("url = 'SITE/cut.m3u.gz'", "list: not gzip, or cut short"),
        (
            "url = 'SITE/list.m3u.7z'",
            "list: a file compressed as 7z, which is not read: use gzip, zip, xz, bzip2 or zstd",
        ),
        ("url = 'SITE/page'", "list: an HTML page, not a list: it does not begin with #EXTM3U"),
        (
            "url = 'SITE/list.m3u'\nheaders = { X-Key = 'k' }\nonly = { name = 'Golf' }",
            "filter: no entry matches `only` and `except` (the list has the groups: Motorsport, News)",
        ),
    ] {
        assert_eq!(extract(keys).await.unwrap_err().to_string(), expected, "{keys}");
    }
}

#[test]
fn a_malformed_filter_is_refused_with_an_example() {
    let text = |keys: &str| {
        format!("[[source]]\nname = 'a'\nkind = 'm3u'\nurl = 'https://a.example/l.m3u'\n{keys}\n")
    };
    for (keys, expected) in [
        ("only = ['Racing']", "expected a table such as { group = \"(?i)motorsport\" }"),
        ("except = 'Racing'", "expected a table such as { group = \"(?i)motorsport\" }"),
        ("only = { group = '(' }", "not a pattern: "),
        ("rename = ['A']", "expected a table such as { name = \"^F1\", feed = \"World feed\" }"),
    ] {
        let error = ConfiguredSource::parse_file(&text(keys)).unwrap_err();
        assert!(error.message().contains(expected), "{keys}: {error}");
    }
}
