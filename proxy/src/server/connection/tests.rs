use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer that accepts at most `write_max_bytes` per write, and records each write.
#[derive(Debug, Default)]
struct Sink {
    write_max_bytes: usize,
    writes: Vec<Vec<u8>>,
}

impl AsyncWrite for Sink {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let accepted = all[..all.len().min(self.write_max_bytes)].to_vec();
        let length = accepted.len();
        self.writes.push(accepted);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_header_is_sent_with_its_body() {
    let large = vec![b'b'; 3 * BUFFERED_WRITE_MAX_BYTES];
    for (what, write_max_bytes, writes, sent) in [
        ("a header and a body", usize::MAX, vec![&b"head"[..], &large], 1),
        ("a header alone, flushed", usize::MAX, vec![&b"head"[..]], 1),
        ("small pieces", usize::MAX, vec![&b"head"[..], b"body", b"more"], 1),
        ("a body in two pieces", usize::MAX, vec![&b"head"[..], &large, &large], 2),
        ("a peer that takes little", 1000, vec![&b"head"[..], &large], 7),
        ("one that takes less than the header", 3, vec![&b"header"[..], b"body"], 4),
        ("nothing", usize::MAX, vec![], 0),
    ] {
        let mut connection =
            Connection::new(Sink { write_max_bytes, ..Sink::default() }, HEADER_TIMEOUT);
        for bytes in &writes {
            connection.write_all(bytes).await.unwrap();
        }
        connection.flush().await.unwrap();
        assert_eq!(connection.inner.writes.concat(), writes.concat(), "{what}");
        assert_eq!(connection.inner.writes.len(), sent, "{what}");
    }
}

#[tokio::test]
async fn a_request_is_read_whole_though_its_first_byte_was_waited_for() {
    for (text, buffer_bytes) in [("GET / HTTP/1.1", 64), ("GET / HTTP/1.1", 3), ("x", 1)] {
        let (mut client, server) = tokio::io::duplex(1024);
        client.write_all(text.as_bytes()).await.unwrap();
        let mut connection = Connection::new(server, HEADER_TIMEOUT);
        assert!(connection.wait_for_request().await.unwrap());
        drop(client);
        let mut read = Vec::new();
        loop {
            let mut buffer = vec![0; buffer_bytes];
            match connection.read(&mut buffer).await.unwrap() {
                0 => break,
                length => read.extend_from_slice(&buffer[..length]),
            }
        }
        assert_eq!(read, text.as_bytes(), "{buffer_bytes} at a time");
    }
}

#[tokio::test]
async fn a_client_that_disconnects_is_not_a_request() {
    let (client, server) = tokio::io::duplex(64);
    drop(client);
    assert!(!Connection::new(server, HEADER_TIMEOUT).wait_for_request().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_header_that_drips_ends_at_its_deadline() {
    let (mut client, server) = tokio::io::duplex(64);
    let mut connection = Connection::new(server, HEADER_TIMEOUT);
    client.write_all(b"G").await.unwrap();
    assert!(connection.wait_for_request().await.unwrap());
    let started = Instant::now();
    let drip = async {
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            client.write_all(b"x").await.unwrap();
        }
    };
    let reads = async {
        let mut buffer = [0; 8];
        loop {
            if let Err(error) = connection.read(&mut buffer).await {
                return error.kind();
            }
        }
    };
    tokio::select! {
        ended = reads => assert_eq!(ended, io::ErrorKind::TimedOut),
        () = drip => {}
    }
    assert_eq!(started.elapsed(), HEADER_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_answered_has_no_header_deadline() {
    let (mut client, server) = tokio::io::duplex(64);
    let mut connection = Connection::new(server, HEADER_TIMEOUT);
    client.write_all(b"G").await.unwrap();
    assert!(connection.wait_for_request().await.unwrap());
    connection.write_all(b"answer").await.unwrap();
    connection.flush().await.unwrap();
    let mut buffer = [0; 8];
    assert_eq!(connection.read(&mut buffer).await.unwrap(), 1);
    let more = tokio::time::timeout(10 * HEADER_TIMEOUT, connection.read(&mut buffer)).await;
    assert!(more.is_err(), "it waits for the next request");
}

/// Whether the header's deadline ends a connection on which these texts arrive, a second apart.
async fn is_timed_out(texts: &[&str]) -> bool {
    let (mut client, server) = tokio::io::duplex(1024);
    let mut connection = Connection::new(server, HEADER_TIMEOUT);
    client.write_all(texts[0].as_bytes()).await.unwrap();
    assert!(connection.wait_for_request().await.unwrap());
    let write_rest = async {
        for text in &texts[1..] {
            tokio::time::sleep(Duration::from_secs(1)).await;
            client.write_all(text.as_bytes()).await.unwrap();
        }
        std::future::pending::<()>().await
    };
    let reads = async {
        let mut buffer = [0; 16];
        loop {
            if let Err(error) = connection.read(&mut buffer).await {
                return error.kind() == io::ErrorKind::TimedOut;
            }
        }
    };
    tokio::select! {
        ended = reads => ended,
        () = write_rest => false,
        () = tokio::time::sleep(2 * HEADER_TIMEOUT) => false,
    }
}

#[tokio::test(start_paused = true)]
async fn the_header_deadline_ends_with_the_header() {
    for (texts, expected) in [
        (&["POST / HTTP/1.1\r\nhost: x\r\n\r\n"][..], false),
        (&["POST / HTTP/1.1\nhost: x\n\n"], false),
        (&["POST / HTTP/1.1\r\nhost: x\r\n\r\n", "a", "body", "that", "drips"], false),
        (&["P", "OST / HTTP/1.1\r", "\n", "host: x\r\n", "\r", "\n"], false),
        (&["POST / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\n"], false),
        (&["\r\nPOST / HTTP/1.1\r\n\r\n"], false),
        (&["\r\n\r\n"], true),
        (&["\n\n", "POST / HTTP/1.1\r\n"], true),
        (&["POST / HTTP/1.1\r\nhost: x\r\n"], true),
        (&["POST / HTTP/1.1\r\nhost: x\r\n\r"], true),
        (&["POST / HTTP/1.1\r\n", "a: b\r\n", "c: d\r\n", "e: f"], true),
        (&["P"], true),
    ] {
        assert_eq!(is_timed_out(texts).await, expected, "{texts:?}");
    }
}

#[tokio::test]
async fn a_peer_that_accepts_no_bytes_ends_the_connection() {
    let mut connection = Connection::new(Sink::default(), HEADER_TIMEOUT);
    connection.write_all(b"head").await.unwrap();
    assert_eq!(connection.flush().await.unwrap_err().kind(), io::ErrorKind::WriteZero);
}
