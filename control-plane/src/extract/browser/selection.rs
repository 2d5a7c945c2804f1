//! Selects the playlists among a page's requests, and the headers to send for them. Does no I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pitwall_fetch::parse_url;
use regex::Regex;
use url::Url;

use super::captured_request::CapturedRequest;
use crate::charset;
use crate::expiry;
use crate::extract::Candidate;
use crate::extract::headers::merge_learned_headers;
use crate::source::Source;

/// Headers of every browser request, which no upstream requires because of the page.
const BROWSER_OWN_HEADERS: [&str; 12] = [
    "accept",
    "cache-control",
    "content-type",
    "dnt",
    "if-modified-since",
    "if-none-match",
    "pragma",
    "priority",
    "proxy-authorization",
    "purpose",
    "upgrade-insecure-requests",
    "x-requested-with",
];

/// Whether the body of a request is worth reading: its URL or its Content-Type is a playlist's.
pub(super) fn is_playlist_like(request: &CapturedRequest) -> bool {
    let named = Url::parse(&request.url).is_ok_and(|url| {
        let path = url.path().to_ascii_lowercase();
        path.ends_with(".m3u8") || path.ends_with(".m3u")
    });
    named || request.mime.to_ascii_lowercase().contains("mpegurl")
}

/// Whether the Content-Type says nothing about the body.
pub(super) fn has_generic_type(request: &CapturedRequest) -> bool {
    const GENERIC_TYPES: [&str; 4] =
        ["", "text/plain", "application/octet-stream", "binary/octet-stream"];
    GENERIC_TYPES.contains(&&*request.mime.to_ascii_lowercase())
}

pub(super) fn is_playlist(request: &CapturedRequest) -> bool {
    let begins = request.body.trim_start_matches('\u{feff}').trim_start().starts_with("#EXTM3U");
    let may_be = is_playlist_like(request) || has_generic_type(request);
    (200..300).contains(&request.status) && may_be && begins
}

fn is_multivariant(request: &CapturedRequest) -> bool {
    request.body.contains("#EXT-X-STREAM-INF")
}

/// The playlists, each once and in the order of the requests: the multivariant ones, or the media
/// playlists if there is none. Media playlists beside a multivariant one are its variants.
pub(super) fn select_candidates(
    requests: &[CapturedRequest],
    only: Option<&Regex>,
    source: &Source,
) -> Vec<Candidate> {
    let wanted = |request: &&CapturedRequest| only.is_none_or(|only| only.is_match(&request.url));
    let playlists: Vec<&CapturedRequest> =
        requests.iter().filter(|it| is_playlist(it)).filter(wanted).collect();
    let any_multivariant = playlists.iter().any(|request| is_multivariant(request));
    let mut candidates: Vec<Candidate> = Vec::new();
    for request in
        playlists.into_iter().filter(|request| is_multivariant(request) == any_multivariant)
    {
        let Some(playlist) = normalize_url(&request.url) else { continue };
        if candidates.iter().any(|it| it.playlist == playlist) {
            continue;
        }
        candidates.push(Candidate {
            position: candidates.len(),
            feed: source.feed.clone().unwrap_or_default(),
            label: source.label.clone(),
            headers: merge_learned_headers(&source.headers, forwarded_headers(request)),
            expires_at: expiry::expiry_from_url(&playlist),
            playlist,
        });
    }
    candidates
}

fn normalize_url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    url.set_fragment(None);
    parse_url(url.as_str()).ok()
}

fn forwarded_headers(request: &CapturedRequest) -> impl Iterator<Item = (String, String)> {
    let forwarded = request.headers.iter().filter(|(name, _)| {
        let name = name.to_ascii_lowercase();
        !name.starts_with(':')
            && !name.starts_with("sec-")
            && !BROWSER_OWN_HEADERS.contains(&name.as_str())
    });
    forwarded.cloned()
}

/// The body as text, truncated to about `max_bytes` at a character boundary.
pub(super) fn decode_body(text: &str, encoded: bool, max_bytes: usize) -> String {
    let text = match encoded {
        true => charset::decode_body(&STANDARD.decode(text).unwrap_or_default(), None),
        false => text.to_owned(),
    };
    match text.char_indices().find(|(at, _)| *at >= max_bytes) {
        Some((end, _)) => text.split_at(end).0.to_owned(),
        None => text,
    }
}
