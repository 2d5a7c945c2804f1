use super::*;

/// The body framing of a head with these fields, and whether its connection can be kept.
fn framed(method: &str, status: &str, fields: &str) -> Result<(BodyFraming, bool), ()> {
    let bytes = format!("HTTP/1.{status}\r\n{fields}\r\n");
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let (head, length) = parse_head(bytes.as_bytes(), &method).map_err(|_| ())?.unwrap();
    assert_eq!(length, bytes.len());
    Ok((head.framing, head.keep_alive))
}

#[test]
fn bodies_are_framed_by_their_fields() {
    use BodyFraming::*;
    for (method, status, fields, expected) in [
        ("GET", "1 200 OK", "Content-Length: 5\r\n", (Length(5), true)),
        ("GET", "1 200", "content-length:0005 \r\n", (Length(5), true)),
        ("GET", "1 200 OK", "Content-Length: 0\r\n", (Empty, true)),
        ("GET", "1 404 No", "Content-Length: 5, 5\r\nContent-Length: 5\r\n", (Length(5), true)),
        ("GET", "1 200 OK", "Content-Length: 18446744073709551615\r\n", (Length(u64::MAX), true)),
        ("GET", "1 200 OK", "Content-Length: 5\r\nConnection: Close\r\n", (Length(5), false)),
        ("GET", "1 200 OK", "Content-Length: 5\r\nConnection: x, close\r\n", (Length(5), false)),
        ("GET", "1 200 OK", "Content-Length: 5\r\nConnection: keep-alive\r\n", (Length(5), true)),
        ("GET", "0 200 OK", "Content-Length: 5\r\nConnection: keep-alive\r\n", (Length(5), false)),
        ("GET", "1 200 OK", "Transfer-Encoding: Chunked\r\n", (Chunked, true)),
        ("GET", "1 200 OK", "Transfer-Encoding: , chunked\r\n", (Chunked, true)),
        ("GET", "1 200 OK", "Transfer-Encoding : chunked\r\n", (Chunked, true)),
        ("GET", "1 200 OK", "Content-Length : 5\r\n", (Length(5), true)),
        ("GET", "1  200 OK", "Content-Length: 5\r\n", (Length(5), true)),
        ("GET", "1 200 OK", "X: a\r\n b\r\nContent-Length: 5\r\n", (Length(5), true)),
        ("GET", "1 200 OK", "no colon\r\nContent-Length: 5\r\n", (Length(5), true)),
        ("GET", "1 200 OK", ": x\r\nContent-Length: 5\r\n", (Length(5), true)),
        ("GET", "1 200 OK", "Bad Name: x\r\nContent-Length: 5\r\n", (Length(5), true)),
        ("GET", "1 200 OK", "", (UntilClose, false)),
        ("GET", "0 200 OK", "", (UntilClose, false)),
        ("HEAD", "1 200 OK", "Content-Length: 5\r\n", (Empty, true)),
        ("HEAD", "1 200 OK", "Transfer-Encoding: chunked\r\n", (Empty, true)),
        ("HEAD", "1 200 OK", "", (Empty, true)),
        ("GET", "1 204 No", "", (Empty, true)),
        ("GET", "1 204 No", "Content-Length: 5\r\n", (Empty, false)),
        ("GET", "1 204 No", "Transfer-Encoding: chunked\r\n", (Empty, false)),
        ("GET", "1 304 Same", "Content-Length: 5\r\n", (Empty, true)),
        ("GET", "1 304 Same", "Transfer-Encoding: chunked\r\n", (Empty, false)),
    ] {
        assert_eq!(framed(method, status, fields), Ok(expected), "{method} {status} {fields:?}");
    }
}

#[test]
fn ambiguous_framing_is_rejected() {
    for (status, fields) in [
        ("1 200 OK", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("1 200 OK", "Content-Length: 5, 6\r\n"),
        ("1 200 OK", "Content-Length: 5,\r\n"),
        ("1 200 OK", "Content-Length: +5\r\n"),
        ("1 200 OK", "Content-Length: -5\r\n"),
        ("1 200 OK", "Content-Length: 5 5\r\n"),
        ("1 200 OK", "Content-Length: 0x5\r\n"),
        ("1 200 OK", "Content-Length: five\r\n"),
        ("1 200 OK", "Content-Length:\r\n"),
        ("1 200 OK", "Content-Length: 18446744073709551616\r\n"),
        ("1 200 OK", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        ("1 200 OK", "Transfer-Encoding: gzip\r\n"),
        ("1 200 OK", "Transfer-Encoding: gzip, chunked\r\n"),
        ("1 200 OK", "Transfer-Encoding: chunked, chunked\r\n"),
        ("1 200 OK", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("1 200 OK", "Transfer-Encoding: chunked, identity\r\n"),
        ("1 200 OK", "Transfer-Encoding: chunked,\r\n"),
        ("1 200 OK", "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n"),
        ("1 200 OK", "Transfer-Encoding: xchunked\r\n"),
        ("1 200 OK", "Transfer-Encoding: chunked;x\r\n"),
        ("1 200 OK", "Transfer-Encoding:\r\n"),
        ("0 200 OK", "Transfer-Encoding: chunked\r\n"),
        ("1 200 OK", "X: a\0b\r\n"),
        ("1 20 OK", ""),
        ("1 099 OK", ""),
        ("2 200 OK", ""),
    ] {
        assert_eq!(framed("GET", status, fields), Err(()), "{status} {fields:?}");
    }
    for bytes in ["SSH-2.0-x\r\n", "HTTP/2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "<html>", "\0"] {
        assert!(parse_head(bytes.as_bytes(), &Method::GET).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_folded_value_is_one_line() {
    let bytes = b"HTTP/1.1 200 OK\r\nX : a\r\n b\r\n\r\n";
    let (head, _) = parse_head(bytes, &Method::GET).unwrap().unwrap();
    let words: Vec<_> = head.headers["x"].to_str().unwrap().split_whitespace().collect();
    assert_eq!(words, ["a", "b"]);
}

#[test]
fn at_most_512_fields() {
    for (count, expected) in [(512, true), (513, false)] {
        let fields: String = (0..count - 1).map(|n| format!("x-{n}: y\r\n")).collect();
        let framed = framed("GET", "1 200 OK", &format!("content-length: 5\r\n{fields}"));
        assert_eq!(framed.is_ok(), expected, "{count}");
    }
}

#[test]
fn lengths_said_twice_are_said_once() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\n";
    let (head, _) = parse_head(bytes, &Method::GET).unwrap().unwrap();
    let lengths: Vec<_> = head.headers.get_all(header::CONTENT_LENGTH).iter().collect();
    assert_eq!(lengths, ["5"]);
}
