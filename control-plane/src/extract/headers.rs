//! Headers, laid over each other and judged.

use http::HeaderMap;
use pitwall_fetch::source_headers;

use super::Failure;

/// Sets headers over others of the same name; an empty value takes the header out.
pub(super) fn overlay(
    headers: &mut Vec<(String, String)>,
    over: impl IntoIterator<Item = (String, String)>,
) {
    for (name, value) in over {
        headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        if !value.is_empty() {
            headers.push((name, value));
        }
    }
}

pub(super) fn sendable(headers: &[(String, String)]) -> Result<HeaderMap, Failure> {
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    source_headers(pairs).map_err(|error| Failure::lasting(error.to_string()))
}

/// What somebody else's software would have sent, as far as it is ours to send: headers that
/// frame a message, or that cannot be sent, are left out.
pub(super) fn taken_over(
    own: &[(String, String)],
    theirs: impl IntoIterator<Item = (String, String)>,
) -> Vec<(String, String)> {
    let mut headers = own.to_vec();
    let sendable = |(name, value): &(String, String)| source_headers([(&**name, &**value)]).is_ok();
    let theirs = theirs.into_iter().filter(sendable);
    // What the operator configured wins over what a page or a list says.
    let fresh: Vec<_> = theirs
        .filter(|(name, _)| !own.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)))
        .collect();
    overlay(&mut headers, fresh);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let pair = |pair: &str| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        text.split(' ').filter_map(pair).collect()
    }

    #[test]
    fn later_headers_win_and_empty_ones_vanish() {
        let mut headers = pairs("referer=a x-one=1");
        overlay(&mut headers, pairs("Referer=b X-One="));
        assert_eq!(headers, pairs("Referer=b"));
    }

    #[test]
    fn what_is_taken_over() {
        for (own, theirs, expected) in [
            ("", "Referer=a User-Agent=b", "Referer=a User-Agent=b"),
            ("Referer=own", "referer=a X=1", "Referer=own X=1"),
            ("", "Host=a Accept-Encoding=b Content-Length=3 X-Forwarded-For=c", ""),
            ("", "Bad(Name=a X=1\r\n Y=2", "Y=2"),
        ] {
            assert_eq!(taken_over(&pairs(own), pairs(theirs)), pairs(expected), "{own} + {theirs}");
        }
    }
}
