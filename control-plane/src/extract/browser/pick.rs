//! Which requests of a page were for playlists, and what of their headers is worth keeping. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pitwall_fetch::parse_url;
use regex::Regex;
use url::Url;

use super::watch::Seen;
use crate::expiry;
use crate::extract::Candidate;
use crate::extract::headers::taken_over;
use crate::source::Source;

/// A browser's own, which say nothing about the page.
const ITS_OWN: [&str; 12] = [
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

/// Worth looking into: by its name, or by what it is said to be.
pub(super) fn may_be_playlist(seen: &Seen) -> bool {
    let named = Url::parse(&seen.url).is_ok_and(|url| {
        let path = url.path().to_ascii_lowercase();
        path.ends_with(".m3u8") || path.ends_with(".m3u")
    });
    named || seen.mime.to_ascii_lowercase().contains("mpegurl")
}

pub(super) fn is_playlist(seen: &Seen) -> bool {
    let begins = seen.body.trim_start_matches('\u{feff}').trim_start().starts_with("#EXTM3U");
    (200..300).contains(&seen.status) && may_be_playlist(seen) && begins
}

fn is_master(seen: &Seen) -> bool {
    seen.body.contains("#EXT-X-STREAM-INF")
}

/// Masters before media playlists, which are their variants; each once, as asked for.
pub(super) fn candidates(seen: &[Seen], only: Option<&Regex>, source: &Source) -> Vec<Candidate> {
    let wanted = |seen: &&Seen| only.is_none_or(|only| only.is_match(&seen.url));
    let playlists: Vec<&Seen> = seen.iter().filter(|it| is_playlist(it)).filter(wanted).collect();
    let masters = playlists.iter().any(|seen| is_master(seen));
    let mut candidates: Vec<Candidate> = Vec::new();
    for seen in playlists.into_iter().filter(|seen| is_master(seen) == masters) {
        let Some(playlist) = address(&seen.url) else { continue };
        if candidates.iter().any(|it| it.playlist == playlist) {
            continue;
        }
        candidates.push(Candidate {
            position: candidates.len(),
            feed: source.feed.clone().unwrap_or_default(),
            label: source.label.clone(),
            headers: taken_over(&source.headers, headers(seen)),
            expires_at: expiry::of_url(&playlist),
            playlist,
        });
    }
    candidates
}

fn address(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    url.set_fragment(None);
    parse_url(url.as_str()).ok()
}

fn headers(seen: &Seen) -> impl Iterator<Item = (String, String)> {
    let kept = seen.headers.iter().filter(|(name, _)| {
        let name = name.to_ascii_lowercase();
        !name.starts_with(':') && !name.starts_with("sec-") && !ITS_OWN.contains(&name.as_str())
    });
    kept.cloned()
}

/// As text, as much as a playlist may have.
pub(super) fn body(text: &str, encoded: bool, most: usize) -> String {
    let text = match encoded {
        true => String::from_utf8_lossy(&STANDARD.decode(text).unwrap_or_default()).into_owned(),
        false => text.to_owned(),
    };
    match text.char_indices().find(|(at, _)| *at >= most) {
        Some((end, _)) => text.split_at(end).0.to_owned(),
        None => text,
    }
}
