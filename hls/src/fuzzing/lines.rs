//! Properties of the line splitter.

use crate::limits::PlaylistLimits;
use crate::line::{self, LineKind, Lines};

/// Checks that the lines and the bytes between them make up the input, that a splitter working byte
/// by byte finds the same lines, and that limits are enforced.
pub fn lines(data: &[u8]) {
    let mut joined = Vec::new();
    let mut texts = Vec::new();
    for line in Lines::new(data, PlaylistLimits::UNLIMITED).flatten() {
        let between = &data[joined.len()..line.start];
        assert!(is_no_text(between), "{}", between.escape_ascii());
        joined.extend_from_slice(between);
        joined.extend_from_slice(line.text);
        texts.push(line.text);
        assert_eq!(line.number, texts.len());
        if let LineKind::Tag(tag) = line.kind() {
            assert!(line.text[1..].starts_with(tag.name));
            assert_eq!(tag.value_start + tag.value.len(), line.start + line.text.len());
            assert_eq!(&data[tag.value_start..tag.value_start + tag.value.len()], tag.value);
        }
    }
    let after = &data[joined.len()..];
    assert!(is_no_text(after), "{}", after.escape_ascii());
    joined.extend_from_slice(after);
    assert_eq!(joined, data);
    assert_eq!(texts, split_lines_bytewise(data));

    let limits = PlaylistLimits {
        max_bytes: 4096,
        max_lines: 20,
        max_line_bytes: 80,
        ..PlaylistLimits::DEFAULT
    };
    if let Ok(lines) = line::parse_lines(data, &limits) {
        assert!(data.len() <= limits.max_bytes);
        let lines: Vec<_> = lines.map_while(Result::ok).collect();
        assert!(lines.len() <= limits.max_lines);
        assert!(lines.iter().all(|line| line.text.len() <= limits.max_line_bytes));
        assert!(lines.iter().zip(&texts).all(|(line, text)| line.text == *text));
    }
}

/// Whether the bytes are padding and byte order marks.
fn is_no_text(mut bytes: &[u8]) -> bool {
    while let [0..=b' ', rest @ ..] | [0xEF, 0xBB, 0xBF, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes.is_empty()
}

fn split_lines_bytewise(data: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < data.len() {
        let end = at;
        at += 1;
        match data[end] {
            b'\r' if data.get(at) == Some(&b'\n') => at += 1,
            b'\r' | b'\n' => {}
            _ => continue,
        }
        lines.push(&data[start..end]);
        start = at;
    }
    if start < data.len() {
        lines.push(&data[start..]);
    }
    lines.iter().map(|line| trim_bytewise(line)).collect()
}

fn trim_bytewise(mut text: &[u8]) -> &[u8] {
    while let [0xEF, 0xBB, 0xBF, rest @ ..] = text {
        text = rest;
    }
    while let [0..=b' ', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., 0..=b' '] = text {
        text = rest;
    }
    text
}
