//! Decodes the bodies of pages and lists. Their encoding is what the byte order mark says, else the
//! Content-Type, else an HTML page itself (HTML 13.2.3.2), as in browsers. Does no I/O.

use std::sync::LazyLock;

use mail_parser::decoders::charsets::map::charset_decoder;
use regex::bytes::Regex;

/// The part of a page in which browsers look for the encoding that the page states.
const PRESCAN_MAX_BYTES: usize = 1024;

const UTF_8_LABELS: [&str; 5] =
    ["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8"];

pub(super) fn decode_body(bytes: &[u8], content_type: Option<&str>) -> String {
    for (mark, label) in [
        (&b"\xef\xbb\xbf"[..], "utf-8"),
        (&b"\xfe\xff"[..], "utf-16be"),
        (&b"\xff\xfe"[..], "utf-16le"),
    ] {
        if let Some(text) = bytes.strip_prefix(mark).and_then(|rest| decode_as(label, rest)) {
            return text;
        }
    }
    let stated = content_type.and_then(charset_parameter);
    let stated = stated.or_else(|| prescan(bytes).filter(|_| is_markup(content_type)));
    let decoded = stated.and_then(|label| decode_as(&label, bytes));
    decoded.unwrap_or_else(|| decode_unlabelled(bytes))
}

/// Decodes the encoding that `label` names; `None` if the name is not known. Malformed bytes become
/// U+FFFD.
pub(super) fn decode_as(label: &str, bytes: &[u8]) -> Option<String> {
    let label = label.trim().to_ascii_lowercase();
    if UTF_8_LABELS.contains(&label.as_str()) {
        return Some(String::from_utf8_lossy(bytes).into_owned());
    }
    let label = match label.as_str() {
        // Without a byte order mark, browsers take little-endian.
        "utf-16" | "unicode" | "ucs-2" => "utf-16le",
        // No browser decodes UTF-7.
        other if other.contains("utf-7") || other.contains("utf7") => return None,
        other => other,
    };
    charset_decoder(label.as_bytes()).map(|decode| decode(bytes))
}

/// Whether a body of this type is HTML or XML, which may state its own encoding; a body without a
/// type may be.
pub(super) fn is_markup(content_type: Option<&str>) -> bool {
    content_type.is_none_or(|content_type| {
        let content_type = content_type.to_ascii_lowercase();
        content_type.contains("html") || content_type.contains("xml")
    })
}

/// The parameter `charset` of a Content-Type (RFC 9110 8.3.2).
fn charset_parameter(content_type: &str) -> Option<String> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|it| it.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// The encoding that a meta element or an XML declaration states.
fn prescan(bytes: &[u8]) -> Option<String> {
    #[expect(clippy::expect_used, reason = "a constant, covered by a test")]
    static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
        let pattern =
            r#"(?i-u)<(?:meta\s[^>]*?charset|\?xml\s[^>]*?encoding)\s*=\s*["']?\s*([a-z0-9_.:-]+)"#;
        Regex::new(pattern).expect("a pattern")
    });
    let head = bytes.get(..PRESCAN_MAX_BYTES).unwrap_or(bytes);
    let label = STATEMENT.captures(head)?.get(1)?.as_bytes();
    let label = String::from_utf8_lossy(label).to_ascii_lowercase();
    // A page in UTF-16 could not be read up to here.
    Some(if label.starts_with("utf-16") { "utf-8".to_owned() } else { label })
}

/// Decodes bytes whose encoding nothing states: UTF-8, or an encoding with one byte for each
/// character where most of what is not ASCII is not UTF-8.
fn decode_unlabelled(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let is_broken = |c: &char| *c == char::REPLACEMENT_CHARACTER;
    let (broken, whole): (Vec<char>, Vec<char>) =
        text.chars().filter(|c| !c.is_ascii()).partition(is_broken);
    if broken.len() <= whole.len() {
        return text.into_owned();
    }
    let label = if is_cyrillic(bytes) { "windows-1251" } else { "windows-1252" };
    decode_as(label, bytes).unwrap_or_else(|| text.into_owned())
}

/// Whether the bytes are rather windows-1251 than windows-1252: words of Cyrillic letters are rows
/// of bytes from 0xC0, which in windows-1252 are single accented letters among ASCII.
fn is_cyrillic(bytes: &[u8]) -> bool {
    let letters = bytes.iter().filter(|byte| **byte >= 0xc0).count();
    let pairs = bytes.windows(2).filter(|pair| pair.iter().all(|byte| *byte >= 0xc0)).count();
    pairs * 2 > letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let html = Some("text/html");
        let meta = |statement: &str| [statement.as_bytes(), b"<p>K\xf6ln S\xfcd"].concat();
        let utf16 = |text: &str, unit: fn(u16) -> [u8; 2]| {
            text.encode_utf16().flat_map(unit).collect::<Vec<u8>>()
        };
        for (bytes, content_type, expected) in [
            ("Köln".into(), None, "Köln"),
            (b"K\xf6ln".to_vec(), Some("text/html; charset=windows-1252"), "Köln"),
            (b"K\xf6ln".to_vec(), Some("text/html;Charset=\"ISO-8859-1\""), "Köln"),
            (b"5 \x80".to_vec(), Some("text/html; charset=latin1"), "5 €"),
            (b"\xc3\xb6".to_vec(), Some("text/html; charset=windows-1252"), "Ã¶"),
            (b"\xcf\xf0\xe8".to_vec(), Some("audio/x-mpegurl; charset=windows-1251"), "При"),
            (b"\xf0\xd2\xc9".to_vec(), Some("text/plain; charset=koi8-r"), "При"),
            (meta("<meta charset=windows-1252>"), html, "<p>Köln Süd"),
            (meta("<META content='text/html; charset=latin1'>"), html, "<p>Köln Süd"),
            (meta("<?xml version='1.0' encoding=\"latin1\"?>"), None, "<p>Köln Süd"),
            (meta("<meta charset=koi8-r>"), Some("application/json"), "<p>Köln Süd"),
            (meta("<meta charset=koi8-r>"), Some("text/html; charset=latin1"), "<p>Köln Süd"),
            (meta("<meta charset=utf-16>"), html, "<p>K\u{fffd}ln S\u{fffd}d"),
            (meta("<meta charset=utf-7>"), html, "<p>Köln Süd"),
            (meta("<meta charset=nothing>"), html, "<p>Köln Süd"),
            (b"\xef\xbb\xbfK\xc3\xb6ln".to_vec(), Some("text/html; charset=latin1"), "Köln"),
            ([&b"\xff\xfe"[..], &utf16("Гонка", u16::to_le_bytes)].concat(), html, "Гонка"),
            ([&b"\xfe\xff"[..], &utf16("Гонка", u16::to_be_bytes)].concat(), html, "Гонка"),
            (utf16("Гонка", u16::to_le_bytes), Some("text/html; charset=utf-16"), "Гонка"),
            // Nothing states the encoding.
            (b"#EXTINF:-1,\xcc\xe0\xf2\xf7 \xd2\xc2".to_vec(), None, "#EXTINF:-1,Матч ТВ"),
            (b"S\xfcd, Qu\xe9bec, \xc9t\xe9".to_vec(), None, "Süd, Québec, Été"),
            (
                "Матч ТВ".as_bytes().iter().copied().chain(*b" \xff").collect(),
                None,
                "Матч ТВ \u{fffd}",
            ),
            (Vec::new(), None, ""),
        ] {
            let decoded = decode_body(&bytes, content_type);
            assert!(decoded.ends_with(expected), "{decoded:?}, expected {expected:?}");
        }
        let far = [&[b' '; PRESCAN_MAX_BYTES][..], b"<meta charset=koi8-r>\xf6"].concat();
        assert!(decode_body(&far, html).ends_with("ö"), "too far behind to be looked for");
    }
}
