use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// An origin that serves each request on a connection of its own with the next of `responses`, and
/// closes it.
async fn scripted_origin<R: AsRef<[u8]> + Send + 'static>(
    responses: Vec<R>,
) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let received = requests.clone();
    tokio::spawn(async move {
        for response in responses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            received.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
            stream.write_all(response.as_ref()).await.unwrap();
        }
    });
    (address, requests)
}

fn partial_response(text: &str, first: usize, last: usize, sent: usize) -> String {
    let (length, complete_length) = (last + 1 - first, text.len());
    let sent = text.get(first..first + sent).unwrap();
    format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-length: {length}\r\n\
         content-range: bytes {first}-{last}/{complete_length}\r\n\r\n{sent}"
    )
}

#[tokio::test]
async fn an_interrupted_body_is_resumed_when_it_is_the_same() {
    let text = "0123456789abcdefghij";
    let truncated =
        |etag: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n{etag}\r\n01234567");
    let strong = "etag: \"a\"\r\n";
    let other_text = "0000000000abcdefghij";
    for (what, responses, complete, ranges) in [
        (
            "a strong validator asks for the rest alone",
            vec![truncated(strong), partial_response(text, 8, 19, 12)],
            true,
            vec!["bytes=8-19"],
        ),
        (
            "without one, what is here is compared",
            vec![truncated(""), partial_response(text, 0, 19, 20)],
            true,
            vec!["bytes=0-19"],
        ),
        (
            "it may happen twice",
            vec![
                truncated(strong),
                partial_response(text, 8, 19, 4),
                partial_response(text, 12, 19, 8),
            ],
            true,
            vec!["bytes=8-19", "bytes=12-19"],
        ),
        (
            "but no more",
            vec![
                truncated(strong),
                partial_response(text, 8, 19, 4),
                partial_response(text, 12, 19, 4),
            ],
            false,
            vec!["bytes=8-19", "bytes=12-19"],
        ),
        (
            "other bytes",
            vec![truncated(""), partial_response(other_text, 0, 19, 20)],
            false,
            vec!["bytes=0-19"],
        ),
        (
            "another part",
            vec![truncated(strong), partial_response(text, 9, 19, 11)],
            false,
            vec!["bytes=8-19"],
        ),
        (
            "a whole that changed",
            vec![
                truncated(strong),
                format!("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{other_text}"),
            ],
            false,
            vec!["bytes=8-19"],
        ),
    ] {
        let (address, requests) = scripted_origin(responses).await;
        let cache = large_cache();
        let (mut reader, _) = expect_inflight(open(&cache, target(address, "/x.ts")).await);
        let mut read = Vec::new();
        let is_complete = loop {
            match reader.read().await {
                Ok(Some(chunk)) => read.extend_from_slice(&chunk),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        assert_eq!(is_complete, complete, "{what}");
        if complete {
            assert_eq!(read, text.as_bytes(), "{what}");
        } else {
            assert_eq!(cache.stored_bytes(), 0, "{what}");
        }
        let requests = requests.lock().unwrap();
        let requested_ranges: Vec<&str> = requests
            .iter()
            .filter_map(|request| request.lines().find_map(|line| line.strip_prefix("range: ")))
            .collect();
        assert_eq!(requested_ranges, ranges, "{what}");
        let validated = requests.iter().filter(|request| request.contains("if-range: \"a\""));
        let with_validator = if ranges[0] == "bytes=0-19" { 0 } else { ranges.len() };
        assert_eq!(validated.count(), with_validator, "{what}");
    }
}

/// An origin whose Content-Length is larger than what it sends.
async fn truncating_origin() -> SocketAddr {
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
    let address = truncating_origin().await;
    let cache = large_cache();
    let (mut reader, _) = expect_inflight(open(&cache, target(address, "/x.ts")).await);
    assert!(matches!(read_all(&mut reader).await, Err(Problem::UpstreamInvalid(_))));
    assert_eq!(cache.stored_bytes(), 0);
}

/// A segment of a transport stream whose last packet is stuffed, as that of a whole frame is.
fn transport_stream() -> Vec<u8> {
    let first = [&[0x47, 0x40, 1, 0x10, 0, 0, 1, 0xe0, 0, 0][..], &[7; 178]].concat();
    let last = [&[0x47, 0, 1, 0x30, 3, 0, 0xff, 0xff][..], &[8; 180]].concat();
    [first, last].concat()
}

fn until_close(version: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/{version} 200 OK\r\nconnection: close\r\n\r\n").as_bytes(), body].concat()
}

fn chunked(connection: &str, body: &[u8], is_whole: bool) -> Vec<u8> {
    let header = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{connection}\r\n{:x}\r\n",
        body.len()
    );
    let end: &[u8] = if is_whole { b"\r\n0\r\n\r\n" } else { b"\r\n" };
    [header.as_bytes(), body, end].concat()
}

#[tokio::test]
async fn a_body_without_a_length_is_complete_only_where_that_is_certain() {
    const CAPTIONS: &[u8] = b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello";
    let whole = &*transport_stream();
    let (cut, other) = (&whole[..300], vec![9; 376]);
    let closing = "connection: close\r\n";
    for (what, responses, complete, stored) in [
        ("whole frames", vec![until_close("1.1", whole)], Some(whole), true),
        ("the same of HTTP/1.0", vec![until_close("1.0", whole)], Some(whole), true),
        ("captions, which do not tell", vec![until_close("1.1", CAPTIONS)], Some(CAPTIONS), false),
        (
            "a cut packet is asked for again",
            vec![until_close("1.1", cut), until_close("1.1", whole)],
            Some(whole),
            true,
        ),
        (
            "and again",
            vec![until_close("1.0", cut), until_close("1.0", cut), until_close("1.0", whole)],
            Some(whole),
            true,
        ),
        ("another body", vec![until_close("1.1", cut), until_close("1.1", &other)], None, false),
        ("no further body", vec![until_close("1.1", cut)], None, false),
        (
            "a last chunk is missing",
            vec![chunked("", cut, false), chunked("", whole, true)],
            Some(whole),
            true,
        ),
        (
            "in what is not told to be closed",
            vec![chunked("", whole, false), chunked("", &other, true)],
            None,
            false,
        ),
        ("a close instead of it", vec![chunked(closing, whole, false)], Some(whole), true),
        (
            "a close in a packet",
            vec![chunked(closing, cut, false), chunked(closing, whole, true)],
            Some(whole),
            true,
        ),
        ("a close of captions", vec![chunked(closing, CAPTIONS, false)], Some(CAPTIONS), false),
    ] {
        let requests_max = responses.len();
        let (address, requests) = scripted_origin(responses).await;
        let cache = large_cache();
        let segment = target(address, "/x.ts");
        let (mut reader, _) = expect_inflight(open(&cache, segment.clone()).await);
        let mut read = Vec::new();
        let is_complete = loop {
            match reader.read().await {
                Ok(Some(chunk)) => read.extend_from_slice(&chunk),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        assert_eq!(is_complete.then_some(&*read), complete, "{what}");
        assert_eq!(cache.stored_bytes() > 0, stored, "{what}");
        assert_eq!(requests.lock().unwrap().len(), requests_max, "{what}");
        drop(reader);
        while cache.inflight.contains(&ObjectKey::of(&segment, None)) {
            tokio::task::yield_now().await;
        }
        assert_eq!(cache.inflight_bytes(), 0, "{what}");
    }
}
