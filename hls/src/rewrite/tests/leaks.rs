//! Leak tests: no line of an output may contain a host that a link hides.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use crate::line::{LineKind, Lines, is_padding_byte};
use crate::rewrite_json_document;

/// Whether text stays as the origin wrote it, hosts included, because it is no URI: comments,
/// titles, SCTE-35 messages and tile layouts, but not their URIs, other attributes of
/// EXT-X-DATERANGE, and the value of EXT-X-SESSION-DATA.
fn is_opaque(tag: &[u8], attribute: Option<&[u8]>) -> bool {
    match (tag, attribute) {
        (b"EXTINF" | b"EXT-X-SKIP", None) => true,
        (_, None) => is_cue_or_tiles(tag),
        (b"EXT-X-DATERANGE", Some(name)) => ![&b"X-ASSET-URI"[..], b"X-ASSET-LIST", b"URI"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known)),
        (b"EXT-X-SESSION-DATA", Some(name)) => name.eq_ignore_ascii_case(b"VALUE"),
        _ => false,
    }
}

fn is_cue_or_tiles(tag: &[u8]) -> bool {
    tag == b"EXT-X-TILES"
        || tag.starts_with(b"EXT-X-CUE")
        || memchr::memmem::find(tag, b"SCTE35").is_some()
}

/// Writes opaque links, from which nothing of the URL can be read, as an edge with seals does.
#[derive(Default)]
struct LeakDetector {
    hosts: BTreeSet<String>,
}

impl UriMapper for LeakDetector {
    fn map_uri(&mut self, reference: &UriReference<'_>, out: &mut Vec<u8>) {
        let (_, rest) = reference.url.split_once("://").unwrap();
        self.record_host(rest);
        out.extend_from_slice(b"/relay/1.ts?u=");
        out.extend(
            reference.url.bytes().rev().flat_map(|byte| [b'g' + (byte >> 4), b'g' + (byte & 15)]),
        );
    }
}

impl LeakDetector {
    /// Records the host at the start of a URL without its scheme.
    fn record_host(&mut self, url: &str) {
        let authority = url.split(['/', '?']).next().unwrap();
        let host = authority.rsplit('@').next().unwrap().to_ascii_lowercase();
        let host = host.trim_end_matches(|end: char| end.is_ascii_digit()).trim_end_matches(':');
        // `//h` rather than `h`, which may occur as an ordinary word.
        self.hosts.insert(if host.contains('.') { host.to_owned() } else { format!("//{host}") });
    }

    /// Records the hosts of all URIs of a playlist as its origin wrote them, so that a URI which the
    /// rewriter overlooks is a leak too.
    fn record_written_hosts(&mut self, input: &[u8]) {
        for line in Lines::new(input, PlaylistLimits::UNLIMITED).flatten() {
            match line.kind() {
                LineKind::Uri => self.record_written_host(line.text),
                LineKind::Tag(tag) => {
                    for attribute in tag.attributes() {
                        let names = match is_cue_or_tiles(tag.name) {
                            true => &["URI"][..],
                            false => &["URI", "SERVER-URI", "X-ASSET-URI", "X-ASSET-LIST"],
                        };
                        if names.iter().any(|name| attribute.has_name(name))
                            && (is_cue_or_tiles(tag.name) || !is_opaque(tag.name, None))
                        {
                            self.record_written_host(attribute.value);
                        }
                    }
                }
                LineKind::Comment | LineKind::Blank => {}
            }
        }
    }

    fn record_written_host(&mut self, uri: &[u8]) {
        let uri = String::from_utf8_lossy(uri);
        let uri = uri.trim_matches(|end: char| end.is_ascii_whitespace() || end == '"');
        let Some((scheme, rest)) = uri.split_once("//") else { return };
        let is_http =
            ["", "http:", "https:"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        // A host that a variable holds is known only to the rewriter.
        if is_http && !rest.contains("{$") {
            self.record_host(rest);
        }
    }

    fn leaks_in(&self, text: &[u8]) -> Vec<String> {
        let text = text.to_ascii_lowercase();
        let is_named = |host: &&String| memchr::memmem::find(&text, host.as_bytes()).is_some();
        let hosts = self.hosts.iter().filter(|host| host.len() > "//".len()).filter(is_named);
        hosts.map(|host| format!("{host} in {}", text.escape_ascii())).collect()
    }
}

/// All lines of a rewritten playlist that still contain a host, without opaque text.
pub(super) fn leaks_of_playlist(input: &[u8]) -> Vec<String> {
    let mut detector = LeakDetector::default();
    detector.hosts.insert("origin.example".to_owned());
    let rewritten = rewrite(input, &base(), &imported(), &PlaylistLimits::default(), &mut detector);
    let Ok(RewriteOutput { bytes, .. }) = rewritten else { return Vec::new() };
    detector.record_written_hosts(input);
    let lines = Lines::new(&bytes, PlaylistLimits::UNLIMITED).flatten();
    lines.flat_map(|line| detector.leaks_in(&strip_opaque_values(&line))).collect()
}

fn strip_opaque_values(line: &Line<'_>) -> Vec<u8> {
    let mut text = line.text.to_vec();
    match line.kind() {
        LineKind::Comment => text.clear(),
        LineKind::Tag(tag) if is_cue_or_tiles(tag.name) => {
            let uris = tag.attributes().filter(|attribute| attribute.has_name("URI"));
            text = uris.flat_map(|attribute| attribute.value.iter().copied()).collect();
        }
        LineKind::Tag(tag) if is_opaque(tag.name, None) => text.clear(),
        LineKind::Tag(tag) => {
            for attribute in tag.attributes() {
                if is_opaque(tag.name, Some(attribute.name)) {
                    text[attribute.start - line.start..attribute.end - line.start].fill(b' ');
                }
            }
        }
        LineKind::Blank | LineKind::Uri => {}
    }
    text.retain(|&byte| !is_padding_byte(byte));
    text
}

fn leaks_of_document(input: &[u8]) -> Vec<String> {
    let mut detector = LeakDetector::default();
    detector.hosts.insert("origin.example".to_owned());
    rewrite_json_document(input, &base(), &mut detector)
        .map(|bytes| detector.leaks_in(&bytes))
        .unwrap_or_default()
}

/// No seed of the fuzz corpus leaks a host; the table tests check the same for each of their cases.
#[test]
fn no_seed_leaks() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let (mut seeds, mut leaks) = (0, Vec::new());
    for target in ["lines", "attributes", "rewrite", "document", "splice"] {
        for seed in fs::read_dir(corpus.join(target)).unwrap() {
            let path = seed.unwrap().path();
            let data = fs::read(&path).unwrap();
            seeds += 1;
            for leak in [leaks_of_playlist(&data), leaks_of_document(&data)].concat() {
                leaks.push(format!("{}: {leak}", path.display()));
            }
        }
    }
    println!("{seeds} seeds, {} leaks", leaks.len());
    assert!(seeds > 100 && leaks.is_empty(), "{leaks:#?}");
}

/// A rewriter that leaves URIs as they were written leaks each of them.
#[test]
fn hosts_are_known_without_the_rewriter() {
    for (lines, expected) in [
        ("https://other.example/a", "other.example"),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"HTTPS://Other.example:8443/k\"", "other.example"),
        ("#EXT-X-CONTENT-STEERING:SERVER-URI=\"//h/s\"", "//h"),
        ("#EXT-X-DATERANGE:X-ASSET-LIST=\"https://other.example/l\"", "other.example"),
        ("#EXT-X-KEY:URI=\"skd://other.example\"\na\n# https://other.example/", ""),
        ("#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n//{$a}/c", ""),
    ] {
        let mut detector = LeakDetector::default();
        detector.record_written_hosts(format!("{HEAD}{lines}").as_bytes());
        let hosts: Vec<String> = detector.hosts.into_iter().collect();
        assert_eq!(hosts.concat(), expected, "{lines}");
    }
}

#[test]
fn leaks_are_detected() {
    for (lines, expected) in [
        ("#EXT-X-NEW:LINK=\"https://origin.example/a\"", 1),
        ("#EXT-X-NEW:LINK=\"https://other.example/a\"\nhttps://other.example/b", 1),
        ("#EXT-X-NEW:LINK=\"https://h/a\"\n//h/b", 1),
        ("# https://origin.example/\n#EXTINF:6,https://origin.example/\na", 0),
        ("#EXT-X-DATERANGE:X-NOTE=\"https://origin.example/\"", 0),
        (
            "#EXT-X-DATERANGE:X-NOTE=\"https://origin.example/\",X-ASSET-URI=\"//origin.example/\"",
            0,
        ),
    ] {
        assert_eq!(
            leaks_of_playlist(format!("{HEAD}{lines}").as_bytes()).len(),
            expected,
            "{lines}"
        );
    }
}
