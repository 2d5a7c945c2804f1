//! Decodes texts that pages encode. Does no I/O.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

use crate::compressed;

/// A decoded text may be as large as a page.
pub(super) const DECODED_MAX_BYTES: usize = super::PAGE_MAX_BYTES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Base64,
    Base64Url,
    Hex,
    Percent,
    /// Character references: `&amp;`, `&#x2F;`.
    Html,
    /// The inside of a JavaScript string: `\/`, `\x3d`, `\u0026`.
    JavaScript,
    Gzip,
}

pub(super) const CODING_NAMES: [(&str, Coding); 7] = [
    ("base64", Coding::Base64),
    ("base64url", Coding::Base64Url),
    ("hex", Coding::Hex),
    ("percent", Coding::Percent),
    ("html", Coding::Html),
    ("javascript", Coding::JavaScript),
    ("gzip", Coding::Gzip),
];

/// One or more codings, decoded in this order.
pub(super) struct CodingList(pub(super) Vec<Coding>);

impl Coding {
    pub(super) fn name(self) -> &'static str {
        CODING_NAMES.iter().find(|(_, coding)| *coding == self).map_or("", |(name, _)| name)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let found = CODING_NAMES.iter().find(|(name, _)| *name == text).map(|(_, coding)| *coding);
        found.ok_or_else(|| {
            let names: Vec<&str> = CODING_NAMES.iter().map(|(name, _)| *name).collect();
            format!("{text:?} is not a coding: use {}", names.join(", "))
        })
    }

    fn decode_bytes(self, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
        match self {
            Self::Base64 => decode_base64(&alphabet::STANDARD, bytes),
            Self::Base64Url => decode_base64(&alphabet::URL_SAFE, bytes),
            Self::Hex => decode_hex(bytes),
            Self::Percent => Ok(percent_encoding::percent_decode(bytes).collect()),
            Self::Html => {
                let text = String::from_utf8_lossy(bytes);
                Ok(html_escape::decode_html_entities(&text).into_owned().into_bytes())
            }
            Self::JavaScript => {
                let text = String::from_utf8_lossy(bytes);
                Ok(decode_javascript_string(&text)
                    .ok_or("an escape that JavaScript does not know")?
                    .into_bytes())
            }
            Self::Gzip => compressed::gunzip(bytes, DECODED_MAX_BYTES),
        }
    }
}

/// Decodes every coding in turn.
///
/// # Errors
/// The bytes are not in that coding, or the result is not UTF-8 or larger than a page may be.
pub(super) fn decode_text(codings: &[Coding], bytes: &[u8]) -> Result<String, String> {
    let mut bytes = bytes.to_vec();
    for coding in codings {
        bytes = coding.decode_bytes(&bytes).map_err(|why| format!("{}: {why}", coding.name()))?;
    }
    String::from_utf8(bytes).map_err(|_| "what comes out is not text".to_owned())
}

/// Decodes base64 with or without padding, line breaks and trailing bits, as pages write it.
fn decode_base64(alphabet: &alphabet::Alphabet, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let compact: Vec<u8> = bytes.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    GeneralPurpose::new(alphabet, config).decode(compact).map_err(|_| "not base64")
}

fn decode_hex(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Vec<u8>> = bytes.trim_ascii().iter().map(digit).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or("not pairs of hex digits")?;
    Ok(digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect())
}

/// The value of a JavaScript string literal whose inside is `text`. A pair of surrogates is two
/// escapes, so that the value is collected as UTF-16.
fn decode_javascript_string(text: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let value = match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'b' => '\x08',
                'f' => '\x0c',
                'v' => '\x0b',
                '0' => '\0',
                '\n' => continue,
                'x' => {
                    units.push(parse_hex_unit(chars.by_ref().take(2))?);
                    continue;
                }
                'u' if chars.next_if_eq(&'{').is_some() => {
                    let digits: String = chars.by_ref().take_while(|c| *c != '}').collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                'u' => {
                    units.push(parse_hex_unit(chars.by_ref().take(4))?);
                    continue;
                }
                other => other,
            },
            c => c,
        };
        units.extend_from_slice(value.encode_utf16(&mut [0; 2]));
    }
    Some(String::from_utf16_lossy(&units))
}

fn parse_hex_unit(digits: impl Iterator<Item = char>) -> Option<u16> {
    u16::from_str_radix(&digits.collect::<String>(), 16).ok()
}

impl<'de> Deserialize<'de> for CodingList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = CodingList;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a coding or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<CodingList, E> {
                Ok(CodingList(vec![Coding::parse(text).map_err(E::custom)?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<CodingList, A::Error> {
                let mut codings = Vec::new();
                while let Some(text) = items.next_element::<String>()? {
                    codings.push(Coding::parse(&text).map_err(A::Error::custom)?);
                }
                if codings.is_empty() {
                    return Err(A::Error::custom("nothing to undo"));
                }
                Ok(CodingList(codings))
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn check(names: &str, bytes: &[u8], expected: Result<&str, &str>) {
        let codings: Vec<Coding> = names.split(' ').map(|n| Coding::parse(n).unwrap()).collect();
        let got = decode_text(&codings, bytes);
        let begin = String::from_utf8_lossy(bytes.get(..40).unwrap_or(bytes)).into_owned();
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{names} {begin}");
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn codings() {
        check("base64", b"aHR0cHM6Ly9hLmV4YW1wbGUvP3g9MQ==", Ok("https://a.example/?x=1"));
        check("base64", b"aHR0cHM6Ly9hLmV4\n YW1wbGUvP3g9MQ", Ok("https://a.example/?x=1"));
        check("base64", b"not base64!", Err("base64: not base64"));
        check("base64url", b"w78_Pz8-Pg", Ok("\u{ff}???>>"));
        check("hex", b"68 74", Err("hex: not pairs of hex digits"));
        check("hex", b"6874746", Err("hex: not pairs of hex digits"));
        check("hex", b" 68747470\n", Ok("http"));
        check("percent", b"https%3A%2F%2Fa%2f%3Fx%3d1%", Ok("https://a/?x=1%"));
        check("html", b"a&amp;b&#x2F;&#47;&quot;&nope;", Ok("a&b//\"&nope;"));
        check("javascript", br"https:\/\/a\x2fb\u0026c\u{3d}\n\'", Ok("https://a/b&c=\n'"));
        check("javascript", br"\ud83c\udfc1", Ok("\u{1f3c1}"));
        check("javascript", br"\xZZ", Err("javascript: an escape that JavaScript does not know"));
        check("javascript", b"\\", Err("javascript: an escape that JavaScript does not know"));
        check("gzip", &gzip(b"text"), Ok("text"));
        check("gzip", &gzip(b"\xff\xfe"), Err("what comes out is not text"));
        check("gzip", b"text", Err("gzip: not gzip, or cut short"));
        check("percent base64", b"aGk%3D", Ok("hi"));
        let bomb = gzip(&vec![b' '; 50 << 20]);
        check("gzip", &bomb, Err("gzip: larger than it may be"));
    }
}
