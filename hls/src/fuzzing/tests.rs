use super::replay::replay;
use super::*;

/// The properties hold for any bytes, so every target has the seeds of all targets of this crate.
#[test]
fn properties_hold_for_every_seed() {
    let checks: [fn(&[u8]); 5] = [lines, attributes, rewrite, document, splice];
    for target in ["lines", "attributes", "rewrite", "document", "splice"] {
        checks.iter().for_each(|check| replay(target, *check));
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
