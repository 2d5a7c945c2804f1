use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{Path, State};
use axum::http::HeaderMap as AxumHeaders;
use axum::response::{IntoResponse, Response as AxumResponse};
use axum::routing::get;
use bytesize::ByteSize;
use futures::stream;
use http::{HeaderMap, StatusCode};
use pitwall_fetch::{Policy, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::fill::Head;
use super::*;
use crate::slots::{Slot, Slots};

const PIECE: usize = 64 * 1024;

/// An origin whose bodies come piece by piece, as the test lets them.
struct Origin {
    requests: AtomicUsize,
    pieces: Semaphore,
}

async fn origin() -> (SocketAddr, Arc<Origin>) {
    let origin = Arc::new(Origin { requests: AtomicUsize::new(0), pieces: Semaphore::new(0) });
    let router = Router::new()
        .route("/sized/{pieces}", get(sized))
        .route("/unsized/{pieces}", get(unsized_))
        .route("/file", get(file))
        .route("/stray", get(|| async { ([("content-range", "bytes 0-3/4")], "body") }))
        .route(
            "/lies/{range}",
            get(|Path(range): Path<String>| async move {
                let range = format!("bytes {}", range.replace('_', "/"));
                (StatusCode::PARTIAL_CONTENT, [("content-range", range)], "body")
            }),
        )
        .route("/gone", get(gone))
        .with_state(origin.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, origin)
}

async fn sized(
    State(origin): State<Arc<Origin>>,
    Path(pieces): Path<usize>,
    headers: AxumHeaders,
) -> AxumResponse {
    origin.requests.fetch_add(1, Ordering::SeqCst);
    if let Some(range) = headers.get("range") {
        let range = range.to_str().unwrap().to_owned();
        let content_range = ("content-range", "bytes 1-6/7".to_owned());
        let headers = [("x-range", range), content_range];
        return (StatusCode::PARTIAL_CONTENT, headers, "ranged").into_response();
    }
    let length = (pieces * PIECE).to_string();
    ([("content-length", length)], body(origin, pieces)).into_response()
}

async fn gone(State(origin): State<Arc<Origin>>) -> StatusCode {
    origin.requests.fetch_add(1, Ordering::SeqCst);
    StatusCode::GONE
}

async fn unsized_(State(origin): State<Arc<Origin>>, Path(pieces): Path<usize>) -> AxumResponse {
    origin.requests.fetch_add(1, Ordering::SeqCst);
    body(origin, pieces).into_response()
}

/// A file of 1000 bytes that does ranges.
async fn file(State(origin): State<Arc<Origin>>, headers: AxumHeaders) -> AxumResponse {
    origin.requests.fetch_add(1, Ordering::SeqCst);
    let bytes: Vec<u8> = (0..1000).map(|n| n as u8).collect();
    let range = headers.get("range").and_then(|range| Range::parse(range.as_bytes()));
    match range {
        Some(Range { first, last: Some(last) }) if first < 1000 => {
            let last = last.min(999);
            let part = bytes[first as usize..=last as usize].to_vec();
            let content_range = format!("bytes {first}-{last}/1000");
            (StatusCode::PARTIAL_CONTENT, [("content-range", content_range)], part).into_response()
        }
        Some(_) => {
            (StatusCode::RANGE_NOT_SATISFIABLE, [("content-range", "bytes */1000")]).into_response()
        }
        None => bytes.into_response(),
    }
}

fn body(origin: Arc<Origin>, pieces: usize) -> AxumBody {
    AxumBody::from_stream(stream::unfold(0, move |sent| {
        let origin = origin.clone();
        async move {
            if sent == pieces {
                return None;
            }
            origin.pieces.acquire().await.unwrap().forget();
            Some((Ok::<_, Infallible>(Bytes::from(vec![sent as u8; PIECE])), sent + 1))
        }
    }))
}

fn target(address: SocketAddr, path: &str) -> Target {
    Target {
        url: format!("http://{address}{path}").parse().unwrap(),
        profile: "test".into(),
        purpose: None,
        expires: None,
        policy: Policy {
            allow_private: vec!["127.0.0.0/8".parse().unwrap()],
            ports: vec![address.port()],
        },
        headers: HeaderMap::new(),
        token_parameters: vec!["token".into()],
        private_here_only: false,
        slot: Slot::default(),
        stream: Some("world".into()),
    }
}

fn storage(max_object: usize, fill_bytes: usize) -> Arc<Storage> {
    let config = CacheConfig {
        bytes: ByteSize::mib(64),
        fill_bytes: ByteSize(fill_bytes as u64),
        max_object: ByteSize(max_object as u64),
    };
    Storage::new(config, Arc::new(Fetcher::new(Timeouts::default(), vec![])))
}

fn roomy() -> Arc<Storage> {
    storage(1 << 24, 1 << 25)
}

async fn open(storage: &Arc<Storage>, target: Target) -> Result<Opened, Problem> {
    storage.open(target, Asked::default()).await
}

fn filling(opened: Result<Opened, Problem>) -> (Reader, bool) {
    match opened {
        Ok(Opened::Filling { reader, joined }) => (reader, joined),
        Ok(Opened::Stored(_)) => panic!("stored already"),
        Ok(Opened::Passing(_)) => panic!("passed through"),
        Err(problem) => panic!("{problem}"),
    }
}

async fn read_all(reader: &mut Reader) -> Result<usize, Problem> {
    let mut total = 0;
    while let Some(bytes) = reader.read().await? {
        total += bytes.len();
    }
    Ok(total)
}

/// Waits until the fill's task has put its object away.
async fn stored(storage: &Arc<Storage>, target: &Target) -> Arc<Object> {
    stored_as(storage, Key::of(target, None)).await
}

async fn stored_as(storage: &Arc<Storage>, key: Key) -> Arc<Object> {
    for _ in 0..1000 {
        if let Some(object) = storage.shelf.get(&key) {
            return object;
        }
        tokio::task::yield_now().await;
    }
    panic!("never stored");
}

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
async fn a_token_does_not_name_another_object() {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let key = |path| Key::of(&target(address, path), None);
    assert!(key("/a?token=1") == key("/a?token=2"));
    assert!(key("/a?id=1") != key("/a?id=2"));
    let other = Target { profile: "other".into(), ..target(address, "/a") };
    assert!(Key::of(&other, None) != key("/a"));
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

fn asked(range: &str) -> Asked {
    Asked { range: Range::parse(range.as_bytes()), if_range: None }
}

/// The part as it was held, and the fetches so far.
async fn part(storage: &Arc<Storage>, address: SocketAddr, range: &str) -> (Option<String>, usize) {
    let held = |head: &Head, length| {
        (head.content_range.as_ref().map(|value| value.to_str().unwrap().to_owned()), length)
    };
    match storage.open(target(address, "/file"), asked(range)).await {
        Ok(Opened::Stored(object)) => held(&object.head, object.body().end() as usize),
        Ok(Opened::Filling { mut reader, .. }) => {
            let head = reader.opened_head();
            let length = read_all(&mut reader).await.unwrap();
            held(&head, length)
        }
        Ok(Opened::Passing(_)) => panic!("{range} was passed through"),
        Err(problem) => panic!("{range}: {problem}"),
    }
}

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

#[tokio::test]
async fn a_refusal_keeps_its_meaning() {
    let (address, _) = origin().await;
    let problem = open(&roomy(), target(address, "/gone")).await.err().unwrap();
    assert_eq!(problem, Problem::UpstreamStatus(StatusCode::GONE));
}

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

/// Answers each request of a connection of its own with the next of `answers`, and hangs up.
async fn scripted(answers: Vec<String>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = requests.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            seen.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, requests)
}

fn part_of(text: &str, first: usize, last: usize, sent: usize) -> String {
    let (length, whole) = (last + 1 - first, text.len());
    let sent = text.get(first..first + sent).unwrap();
    format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-length: {length}\r\n\
         content-range: bytes {first}-{last}/{whole}\r\n\r\n{sent}"
    )
}

#[tokio::test]
async fn a_body_that_broke_off_is_resumed_when_it_is_the_same() {
    let text = "0123456789abcdefghij";
    let cut = |etag: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n{etag}\r\n01234567");
    let strong = "etag: \"a\"\r\n";
    let other = "0000000000abcdefghij";
    for (what, answers, whole, ranges) in [
        (
            "a strong validator asks for the rest alone",
            vec![cut(strong), part_of(text, 8, 19, 12)],
            true,
            vec!["bytes=8-19"],
        ),
        (
            "without one, what is here is compared",
            vec![cut(""), part_of(text, 0, 19, 20)],
            true,
            vec!["bytes=0-19"],
        ),
        (
            "it may happen twice",
            vec![cut(strong), part_of(text, 8, 19, 4), part_of(text, 12, 19, 8)],
            true,
            vec!["bytes=8-19", "bytes=12-19"],
        ),
        (
            "but no more",
            vec![cut(strong), part_of(text, 8, 19, 4), part_of(text, 12, 19, 4)],
            false,
            vec!["bytes=8-19", "bytes=12-19"],
        ),
        ("other bytes", vec![cut(""), part_of(other, 0, 19, 20)], false, vec!["bytes=0-19"]),
        ("another part", vec![cut(strong), part_of(text, 9, 19, 11)], false, vec!["bytes=8-19"]),
        (
            "a whole that changed",
            vec![cut(strong), format!("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{other}")],
            false,
            vec!["bytes=8-19"],
        ),
    ] {
        let (address, requests) = scripted(answers).await;
        let storage = roomy();
        let (mut reader, _) = filling(open(&storage, target(address, "/x.ts")).await);
        let mut read = Vec::new();
        let ended = loop {
            match reader.read().await {
                Ok(Some(piece)) => read.extend_from_slice(&piece),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        assert_eq!(ended, whole, "{what}");
        if whole {
            assert_eq!(read, text.as_bytes(), "{what}");
        } else {
            assert_eq!(storage.stored_bytes(), 0, "{what}");
        }
        let requests = requests.lock().unwrap();
        let asked: Vec<&str> = requests
            .iter()
            .filter_map(|request| request.lines().find_map(|line| line.strip_prefix("range: ")))
            .collect();
        assert_eq!(asked, ranges, "{what}");
        let validated = requests.iter().filter(|request| request.contains("if-range: \"a\""));
        let with_validator = if ranges[0] == "bytes=0-19" { 0 } else { ranges.len() };
        assert_eq!(validated.count(), with_validator, "{what}");
    }
}

#[tokio::test]
async fn a_refusal_is_remembered_for_a_moment() {
    let (address, origin) = origin().await;
    let storage = roomy();
    for _ in 0..20 {
        assert!(open(&storage, target(address, "/gone")).await.is_err());
    }
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
    tokio::time::pause();
    tokio::time::advance(REFUSED).await;
    tokio::time::resume();
    assert!(open(&storage, target(address, "/gone")).await.is_err());
    assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
}

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
    assert!(!storage.prefetch(target(address, "/sized/2"), None));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
}

/// Promises more than it sends.
async fn liar() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort").await;
        }
    });
    address
}

#[tokio::test]
async fn a_body_cut_short_is_an_error_and_is_not_kept() {
    let address = liar().await;
    let storage = roomy();
    let (mut reader, _) = filling(open(&storage, target(address, "/x.ts")).await);
    assert!(matches!(read_all(&mut reader).await, Err(Problem::UpstreamInvalid(_))));
    assert_eq!(storage.stored_bytes(), 0);
}
