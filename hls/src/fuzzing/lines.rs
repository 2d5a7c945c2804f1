//! The line splitter.

use crate::limits::Limits;
use crate::line::{self, Content, Lines};

/// Its pieces, put together, are the input; a splitter that looks at one byte at a time finds the
/// same lines; limits are kept.
pub fn lines(data: &[u8]) {
    let mut together = data.strip_prefix(b"\xEF\xBB\xBF").map_or(vec![], |_| data[..3].to_vec());
    let mut texts = Vec::new();
    for line in Lines::new(data, Limits::NONE).flatten() {
        let between = &data[together.len()..line.start];
        assert!(between.iter().all(|&byte| line::is_padding(byte)), "{}", between.escape_ascii());
        together.extend_from_slice(between);
        together.extend_from_slice(line.text);
        texts.push(line.text);
        assert_eq!(line.number, texts.len());
        if let Content::Tag(tag) = line.content() {
            assert!(line.text[1..].starts_with(tag.name));
            assert_eq!(tag.start + tag.value.len(), line.start + line.text.len());
            assert_eq!(&data[tag.start..tag.start + tag.value.len()], tag.value);
        }
    }
    let after = &data[together.len()..];
    assert!(after.iter().all(|&byte| line::is_padding(byte)), "{}", after.escape_ascii());
    together.extend_from_slice(after);
    assert_eq!(together, data);
    assert_eq!(texts, one_by_one(data));

    let limits = Limits { bytes: 4096, lines: 20, line: 80 };
    if let Ok(lines) = line::open(data, &limits) {
        assert!(data.len() <= limits.bytes);
        let lines: Vec<_> = lines.map_while(Result::ok).collect();
        assert!(lines.len() <= limits.lines);
        assert!(lines.iter().all(|line| line.text.len() <= limits.line));
        assert!(lines.iter().zip(&texts).all(|(line, text)| line.text == *text));
    }
}

fn one_by_one(data: &[u8]) -> Vec<&[u8]> {
    let data = data.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(data);
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
    lines.iter().map(|line| unpadded(line)).collect()
}

fn unpadded(mut text: &[u8]) -> &[u8] {
    while let [0..=b' ', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., 0..=b' '] = text {
        text = rest;
    }
    text
}
