//! Byte ranges (RFC 9110, 14).

use http::{HeaderMap, HeaderValue, header};
use pitwall_fetch::Response;

/// A single range with a first position: `bytes=0-99`, `bytes=100-`.
///
/// A suffix range (`bytes=-100`) is not represented: its first position is known only with the
/// length, so it is cut from the whole object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    pub first: u64,
    pub last: Option<u64>,
}

impl ByteRange {
    /// `None` for any other range, valid or not.
    pub fn parse(range: &[u8]) -> Option<Self> {
        match parse_bounds(range)? {
            (Some(first), Some(last)) if first <= last => Some(Self { first, last: Some(last) }),
            (Some(first), None) => Some(Self { first, last: None }),
            _ => None,
        }
    }

    pub fn header_value(&self) -> HeaderValue {
        let last = self.last.map_or(String::new(), |last| last.to_string());
        HeaderValue::try_from(format!("bytes={}-{last}", self.first))
            .unwrap_or(HeaderValue::from_static("bytes=0-"))
    }
}

/// Range and If-Range of a request.
#[derive(Default)]
pub struct RangeRequest {
    pub range: Option<ByteRange>,
    pub if_range: Option<HeaderValue>,
}

impl RangeRequest {
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let if_range = headers.get(header::IF_RANGE).cloned();
        let range = headers.get(header::RANGE).and_then(|range| ByteRange::parse(range.as_bytes()));
        Self { range, if_range }
    }

    /// Whether a 206 response starts at the requested range and does not exceed it, as far as its
    /// Content-Range says.
    pub(super) fn is_answered_by(&self, response: &Response) -> bool {
        let content_range = response.headers().get(header::CONTENT_RANGE);
        let content_range =
            content_range.and_then(|content_range| parse_content_range(content_range.as_bytes()));
        match (content_range, self.range) {
            (Some((first, last, _)), Some(requested)) => {
                first == requested.first
                    && requested.last.is_none_or(|requested_last| last <= requested_last)
            }
            _ => false,
        }
    }
}

/// Whether a Range field holds one valid range. Any other is ignored, as RFC 9110, 14.2 allows, and
/// the response is the whole object.
pub fn is_single_range(range: &[u8]) -> bool {
    match parse_bounds(range) {
        Some((Some(first), Some(last))) => first <= last,
        // A suffix range of length 0 is not satisfiable.
        Some((None, Some(last))) => last > 0,
        Some((first, None)) => first.is_some(),
        None => false,
    }
}

/// First and last position and complete length of a Content-Range field (RFC 9110, 14.4); the
/// length is `None` for `*`.
pub fn parse_content_range(value: &[u8]) -> Option<(u64, u64, Option<u64>)> {
    let (range, complete_length) =
        std::str::from_utf8(value).ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let complete_length =
        if complete_length == "*" { None } else { Some(parse_number(complete_length)??) };
    Some((parse_number(first)??, parse_number(last)??, complete_length))
}

type OptionalPositions = (Option<u64>, Option<u64>);

fn parse_bounds(range: &[u8]) -> Option<OptionalPositions> {
    let (first, last) = std::str::from_utf8(range).ok()?.strip_prefix("bytes=")?.split_once('-')?;
    Some((parse_number(first.trim())?, parse_number(last.trim())?))
}

/// `Some(None)` for an empty text, `None` for one that is not a number.
fn parse_number(text: &str) -> Option<Option<u64>> {
    match text {
        "" => Some(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok().map(Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = |first, last| Some(ByteRange { first, last });
        for (text, single, expected) in [
            ("bytes=0-99", true, range(0, Some(99))),
            ("bytes=100-", true, range(100, None)),
            ("bytes=5-5", true, range(5, Some(5))),
            ("bytes=-100", true, None),
            ("bytes=-0", false, None),
            ("bytes=5-2", false, None),
            ("bytes=-", false, None),
            ("bytes=0-1,3-4", false, None),
            ("items=0-1", false, None),
            ("bytes=a-b", false, None),
            ("bytes=+1-2", false, None),
            ("bytes=0-99999999999999999999", false, None),
            ("", false, None),
        ] {
            assert_eq!(is_single_range(text.as_bytes()), single, "{text:?}");
            assert_eq!(ByteRange::parse(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn content_ranges() {
        for (text, expected) in [
            ("bytes 0-9/100", Some((0, 9, Some(100)))),
            ("bytes 10-19/*", Some((10, 19, None))),
            ("bytes */100", None),
            ("bytes 0-9", None),
            ("bytes -9/100", None),
            ("items 0-9/100", None),
        ] {
            assert_eq!(parse_content_range(text.as_bytes()), expected, "{text:?}");
        }
    }
}
