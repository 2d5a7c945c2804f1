//! Decodes text that comes from outside: pages, lists, calendars. Its encoding is what the byte order
//! mark says, else the Content-Type, else an HTML or XML text itself (HTML 13.2.3.2), as in browsers.
//! Does no I/O.

use std::borrow::Cow;
use std::sync::LazyLock;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1251, WINDOWS_1252};
use regex::bytes::Regex;

/// The part of a page in which browsers look for the encoding that the page states.
const PRESCAN_MAX_BYTES: usize = 1024;

/// The text without its byte order mark. Malformed bytes become U+FFFD.
pub(crate) fn decode_body(bytes: &[u8], content_type: Option<&str>) -> String {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let stated = || encoding_for_label(charset_parameter(content_type?)?.as_bytes());
    let encoding = marked.or_else(stated).or_else(|| prescan(bytes, is_markup_type(content_type)));
    let bytes = unfold_calendar(bytes);
    let encoding = encoding.unwrap_or_else(|| guess_encoding(&bytes));
    encoding.decode_with_bom_removal(&bytes).0.into_owned()
}

/// A calendar with its lines unfolded, where one is folded within a character (RFC 5545, 3.1).
fn unfold_calendar(bytes: &[u8]) -> Cow<'_, [u8]> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if !text.starts_with(b"BEGIN:VCALENDAR") || std::str::from_utf8(text).is_ok() {
        return Cow::Borrowed(bytes);
    }
    let mut unfolded: Vec<u8> = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line {
            [b' ' | b'\t', rest @ ..] => {
                for line_end in [b'\n', b'\r'] {
                    unfolded.pop_if(|last| *last == line_end);
                }
                unfolded.extend_from_slice(rest);
            }
            _ => unfolded.extend_from_slice(line),
        }
    }
    Cow::Owned(unfolded)
}

/// Decodes the encoding that `label` names (Encoding Standard, 4.2); `None` if the name is not
/// known. Malformed bytes become U+FFFD.
pub(crate) fn decode_as(label: &str, bytes: &[u8]) -> Option<String> {
    let encoding = encoding_for_label(label.as_bytes())?;
    Some(encoding.decode_without_bom_handling(bytes).0.into_owned())
}

/// `None` also for the encodings that browsers refuse to decode.
fn encoding_for_label(label: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label)
}

/// Whether a body of this type is HTML or XML, which may state its own encoding; a body without a
/// type may be.
pub(crate) fn is_markup_type(content_type: Option<&str>) -> bool {
    content_type.is_none_or(|content_type| {
        let content_type = content_type.to_ascii_lowercase();
        content_type.contains("html") || content_type.contains("xml")
    })
}

/// The parameter `charset` of a Content-Type (RFC 9110 8.3.2).
fn charset_parameter(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|it| it.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Some(value.trim().trim_matches(['"', '\'']))
}

/// The encoding that the beginning of a text shows: by its bytes of UTF-16, or in markup by a meta
/// element or an XML declaration, in an IPTV list by `#EXTENC`.
fn prescan(bytes: &[u8], is_markup: bool) -> Option<&'static Encoding> {
    #[expect(clippy::expect_used, reason = "a constant, covered by a test")]
    static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r#"(?x-u)
            (?i: <(?: meta\s[^>]*?charset | \?xml\s[^>]*?encoding) \s*=\s* ["']? \s* ([a-z0-9_.:-]+) )
            | ^(?i: \#EXTM3U [^<]*? \#EXTENC: \s* ([a-z0-9_.:-]+) )"#;
        Regex::new(pattern).expect("a pattern")
    });
    match bytes {
        // Lists, calendars and markup begin with an ASCII character.
        [b'!'..=b'~', 0, ..] => return Some(UTF_16LE),
        [0, b'!'..=b'~', ..] => return Some(UTF_16BE),
        _ => {}
    }
    let head = bytes.get(..PRESCAN_MAX_BYTES).unwrap_or(bytes);
    let found = STATEMENT.captures(head)?;
    let label = found.get(1).filter(|_| is_markup).or(found.get(2))?.as_bytes();
    let encoding = encoding_for_label(label)?;
    // A text in UTF-16 could not be read up to here.
    Some(if [UTF_16LE, UTF_16BE].contains(&encoding) { UTF_8 } else { encoding })
}

/// The encoding of bytes of which nothing states it: UTF-8, or an encoding with one byte for each
/// character where most of what is not ASCII is not UTF-8.
fn guess_encoding(bytes: &[u8]) -> &'static Encoding {
    let text = String::from_utf8_lossy(bytes);
    let is_broken = |c: &char| *c == char::REPLACEMENT_CHARACTER;
    let (broken, whole): (Vec<char>, Vec<char>) =
        text.chars().filter(|c| !c.is_ascii()).partition(is_broken);
    match broken.len() <= whole.len() {
        true => UTF_8,
        false if is_cyrillic(bytes) => WINDOWS_1251,
        false => WINDOWS_1252,
    }
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
            (utf16("#EXTM3U Гонка", u16::to_le_bytes), None, "#EXTM3U Гонка"),
            (utf16("BEGIN:Гонка", u16::to_be_bytes), Some("text/calendar"), "BEGIN:Гонка"),
            // Folded within a character.
            (
                b"BEGIN:VCALENDAR\r\nSUMMARY:S\xc3\r\n \x83O P\r\n\taulo\r\n".to_vec(),
                Some("text/calendar"),
                "BEGIN:VCALENDAR\r\nSUMMARY:SÃO Paulo\r\n",
            ),
            (
                b"BEGIN:VCALENDAR\nSUMMARY:K\xf6ln\n S\xfcd\n".to_vec(),
                None,
                "BEGIN:VCALENDAR\nSUMMARY:KölnSüd\n",
            ),
            // Encodings with several bytes for a character.
            (b"\x83\x8c\x81\x5b\x83\x58".to_vec(), Some("a/b; charset=Shift_JIS"), "レース"),
            (b"\xa5\xec\xa1\xbc\xa5\xb9".to_vec(), Some("a/b; charset=EUC-JP"), "レース"),
            (b"\xc8\xfc\xb3\xb5".to_vec(), Some("a/b; charset=GB2312"), "赛车"),
            (b"\xc8\xfc\xb3\xb5\x94\x39\xda\x33".to_vec(), Some("a/b;charset=gb18030"), "赛车💩"),
            (b"\xc1\xc9\xa8\xae".to_vec(), Some("audio/mpegurl; charset=big5"), "賽車"),
            (b"\xb0\xe6\xc1\xd6".to_vec(), Some("text/plain; charset=ks_c_5601-1987"), "경주"),
            (b"\x1b$B%l!<%9\x1b(B".to_vec(), Some("a/b; charset=iso-2022-jp"), "レース"),
            (b"\xb9lut".to_vec(), Some("a/b; charset=iso-8859-2"), "šlut"),
            (
                [&b"<?xml version='1.0' encoding='EUC-KR'?><tv>\xb0\xe6\xc1\xd6"[..]].concat(),
                Some("application/xml"),
                "<tv>경주",
            ),
            (b"#EXTM3U\n#EXTENC: koi8-r\n\xf0\xd2\xc9".to_vec(), Some("audio/mpegurl"), "\nПри"),
            (b"#extm3u\n#extenc:koi8-r\n\xf0\xd2\xc9".to_vec(), Some("audio/mpegurl"), "\nПри"),
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
