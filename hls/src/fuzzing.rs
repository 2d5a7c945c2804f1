//! Properties that hold for any input. The targets in `fuzz/` check them with random input, and a
//! test in this crate with the seeds in `fuzz/corpus`.
//!
//! The module is behind a feature that only the fuzz crate enables: line splitter and attribute
//! list stay private to other crates, and the fuzz targets still check them directly.
//! (`cfg(fuzzing)` would do the same, but only under cargo-fuzz, and the test runs on a stable
//! compiler.)

mod attributes;
mod document;
mod lines;
mod rewriting;
mod splice;

use url::Url;

pub use self::attributes::attributes;
pub use self::document::document;
pub use self::lines::lines;
pub use self::rewriting::rewriting as rewrite;
pub use self::splice::splice;
use crate::uri_mapper::{UriReference, UriRole};
use crate::variables::Variables;

/// Base URL of links; no input is written with this host in mind.
pub(crate) const EDGE_BASE_URL: &str = "https://edge.example/";

/// Encodes the whole URL in hexadecimal, so that a link shows no host but can be decoded.
#[derive(Default)]
pub(crate) struct HexLinkEncoder {
    roles: Vec<(UriRole, Option<u64>)>,
}

impl HexLinkEncoder {
    pub(crate) fn encode_link(&mut self, reference: &UriReference<'_>, out: &mut Vec<u8>) {
        let url = reference.url;
        assert!(url.starts_with("http://") || url.starts_with("https://"), "{url}");
        assert!(url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{url}");
        assert!(!reference.written.is_empty());
        self.roles.push((reference.role, reference.sequence));
        out.extend_from_slice(EDGE_BASE_URL.as_bytes());
        for byte in url.bytes() {
            out.extend([byte >> 4, byte & 15].map(|half| b"0123456789abcdef"[usize::from(half)]));
        }
    }
}

/// Decodes a link to its URL; returns any other text as it is.
pub(crate) fn decode_link(text: &str) -> String {
    let Some(digits) = text.strip_prefix(EDGE_BASE_URL) else { return text.to_owned() };
    let half = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs.map(|pair| char::from(half(pair[0]) << 4 | half(pair[1]))).collect()
}

/// URL that the input was loaded from.
fn origin_url() -> Option<Url> {
    Url::parse("https://origin.example/live/index.m3u8?token=a%2Bb&host=cdn2.example").ok()
}

/// Variables of the parent playlist: a host and a word.
fn inherited_variables() -> Variables {
    // {"cdn": "https://cdn.example", "from-master": "M"}
    Variables::decode("Y2RuPWh0dHBzOi8vY2RuLmV4YW1wbGUKZnJvbS1tYXN0ZXI9TQo").unwrap_or_default()
}

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;
#[cfg(test)]
mod tests;
