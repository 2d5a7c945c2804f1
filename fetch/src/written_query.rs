//! The query of a URL as it was written.
//!
//! [`Url`] writes a query as browsers do, which send `'` as `%27`. The character is legal there (RFC
//! 3986, 3.4), curl, ffmpeg and VLC send it as it is, and the signature of a URL may cover it. As a
//! `Url` cannot hold it, the query as written is kept in the fragment of the `Url`. A fragment is
//! never sent (RFC 9110, 7.1), and [`parse_url`](crate::parse_url) lets in none that was written.

use std::borrow::Cow;

use url::{ParseError, Position, Url};

/// Resolves a link against the URL of its document, and keeps its query as written.
///
/// # Errors
/// The link is no URL.
pub fn join_url(base: &Url, link: &str) -> Result<Url, ParseError> {
    let mut url = base.join(link)?;
    keep_written_query(&mut url, link);
    Ok(url)
}

/// Keeps the query that `url` has in `text`, of which it was made, and drops the fragment of `text`.
pub fn keep_written_query(url: &mut Url, text: &str) {
    url.set_fragment(None);
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    let Some((_, query)) = text.split_once('?').filter(|(_, query)| query.contains('\'')) else {
        return;
    };
    url.set_fragment(Some(query));
    if written_query(url).is_none() {
        url.set_fragment(None);
    }
}

/// The query as written, where it differs from that of the [`Url`]. The fragment counts only where
/// it says the same.
pub(crate) fn written_query(url: &Url) -> Option<&str> {
    let written = url.fragment()?;
    (url.query()? == written.replace('\'', "%27")).then_some(written)
}

/// The whole URL as it was written.
pub fn as_written(url: &Url) -> Cow<'_, str> {
    match written_query(url) {
        Some(query) => Cow::Owned(format!("{}?{query}", &url[..Position::AfterPath])),
        None => Cow::Borrowed(&url[..Position::AfterQuery]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_url;

    /// What is written, and the request target: the table of docs/api.md.
    const TARGETS: [(&str, &str); 21] = [
        ("/a.ts?q='x'&s=%27y%27", "/a.ts?q='x'&s=%27y%27"),
        ("/a'b.ts", "/a'b.ts"),
        ("/a.ts?q=|^[]", "/a.ts?q=|^[]"),
        ("/a[].ts", "/a[].ts"),
        ("/a.ts?q={`}", "/a.ts?q={`}"),
        ("/a{`}.ts", "/a%7B%60%7D.ts"),
        ("/a.ts?q=\"<x>\"", "/a.ts?q=%22%3Cx%3E%22"),
        ("/a.ts?q='\"'", "/a.ts?q='%22'"),
        ("/a.ts?", "/a.ts?"),
        ("/a//b.ts", "/a//b.ts"),
        ("/a%2fb%2Fc.ts?d=%2f%3A", "/a%2fb%2Fc.ts?d=%2f%3A"),
        ("/x/../a.ts", "/a.ts"),
        ("/x/./a.ts", "/x/a.ts"),
        ("/x/%2e%2e/a.ts", "/a.ts"),
        ("/a.ts?b=1&", "/a.ts?b=1&"),
        ("/a.ts?b=1+2", "/a.ts?b=1+2"),
        ("/a+b.ts", "/a+b.ts"),
        ("/\u{e9}.ts?q=\u{e9}", "/%C3%A9.ts?q=%C3%A9"),
        ("/a.ts?q=~!*()$,;:@/?", "/a.ts?q=~!*()$,;:@/?"),
        ("/a.ts?q='\u{e9}'", "/a.ts?q='%C3%A9'"),
        ("/a.ts", "/a.ts"),
    ];

    #[test]
    fn a_query_is_sent_as_written() {
        let base = Url::parse("http://cdn.example/live/m.m3u8?old='1'").unwrap();
        for (written, expected) in TARGETS {
            let expected = format!("http://cdn.example{expected}");
            let url = parse_url(&format!("http://cdn.example{written}")).unwrap();
            assert_eq!(as_written(&url), expected, "{written}");
            assert_eq!(as_written(&join_url(&base, written).unwrap()), expected, "{written}");
            // As maps carry it.
            let stored = Url::parse(url.as_str()).unwrap();
            assert_eq!(as_written(&stored), expected, "{written}");
        }
    }

    #[test]
    fn a_fragment_is_no_query() {
        for (url, expected) in [
            ("http://a.example/?q=1#q='1'", "http://a.example/?q=1"),
            ("http://a.example/?q=%27#x", "http://a.example/?q=%27"),
            ("http://a.example/#q", "http://a.example/"),
        ] {
            assert!(parse_url(url).is_err(), "{url}");
            assert_eq!(as_written(&Url::parse(url).unwrap()), expected, "{url}");
            let mut joined = Url::parse(url).unwrap();
            keep_written_query(&mut joined, url);
            assert_eq!(as_written(&joined), expected, "{url}");
        }
    }
}
