//! Rule one: no line of an output names a host that a link hides.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use crate::line::{Content, Lines, is_padding};
use crate::rewrite_document;

/// What stays as the origin wrote it, hosts and all, because it is no URI: comments, titles, splice
/// messages, layouts; what a DATERANGE says to somebody else, and the text of SESSION-DATA.
fn is_opaque(tag: &[u8], attribute: Option<&[u8]>) -> bool {
    match (tag, attribute) {
        (b"EXTINF" | b"EXT-X-TILES" | b"EXT-X-SKIP", None) => true,
        (_, None) => {
            tag.starts_with(b"EXT-X-CUE") || memchr::memmem::find(tag, b"SCTE35").is_some()
        }
        (b"EXT-X-DATERANGE", Some(name)) => ![&b"X-ASSET-URI"[..], b"X-ASSET-LIST", b"URI"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known)),
        (b"EXT-X-SESSION-DATA", Some(name)) => name.eq_ignore_ascii_case(b"VALUE"),
        _ => false,
    }
}

/// A link as a sealing edge writes it: nothing of the URL can be read off it.
#[derive(Default)]
struct Sealing {
    hosts: BTreeSet<String>,
}

impl Linker for Sealing {
    fn link(&mut self, reference: &Reference<'_>, out: &mut Vec<u8>) {
        let (_, rest) = reference.url.split_once("://").unwrap();
        let authority = rest.split(['/', '?']).next().unwrap();
        let host = authority.rsplit('@').next().unwrap().to_ascii_lowercase();
        let host = host.trim_end_matches(|end: char| end.is_ascii_digit()).trim_end_matches(':');
        // `//h` rather than `h`, which may well be a word.
        self.hosts.insert(if host.contains('.') { host.to_owned() } else { format!("//{host}") });
        out.extend_from_slice(b"/relay/1.ts?u=");
        out.extend(
            reference.url.bytes().rev().flat_map(|byte| [b'g' + (byte >> 4), b'g' + (byte & 15)]),
        );
    }
}

impl Sealing {
    fn found_in(&self, text: &[u8]) -> Vec<String> {
        let text = text.to_ascii_lowercase();
        let named = |host: &&String| memchr::memmem::find(&text, host.as_bytes()).is_some();
        let hosts = self.hosts.iter().filter(|host| host.len() > "//".len()).filter(named);
        hosts.map(|host| format!("{host} in {}", text.escape_ascii())).collect()
    }
}

/// Every line that still names a host, with opaque text left out.
pub(super) fn of_playlist(input: &[u8]) -> Vec<String> {
    let mut sealing = Sealing::default();
    sealing.hosts.insert("origin.example".to_owned());
    let rewritten = rewrite(input, &base(), &imported(), &Limits::default(), &mut sealing);
    let Ok(Rewritten { bytes, .. }) = rewritten else { return Vec::new() };
    let lines = Lines::new(&bytes, Limits::NONE).flatten();
    lines.flat_map(|line| sealing.found_in(&without_opaque(&line))).collect()
}

fn without_opaque(line: &Line<'_>) -> Vec<u8> {
    let mut text = line.text.to_vec();
    match line.content() {
        Content::Comment => text.clear(),
        Content::Tag(tag) if is_opaque(tag.name, None) => text.clear(),
        Content::Tag(tag) => {
            for attribute in tag.attributes() {
                if is_opaque(tag.name, Some(attribute.name)) {
                    text[attribute.start - line.start..attribute.end - line.start].fill(b' ');
                }
            }
        }
        Content::Blank | Content::Uri => {}
    }
    text.retain(|&byte| !is_padding(byte));
    text
}

fn of_document(input: &[u8]) -> Vec<String> {
    let mut sealing = Sealing::default();
    sealing.hosts.insert("origin.example".to_owned());
    rewrite_document(input, &base(), &mut sealing)
        .map(|bytes| sealing.found_in(&bytes))
        .unwrap_or_default()
}

/// The tables ask the same of each of their cases.
#[test]
fn no_seed_leaks() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let (mut seeds, mut leaks) = (0, Vec::new());
    for target in fs::read_dir(corpus).unwrap() {
        for seed in fs::read_dir(target.unwrap().path()).unwrap() {
            let path = seed.unwrap().path();
            let data = fs::read(&path).unwrap();
            seeds += 1;
            for leak in [of_playlist(&data), of_document(&data)].concat() {
                leaks.push(format!("{}: {leak}", path.display()));
            }
        }
    }
    println!("{seeds} seeds, {} leaks", leaks.len());
    assert!(seeds > 100 && leaks.is_empty(), "{leaks:#?}");
}

#[test]
fn a_leak_is_noticed() {
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
        assert_eq!(of_playlist(format!("{HEAD}{lines}").as_bytes()).len(), expected, "{lines}");
    }
}
