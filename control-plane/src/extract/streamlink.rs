//! `kind = "streamlink"`: what Streamlink finds on a page.
//!
//! ```toml
//! [[source]]
//! name = "channel"
//! kind = "streamlink"
//! feed = "World feed"                       # else the title that it finds
//! url = "https://video.example/channel"
//! ```
//!
//! Each HLS stream that Streamlink finds becomes a candidate, by its multivariant playlist and with
//! the headers that Streamlink would send; Streamlink sends the source's `headers` too. Streamlink
//! loads no side-loaded plugins, opens no browser and starts no ffmpeg.

use std::collections::BTreeMap;
use std::sync::Arc;

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
use crate::settings::error_at;
use crate::source::Source;

static STREAMLINK: StreamFinderProgram = StreamFinderProgram {
    name: "streamlink",
    tool: ExternalTool::Streamlink,
    arguments: &["--config"],
    build_config_lines: config_lines,
    parse_step_name: "streams",
    parse_output: read_findings,
};

/// With an ffmpeg, Streamlink would mux streams that have a separate audio rendition, and print no
/// URL for them.
const OPTIONS: [&str; 7] = [
    "json",
    "webbrowser=no",
    "no-plugin-sideloading",
    "no-plugin-cache",
    "ffmpeg-ffmpeg=/nonexistent",
    "http-timeout=10",
    "loglevel=error",
];

pub(super) fn configure(
    feed: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    let span = settings.span();
    let extractor = STREAMLINK.build_extractor(settings)?;
    // Most of Streamlink's plugins know no title that could name the feed.
    feed.map(|_| extractor).ok_or_else(|| error_at(span, "missing field `feed`"))
}

fn config_lines(source: &Source, page: &Url, proxy: &str) -> Vec<String> {
    let mut lines: Vec<String> = OPTIONS.iter().map(ToString::to_string).collect();
    lines.push(format!("http-proxy={proxy}"));
    let headers = source.headers.iter();
    lines.extend(headers.map(|(name, value)| format!("http-header={name}={value}")));
    lines.push(format!("url={page}"));
    lines
}

/// The members of the output of `--json` that matter here.
#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    streams: BTreeMap<String, Stream>,
}

#[derive(Deserialize)]
struct Stream {
    #[serde(rename = "type")]
    kind: String,
    url: Option<String>,
    master: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

fn read_findings(output: &[u8], source: &Source) -> Result<PageFindings, StepFailure> {
    let output: Output = parse_json_output(output)?;
    // "best" is an alias of one of the others; it comes first, so that its playlist is the first.
    let best = output.streams.get("best");
    let mut candidates: Vec<Candidate> = Vec::new();
    for stream in best.into_iter().chain(output.streams.values()) {
        let Some(playlist) = stream.playlist_url() else { continue };
        // Variants without a multivariant playlist are alternatives of one another: the best one is
        // enough.
        let known = candidates.iter().any(|it| it.playlist == playlist);
        if known || (stream.master.is_none() && !candidates.is_empty()) {
            continue;
        }
        candidates.push(Candidate {
            position: candidates.len(),
            feed: source.feed.clone().unwrap_or_default(),
            label: source.label.clone(),
            headers: merge_learned_headers(&source.headers, stream.headers.clone()),
            expires_at: expiry::expiry_from_url(&playlist),
            playlist,
        });
    }
    // The streams are qualities of one video, so that the page has no other.
    let left_out = if candidates.is_empty() { vec!["without HLS"] } else { Vec::new() };
    Ok(PageFindings { candidates, left_out })
}

impl Stream {
    fn playlist_url(&self) -> Option<Url> {
        let url = self.master.as_ref().or(self.url.as_ref())?;
        (self.kind == "hls").then(|| parse_playlist_url(url)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::ConfiguredSource;

    fn check(output: &str, expected: Result<&[&str], &str>) -> Vec<Candidate> {
        let text = "[[source]]\nname = 'a'\nkind = 'streamlink'\nfeed = 'World feed'\nurl = 'https://a.example/'";
        let source = ConfiguredSource::parse_file(text).unwrap().remove(0);
        let found = STREAMLINK
            .parse_findings(output.as_bytes(), &source)
            .map(|findings| findings.candidates)
            .map_err(|failure| failure.message);
        let urls = found
            .as_ref()
            .map(|found| found.iter().map(|it| it.playlist.as_str()).collect::<Vec<_>>());
        assert_eq!(urls.map_err(String::as_str), expected.map(<[_]>::to_vec), "{output}");
        found.unwrap_or_default()
    }

    #[test]
    fn streams() {
        let found = check(
            r#"{"streams":{
                "720p":{"type":"hls","url":"https://a/720.m3u8","master":"https://a/m.m3u8?e=1767225600","headers":{"User-Agent":"UA","Accept-Encoding":"gzip","Connection":"keep-alive"}},
                "360p":{"type":"hls","url":"https://a/360.m3u8","master":"https://a/m.m3u8?e=1767225600"},
                "best":{"type":"hls","url":"https://a/720.m3u8","master":"https://a/m.m3u8?e=1767225600","headers":{"User-Agent":"UA","Accept-Encoding":"gzip"}}}}"#,
            Ok(&["https://a/m.m3u8?e=1767225600"]),
        );
        assert_eq!(found[0].headers, [("User-Agent".to_owned(), "UA".to_owned())]);
        assert!(found[0].expires_at.is_some());
        check(
            r#"{"streams":{"a":{"type":"hls","url":"https://a/1.m3u8"},"best":{"type":"hls","url":"https://a/2.m3u8"}}}"#,
            Ok(&["https://a/2.m3u8"]),
        );
        for nothing in [
            "{}",
            r#"{"streams":{"a":{"type":"dash","url":"https://a/1.mpd"}}}"#,
            r#"{"streams":{"a":{"type":"hls","url":"file:///etc/passwd"}}}"#,
            r#"{"streams":{"a":{"type":"hls-multi"}}}"#,
        ] {
            check(nothing, Err("nothing that it found can be played: 1 without HLS"));
        }
        check("[]x", Err("its output is not what it should be"));
    }
}
