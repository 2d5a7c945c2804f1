//! Properties of the attribute list parser.

use crate::line::{Tag, is_padding_byte, trim_padding};

/// Checks that attributes are at the offsets they report, one after the other, that they parse to
/// the same attributes when written plainly, and that the last of a name wins.
pub fn attributes(data: &[u8]) {
    const LIST_START: usize = 7;
    // An attribute list never spans lines.
    let end = data.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(data.len());
    let list = trim_padding(&data[..end]);
    let tag = Tag { name: b"EXT-X-ANY", value: list, value_start: LIST_START };
    let (mut canonical, mut position) = (Vec::new(), LIST_START);
    for attribute in tag.attributes() {
        let value_end = attribute.value_start + attribute.value.len();
        assert!(position <= attribute.start, "attributes overlap");
        assert!(attribute.start + attribute.name.len() < attribute.value_start);
        assert!(value_end <= attribute.end && attribute.end <= LIST_START + list.len());
        position = attribute.end;
        assert_eq!(
            &list[attribute.value_start - LIST_START..value_end - LIST_START],
            attribute.value
        );
        assert!(list[attribute.start - LIST_START..].starts_with(attribute.name));
        let special = |byte: &u8| is_padding_byte(*byte) || matches!(byte, b'=' | b',' | b'"');
        assert!(!attribute.name.iter().any(special), "{}", attribute.name.escape_ascii());
        assert_eq!(trim_padding(attribute.value), attribute.value);
        let quoted = !attribute.value.contains(&b'"');
        assert!(quoted || !attribute.value.contains(&b','), "neither quoted nor not");

        let quote = if quoted { &b"\""[..] } else { b"" };
        canonical.extend_from_slice(
            &[attribute.name, b"=", quote, attribute.value, quote, b","].concat(),
        );
    }
    let pairs = |tag: &Tag<'_>| -> Vec<(Vec<u8>, Vec<u8>)> {
        tag.attributes().map(|one| (one.name.to_vec(), one.value.to_vec())).collect()
    };
    let parsed = pairs(&tag);
    assert_eq!(parsed, pairs(&Tag { value: &canonical, ..tag }), "{}", canonical.escape_ascii());
    for (name, _) in parsed.iter().take(4) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let last = parsed.iter().rfind(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        assert_eq!(tag.find_attribute_value(name), last.map(|(_, value)| value.as_slice()));
    }
}
