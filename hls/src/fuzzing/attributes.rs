//! The attribute list.

use crate::line::{Tag, is_padding, trim};

/// Attributes stand in the input where they say, one after the other; written out plainly they are
/// read as the same again; the last of a name wins.
pub fn attributes(data: &[u8]) {
    const BEFORE: usize = 7;
    // A list never spans lines.
    let end = data.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(data.len());
    let list = trim(&data[..end]);
    let tag = Tag { name: b"EXT-X-ANY", value: list, start: BEFORE };
    let (mut plainly, mut position) = (Vec::new(), BEFORE);
    for attribute in tag.attributes() {
        let value_end = attribute.value_start + attribute.value.len();
        assert!(position <= attribute.start, "attributes overlap");
        assert!(attribute.start + attribute.name.len() < attribute.value_start);
        assert!(value_end <= attribute.end && attribute.end <= BEFORE + list.len());
        position = attribute.end;
        assert_eq!(&list[attribute.value_start - BEFORE..value_end - BEFORE], attribute.value);
        assert!(list[attribute.start - BEFORE..].starts_with(attribute.name));
        let special = |byte: &u8| is_padding(*byte) || matches!(byte, b'=' | b',' | b'"');
        assert!(!attribute.name.iter().any(special), "{}", attribute.name.escape_ascii());
        assert_eq!(trim(attribute.value), attribute.value);
        let quoted = !attribute.value.contains(&b'"');
        assert!(quoted || !attribute.value.contains(&b','), "neither quoted nor not");

        let quote = if quoted { &b"\""[..] } else { b"" };
        plainly.extend_from_slice(
            &[attribute.name, b"=", quote, attribute.value, quote, b","].concat(),
        );
    }
    let pairs = |tag: &Tag<'_>| -> Vec<(Vec<u8>, Vec<u8>)> {
        tag.attributes().map(|one| (one.name.to_vec(), one.value.to_vec())).collect()
    };
    let seen = pairs(&tag);
    assert_eq!(seen, pairs(&Tag { value: &plainly, ..tag }), "{}", plainly.escape_ascii());
    for (name, _) in seen.iter().take(4) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let last = seen.iter().rfind(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        assert_eq!(tag.attribute(name), last.map(|(_, value)| value.as_slice()));
    }
}
