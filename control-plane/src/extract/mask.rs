//! Masks secrets: in logs and errors, which never show an upstream's URL, and in traces, which show
//! an operator what each step did, but no token.

use std::sync::LazyLock;

use regex::Regex;
use url::Url;

/// Length at which a trace truncates a value, in characters.
const SHOWN_MAX_CHARS: usize = 160;

/// A variable whose name contains one of these is secret, whatever its value looks like.
const SECRET_NAMES: [&str; 12] = [
    "csrf", "xsrf", "token", "secret", "pass", "key", "sig", "auth", "session", "sid", "cookie",
    "nonce",
];

/// For logs: a URL's host and port, and a hash of its path that tells two URLs of a host apart.
pub(crate) fn mask_url(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    let hash = blake3::hash(url.path().as_bytes()).to_hex();
    format!("{host}{port}/#{}", hash.as_str().split_at(8).0)
}

/// For logs: text of a program or server, with its URLs replaced by [`mask_url`], on one line of at
/// most twice `SHOWN_MAX_CHARS`.
pub(crate) fn mask_urls_in_text(text: &str) -> String {
    #[expect(clippy::expect_used, reason = "a constant, covered by a test")]
    static URL_PATTERN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"(?i)\b[a-z][a-z0-9+.-]*://[^\s"'<>]+"#).expect("a pattern"));
    let masked = URL_PATTERN.replace_all(text, |found: &regex::Captures<'_>| {
        Url::parse(&found[0]).map_or("…".to_owned(), |found| mask_url(&found))
    });
    let line: String = masked.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(2 * SHOWN_MAX_CHARS).collect()
}

/// Whether what has this name is secret, whatever it looks like.
pub(crate) fn is_secret_name(name: &str) -> bool {
    SECRET_NAMES.iter().any(|part| name.to_lowercase().contains(part))
}

/// For traces: the value that a step saved as the variable `name`.
pub(crate) fn mask_value(name: &str, text: &str) -> String {
    let secret = is_secret_name(name);
    let shown = match Url::parse(text) {
        Ok(url) if url.has_host() => mask_url_secrets(url),
        _ if secret => return abbreviate_secret(text),
        _ if text.starts_with('/') && !text.contains(char::is_whitespace) => {
            mask_path_and_query(text)
        }
        _ => mask_words(text),
    };
    match shown.char_indices().nth(SHOWN_MAX_CHARS) {
        Some((end, _)) => {
            format!("{}… ({} characters)", shown.split_at(end).0, text.chars().count())
        }
        None => shown,
    }
}

/// A URL without credentials, fragment and the values of its query, and with tokens in its path
/// abbreviated.
fn mask_url_secrets(mut url: Url) -> String {
    url.set_fragment(None);
    if !url.username().is_empty() || url.password().is_some() {
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    let origin = url.origin().ascii_serialization();
    let rest = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    format!("{origin}{}", mask_path_and_query(&rest))
}

fn mask_path_and_query(text: &str) -> String {
    let (path, query) = text.split_once('?').map_or((text, None), |(p, q)| (p, Some(q)));
    let path = mask_words(path);
    let Some(query) = query else { return path };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        // A number of up to 13 digits is a timestamp or a count, not a secret.
        Some((name, value)) if value.len() <= 13 && value.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{name}={value}")
        }
        Some((name, value)) => format!("{name}={}", abbreviate_secret(value)),
        None => abbreviate_secret(pair),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// Text with every word that may be a token abbreviated.
fn mask_words(text: &str) -> String {
    let part_of_token = |c: char| c.is_ascii_alphanumeric() || "-_+=%~".contains(c);
    let mut shown = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !part_of_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        shown.push_str(&if is_secret_like(word) {
            abbreviate_secret(word)
        } else {
            word.to_owned()
        });
        let mut chars = after.chars();
        shown.extend(chars.next());
        rest = chars.as_str();
    }
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_secret_like(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let mixed = word.bytes().any(|b| b.is_ascii_lowercase())
        && word.bytes().any(|b| b.is_ascii_uppercase());
    match word.len() {
        0..16 => false,
        16..24 => digits >= 3 || (mixed && !word.contains('-')),
        _ => digits >= 3 || !word.contains(['-', '_']),
    }
}

/// The length of a secret and, if it has 16 characters or more, its first four: enough to compare
/// two secrets by eye.
fn abbreviate_secret(text: &str) -> String {
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
            assert_eq!(mask_value(name, text), expected);
        }
        let long = mask_value("x", &"ab ".repeat(1000));
        assert!(long.ends_with("… (3000 characters)"), "{long}");
    }

    #[test]
    fn what_logs_show() {
        let text = "ERROR: Unable to open 'https://a.example:8443/live/x.m3u8?sig=1':\n HTTP 403";
        let shown = mask_urls_in_text(text);
        assert!(shown.starts_with("ERROR: Unable to open 'a.example:8443/#"), "{shown}");
        assert!(shown.ends_with("': HTTP 403") && !shown.contains("live"), "{shown}");
        assert_eq!(mask_urls_in_text("nothing here"), "nothing here");
    }
}
