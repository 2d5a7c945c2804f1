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
//! Each HLS format that yt-dlp finds becomes a candidate, by its multivariant playlist and with the
//! headers and cookies that yt-dlp would send; yt-dlp sends the source's `headers` too. yt-dlp
//! reads no configuration but Pitwall's, loads no plugins and downloads no media.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;
use url::Url;

use super::headers::merge_learned_headers;
use super::program::extractor::{
    PageFindings, StreamFinderProgram, parse_json_output, parse_playlist_url,
};
use super::{Candidate, ExternalTool, Extractor, StepFailure};
use crate::expiry;
use crate::source::Source;

static YT_DLP: StreamFinderProgram = StreamFinderProgram {
    name: "yt-dlp",
    tool: ExternalTool::YtDlp,
    arguments: &["--ignore-config", "--config-locations"],
    build_config_lines: config_lines,
    parse_step_name: "formats",
    parse_output: read_findings,
};

/// `--playlist-items` limits the entries of a page, as a channel's page may list its whole past.
const OPTIONS: &str = "--dump-single-json --no-progress --color never --no-cache-dir \
                       --no-plugin-dirs --no-remote-components --no-cookies-from-browser \
                       --playlist-items 1:50 --socket-timeout 10 --retries 1 --extractor-retries 1";

/// The formats of one entry are the same picture through several hosts: this many are enough.
const MAX_PLAYLISTS_PER_ENTRY: usize = 4;

pub(super) fn configure(
    _: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    YT_DLP.build_extractor(settings)
}

fn config_lines(source: &Source, page: &Url, proxy: &str) -> Vec<String> {
    let mut lines = vec![OPTIONS.to_owned(), format!("--proxy {}", shell_quote(proxy))];
    let headers = source.headers.iter();
    lines.extend(
        headers.map(|(name, value)| {
            format!("--add-headers {}", shell_quote(&format!("{name}:{value}")))
        }),
    );
    lines.push(shell_quote(page.as_str()));
    lines
}

/// Quotes as for a shell, which is how yt-dlp reads configuration files.
fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

/// The members of the output of `--dump-single-json` that matter here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    title: Option<String>,
    is_live: Option<bool>,
    formats: Option<Vec<Format>>,
    /// The entries of a page that holds several videos.
    entries: Option<Vec<Option<Info>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Format {
    url: Option<String>,
    /// The multivariant playlist that the format is a variant of.
    manifest_url: Option<String>,
    protocol: Option<String>,
    http_headers: Option<BTreeMap<String, String>>,
    cookies: Option<String>,
    /// `true`, `false` or "maybe".
    has_drm: serde_json::Value,
}

fn read_findings(output: &[u8], source: &Source) -> Result<PageFindings, StepFailure> {
    let info = parse_json_output::<Option<Info>>(output)?;
    let mut findings = PageFindings::default();
    let mut videos = Vec::new();
    collect_videos(info.as_ref(), &mut videos);
    for (position, video) in videos.into_iter().enumerate() {
        let found = findings.candidates.len();
        if let Some(video) = video {
            video.collect_candidates(position, source, &mut findings.candidates);
        }
        if findings.candidates.len() == found {
            findings.left_out.push(video.map_or("that yt-dlp could not read", Info::why_unusable));
        }
    }
    Ok(findings)
}

/// The videos of a page, whose entries may have entries themselves: a channel has a list for each of
/// its tabs. `None` is one that yt-dlp could not read.
fn collect_videos<'a>(info: Option<&'a Info>, videos: &mut Vec<Option<&'a Info>>) {
    match info.and_then(|info| info.entries.as_ref()) {
        Some(entries) => entries.iter().for_each(|entry| collect_videos(entry.as_ref(), videos)),
        None => videos.push(info),
    }
}

impl Info {
    fn collect_candidates(
        &self,
        position: usize,
        source: &Source,
        candidates: &mut Vec<Candidate>,
    ) {
        let mut playlists: Vec<Url> = Vec::new();
        // yt-dlp sorts formats from worst to best.
        for format in self.formats.iter().flatten().rev() {
            let Some(playlist) = format.playlist_url() else { continue };
            if playlists.contains(&playlist) || playlists.len() >= MAX_PLAYLISTS_PER_ENTRY {
                continue;
            }
            playlists.push(playlist.clone());
            candidates.push(Candidate {
                position,
                feed: source.feed.clone().or_else(|| self.feed_name()).unwrap_or_default(),
                label: source.label.clone(),
                headers: merge_learned_headers(&source.headers, format.request_headers()),
                expires_at: expiry::expiry_from_url(&playlist),
                playlist,
            });
        }
    }

    /// Why the video is no candidate.
    fn why_unusable(&self) -> &'static str {
        let formats = || self.formats.iter().flatten();
        match formats().any(Format::is_hls) {
            true if formats().all(|format| !format.is_hls() || format.is_under_drm()) => {
                "under DRM"
            }
            true => "with a URL that cannot be fetched",
            false => "without HLS",
        }
    }

    /// The title without the time of extraction that yt-dlp appends to a live one: with it, each
    /// run would find another feed.
    fn feed_name(&self) -> Option<String> {
        #[expect(clippy::expect_used, reason = "a constant, covered by a test")]
        static TITLE_DATE_PATTERN: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r" \d{4}-\d\d-\d\d \d\d:\d\d$").expect("a pattern"));
        let title = self.title.as_deref()?;
        match self.is_live {
            Some(true) => Some(TITLE_DATE_PATTERN.replace(title, "").into_owned()),
            _ => Some(title.to_owned()),
        }
    }
}

impl Format {
    fn playlist_url(&self) -> Option<Url> {
        let url = self.manifest_url.as_ref().or(self.url.as_ref())?;
        (self.is_hls() && !self.is_under_drm()).then(|| parse_playlist_url(url)).flatten()
    }

    fn is_hls(&self) -> bool {
        matches!(self.protocol.as_deref(), Some("m3u8" | "m3u8_native"))
    }

    fn is_under_drm(&self) -> bool {
        self.has_drm == serde_json::Value::Bool(true)
    }

    fn request_headers(&self) -> Vec<(String, String)> {
        let mut headers: Vec<_> =
            self.http_headers.clone().unwrap_or_default().into_iter().collect();
        let cookies = self.cookies.as_deref().map(build_cookie_header).filter(|it| !it.is_empty());
        headers.extend(cookies.map(|cookies| ("Cookie".to_owned(), cookies)));
        headers
    }
}

/// The value of a Cookie header: the pairs of yt-dlp's Set-Cookie-like text without attributes.
fn build_cookie_header(text: &str) -> String {
    const COOKIE_ATTRIBUTES: [&str; 8] =
        ["domain", "path", "secure", "expires", "httponly", "version", "max-age", "samesite"];
    let pairs = text.split(';').map(str::trim).filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
        pair.contains('=') && !COOKIE_ATTRIBUTES.contains(&name.as_str())
    });
    let unquoted = pairs.map(|pair| match pair.split_once('=') {
        Some((name, value)) => format!("{name}={}", value.trim_matches('"')),
        None => pair.to_owned(),
    });
    unquoted.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::ConfiguredSource;
    use crate::extract::error::describe_left_out;

    fn source(feed: &str) -> ConfiguredSource {
        let feed = if feed.is_empty() { String::new() } else { format!("feed = '{feed}'\n") };
        let text = format!(
            "[[source]]\nname = 'a'\nkind = 'yt-dlp'\n{feed}url = 'https://a.example/'\nheaders = {{ Referer = 'own' }}"
        );
        ConfiguredSource::parse_file(&text).unwrap().remove(0)
    }

    fn check(feed: &str, output: &str, expected: Result<&[(&str, &str)], &str>) {
        let found = YT_DLP
            .parse_findings(output.as_bytes(), &source(feed))
            .map(|findings| findings.candidates)
            .map_err(|failure| failure.message);
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
        let cannot = "nothing that it found can be played: 1 ";
        for (nothing, why) in [
            ("null", "that yt-dlp could not read"),
            ("{}", "without HLS"),
            (r#"{"formats":[{"protocol":"https","url":"https://a/x.mp4"}]}"#, "without HLS"),
            (
                r#"{"formats":[{"protocol":"m3u8","url":"file:///etc/passwd"}]}"#,
                "with a URL that cannot be fetched",
            ),
            (
                r#"{"formats":[{"protocol":"m3u8","url":"https://a/x.m3u8","has_drm":true}]}"#,
                "under DRM",
            ),
        ] {
            check("f", nothing, Err(&format!("{cannot}{why}")));
        }
        check("f", r#"{"entries":[]}"#, Err("it found nothing"));
        check("f", "WARNING", Err("its output is not what it should be"));
        check("f", &"[".repeat(100_000), Err("its output is not what it should be"));
    }

    /// Of a page with several videos, those that are no candidates are counted.
    #[test]
    fn videos_that_are_left_out() {
        let video = |title: &str, format: &str| {
            format!(r#"{{"title":"{title}","formats":[{{{format}}}]}}"#)
        };
        let hls = r#""protocol":"m3u8_native","url":"https://a/v.m3u8""#;
        let [one, two] = ["One", "Two"].map(|title| video(title, hls));
        let drm = video("Three", &format!(r#"{hls},"has_drm":true"#));
        let file = video("Four", r#""protocol":"https","url":"https://a/x.mp4""#);
        let page = format!(
            r#"{{"entries":[{{"entries":[{one},null]}},{{"entries":[{two},{drm},{file},{file}]}}]}}"#
        );
        let findings = YT_DLP.parse_findings(page.as_bytes(), &source("")).unwrap();
        let feeds: Vec<_> = findings.candidates.iter().map(|one| one.feed.as_str()).collect();
        assert_eq!(feeds, ["One", "Two"]);
        assert_eq!(
            describe_left_out(findings.left_out.into_iter()).unwrap(),
            "4 left out: 1 that yt-dlp could not read, 1 under DRM, 2 without HLS"
        );
    }

    #[test]
    fn headers_cookies_and_expiry_are_taken_over() {
        let output = r#"{"title":"T","formats":[{"protocol":"m3u8_native",
            "url":"https://a/v.m3u8?expires=1767225600","cookies":"a=1; Domain=a; Path=/; Secure; Expires=17; b=\"2\"; Domain=a",
            "http_headers":{"User-Agent":"UA","Referer":"theirs","Accept-Encoding":"gzip","Host":"x"}}]}"#;
        let found = read_findings(output.as_bytes(), &source("")).unwrap().candidates.remove(0);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected =
            [header("Referer", "own"), header("User-Agent", "UA"), header("Cookie", "a=1; b=2")];
        assert_eq!(found.headers, expected);
        assert_eq!(found.expires_at, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn quoting() {
        assert_eq!(shell_quote("it's --exec x"), "'it'\"'\"'s --exec x'");
    }
}
