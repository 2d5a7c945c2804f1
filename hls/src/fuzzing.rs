//! What holds for any bytes, whoever wrote them. `hls/fuzz` asks it of random input, a test here
//! asks it of the seeds committed beside it.
//!
//! Behind a feature that nothing but the fuzz crate turns on: line splitter and attribute list stay
//! private to everyone else, and the fuzz targets still check them by themselves. (`cfg(fuzzing)`
//! would do the same, but only under cargo-fuzz: the replay runs on a stable compiler.)

mod attributes;
mod document;
mod lines;
mod rewriting;

use url::Url;

pub use self::attributes::attributes;
pub use self::document::document;
pub use self::lines::lines;
pub use self::rewriting::rewriting;
use crate::reference::{Reference, Role};
use crate::variables::Variables;

/// Where links lead. No input is written with this host in mind.
pub(crate) const EDGE: &str = "https://edge.example/";

/// Links that tell nothing and forget nothing: the whole URL, in hexadecimal.
#[derive(Default)]
pub(crate) struct Hidden {
    roles: Vec<(Role, Option<u64>)>,
}

impl Hidden {
    pub(crate) fn link(&mut self, reference: &Reference<'_>, out: &mut Vec<u8>) {
        let url = reference.url;
        assert!(url.starts_with("http://") || url.starts_with("https://"), "{url}");
        assert!(url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{url}");
        assert!(!reference.written.is_empty());
        self.roles.push((reference.role, reference.sequence));
        out.extend_from_slice(EDGE.as_bytes());
        for byte in url.bytes() {
            out.extend([byte >> 4, byte & 15].map(|half| b"0123456789abcdef"[usize::from(half)]));
        }
    }
}

/// What a player does with it: the URL that a link stands for, any other text as it is.
pub(crate) fn followed(text: &str) -> String {
    let Some(digits) = text.strip_prefix(EDGE) else { return text.to_owned() };
    let half = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs.map(|pair| char::from(half(pair[0]) << 4 | half(pair[1]))).collect()
}

/// Where the input was loaded from.
fn origin() -> Option<Url> {
    Url::parse("https://origin.example/live/index.m3u8?token=a%2Bb&host=cdn2.example").ok()
}

/// What its parent defines: a host and a word.
fn inherited() -> Variables {
    // {"cdn": "https://cdn.example", "from-master": "M"}
    Variables::decode("Y2RuPWh0dHBzOi8vY2RuLmV4YW1wbGUKZnJvbS1tYXN0ZXI9TQo").unwrap_or_default()
}

#[cfg(test)]
mod tests;
