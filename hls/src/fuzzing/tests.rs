use std::fs;
use std::path::Path;

use super::*;

/// Every seed, not only those of its own target: what holds for any bytes holds for these.
#[test]
fn holds_for_every_seed() {
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
fn links_are_followed_back() {
    let mut link = Vec::new();
    let none = Variables::default();
    let url = "https://origin.example/a.ts?x=%7E";
    Hidden::default().link(
        &Reference {
            role: Role::Segment,
            target: crate::Target::Media,
            url,
            sequence: Some(1),
            byte_range: None,
            is_gap: false,
            variables: &none,
            written: b"a",
        },
        &mut link,
    );
    assert_eq!(followed(std::str::from_utf8(&link).unwrap()), url);
    assert_eq!(followed("skd://x"), "skd://x");
}
