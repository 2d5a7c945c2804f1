//! Answers' heads, and how their bodies are framed. What two readers could understand in two
//! ways is refused.

use std::future::poll_fn;
use std::mem::MaybeUninit;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::connection::{BUFFER, Connection};
use crate::error::{FetchError, Kind};

const MAX_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;

#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

/// Reads up to the end of the head, and whatever came with it.
pub(super) async fn read(connection: &mut Connection, method: &Method) -> Result<Head, FetchError> {
    // Interim answers count: there is no end to them otherwise.
    let mut room = MAX_BYTES;
    let mut seen = 0;
    loop {
        let unread = connection.unread();
        if is_worth_parsing(unread, seen)
            && let Some((head, length)) = parse(unread, method)?
        {
            if length > room {
                return Err(bad("a head of more than 64 KiB"));
            }
            connection.take(length);
            if !head.status.is_informational() {
                return Ok(head);
            }
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(bad("an upgrade that was not asked for"));
            }
            room -= length;
            seen = 0;
            continue;
        }
        seen = unread.len();
        if seen >= room {
            return Err(bad("a head of more than 64 KiB"));
        }
        let size = if seen < BUFFER { BUFFER } else { MAX_BYTES };
        match poll_fn(|cx| connection.poll_fill(cx, size)).await {
            Ok(0) => return Err(bad("closed before the end of the head")),
            Ok(_) => {}
            Err(error) => return Err(FetchError::of_io(Kind::Body, &error)),
        }
    }
}

/// A head that comes byte by byte is not parsed for each, only where it may end.
fn is_worth_parsing(bytes: &[u8], seen: usize) -> bool {
    let fresh = bytes.get(seen.saturating_sub(3)..).unwrap_or_default();
    let ends = || {
        fresh.windows(2).any(|pair| pair == b"\n\n")
            || fresh.windows(3).any(|three| three == b"\n\r\n")
    };
    !bytes.is_empty() && (seen == 0 || ends())
}

fn bad(what: &str) -> FetchError {
    FetchError::with(Kind::Body, what)
}

/// A head and its length; `None` while there is more of it to come.
fn parse(bytes: &[u8], method: &Method) -> Result<Option<(Head, usize)>, FetchError> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, bytes, &mut fields)
        .map_err(|error| FetchError::with(Kind::Body, error))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| bad("not a status"))?;
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| bad("a header"))?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| bad("a header's value"))?;
        headers.append(name, value);
    }
    let one_one = response.version == Some(1);
    let (framing, clean) = framing(method, status, one_one, &mut headers)?;
    let keep_alive =
        one_one && clean && !tokens(&headers, &header::CONNECTION).any(|token| is(token, b"close"));
    Ok(Some((Head { status, headers, framing, keep_alive }, length)))
}

/// How the body ends, and whether another answer can follow it.
fn framing(
    method: &Method,
    status: StatusCode,
    one_one: bool,
    headers: &mut HeaderMap,
) -> Result<(Framing, bool), FetchError> {
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    if chunked && !(one_one && is_only_chunked(headers)) {
        return Err(bad("a transfer encoding that is not understood"));
    }
    let length = content_length(headers)?;
    if chunked && length.is_some() {
        return Err(bad("both Transfer-Encoding and Content-Length"));
    }
    if *method == Method::HEAD || status.is_informational() {
        return Ok((Framing::Empty, true));
    }
    if status == StatusCode::NOT_MODIFIED {
        return Ok((Framing::Empty, !chunked));
    }
    if status == StatusCode::NO_CONTENT {
        return Ok((Framing::Empty, !chunked && length.unwrap_or(0) == 0));
    }
    Ok(match (chunked, length) {
        (true, _) => (Framing::Chunked, true),
        (false, Some(0)) => (Framing::Empty, true),
        (false, Some(length)) => (Framing::Length(length), true),
        (false, None) => (Framing::UntilClose, false),
    })
}

fn is_only_chunked(headers: &HeaderMap) -> bool {
    let mut codings = tokens(headers, &header::TRANSFER_ENCODING);
    codings.next().is_some_and(|coding| is(coding, b"chunked")) && codings.next().is_none()
}

/// The one length that all say. Left behind is one header.
fn content_length(headers: &mut HeaderMap) -> Result<Option<u64>, FetchError> {
    let mut length = None;
    let mut count = 0;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for text in value.as_bytes().split(|byte| *byte == b',') {
            let text = text.trim_ascii();
            let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
            let said = std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
            let said = said.filter(|_| digits).ok_or_else(|| bad("not a Content-Length"))?;
            if length.is_some_and(|length| length != said) {
                return Err(bad("two Content-Lengths"));
            }
            length = Some(said);
            count += 1;
        }
    }
    if let Some(length) = length.filter(|_| count > 1) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(length)
}

/// The members of a comma-separated list, over all lines of it.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

fn is(token: &[u8], name: &[u8]) -> bool {
    token.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests;
