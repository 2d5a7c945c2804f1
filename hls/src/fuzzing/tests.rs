use std::fs;
use std::path::Path;

use super::*;

/// Runs every target on the seeds of all targets, because the properties hold for any bytes.
#[test]
fn properties_hold_for_every_seed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, holds) in [
        ("lines", lines as fn(&[u8])),
        ("attributes", attributes),
        ("rewrite", rewriting),
        ("document", document),
    ] {
        assert!(fs::read_dir(corpus.join(target)).unwrap().count() > 0, "{target} has no seeds");
        for directory in fs::read_dir(&corpus).unwrap() {
            for seed in fs::read_dir(directory.unwrap().path()).unwrap() {
                let path = seed.unwrap().path();
                let data = fs::read(&path).unwrap();
                if std::panic::catch_unwind(|| holds(&data)).is_err() {
                    panic!("{target} does not hold for {}", path.display());
                }
            }
        }
    }
}

#[test]
fn hex_links_decode_to_their_url() {
    let mut link = Vec::new();
    let no_variables = Variables::default();
    let url = "https://origin.example/a.ts?x=%7E";
    HexLinkEncoder::default().encode_link(
        &UriReference {
            role: UriRole::Segment,
            target: crate::LinkRoute::Media,
            url,
            sequence: Some(1),
            byte_range: None,
            is_gap: false,
            variables: &no_variables,
            written: b"a",
        },
        &mut link,
    );
    assert_eq!(decode_link(std::str::from_utf8(&link).unwrap()), url);
    assert_eq!(decode_link("skd://x"), "skd://x");
}
