use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

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
