//! When a token ends, as far as it says so itself.

use jiff::Timestamp;
use url::Url;

/// Query parameters that carry the end of a URL's life in unix seconds.
const PARAMETERS: [&str; 4] = ["exp", "expires", "e", "Expires"];

/// What is later than this is in milliseconds, what is earlier than that is not a date.
const YEAR_2200: i64 = 7_258_118_400;
const YEAR_2001: i64 = 978_307_200;

/// Of a playlist's URL.
pub(crate) fn of_url(url: &Url) -> Option<Timestamp> {
    PARAMETERS.iter().find_map(|name| {
        let value = url.query_pairs().find_map(|(key, value)| (key == *name).then_some(value))?;
        seconds(value.parse().ok()?)
    })
}

/// Unix seconds, unix milliseconds, or RFC 3339.
pub(crate) fn of_text(text: &str) -> Option<Timestamp> {
    match text.parse() {
        Ok(number) => seconds(number),
        Err(_) => text.parse().ok(),
    }
}

fn seconds(number: i64) -> Option<Timestamp> {
    match number {
        YEAR_2001..YEAR_2200 => Timestamp::from_second(number).ok(),
        YEAR_2200.. => {
            Timestamp::from_millisecond(number).ok().filter(|at| at.as_second() < YEAR_2200)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_say_when_they_end() {
        for (url, expected) in [
            ("https://a.example/m.m3u8?exp=1767225600&sig=ab", Some("2026-01-01T00:00:00Z")),
            ("https://a.example/m.m3u8?expires=1767225600", Some("2026-01-01T00:00:00Z")),
            ("https://a.example/m.m3u8?Expires=1767225600", Some("2026-01-01T00:00:00Z")),
            ("https://a.example/m.m3u8?st=x&e=1767225600", Some("2026-01-01T00:00:00Z")),
            ("https://a.example/m.m3u8?e=7", None),
            ("https://a.example/m.m3u8?exp=never", None),
            ("https://a.example/m.m3u8?exp=99999999999999999", None),
            ("https://a.example/m.m3u8", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(of_url(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("1767225600", Some("2026-01-01T00:00:00Z")),
            ("1767225600000", Some("2026-01-01T00:00:00Z")),
            ("2026-01-01T01:00:00+01:00", Some("2026-01-01T00:00:00Z")),
            ("tomorrow", None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(of_text(text), expected, "{text}");
        }
    }
}
