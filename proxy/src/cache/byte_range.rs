//! Byte ranges (RFC 9110, 14).

use std::ops::Range;

use http::{HeaderMap, HeaderValue, Method, header};
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
    /// Only GET has ranges (RFC 9110, 14.2).
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        if method != Method::GET {
            return Self::default();
        }
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

/// What a Range field asks for of a whole object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedRange {
    /// All of it: no field, or one that is ignored, as RFC 9110, 14.2 allows, because it is invalid
    /// or has several ranges.
    Whole,
    Part(Range<u64>),
    Unsatisfiable,
}

impl RequestedRange {
    /// `length`: that of the object.
    pub fn of(range: &[u8], length: u64) -> Self {
        match parse_bounds(range) {
            // There is no part of an empty object.
            _ if length == 0 => Self::Whole,
            Some((Some(first), last)) if last.is_none_or(|last| first <= last) => {
                let end = last.map_or(length, |last| last.saturating_add(1).min(length));
                if first < length { Self::Part(first..end) } else { Self::Unsatisfiable }
            }
            Some((None, Some(0))) => Self::Unsatisfiable,
            Some((None, Some(suffix))) => Self::Part(length.saturating_sub(suffix)..length),
            _ => Self::Whole,
        }
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
    let (unit, range) = std::str::from_utf8(range).ok()?.split_once('=')?;
    // A range unit is case-insensitive (RFC 9110, 14.1).
    let range = unit.eq_ignore_ascii_case("bytes").then_some(range)?;
    // A list may have empty elements (RFC 9110, 5.6.1).
    let mut ranges =
        range.split(',').map(|one| one.trim_matches([' ', '\t'])).filter(|one| !one.is_empty());
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return None };
    let (first, last) = range.split_once('-')?;
    Some((parse_number(first)?, parse_number(last)?))
}

/// `Some(None)` for an empty text, `None` for one that is not a number. A number beyond all lengths
/// is one, too.
fn parse_number(text: &str) -> Option<Option<u64>> {
    match text {
        "" => Some(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Some(text.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        use RequestedRange::{Part, Unsatisfiable, Whole};
        let range = |first, last| Some(ByteRange { first, last });
        for (text, of_200_bytes, expected) in [
            ("bytes=0-99", Part(0..100), range(0, Some(99))),
            ("Bytes=0-99", Part(0..100), range(0, Some(99))),
            ("BYTES=100-", Part(100..200), range(100, None)),
            ("bytes=5-5", Part(5..6), range(5, Some(5))),
            ("bytes= 5-9 ", Part(5..10), range(5, Some(9))),
            ("bytes=5-9,", Part(5..10), range(5, Some(9))),
            ("bytes=,, 5-9", Part(5..10), range(5, Some(9))),
            ("bytes=150-500", Part(150..200), range(150, Some(500))),
            ("bytes=0-99999999999999999999", Part(0..200), range(0, Some(u64::MAX))),
            ("bytes=200-", Unsatisfiable, range(200, None)),
            ("bytes=99999999999999999999-", Unsatisfiable, range(u64::MAX, None)),
            ("bytes=-100", Part(100..200), None),
            ("bytes=-500", Part(0..200), None),
            ("bytes=-0", Unsatisfiable, None),
            ("bytes=5-2", Whole, None),
            ("bytes=-", Whole, None),
            ("bytes=", Whole, None),
            ("bytes=0-1,3-4", Whole, None),
            ("bytes=5 - 9", Whole, None),
            ("bytes =0-1", Whole, None),
            ("items=0-1", Whole, None),
            ("bytes=a-b", Whole, None),
            ("bytes=+1-2", Whole, None),
            ("", Whole, None),
        ] {
            assert_eq!(RequestedRange::of(text.as_bytes(), 200), of_200_bytes, "{text:?}");
            assert_eq!(RequestedRange::of(text.as_bytes(), 0), Whole, "{text:?}");
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
