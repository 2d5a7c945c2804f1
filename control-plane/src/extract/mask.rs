//! Secrets made unreadable: for logs and errors, which never show an upstream, and for traces,
//! which show an operator what happened without showing what it was worth.

use std::sync::LazyLock;

use regex::Regex;
use url::Url;

/// The longest text that a trace shows of one value, in characters.
const SHOWN: usize = 160;

/// Names of variables whose values are secret however they look.
const SECRET_NAMES: [&str; 12] = [
    "csrf", "xsrf", "token", "secret", "pass", "key", "sig", "auth", "session", "sid", "cookie",
    "nonce",
];

/// For logs: the host, and a hash that tells two paths of it apart.
pub(crate) fn url(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    let hash = blake3::hash(url.path().as_bytes()).to_hex();
    format!("{host}{port}/#{}", hash.as_str().split_at(8).0)
}

/// Somebody else's text for logs: its URLs as [`url`] has them, and no more than a line.
pub(crate) fn urls(text: &str) -> String {
    #[expect(clippy::expect_used, reason = "a constant, covered by a test")]
    static URL: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"(?i)\b[a-z][a-z0-9+.-]*://[^\s"'<>]+"#).expect("a pattern"));
    let masked = URL.replace_all(text, |found: &regex::Captures<'_>| {
        Url::parse(&found[0]).map_or("…".to_owned(), |found| url(&found))
    });
    let line: String = masked.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(2 * SHOWN).collect()
}

/// For traces: what a step yielded, saved under this name.
pub(crate) fn value(name: &str, text: &str) -> String {
    let secret = SECRET_NAMES.iter().any(|part| name.to_lowercase().contains(part));
    let shown = match Url::parse(text) {
        Ok(url) if url.has_host() => link(url),
        _ if secret => return hint(text),
        _ if text.starts_with('/') && !text.contains(char::is_whitespace) => path_and_query(text),
        _ => words(text),
    };
    match shown.char_indices().nth(SHOWN) {
        Some((end, _)) => {
            format!("{}… ({} characters)", shown.split_at(end).0, text.chars().count())
        }
        None => shown,
    }
}

/// Host and path, and of a query the names.
fn link(mut url: Url) -> String {
    url.set_fragment(None);
    if !url.username().is_empty() || url.password().is_some() {
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    let origin = url.origin().ascii_serialization();
    let rest = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    format!("{origin}{}", path_and_query(&rest))
}

fn path_and_query(text: &str) -> String {
    let (path, query) = text.split_once('?').map_or((text, None), |(p, q)| (p, Some(q)));
    let path = words(path);
    let Some(query) = query else { return path };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        // A moment, a number of something: worth seeing, and no key.
        Some((name, value)) if value.len() <= 13 && value.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{name}={value}")
        }
        Some((name, value)) => format!("{name}={}", hint(value)),
        None => hint(pair),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// Text in which every word that may be a token is hidden.
fn words(text: &str) -> String {
    let part_of_token = |c: char| c.is_ascii_alphanumeric() || "-_+=%~".contains(c);
    let mut shown = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !part_of_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        shown.push_str(&if looks_secret(word) { hint(word) } else { word.to_owned() });
        let mut chars = after.chars();
        shown.extend(chars.next());
        rest = chars.as_str();
    }
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn looks_secret(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let mixed = word.bytes().any(|b| b.is_ascii_lowercase())
        && word.bytes().any(|b| b.is_ascii_uppercase());
    match word.len() {
        0..16 => false,
        16..24 => digits >= 3 || (mixed && !word.contains('-')),
        _ => digits >= 3 || !word.contains(['-', '_']),
    }
}

/// Enough to compare two by eye.
fn hint(text: &str) -> String {
    let length = text.chars().count();
    let begin: String = text.chars().take(if length >= 16 { 4 } else { 0 }).collect();
    format!("{begin}…[{length}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_traces_show() {
        let hex = "0123456789abcdef0123456789abcdef";
        for (name, text, expected) in [
            ("title", "World feed, live", "World feed, live"),
            ("page", "https://a.example/watch/onboard-7", "https://a.example/watch/onboard-7"),
            (
                "p",
                "https://u:p@a.example/x.m3u8?exp=1767225600&sig=abcdef",
                "https://a.example/x.m3u8?exp=1767225600&sig=…[6]",
            ),
            ("p", &format!("https://a.example/{hex}/x"), "https://a.example/0123…[32]/x"),
            ("p", "/play?id=7&t=secret", "/play?id=7&t=…[6]"),
            ("csrf", "short", "…[5]"),
            ("my_token", hex, "0123…[32]"),
            ("x", &format!("var t = \"{hex}\";"), "var t = \"0123…[32]\";"),
            ("x", "550e8400-e29b-41d4-a716-446655440000", "550e…[36]"),
        ] {
            assert_eq!(value(name, text), expected);
        }
        let long = value("x", &"ab ".repeat(1000));
        assert!(long.ends_with("… (3000 characters)"), "{long}");
    }

    #[test]
    fn what_logs_show() {
        let text = "ERROR: Unable to open 'https://a.example:8443/live/x.m3u8?sig=1':\n HTTP 403";
        let shown = urls(text);
        assert!(shown.starts_with("ERROR: Unable to open 'a.example:8443/#"), "{shown}");
        assert!(shown.ends_with("': HTTP 403") && !shown.contains("live"), "{shown}");
        assert_eq!(urls("nothing here"), "nothing here");
    }
}
