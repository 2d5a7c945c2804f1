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
    assert_eq!(list.left_out.len(), usize::from(expected.is_none()), "{lines}");
    assert_eq!(list.entries.into_iter().next(), expected, "{lines}");
}

#[test]
fn entries() {
    let url = "https://a.example/x.m3u8";
    check(&format!("#EXTINF:-1,One\n{url}"), Some(("One", "", url, &[])));
    check(
        &format!("#EXTINF:-1 tvg-id=\"a,b\" group-title=\"Sports, live\",One, two\r\n{url}\r\n"),
        Some(("One, two", "Sports, live", url, &[])),
    );
    check(&format!("#EXTINF:0 tvg-name=\"N\",\n{url}"), Some(("N", "", url, &[])));
    check(url, Some(("", "", url, &[])));
    check(
        &format!(
            "#extgrp:G\n#extinf:0,L\n#extvlcopt:HTTP-User-Agent=A\n\
                 #kodiprop:INPUTSTREAM.adaptive.common_headers=Cookie=a\n{url}"
        ),
        Some(("L", "G", url, &[("User-Agent", "A"), ("Cookie", "a")])),
    );
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
        &format!("#EXTINF:0,Q\n{url}|Referer=\"https://r.example/\"&user-agent=\"A/1 (x; y)\""),
        Some(("Q", "", url, &[("Referer", "https://r.example/"), ("user-agent", "A/1 (x; y)")])),
    );
    check(
        &format!("#EXTINF:-1 http-referrer=\"https://r.example/\" user-agent=\"A/1\",I\n{url}"),
        Some(("I", "", url, &[("User-Agent", "A/1"), ("Referer", "https://r.example/")])),
    );
    check(
        &format!("#EXTINF:-1 http-user-agent=\"A\",I\n#EXTVLCOPT:http-user-agent=B\n{url}"),
        Some(("I", "", url, &[("User-Agent", "B")])),
    );
    check(
        &format!("#EXTINF:0,J\n#EXTHTTP:{{\"cookie\":\"a=b\"}}\n{url}"),
        Some(("J", "", url, &[("cookie", "a=b")])),
    );
    check(
        "#EXTINF:0,C\nhttps://us%40er:p:w@a.example/x.m3u8",
        Some(("C", "", url, &[("Authorization", "Basic dXNAZXI6cDp3")])),
    );
    check(
        "#EXTINF:0,C\nhttps://user@a.example/x.m3u8|authorization=Bearer+x",
        Some(("C", "", url, &[("authorization", "Bearer x")])),
    );
    check(
        &format!("#KODIPROP:inputstream.adaptive.manifest_type=hls\n#EXTINF:0,H\n{url}"),
        Some(("H", "", url, &[])),
    );
    let picture = format!("tvg-logo=\"data:image/png;base64,{}\"", "iVBO".repeat(9000));
    check(
        &format!("#EXTINF:0 {picture} group-title=\"News\",L\n{url}"),
        Some(("L", "News", url, &[])),
    );
}

/// A group that `#EXTGRP` opens is that of all entries below, until another `#EXTGRP` or a
/// `group-title`, as in Kodi's pvr.iptvsimple.
#[test]
fn groups() {
    for (lines, expected) in [
        ("#EXTGRP:A\n#EXTINF:0,1\nu\n#EXTINF:0,2\nu\nu", vec!["A", "A", "A"]),
        ("#EXTINF:0,1\n#EXTGRP: A \nu\n#EXTINF:0,2\nu", vec!["A", "A"]),
        ("#EXTGRP:A\n#EXTINF:0,1\nu\n#EXTGRP:B\n#EXTINF:0,2\nu", vec!["A", "B"]),
        ("#EXTGRP:A\n#EXTINF:0,1\nu\n#EXTGRP:\n#EXTINF:0,2\nu", vec!["A", ""]),
        (
            "#EXTGRP:A\n#EXTINF:0,1\nu\n#EXTINF:0 group-title=\"B\",2\nu\n#EXTINF:0,3\nu",
            vec!["A", "B", ""],
        ),
        ("#EXTINF:0 group-title=\"B\",1\n#EXTGRP:A\nu\n#EXTINF:0,2\nu", vec!["B;A", ""]),
        ("#EXTINF:0 group-title=\"A\",1\n#EXTGRP:A\nu", vec!["A"]),
        ("#EXTGRP:A\n#EXTINF:0 group-title=\"\",1\nu", vec!["A"]),
    ] {
        let base = Url::parse("https://list.example/list.m3u").unwrap();
        let list = IptvList::parse(&format!("#EXTM3U\n{lines}\n"), Some(&base)).unwrap();
        let groups: Vec<&str> = list.entries.iter().map(|entry| entry.group.as_str()).collect();
        assert_eq!(groups, expected, "{lines}");
    }
}

#[test]
fn entries_that_cannot_be_a_stream_are_left_out() {
    use LeftOutReason::{Drm, OtherFormat, OtherProtocol, UnusableUrl};
    let long = format!("#EXTINF:0,One\nhttps://a.example/{}", "x".repeat(LINE_MAX_BYTES));
    for (lines, expected) in [
        ("#EXTINF:0,One\nrtmp://a.example/x", OtherProtocol),
        ("#EXTINF:0,One\nudp://@239.0.0.1:1234", OtherProtocol),
        ("#EXTINF:0,One\nfile:///etc/passwd", OtherProtocol),
        ("#EXTINF:0,One\nhttps://a.example/x.ts?token=1", OtherFormat(".ts")),
        ("#EXTINF:0,One\nhttps://a.example/x.MPD", OtherFormat(".mpd")),
        (
            "#KODIPROP:inputstream.adaptive.manifest_type=mpd\n#EXTINF:0,One\nhttps://a.example/x",
            OtherFormat(".mpd"),
        ),
        (
            "#KODIPROP:inputstream.adaptive.license_key=https://drm\n#EXTINF:0,One\nhttps://a.example/x.m3u8",
            Drm,
        ),
        ("#EXTINF:0,One\nhttps://a.example\\@b/%0d%0ax.m3u8", UnusableUrl),
        ("#EXTINF:0,One\nhttps://:99999/x.m3u8", UnusableUrl),
        (&long, UnusableUrl),
    ] {
        check(lines, None);
        let list = IptvList::parse(&format!("#EXTM3U\n#EXTGRP:G\n{lines}\n"), None).unwrap();
        let (name, group) = ("One".to_owned(), "G".to_owned());
        assert_eq!(list.left_out, [LeftOutEntry { name, group, reason: expected }], "{lines}");
    }
}

/// Lines end in CR, LF or both, and lists that were joined have headers and byte order marks
/// inside.
#[test]
fn lines_of_a_list() {
    for text in [
        "#EXTM3U\r#EXTINF:0,A\ra\r#EXTINF:0,B\rb",
        "#EXTM3U\r\n#EXTINF:0,A\r\na\r\n\r\n#EXTINF:0,B\r\nb\r\n",
        "\u{feff}#EXTM3U\n#EXTINF:0,A\na\n\u{feff}#EXTM3U\n#EXTINF:0,B\nb\u{feff}\n",
        "#EXTM3U\n#EXTINF:0,A\na\n\u{feff}#EXTINF:0,B\r\r\nb\n",
        "# Channels\n\n# Television\n#EXTINF:0,A\na\n#EXTINF:0,B\nb\n",
        "#extm3u\n#extinf:0,A\na\n#ExtInf:0,B\nb\n",
        "#EXTM3U\n#EXTINF -1,A\na\n#EXTINF: -1 , B\nb\n",
    ] {
        let base = Url::parse("https://list.example/list.m3u").unwrap();
        let list = IptvList::parse(text, Some(&base)).unwrap();
        let found = list.entries.iter().map(|entry| (entry.name.as_str(), entry.url.path()));
        assert_eq!(found.collect::<Vec<_>>(), [("A", "/a"), ("B", "/b")], "{text:?}");
    }
    let playlist = "#EXTM3U\r#EXT-X-TARGETDURATION:2\r#EXTINF:2,\ra.ts";
    assert!(IptvList::parse(playlist, None).unwrap_err().starts_with("a playlist"));
}

/// A URL that is left out takes what its tags say with it.
#[test]
fn tags_are_those_of_the_next_url_alone() {
    let long = "x".repeat(LINE_MAX_BYTES);
    let lines = format!(
        "#EXTM3U\n#EXTVLCOPT:http-user-agent=A\n#EXTINF:0,A\nhttps://a/{long}\nhttps://b/b.m3u8"
    );
    let list = IptvList::parse(&lines, None).unwrap();
    let found: Vec<_> = list.entries.iter().map(|it| (it.name.as_str(), &it.headers)).collect();
    assert_eq!(found, [("", &Vec::new())]);
}

#[test]
fn other_documents_are_refused() {
    for (text, expected) in [
        ("", "not a list: it is empty"),
        ("# only\n\n", "not a list: it is empty"),
        ("a,b\n1,2\n", "not a list: it does not"),
        ("<html>", "an HTML page, not a list"),
        ("\n<!DOCTYPE html>\n#EXTM3U", "an HTML page, not a list"),
        ("[playlist]\nFile1=https://a.example/x.m3u8\n", "a PLS list"),
        ("<?xml version=\"1.0\"?><playlist xmlns=\"http://xspf.org/ns/0/\"/>", "an XSPF list"),
        ("<?xml version=\"1.0\"?><tv/>", "not a list"),
        ("{\"user_info\":{\"auth\":0}}", "JSON, not a list"),
        ("[{\"name\":\"One\"}]", "JSON, not a list"),
        ("https://a.example/x.m3u8\nHTTP://a.example/y.m3u8\n", ""),
        ("\u{feff}#EXTM3U\n#EXTINF:0,A\nhttps://a.example/x", ""),
        ("#EXTINF:0,A\nhttps://a.example/x", ""),
        ("#EXTM3U\r#EXTINF:0,A\rhttps://a.example/x", ""),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts", "a playlist"),
    ] {
        let error = IptvList::parse(text, None).err().unwrap_or_default();
        assert!(error.starts_with(expected) && error.is_empty() == expected.is_empty(), "{text}");
    }
}

#[test]
fn long_lists_are_bounded() {
    let many = format!("#EXTM3U\n{}", "#EXTINF:0,a\nhttps://a/x\n".repeat(MAX_ENTRIES + 5));
    let list = IptvList::parse(&many, None).unwrap();
    assert_eq!((list.entries.len(), list.is_cut), (MAX_ENTRIES, true));
    assert!(!IptvList::parse("#EXTM3U\n#EXTINF:0,a\nhttps://a/x\n", None).unwrap().is_cut);
}
