//! Writing of requests, head and body in one buffer.

use bytes::BufMut as _;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use url::{Position, Url};

use crate::request::{ACCEPT_ENCODING, Request, USER_AGENT};
use crate::written_query::written_query;

/// Host, and port unless it is 80, as in the Host field.
pub(super) fn host_and_port(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

/// Writes a request. `HeaderValue`, `HeaderName` and `Url` contain no line ends, so no value can
/// inject a field.
pub(super) fn write_request(
    buffer: &mut Vec<u8>,
    request: &Request<'_>,
    cookie: Option<&HeaderValue>,
) {
    let Request { method, url, source_headers, forwarded_headers, body, .. } = request;
    buffer.put_slice(method.as_str().as_bytes());
    buffer.put_slice(b" ");
    buffer.put_slice(url[Position::BeforePath..Position::AfterPath].as_bytes());
    match written_query(url) {
        Some(query) => {
            buffer.put_slice(b"?");
            buffer.put_slice(query.as_bytes());
        }
        None => buffer.put_slice(url[Position::AfterPath..Position::AfterQuery].as_bytes()),
    }
    buffer.put_slice(b" HTTP/1.1\r\nhost: ");
    buffer.put_slice(host_and_port(url).as_bytes());
    buffer.put_slice(b"\r\n");
    let mut present = CallerSetFields::default();
    let mut write = |headers: &HeaderMap, is_hidden: &dyn Fn(&HeaderName) -> bool| {
        for (name, value) in headers {
            if !is_framing_field(name) && !is_hidden(name) {
                present.record(name);
                write_field(buffer, name, value.as_bytes());
            }
        }
    };
    let is_replaced = |name: &HeaderName| {
        (name == header::COOKIE && cookie.is_some())
            || (name == header::CONTENT_TYPE && body.is_some())
    };
    write(source_headers, &|name| forwarded_headers.contains_key(name) || is_replaced(name));
    write(forwarded_headers, &is_replaced);
    if let Some(cookie) = cookie {
        write_field(buffer, &header::COOKIE, cookie.as_bytes());
    }
    if !present.user_agent {
        write_field(buffer, &header::USER_AGENT, USER_AGENT.as_bytes());
    }
    if !present.accept {
        write_field(buffer, &header::ACCEPT, b"*/*");
    }
    if !present.accept_encoding {
        write_field(buffer, &header::ACCEPT_ENCODING, ACCEPT_ENCODING.as_bytes());
    }
    match body {
        Some(body) => {
            write_field(buffer, &header::CONTENT_TYPE, body.content_type.as_bytes());
            write_field(buffer, &header::CONTENT_LENGTH, body.bytes.len().to_string().as_bytes());
        }
        None if matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {
            write_field(buffer, &header::CONTENT_LENGTH, b"0");
        }
        None => {}
    }
    buffer.put_slice(b"\r\n");
    buffer.put_slice(body.as_ref().map_or(b"", |body| &body.bytes));
}

/// Which of the fields that are always sent the caller has set.
#[derive(Default)]
struct CallerSetFields {
    user_agent: bool,
    accept: bool,
    accept_encoding: bool,
}

impl CallerSetFields {
    fn record(&mut self, name: &HeaderName) {
        self.user_agent |= name == header::USER_AGENT;
        self.accept |= name == header::ACCEPT;
        self.accept_encoding |= name == header::ACCEPT_ENCODING;
    }
}

/// Whether only the client sets the field, because it frames the message.
fn is_framing_field(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::EXPECT,
    ]
    .contains(name)
}

fn write_field(buffer: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    buffer.put_slice(name.as_str().as_bytes());
    buffer.put_slice(b": ");
    buffer.put_slice(value);
    buffer.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::request::RequestBody;

    const UA: &str = concat!("user-agent: pitwall/", env!("CARGO_PKG_VERSION"), "\r\n");
    const ANY: &str = "accept: */*\r\n";
    const CODINGS: &str = "accept-encoding: gzip, br, zstd, deflate\r\n";

    fn check(request: Request<'_>, cookie: Option<&str>, expected: &[&str]) {
        let cookie = cookie.map(|text| HeaderValue::from_str(text).unwrap());
        let mut buffer = Vec::new();
        write_request(&mut buffer, &request, cookie.as_ref());
        let expected = expected.concat().into_bytes();
        assert_eq!(buffer.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    fn get(url: &str) -> Request<'static> {
        Request::get(url.parse().unwrap())
    }

    #[test]
    fn paths_and_hosts_are_sent_as_in_the_url() {
        for (url, target, host) in [
            ("http://a.example", "/", "a.example"),
            ("http://a.example:80/x", "/x", "a.example"),
            ("http://a.example:8080/x?", "/x?", "a.example:8080"),
            (
                "http://[2606::1]:81/x%2F/..%2f?a=b&c={|}^\"#f",
                "/x%2F/..%2f?a=b&c={|}^%22",
                "[2606::1]:81",
            ),
            ("http://BÜCHER.example/ü x?ü x", "/%C3%BC%20x?%C3%BC%20x", "xn--bcher-kva.example"),
        ] {
            let first = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n");
            check(get(url), None, &[&first, UA, ANY, CODINGS, "\r\n"]);
        }
    }

    #[test]
    fn fields_have_precedence() {
        let start = "GET / HTTP/1.1\r\nhost: a.example\r\n";
        let with_source_headers = |pairs: &[(&str, &str)]| {
            let headers = crate::parse_source_headers(pairs.iter().copied()).unwrap();
            get("http://a.example/").with_source_headers(headers)
        };
        check(
            with_source_headers(&[
                ("User-Agent", "P/1"),
                ("Accept", "a/b"),
                ("Cookie", "theirs"),
                ("X-B", "\u{fc}"),
            ])
            .with_forwarded_header(header::ACCEPT, HeaderValue::from_static("c/d"))
            .with_forwarded_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            Some("ours=1"),
            &[
                start,
                "user-agent: P/1\r\nx-b: \u{fc}\r\naccept: c/d\r\naccept-encoding: identity\r\n",
                "cookie: ours=1\r\n\r\n",
            ],
        );
        check(
            with_source_headers(&[("Cookie", "theirs")]),
            None,
            &[start, "cookie: theirs\r\n", UA, ANY, CODINGS, "\r\n"],
        );
        let mut framed = get("http://a.example/");
        for name in ["host", "content-length", "transfer-encoding", "connection", "upgrade"] {
            framed.source_headers.insert(name, HeaderValue::from_static("7"));
            framed.forwarded_headers.insert(name, HeaderValue::from_static("7"));
        }
        check(framed, None, &[start, UA, ANY, CODINGS, "\r\n"]);
    }

    #[test]
    fn bodies() {
        let url: Url = "http://a.example/".parse().unwrap();
        let start = "POST / HTTP/1.1\r\nhost: a.example\r\n";
        let content_type = HeaderValue::from_static("text/plain");
        let mut request =
            Request::post(url, RequestBody { content_type, bytes: Bytes::from_static(b"hi") })
                .with_source_headers(
                    crate::parse_source_headers([("Content-Type", "x/y")]).unwrap(),
                );
        let body = "content-type: text/plain\r\ncontent-length: 2\r\n\r\nhi";
        check(request, None, &[start, UA, ANY, CODINGS, body]);
        request = Request { method: Method::POST, ..get("http://a.example/") };
        check(request, None, &[start, UA, ANY, CODINGS, "content-length: 0\r\n\r\n"]);
    }
}
