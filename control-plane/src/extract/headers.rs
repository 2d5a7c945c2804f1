//! Header lists of sources, lists and pages: overlaid, merged and validated.

use http::HeaderMap;
use pitwall_fetch::parse_source_headers;

use super::StepFailure;

/// Replaces headers by those of the same name in `over`; an empty value removes the header.
pub(super) fn overlay_headers(
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

pub(super) fn build_header_map(headers: &[(String, String)]) -> Result<HeaderMap, StepFailure> {
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    parse_source_headers(pairs).map_err(|error| StepFailure::permanent(error.to_string()))
}

/// Adds headers that a page, list or program named to those that the source configures. Learned
/// headers that frame a message, or that cannot be sent, are left out.
pub(super) fn merge_learned_headers(
    configured: &[(String, String)],
    learned: impl IntoIterator<Item = (String, String)>,
) -> Vec<(String, String)> {
    let mut headers = configured.to_vec();
    let sendable =
        |(name, value): &(String, String)| parse_source_headers([(&**name, &**value)]).is_ok();
    let learned = learned.into_iter().filter(sendable);
    // A header that the operator configured wins over one of the same name that was learned.
    let added: Vec<_> = learned
        .filter(|(name, _)| !configured.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)))
        .collect();
    overlay_headers(&mut headers, added);
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
        overlay_headers(&mut headers, pairs("Referer=b X-One="));
        assert_eq!(headers, pairs("Referer=b"));
    }

    #[test]
    fn configured_headers_win_and_unsendable_learned_ones_are_dropped() {
        for (configured, learned, expected) in [
            ("", "Referer=a User-Agent=b", "Referer=a User-Agent=b"),
            ("Referer=own", "referer=a X=1", "Referer=own X=1"),
            ("", "Host=a Accept-Encoding=b Content-Length=3 X-Forwarded-For=c", ""),
            ("", "Bad(Name=a X=1\r\n Y=2", "Y=2"),
        ] {
            assert_eq!(
                merge_learned_headers(&pairs(configured), pairs(learned)),
                pairs(expected),
                "{configured} + {learned}"
            );
        }
    }
}
