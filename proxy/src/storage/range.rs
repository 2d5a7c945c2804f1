//! Byte ranges (RFC 9110, 14).

use http::HeaderValue;

/// A single range that begins somewhere: `bytes=0-99`, `bytes=100-`.
///
/// The last bytes of an object (`bytes=-100`) are not one: where they begin is only known with
/// its length, so they are cut from the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub first: u64,
    pub last: Option<u64>,
}

impl Range {
    /// `None` for everything else, valid or not.
    pub fn parse(range: &[u8]) -> Option<Self> {
        match bounds(range)? {
            (Some(first), Some(last)) if first <= last => Some(Self { first, last: Some(last) }),
            (Some(first), None) => Some(Self { first, last: None }),
            _ => None,
        }
    }

    pub fn value(&self) -> HeaderValue {
        let last = self.last.map_or(String::new(), |last| last.to_string());
        HeaderValue::try_from(format!("bytes={}-{last}", self.first))
            .unwrap_or(HeaderValue::from_static("bytes=0-"))
    }
}

/// Is it one valid range? What is not is no range at all: the answer is the whole.
pub fn is_single(range: &[u8]) -> bool {
    match bounds(range) {
        Some((Some(first), Some(last))) => first <= last,
        // The last none are nothing that could be sent.
        Some((None, Some(last))) => last > 0,
        Some((first, None)) => first.is_some(),
        None => false,
    }
}

/// Where `Content-Range` says that a part begins and ends, and how long the whole is.
pub fn content_range(value: &[u8]) -> Option<(u64, u64, Option<u64>)> {
    let (range, whole) =
        std::str::from_utf8(value).ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let whole = if whole == "*" { None } else { Some(number(whole)??) };
    Some((number(first)??, number(last)??, whole))
}

type Bounds = (Option<u64>, Option<u64>);

fn bounds(range: &[u8]) -> Option<Bounds> {
    let (first, last) = std::str::from_utf8(range).ok()?.strip_prefix("bytes=")?.split_once('-')?;
    Some((number(first.trim())?, number(last.trim())?))
}

/// `Some(None)` for nothing, `None` for what is no number.
fn number(text: &str) -> Option<Option<u64>> {
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
        let range = |first, last| Some(Range { first, last });
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
            assert_eq!(is_single(text.as_bytes()), single, "{text:?}");
            assert_eq!(Range::parse(text.as_bytes()), expected, "{text:?}");
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
            assert_eq!(content_range(text.as_bytes()), expected, "{text:?}");
        }
    }
}
