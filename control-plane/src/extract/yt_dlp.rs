//! `kind = "yt-dlp"`: what yt-dlp finds on a page.
//!
//! ```toml
//! [[source]]
//! name = "channel"
//! kind = "yt-dlp"
//! feed = "World feed"                       # else the title of what it finds
//! url = "https://video.example/channel/live"
//! ```
//!
//! Its formats over HLS are taken, by their master playlist, with the headers and cookies that
//! yt-dlp would send; `headers` of the source are sent by yt-dlp too. It sees no configuration
//! of anybody's, loads no plugins and downloads nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;
use url::Url;

use super::headers::taken_over;
use super::program::page::{Program, parsed, playlist};
use super::{Candidate, Extractor, Failure, Tool};
use crate::expiry;
use crate::source::Source;

static YT_DLP: Program = Program {
    name: "yt-dlp",
    tool: Tool::YtDlp,
    arguments: &["--ignore-config", "--config-locations"],
    lines,
    finds: "formats",
    read,
};

/// Of what it finds on one page: a channel's page may list its whole past.
const OPTIONS: &str = "--dump-single-json --no-progress --color never --no-cache-dir \
                       --no-plugin-dirs --no-remote-components --no-cookies-from-browser \
                       --playlist-items 1:50 --socket-timeout 10 --retries 1 --extractor-retries 1";

/// The same picture through this many hosts is enough.
const MASTERS: usize = 4;

pub(super) fn configure(
    _: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    YT_DLP.configure(settings)
}

fn lines(source: &Source, page: &Url, proxy: &str) -> Vec<String> {
    let mut lines = vec![OPTIONS.to_owned(), format!("--proxy {}", quoted(proxy))];
    let headers = source.headers.iter();
    lines.extend(
        headers
            .map(|(name, value)| format!("--add-headers {}", quoted(&format!("{name}:{value}")))),
    );
    lines.push(quoted(page.as_str()));
    lines
}

/// As a shell would have it, which is how its files are read.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

/// What `-J` prints, as far as it matters.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    title: Option<String>,
    is_live: Option<bool>,
    formats: Option<Vec<Format>>,
    /// Of a page that holds several.
    entries: Option<Vec<Option<Info>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Format {
    url: Option<String>,
    /// The master playlist that it is a variant of.
    manifest_url: Option<String>,
    protocol: Option<String>,
    http_headers: Option<BTreeMap<String, String>>,
    cookies: Option<String>,
    /// `true`, `false` or "maybe".
    has_drm: serde_json::Value,
}

fn read(output: &[u8], source: &Source) -> Result<Vec<Candidate>, Failure> {
    let info = parsed::<Option<Info>>(output)?.unwrap_or_default();
    let mut candidates = Vec::new();
    let entries = info.entries.iter().flatten().flatten();
    for (position, entry) in std::iter::once(&info).chain(entries).enumerate() {
        entry.candidates(position, source, &mut candidates);
    }
    Ok(candidates)
}

impl Info {
    fn candidates(&self, position: usize, source: &Source, into: &mut Vec<Candidate>) {
        let mut masters: Vec<Url> = Vec::new();
        // The best ones come last.
        for format in self.formats.iter().flatten().rev() {
            let Some(playlist) = format.master() else { continue };
            if masters.contains(&playlist) || masters.len() >= MASTERS {
                continue;
            }
            masters.push(playlist.clone());
            into.push(Candidate {
                position,
                feed: source.feed.clone().or_else(|| self.name()).unwrap_or_default(),
                label: source.label.clone(),
                headers: taken_over(&source.headers, format.headers()),
                expires_at: expiry::of_url(&playlist),
                playlist,
            });
        }
    }

    /// A live title has the moment of the extraction behind it, which makes a new one each time.
    fn name(&self) -> Option<String> {
        #[expect(clippy::expect_used, reason = "a constant, covered by a test")]
        static MOMENT: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r" \d{4}-\d\d-\d\d \d\d:\d\d$").expect("a pattern"));
        let title = self.title.as_deref()?;
        match self.is_live {
            Some(true) => Some(MOMENT.replace(title, "").into_owned()),
            _ => Some(title.to_owned()),
        }
    }
}

impl Format {
    fn master(&self) -> Option<Url> {
        let hls = matches!(self.protocol.as_deref(), Some("m3u8" | "m3u8_native"));
        let url = self.manifest_url.as_ref().or(self.url.as_ref())?;
        (hls && self.has_drm != serde_json::Value::Bool(true)).then(|| playlist(url)).flatten()
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers: Vec<_> =
            self.http_headers.clone().unwrap_or_default().into_iter().collect();
        let cookies = self.cookies.as_deref().map(cookie_header).filter(|it| !it.is_empty());
        headers.extend(cookies.map(|cookies| ("Cookie".to_owned(), cookies)));
        headers
    }
}

/// Of cookies as they are set, with all that is said about them, the pairs that are sent.
fn cookie_header(text: &str) -> String {
    const ABOUT: [&str; 8] =
        ["domain", "path", "secure", "expires", "httponly", "version", "max-age", "samesite"];
    let parts = text.split(';').map(str::trim).filter(|part| {
        let name = part.split('=').next().unwrap_or_default().to_ascii_lowercase();
        part.contains('=') && !ABOUT.contains(&name.as_str())
    });
    let unquoted = parts.map(|part| match part.split_once('=') {
        Some((name, value)) => format!("{name}={}", value.trim_matches('"')),
        None => part.to_owned(),
    });
    unquoted.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(feed: &str) -> Source {
        let feed = if feed.is_empty() { String::new() } else { format!("feed = '{feed}'\n") };
        let text = format!(
            "[[source]]\nname = 'a'\nkind = 'yt-dlp'\n{feed}url = 'https://a.example/'\nheaders = {{ Referer = 'own' }}"
        );
        Source::parse_file(&text).unwrap().remove(0)
    }

    fn check(feed: &str, output: &str, expected: Result<&[(&str, &str)], &str>) {
        let found =
            YT_DLP.found(output.as_bytes(), &source(feed)).map_err(|failure| failure.message);
        let pairs = found.as_ref().map(|found| {
            found.iter().map(|it| (it.feed.as_str(), it.playlist.as_str())).collect::<Vec<_>>()
        });
        let expected = expected.map(<[_]>::to_vec);
        assert_eq!(pairs.map_err(String::as_str), expected, "{output}");
    }

    #[test]
    fn formats() {
        let hls = |master: &str| {
            format!(
                r#"{{"protocol":"m3u8_native","url":"https://a/v.m3u8","manifest_url":"{master}"}}"#
            )
        };
        let (a, b) = (hls("https://a/a.m3u8"), hls("https://a/b.m3u8"));
        let live = format!(
            r#"{{"title":"Race 2026-11-21 10:23","is_live":true,"formats":[{a},{b},{b}]}}"#
        );
        check("", &live, Ok(&[("Race", "https://a/b.m3u8"), ("Race", "https://a/a.m3u8")]));
        check(
            "World feed",
            &format!(r#"{{"formats":[{a}]}}"#),
            Ok(&[("World feed", "https://a/a.m3u8")]),
        );
        check(
            "",
            &format!(
                r#"{{"title":"List","entries":[null,{{"title":"One","formats":[{a}]}},{{"title":"Two","formats":null}}]}}"#
            ),
            Ok(&[("One", "https://a/a.m3u8")]),
        );
        for nothing in [
            "null",
            "{}",
            r#"{"formats":[{"protocol":"https","url":"https://a/x.mp4"}]}"#,
            r#"{"formats":[{"protocol":"m3u8","url":"file:///etc/passwd"}]}"#,
            r#"{"formats":[{"protocol":"m3u8","url":"https://a/x.m3u8","has_drm":true}]}"#,
        ] {
            check("f", nothing, Err("nothing that it found is HLS"));
        }
        check("f", "WARNING", Err("its output is not what it should be"));
        check("f", &"[".repeat(100_000), Err("its output is not what it should be"));
    }

    #[test]
    fn headers_cookies_and_expiry_are_taken_over() {
        let output = r#"{"title":"T","formats":[{"protocol":"m3u8_native",
            "url":"https://a/v.m3u8?expires=1767225600","cookies":"a=1; Domain=a; Path=/; Secure; Expires=17; b=\"2\"; Domain=a",
            "http_headers":{"User-Agent":"UA","Referer":"theirs","Accept-Encoding":"gzip","Host":"x"}}]}"#;
        let found = read(output.as_bytes(), &source("")).unwrap().remove(0);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected =
            [header("Referer", "own"), header("User-Agent", "UA"), header("Cookie", "a=1; b=2")];
        assert_eq!(found.headers, expected);
        assert_eq!(found.expires_at, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn quoting() {
        assert_eq!(quoted("it's --exec x"), "'it'\"'\"'s --exec x'");
    }
}
