//! [`IptvList`]: parses an IPTV list as players do, skipping malformed lines. Does no I/O.

use pitwall_fetch::parse_url;
use url::Url;
use url::form_urlencoded;

#[derive(Debug, Default)]
pub(super) struct IptvList {
    pub(super) entries: Vec<IptvEntry>,
    /// The number of entries that cannot be played: other protocols, files, DRM.
    pub(super) skipped_count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IptvEntry {
    /// Empty if the list gives the entry no name.
    pub(super) name: String,
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
    group: String,
    headers: Vec<(String, String)>,
    drm: bool,
}

/// Longer lines are skipped: no URL that can be fetched is as long.
const LINE_MAX_BYTES: usize = 8 << 10;
/// The parser stops after this many entries.
const MAX_ENTRIES: usize = 200_000;

/// Extensions of URLs that are no HLS playlist.
const NON_HLS_EXTENSIONS: [&str; 12] = [
    ".ts", ".mp4", ".mkv", ".avi", ".mpd", ".flv", ".mp3", ".aac", ".ism", ".webm", ".mov", ".m4a",
];

impl IptvList {
    /// Parses a list; relative URLs are resolved against `base`, the URL of the list.
    ///
    /// # Errors
    /// `text` does not begin with `#EXTM3U`, or is an HLS playlist.
    pub(super) fn parse(text: &str, base: Option<&Url>) -> Result<Self, &'static str> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty());
        if !lines.clone().next().is_some_and(|(line, _)| line.starts_with("#EXTM3U")) {
            return Err("not a list: it does not begin with #EXTM3U");
        }
        if text.contains("\n#EXT-X-TARGETDURATION") || text.contains("\n#EXT-X-STREAM-INF") {
            return Err("a playlist, not a list of them: use a source of the kind \"static\"");
        }
        let mut list = Self::default();
        let mut metadata = EntryMetadata::default();
        for (line, number) in lines.filter(|(line, _)| line.len() <= LINE_MAX_BYTES) {
            if line.starts_with('#') {
                metadata.parse_line(line);
                continue;
            }
            match std::mem::take(&mut metadata).into_entry(line, number, base) {
                Some(entry) => list.entries.push(entry),
                None => list.skipped_count += 1,
            }
            if list.entries.len() + list.skipped_count >= MAX_ENTRIES {
                break;
            }
        }
        Ok(list)
    }
}

impl EntryMetadata {
    fn parse_line(&mut self, line: &str) {
        if let Some(info) = line.strip_prefix("#EXTINF:") {
            let (attributes, title) = split_title(info);
            self.name = title.to_owned();
            if self.name.is_empty() {
                self.name = find_attribute(attributes, "tvg-name").unwrap_or_default();
            }
            if let Some(group) = find_attribute(attributes, "group-title") {
                self.group = group;
            }
        } else if let Some(group) = line.strip_prefix("#EXTGRP:") {
            self.group = group.trim().to_owned();
        } else if let Some(option) = line.strip_prefix("#EXTVLCOPT:") {
            self.parse_vlc_option(option);
        } else if let Some(property) = line.strip_prefix("#KODIPROP:") {
            self.parse_kodi_property(property);
        } else if let Some(json) = line.strip_prefix("#EXTHTTP:") {
            let headers: Option<std::collections::BTreeMap<String, String>> =
                serde_json::from_str(json).ok();
            self.headers.extend(headers.into_iter().flatten());
        }
    }

    fn parse_vlc_option(&mut self, option: &str) {
        let Some((name, value)) = option.split_once('=') else { return };
        let header = match name.trim() {
            "http-user-agent" => "User-Agent",
            "http-referrer" | "http-referer" => "Referer",
            "http-origin" => "Origin",
            "http-cookie" => "Cookie",
            _ => return,
        };
        self.headers.push((header.to_owned(), value.trim().trim_matches('"').to_owned()));
    }

    fn parse_kodi_property(&mut self, property: &str) {
        let Some((name, value)) = property.split_once('=') else { return };
        match name.trim().trim_start_matches("inputstream.adaptive.") {
            "stream_headers" | "manifest_headers" | "common_headers" => {
                self.parse_header_query(value)
            }
            "license_key" | "license_type" | "drm" | "drm_legacy" => self.drm = true,
            _ => {}
        }
    }

    /// Parses `Name=value&Name=value`, whose values are percent-encoded.
    fn parse_header_query(&mut self, text: &str) {
        for (name, value) in form_urlencoded::parse(text.trim().as_bytes()) {
            self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
            self.headers.push((name.into_owned(), value.into_owned()));
        }
    }

    fn into_entry(mut self, line: &str, number: usize, base: Option<&Url>) -> Option<IptvEntry> {
        let (address, headers) = line.split_once('|').map_or((line, None), |(a, h)| (a, Some(h)));
        headers.into_iter().for_each(|headers| self.parse_header_query(headers));
        let absolute = base.and_then(|base| base.join(address).ok());
        let mut url = absolute.or_else(|| Url::parse(address).ok())?;
        url.set_fragment(None);
        let url = parse_url(url.as_str()).ok()?;
        let path = url.path().to_ascii_lowercase();
        let is_other_format = NON_HLS_EXTENSIONS.iter().any(|extension| path.ends_with(extension));
        let Self { name, group, headers, drm } = self;
        (!drm && !is_other_format).then_some(IptvEntry { name, group, url, headers, line: number })
    }
}

/// Splits `#EXTINF` into its attributes and its title, at the first comma outside of quotes.
fn split_title(info: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, c) in info.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                let (attributes, title) = info.split_at(at);
                return (attributes, title.trim_start_matches(',').trim());
            }
            _ => {}
        }
    }
    // A quote is never closed: players take the text after the last comma as the title.
    info.rsplit_once(',').map_or((info, ""), |(attributes, title)| (attributes, title.trim()))
}

fn find_attribute(attributes: &str, name: &str) -> Option<String> {
    let (_, rest) = attributes.split_once(&format!("{name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, group, URL, headers.
    type Expected<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)]);

    fn check(lines: &str, expected: Option<Expected<'_>>) {
        let base = Url::parse("https://list.example/a/list.m3u").unwrap();
        let list = IptvList::parse(&format!("#EXTM3U\n{lines}\n"), Some(&base)).unwrap();
        let expected = expected.map(|(name, group, url, headers)| IptvEntry {
            name: name.to_owned(),
            group: group.to_owned(),
            url: Url::parse(url).unwrap(),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            line: 2 + lines.trim_end().matches('\n').count(),
        });
        assert_eq!(list.skipped_count, usize::from(expected.is_none()), "{lines}");
        assert_eq!(list.entries.into_iter().next(), expected, "{lines}");
    }

    #[test]
    fn entries() {
        let url = "https://a.example/x.m3u8";
        check(&format!("#EXTINF:-1,One\n{url}"), Some(("One", "", url, &[])));
        check(
            &format!(
                "#EXTINF:-1 tvg-id=\"a,b\" group-title=\"Sports, live\",One, two\r\n{url}\r\n"
            ),
            Some(("One, two", "Sports, live", url, &[])),
        );
        check(&format!("#EXTINF:0 tvg-name=\"N\",\n{url}"), Some(("N", "", url, &[])));
        check(url, Some(("", "", url, &[])));
        check(&format!("#EXTINF:0 bad=\"x,Name\n{url}"), Some(("Name", "", url, &[])));
        check(&format!("#EXTINF:0,One\n#EXTGRP: News \n\n{url}"), Some(("One", "News", url, &[])));
        check("#EXTINF:0,R\n../r.m3u8", Some(("R", "", "https://list.example/r.m3u8", &[])));
        check(
            &format!(
                "#EXTINF:0,V\n#EXTVLCOPT:http-user-agent=Agent/1 (x; y)\n\
                 #EXTVLCOPT:http-referrer=\"https://r.example/\"\n#EXTVLCOPT:network-caching=1\n{url}"
            ),
            Some((
                "V",
                "",
                url,
                &[("User-Agent", "Agent/1 (x; y)"), ("Referer", "https://r.example/")],
            )),
        );
        check(
            &format!(
                "#KODIPROP:inputstream.adaptive.stream_headers=User-Agent=A%2F1&Cookie=a%3Db\n\
                 #EXTINF:0,K\n{url}|Referer=https://r.example/&user-agent=B"
            ),
            Some((
                "K",
                "",
                url,
                &[("Cookie", "a=b"), ("Referer", "https://r.example/"), ("user-agent", "B")],
            )),
        );
        check(
            &format!("#EXTINF:0,J\n#EXTHTTP:{{\"cookie\":\"a=b\"}}\n{url}"),
            Some(("J", "", url, &[("cookie", "a=b")])),
        );
    }

    #[test]
    fn entries_that_cannot_be_played_are_skipped() {
        for lines in [
            "#EXTINF:0,One\nrtmp://a.example/x",
            "#EXTINF:0,One\nhttps://a.example/x.ts?token=1",
            "#EXTINF:0,One\nhttps://a.example/x.MPD",
            "#EXTINF:0,One\nfile:///etc/passwd",
            "#EXTINF:0,One\nhttps://user:pass@a.example/x.m3u8",
            "#EXTINF:0,One\nhttps://a.example\\@b/%0d%0ax.m3u8",
            "#KODIPROP:inputstream.adaptive.license_key=https://drm\n#EXTINF:0,D\nhttps://a.example/x.m3u8",
        ] {
            check(lines, None);
        }
    }

    #[test]
    fn other_documents_are_refused() {
        for (text, expected) in [
            ("", "not a list"),
            ("<html>", "not a list"),
            ("\u{feff}#EXTM3U\n#EXTINF:0,A\nhttps://a.example/x", ""),
            ("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts", "a playlist"),
        ] {
            let error = IptvList::parse(text, None).err().unwrap_or_default();
            assert!(
                error.starts_with(expected) && error.is_empty() == expected.is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn long_lines_and_long_lists_are_bounded() {
        let line = format!("#EXTINF:0,{}\nhttps://a.example/x.m3u8\n", "x".repeat(9000));
        let list = IptvList::parse(&format!("#EXTM3U\n{line}"), None).unwrap();
        assert_eq!(list.entries[0].name, "", "a line that is too long is skipped");
        let many = format!("#EXTM3U\n{}", "#EXTINF:0,a\nhttps://a/x\n".repeat(MAX_ENTRIES + 5));
        assert_eq!(IptvList::parse(&many, None).unwrap().entries.len(), MAX_ENTRIES);
    }
}
