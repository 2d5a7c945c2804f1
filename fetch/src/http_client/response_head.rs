//! Response heads, and the framing of their bodies (RFC 9112). Lines are read as leniently as in
//! browsers; a framing that two parsers could understand differently is rejected.

use std::borrow::Cow;
use std::future::poll_fn;
use std::mem::MaybeUninit;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::connection::{BUFFER_BYTES, Connection};
use crate::error::{FetchError, FetchErrorKind};

const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Portals set a cookie in a field of its own, some of them more than a hundred. The limit of bytes
/// is met first where fields are longer than 128 bytes.
pub(crate) const HEAD_MAX_FIELDS: usize = 512;

#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: BodyFraming,
    pub(super) keep_alive: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyFraming {
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

/// Reads a response head, and whatever arrives with it.
pub(super) async fn read_head(
    connection: &mut Connection,
    method: &Method,
) -> Result<ResponseHead, FetchError> {
    // Interim responses count, because their number is not limited otherwise.
    let mut remaining = HEAD_MAX_BYTES;
    let mut seen_length = 0;
    loop {
        let unread = connection.unread_bytes();
        if is_worth_parsing(unread, seen_length)
            && let Some((head, length)) = parse_head(unread, method)?
        {
            if length > remaining {
                return Err(invalid_head_error("a head of more than 64 KiB"));
            }
            connection.consume(length);
            if !head.status.is_informational() {
                return Ok(head);
            }
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(invalid_head_error("an upgrade that was not asked for"));
            }
            remaining -= length;
            seen_length = 0;
            continue;
        }
        seen_length = unread.len();
        if seen_length >= remaining {
            return Err(invalid_head_error("a head of more than 64 KiB"));
        }
        let size = if seen_length < BUFFER_BYTES { BUFFER_BYTES } else { HEAD_MAX_BYTES };
        match poll_fn(|cx| connection.poll_fill(cx, size)).await {
            Ok(0) => return Err(invalid_head_error("closed before the end of the head")),
            Ok(_) => {}
            Err(error) => return Err(FetchError::of_io(FetchErrorKind::Body, &error)),
        }
    }
}

/// Whether the head may be complete, so that a head that arrives byte by byte is not parsed for
/// each byte.
fn is_worth_parsing(bytes: &[u8], seen_length: usize) -> bool {
    let new_bytes = bytes.get(seen_length.saturating_sub(3)..).unwrap_or_default();
    let has_end = || {
        new_bytes.windows(2).any(|pair| pair == b"\n\n")
            || new_bytes.windows(3).any(|three| three == b"\n\r\n")
    };
    !bytes.is_empty() && (seen_length == 0 || has_end())
}

fn invalid_head_error(what: &str) -> FetchError {
    FetchError::with_detail(FetchErrorKind::Body, what)
}

/// Parses a head and returns it with its length; `None` while it is incomplete.
fn parse_head(bytes: &[u8], method: &Method) -> Result<Option<(ResponseHead, usize)>, FetchError> {
    let mut fields = [const { MaybeUninit::uninit() }; HEAD_MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .ignore_invalid_headers_in_responses(true)
        .parse_response_with_uninit_headers(&mut response, bytes, &mut fields)
        .map_err(|error| FetchError::with_detail(FetchErrorKind::Body, error))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| invalid_head_error("not a status"))?;
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for field in response.headers.iter() {
        // A line that is no field costs only itself.
        if let Ok(name) = HeaderName::from_bytes(field.name.as_bytes())
            && let Ok(value) = HeaderValue::from_bytes(&unfold(field.value))
        {
            headers.append(name, value);
        }
    }
    let is_http_1_1 = response.version == Some(1);
    let (framing, can_follow) = body_framing(method, status, is_http_1_1, &mut headers)?;
    let keep_alive = is_http_1_1
        && can_follow
        && !list_members(&headers, &header::CONNECTION).any(|token| equals_token(token, b"close"));
    Ok(Some((ResponseHead { status, headers, framing, keep_alive }, length)))
}

/// A field value on one line (RFC 9112, 5.2).
fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    match value.iter().any(is_line_end) {
        false => Cow::Borrowed(value),
        true => value.iter().map(|byte| if is_line_end(byte) { b' ' } else { *byte }).collect(),
    }
}

/// How the body is framed, and whether another response can follow on the connection.
fn body_framing(
    method: &Method,
    status: StatusCode,
    is_http_1_1: bool,
    headers: &mut HeaderMap,
) -> Result<(BodyFraming, bool), FetchError> {
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    if chunked && !(is_http_1_1 && is_only_chunked(headers)) {
        return Err(invalid_head_error("a transfer encoding that is not understood"));
    }
    let length = content_length(headers)?;
    if chunked && length.is_some() {
        return Err(invalid_head_error("both Transfer-Encoding and Content-Length"));
    }
    if *method == Method::HEAD || status.is_informational() {
        return Ok((BodyFraming::Empty, true));
    }
    if status == StatusCode::NOT_MODIFIED {
        return Ok((BodyFraming::Empty, !chunked));
    }
    if status == StatusCode::NO_CONTENT {
        return Ok((BodyFraming::Empty, !chunked && length.unwrap_or(0) == 0));
    }
    Ok(match (chunked, length) {
        (true, _) => (BodyFraming::Chunked, true),
        (false, Some(0)) => (BodyFraming::Empty, true),
        (false, Some(length)) => (BodyFraming::Length(length), true),
        (false, None) => (BodyFraming::UntilClose, false),
    })
}

/// Whether chunked is the only coding and the last member: an empty one after it is for some clients the last coding, so
/// that the body ends for them with the connection.
fn is_only_chunked(headers: &HeaderMap) -> bool {
    let mut codings = list_members(headers, &header::TRANSFER_ENCODING);
    let is_single = codings.next().is_some_and(|coding| equals_token(coding, b"chunked"))
        && codings.next().is_none();
    let last_field = headers.get_all(header::TRANSFER_ENCODING).into_iter().next_back();
    let last_member =
        last_field.and_then(|field| field.as_bytes().rsplit(|byte| *byte == b',').next());
    is_single && last_member.is_some_and(|member| !member.trim_ascii().is_empty())
}

/// The length that all Content-Length fields agree on; repeated fields are replaced with one.
fn content_length(headers: &mut HeaderMap) -> Result<Option<u64>, FetchError> {
    let mut length = None;
    let mut count = 0;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for text in value.as_bytes().split(|byte| *byte == b',') {
            let text = text.trim_ascii();
            let is_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
            let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
            let parsed = parsed
                .filter(|_| is_digits)
                .ok_or_else(|| invalid_head_error("not a Content-Length"))?;
            if length.is_some_and(|length| length != parsed) {
                return Err(invalid_head_error("two Content-Lengths"));
            }
            length = Some(parsed);
            count += 1;
        }
    }
    if let Some(length) = length.filter(|_| count > 1) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(length)
}

/// Members of a comma-separated list over all fields of the name.
fn list_members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

fn equals_token(token: &[u8], name: &[u8]) -> bool {
    token.eq_ignore_ascii_case(name)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
#[cfg(test)]
mod tests;
