//! Request fields that a source sets.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Why a request field of a source is rejected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeaderError {
    #[error("header {0:?}: not a valid header name")]
    Name(String),
    #[error("header {0}: the value holds characters that headers cannot carry")]
    Value(String),
    #[error("header {0} is set by the edge and cannot be configured")]
    Reserved(String),
}

/// Fields that only the fetcher sets, because they frame the message or identify the client.
const RESERVED_HEADERS: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "expect",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
    "accept-encoding",
    "range",
];

/// Parses configured or extracted request fields.
///
/// # Errors
/// [`HeaderError`] if a field is invalid or reserved.
pub fn parse_source_headers<'a, I>(headers: I) -> Result<HeaderMap, HeaderError>
where
    I: IntoIterator<Item = (&'a str, &'a str)>,
{
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let (name, value) = parse_source_header(name, value)?;
        map.append(name, value);
    }
    Ok(map)
}

/// Parses one configured or extracted request field.
///
/// # Errors
/// [`HeaderError`] if the field is invalid or reserved.
pub fn parse_source_header(
    name: &str,
    value: &str,
) -> Result<(HeaderName, HeaderValue), HeaderError> {
    let parsed = HeaderName::try_from(name).map_err(|_| HeaderError::Name(name.to_owned()))?;
    if RESERVED_HEADERS.contains(&parsed.as_str()) || parsed.as_str().starts_with("x-forwarded-") {
        return Err(HeaderError::Reserved(name.to_owned()));
    }
    let value = HeaderValue::from_str(value).map_err(|_| HeaderError::Value(name.to_owned()))?;
    Ok((parsed, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_invalid_fields_are_rejected() {
        for (name, value, expected) in [
            ("Referer", "https://example.com/", Ok(1)),
            ("User-Agent", "Player/1", Ok(1)),
            ("Host", "x", Err(HeaderError::Reserved("Host".into()))),
            ("X-Forwarded-For", "x", Err(HeaderError::Reserved("X-Forwarded-For".into()))),
            ("Content-Length", "1", Err(HeaderError::Reserved("Content-Length".into()))),
            ("Bad Name", "x", Err(HeaderError::Name("Bad Name".into()))),
            ("X-A", "x\r\nX-B: y", Err(HeaderError::Value("X-A".into()))),
            ("X-A", "x\0", Err(HeaderError::Value("X-A".into()))),
        ] {
            let got = parse_source_headers([(name, value)]).map(|map| map.len());
            assert_eq!(got, expected, "{name}: {value:?}");
        }
    }
}
