//! Properties of IPTV lists.

use url::Url;

use super::{IptvList, LINE_MAX_BYTES, MAX_ENTRIES};
use crate::charset;

/// Checks that entries have URLs that can be fetched, and that a list of names and URLs is parsed
/// as it was written.
pub fn m3u(data: &[u8]) {
    let text = charset::decode_body(data, None);
    let base = Url::parse("https://list.example/a/list.m3u").ok();
    let Ok(list) = IptvList::parse(&text, base.as_ref()) else { return };
    assert!(list.entries.len() + list.left_out.len() <= MAX_ENTRIES);
    let mut written = String::from("#EXTM3U\n");
    for entry in &list.entries {
        let url = &entry.url;
        assert!(matches!(url.scheme(), "http" | "https") && url.has_host(), "{url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
        assert!(url.as_str().len() <= 8 * LINE_MAX_BYTES, "{url}");
        let url = pitwall_fetch::as_written(url);
        assert!(!url.contains('#'), "{url}");
        assert!(!entry.name.contains(['\n', '\r']) && !entry.group.contains(['\n', '\r']));
        written += &format!("#EXTGRP:{}\n#EXTINF:-1,{}\n{url}\n", entry.group, entry.name);
    }
    if list.entries.is_empty() || list.entries.iter().any(|it| it.url.as_str().contains('|')) {
        return;
    }
    let Ok(again) = IptvList::parse(&written, base.as_ref()) else {
        panic!("what was written is no list: {written}")
    };
    assert_eq!(again.entries.len(), list.entries.len(), "{written}");
    for (read, entry) in again.entries.iter().zip(&list.entries) {
        assert_eq!((&read.name, &read.url), (&entry.name, &entry.url), "{written}");
        assert_eq!(read.group, entry.group.trim(), "{written}");
    }
}
