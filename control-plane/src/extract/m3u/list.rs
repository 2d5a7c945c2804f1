//! [`IptvList`]: parses an IPTV list as players do, skipping malformed lines. Does no I/O.
//!
//! - [`extinf`]: the attributes and the title of an entry.
//! - [`left_out`]: entries that cannot be a stream, and why.

mod extinf;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod left_out;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use pitwall_fetch::{keep_written_query, parse_url};
use url::Url;
use url::form_urlencoded;

use self::extinf::ExtInf;
pub(super) use self::left_out::{LeftOutEntry, LeftOutReason};

#[derive(Debug, Default)]
pub(super) struct IptvList {
    pub(super) entries: Vec<IptvEntry>,
    pub(super) left_out: Vec<LeftOutEntry>,
    /// Whether the list goes on behind `MAX_ENTRIES` entries, which are all that are read.
    pub(super) is_cut: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IptvEntry {
    /// Empty if the list gives the entry no name.
    pub(super) name: String,
    /// Several groups are separated by `;`.
    pub(super) group: String,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    /// The number of the line that holds the URL, from 1.
    pub(super) line: usize,
}

/// What the tags before an entry's URL state about the entry.
#[derive(Default)]
struct EntryMetadata {
    name: String,
    /// `group-title` of the entry.
    group_title: Option<String>,
    /// Whether an `#EXTGRP` is among the tags.
    begins_group: bool,
    headers: Vec<(String, String)>,
    /// Why the tags alone rule the entry out.
    ruled_out: Option<LeftOutReason>,
}

/// Longer lines are skipped: no URL that can be fetched is as long. `#EXTINF` may be longer, as
/// attributes hold whole pictures.
const LINE_MAX_BYTES: usize = 8 << 10;
/// The parser stops after this many entries.
pub(super) const MAX_ENTRIES: usize = 200_000;

/// Attributes of `#EXTINF` that name a header to send.
const HEADER_ATTRIBUTES: [(&str, &str); 4] = [
    ("http-user-agent", "User-Agent"),
    ("user-agent", "User-Agent"),
    ("http-referrer", "Referer"),
    ("referrer", "Referer"),
];

/// Extensions of URLs that are no HLS playlist.
const NON_HLS_EXTENSIONS: [&str; 12] = [
    ".ts", ".mp4", ".mkv", ".avi", ".mpd", ".flv", ".mp3", ".aac", ".ism", ".webm", ".mov", ".m4a",
];

impl IptvList {
    /// Parses a list; relative URLs are resolved against `base`, the URL of the list.
    ///
    /// # Errors
    /// `text` begins with neither `#EXTM3U` nor `#EXTINF` nor a URL, comments apart, or is an HLS
    /// playlist.
    pub(super) fn parse(text: &str, base: Option<&Url>) -> Result<Self, &'static str> {
        // Lists that were joined have byte order marks inside.
        let is_padding = |c: char| c.is_whitespace() || c == '\u{feff}';
        let lines = split_lines(text).map(|line| line.trim_matches(is_padding)).zip(1..);
        let lines = lines.filter(|(line, _)| !line.is_empty());
        let is_list = |line: &str| has_prefix(line, "#EXTM3U") || is_tag(line, "#EXTINF");
        let is_comment = |line: &str| line.starts_with('#') && !is_list(line);
        let first = lines.clone().find(|(line, _)| !is_comment(line));
        // A list of URLs alone is one whose entries have no names.
        let is_url = |line: &str| has_prefix(line, "http://") || has_prefix(line, "https://");
        if !first.is_some_and(|(line, _)| is_list(line) || is_url(line)) {
            return Err(describe_other_format(first.map_or("", |(line, _)| line), text));
        }
        let is_playlist = |line: &str| {
            line.starts_with("#EXT-X-TARGETDURATION") || line.starts_with("#EXT-X-STREAM-INF")
        };
        if lines.clone().any(|(line, _)| is_playlist(line)) {
            return Err("a playlist, not a list of them: use a source of the kind \"static\"");
        }
        let mut list = Self::default();
        let mut metadata = EntryMetadata::default();
        // The group of all entries from an `#EXTGRP` on, until the next one or a `group-title`.
        let mut open_group = String::new();
        for (line, number) in lines {
            if let Some(group) = strip_tag(line, "#EXTGRP") {
                open_group = group.trim().to_owned();
                metadata.begins_group = true;
                continue;
            }
            if line.starts_with('#') {
                metadata.parse_line(line);
                continue;
            }
            if list.entries.len() + list.left_out.len() >= MAX_ENTRIES {
                list.is_cut = true;
                break;
            }
            let mut metadata = std::mem::take(&mut metadata);
            let name = std::mem::take(&mut metadata.name);
            let group = metadata.take_group(&mut open_group);
            match metadata.into_url_and_headers(line, base) {
                Ok((url, headers)) => {
                    list.entries.push(IptvEntry { name, group, url, headers, line: number });
                }
                Err(reason) => list.left_out.push(LeftOutEntry { name, group, reason }),
            }
        }
        Ok(list)
    }
}

/// The lines of a text, which may end in LF, CRLF or CR.
fn split_lines(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn has_prefix(line: &str, prefix: &str) -> bool {
    line.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_tag(line: &str, tag: &str) -> bool {
    strip_tag(line, tag).is_some()
}

/// The value of a tag, whose name lists write in any case, and some with a space for the colon.
fn strip_tag<'a>(line: &'a str, tag: &str) -> Option<&'a str> {
    let rest = line.get(tag.len()..).filter(|_| has_prefix(line, tag))?;
    rest.strip_prefix([':', ' ', '\t'])
}

/// What a text that is no list seems to be; `first` is its first line that says something.
fn describe_other_format(first: &str, text: &str) -> &'static str {
    let begins = |prefix: &str| has_prefix(first, prefix);
    if first.is_empty() {
        "not a list: it is empty"
    } else if begins("[playlist]") {
        "a PLS list, not an M3U list: it does not begin with #EXTM3U"
    } else if begins("<!doctype html") || begins("<html") {
        "an HTML page, not a list: it does not begin with #EXTM3U"
    } else if begins("<") && text.contains("xspf.org") {
        "an XSPF list, not an M3U list: it does not begin with #EXTM3U"
    } else if begins("{") || begins("[") {
        "JSON, not a list: it does not begin with #EXTM3U"
    } else {
        "not a list: it does not begin with #EXTM3U"
    }
}

impl EntryMetadata {
    fn parse_line(&mut self, line: &str) {
        if let Some(info) = strip_tag(line, "#EXTINF") {
            let info = ExtInf::parse(info);
            let name = (!info.title.is_empty()).then_some(info.title);
            self.name = name.or_else(|| info.attribute("tvg-name")).unwrap_or_default().to_owned();
            self.group_title = info.attribute("group-title").map(str::to_owned);
            for (attribute, header) in HEADER_ATTRIBUTES {
                if let Some(value) = info.attribute(attribute)
                    && !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(header))
                {
                    self.headers.push((header.to_owned(), value.to_owned()));
                }
            }
        } else if line.len() > LINE_MAX_BYTES {
            // No other tag of an entry is as long.
        } else if let Some(option) = strip_tag(line, "#EXTVLCOPT") {
            self.parse_vlc_option(option);
        } else if let Some(property) = strip_tag(line, "#KODIPROP") {
            self.parse_kodi_property(property);
        } else if let Some(json) = strip_tag(line, "#EXTHTTP") {
            let headers: Option<std::collections::BTreeMap<String, String>> =
                serde_json::from_str(json).ok();
            self.headers.extend(headers.into_iter().flatten());
        }
    }

    fn parse_vlc_option(&mut self, option: &str) {
        let Some((name, value)) = option.split_once('=') else { return };
        let header = match &*name.trim().to_ascii_lowercase() {
            "http-user-agent" => "User-Agent",
            "http-referrer" | "http-referer" => "Referer",
            "http-origin" => "Origin",
            "http-cookie" => "Cookie",
            _ => return,
        };
        let value = value.trim().trim_matches('"');
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(header));
        self.headers.push((header.to_owned(), value.to_owned()));
    }

    fn parse_kodi_property(&mut self, property: &str) {
        let Some((name, value)) = property.split_once('=') else { return };
        match name.trim().to_ascii_lowercase().trim_start_matches("inputstream.adaptive.") {
            "stream_headers" | "manifest_headers" | "common_headers" => {
                self.parse_header_query(value)
            }
            "license_key" | "license_type" | "drm" | "drm_legacy" => {
                self.ruled_out = Some(LeftOutReason::Drm);
            }
            "manifest_type" => match &*value.trim().to_ascii_lowercase() {
                "mpd" => self.ruled_out = Some(LeftOutReason::OtherFormat(".mpd")),
                "ism" => self.ruled_out = Some(LeftOutReason::OtherFormat(".ism")),
                _ => {}
            },
            _ => {}
        }
    }

    /// Parses `Name=value&Name=value`, whose values are percent-encoded and may be quoted.
    fn parse_header_query(&mut self, text: &str) {
        for (name, value) in form_urlencoded::parse(text.trim().as_bytes()) {
            self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
            let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            self.headers.push((name.into_owned(), quoted.unwrap_or(&value).to_owned()));
        }
    }

    /// The entry's group: its `group-title`, which ends the group that an `#EXTGRP` has opened, or
    /// that group. An entry that has both among its own tags is in both.
    fn take_group(&mut self, open_group: &mut String) -> String {
        let Some(title) = self.group_title.take() else { return open_group.clone() };
        let opened = std::mem::take(open_group);
        match self.begins_group && !opened.is_empty() && opened != title {
            true => format!("{title};{opened}"),
            false => title,
        }
    }

    /// The URL that `line` holds, and the headers to send for it.
    fn into_url_and_headers(
        mut self,
        line: &str,
        base: Option<&Url>,
    ) -> Result<(Url, Vec<(String, String)>), LeftOutReason> {
        if let Some(reason) = self.ruled_out {
            return Err(reason);
        }
        if line.len() > LINE_MAX_BYTES {
            return Err(LeftOutReason::UnusableUrl);
        }
        let (address, headers) = line.split_once('|').map_or((line, None), |(a, h)| (a, Some(h)));
        headers.into_iter().for_each(|headers| self.parse_header_query(headers));
        let absolute = base.and_then(|base| base.join(address).ok());
        let mut url =
            absolute.or_else(|| Url::parse(address).ok()).ok_or(LeftOutReason::UnusableUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(LeftOutReason::OtherProtocol);
        }
        let path = url.path().to_ascii_lowercase();
        if let Some(extension) = NON_HLS_EXTENSIONS.iter().find(|it| path.ends_with(**it)) {
            return Err(LeftOutReason::OtherFormat(extension));
        }
        let is_authorized = |name: &str| name.eq_ignore_ascii_case("authorization");
        if let Some(credentials) = take_credentials(&mut url)
            && !self.headers.iter().any(|(name, _)| is_authorized(name))
        {
            self.headers.push(("Authorization".to_owned(), credentials));
        }
        url.set_fragment(None);
        let mut url = parse_url(url.as_str()).map_err(|_| LeftOutReason::UnusableUrl)?;
        keep_written_query(&mut url, address);
        Ok((url, self.headers))
    }
}

/// Moves a user name and password out of a URL, into a value of Authorization (RFC 7617), which is
/// what players send. A URL is shown in logs and sent to other hosts as Referer.
fn take_credentials(url: &mut Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let user: Vec<u8> = percent_decode_str(url.username()).collect();
    let password: Vec<u8> = percent_decode_str(url.password().unwrap_or_default()).collect();
    url.set_username("").and_then(|()| url.set_password(None)).ok()?;
    Some(format!("Basic {}", STANDARD.encode([user, vec![b':'], password].concat())))
}

#[cfg(test)]
mod tests;
