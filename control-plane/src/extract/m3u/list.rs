//! [`List`]: an IPTV list, read as players read it. Pure; what is broken in it is left out.

use pitwall_fetch::parse_url;
use url::Url;
use url::form_urlencoded;

#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) entries: Vec<Entry>,
    /// Entries that cannot be played: other protocols, files, DRM.
    pub(super) left_out: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Empty where nobody gave it one.
    pub(super) name: String,
    pub(super) group: String,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    /// Where its URL stands in the list.
    pub(super) line: usize,
}

/// What the lines before an entry's URL said about it.
#[derive(Default)]
struct About {
    name: String,
    group: String,
    headers: Vec<(String, String)>,
    drm: bool,
}

/// Longer lines hold no address that anybody can use.
const MAX_LINE: usize = 8 << 10;
/// A list of this many is not looked at any further.
const MAX_ENTRIES: usize = 200_000;

/// What is surely no playlist.
const FILES: [&str; 12] = [
    ".ts", ".mp4", ".mkv", ".avi", ".mpd", ".flv", ".mp3", ".aac", ".ism", ".webm", ".mov", ".m4a",
];

impl List {
    /// `base` is where the list is from.
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
        let mut about = About::default();
        for (line, number) in lines.filter(|(line, _)| line.len() <= MAX_LINE) {
            if line.starts_with('#') {
                about.line(line);
                continue;
            }
            match std::mem::take(&mut about).entry(line, number, base) {
                Some(entry) => list.entries.push(entry),
                None => list.left_out += 1,
            }
            if list.entries.len() + list.left_out >= MAX_ENTRIES {
                break;
            }
        }
        Ok(list)
    }
}

impl About {
    fn line(&mut self, line: &str) {
        if let Some(info) = line.strip_prefix("#EXTINF:") {
            let (attributes, title) = title(info);
            self.name = title.to_owned();
            if self.name.is_empty() {
                self.name = attribute(attributes, "tvg-name").unwrap_or_default();
            }
            if let Some(group) = attribute(attributes, "group-title") {
                self.group = group;
            }
        } else if let Some(group) = line.strip_prefix("#EXTGRP:") {
            self.group = group.trim().to_owned();
        } else if let Some(option) = line.strip_prefix("#EXTVLCOPT:") {
            self.vlc(option);
        } else if let Some(property) = line.strip_prefix("#KODIPROP:") {
            self.kodi(property);
        } else if let Some(json) = line.strip_prefix("#EXTHTTP:") {
            let headers: Option<std::collections::BTreeMap<String, String>> =
                serde_json::from_str(json).ok();
            self.headers.extend(headers.into_iter().flatten());
        }
    }

    fn vlc(&mut self, option: &str) {
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

    fn kodi(&mut self, property: &str) {
        let Some((name, value)) = property.split_once('=') else { return };
        match name.trim().trim_start_matches("inputstream.adaptive.") {
            "stream_headers" | "manifest_headers" | "common_headers" => self.header_query(value),
            "license_key" | "license_type" | "drm" | "drm_legacy" => self.drm = true,
            _ => {}
        }
    }

    /// `Name=value&Name=value`, values percent-encoded.
    fn header_query(&mut self, text: &str) {
        for (name, value) in form_urlencoded::parse(text.trim().as_bytes()) {
            self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
            self.headers.push((name.into_owned(), value.into_owned()));
        }
    }

    fn entry(mut self, line: &str, number: usize, base: Option<&Url>) -> Option<Entry> {
        let (address, headers) = line.split_once('|').map_or((line, None), |(a, h)| (a, Some(h)));
        headers.into_iter().for_each(|headers| self.header_query(headers));
        let absolute = base.and_then(|base| base.join(address).ok());
        let mut url = absolute.or_else(|| Url::parse(address).ok())?;
        url.set_fragment(None);
        let url = parse_url(url.as_str()).ok()?;
        let path = url.path().to_ascii_lowercase();
        let file = FILES.iter().any(|extension| path.ends_with(extension));
        let Self { name, group, headers, drm } = self;
        (!drm && !file).then_some(Entry { name, group, url, headers, line: number })
    }
}

/// Attributes, and what stands behind the first comma outside of quotes.
fn title(info: &str) -> (&str, &str) {
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
    // A quote that is never closed: players take what is behind the last comma.
    info.rsplit_once(',').map_or((info, ""), |(attributes, title)| (attributes, title.trim()))
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
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
        let list = List::parse(&format!("#EXTM3U\n{lines}\n"), Some(&base)).unwrap();
        let expected = expected.map(|(name, group, url, headers)| Entry {
            name: name.to_owned(),
            group: group.to_owned(),
            url: Url::parse(url).unwrap(),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            line: 2 + lines.trim_end().matches('\n').count(),
        });
        assert_eq!(list.left_out, usize::from(expected.is_none()), "{lines}");
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
    fn what_is_left_out() {
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
    fn what_is_no_list() {
        for (text, expected) in [
            ("", "not a list"),
            ("<html>", "not a list"),
            ("\u{feff}#EXTM3U\n#EXTINF:0,A\nhttps://a.example/x", ""),
            ("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts", "a playlist"),
        ] {
            let error = List::parse(text, None).err().unwrap_or_default();
            assert!(
                error.starts_with(expected) && error.is_empty() == expected.is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_list_made_to_hurt() {
        let line = format!("#EXTINF:0,{}\nhttps://a.example/x.m3u8\n", "x".repeat(9000));
        let list = List::parse(&format!("#EXTM3U\n{line}"), None).unwrap();
        assert_eq!(list.entries[0].name, "", "what is too long is no name");
        let many = format!("#EXTM3U\n{}", "#EXTINF:0,a\nhttps://a/x\n".repeat(MAX_ENTRIES + 5));
        assert_eq!(List::parse(&many, None).unwrap().entries.len(), MAX_ENTRIES);
    }
}
