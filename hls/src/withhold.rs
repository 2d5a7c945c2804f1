//! DEFINE values that only named the origin leave with the URIs that used them.
//!
//! `NAME="host",VALUE="cdn.example"` would betray what every link hides. Once its URIs are links
//! nothing reads the value, so it is emptied; unless some other attribute still mentions the name,
//! in which case the playlist needs it to make sense, and it stays.

use std::collections::HashMap;
use std::ops::Range;

use url::Url;

use crate::variables::mentions;

/// Values that may have to go: their names, and where they stand in the output, in order.
#[derive(Debug, Default)]
pub(crate) struct Withheld<'a>(Vec<(&'a [u8], Range<usize>)>);

impl<'a> Withheld<'a> {
    pub(crate) fn push(&mut self, name: &'a [u8], value: Range<usize>) {
        self.0.push((name, value));
    }

    /// The output without them.
    pub(crate) fn from(self, out: Vec<u8>) -> Vec<u8> {
        if self.0.is_empty() {
            return out;
        }
        let mut uses: HashMap<&[u8], usize> = HashMap::new();
        for mention in mentions(&out) {
            *uses.entry(mention.name).or_default() += 1;
        }
        // From the last to the first, because a value may mention earlier names only.
        let mut gone = Vec::new();
        for (name, value) in self.0.into_iter().rev() {
            if uses.get(name).is_some_and(|&uses| uses > 0) {
                continue;
            }
            for mention in mentions(out.get(value.clone()).unwrap_or_default()) {
                if let Some(uses) = uses.get_mut(mention.name) {
                    *uses = uses.saturating_sub(1);
                }
            }
            gone.push(value);
        }
        let mut kept = Vec::with_capacity(out.len());
        let mut copied = 0;
        for value in gone.into_iter().rev() {
            kept.extend_from_slice(out.get(copied..value.start).unwrap_or_default());
            copied = value.end;
        }
        kept.extend_from_slice(out.get(copied..).unwrap_or_default());
        kept
    }
}

/// An absolute URL, the playlist's own host, or what looks like a host. Guessing too often is
/// harmless: only a value that nothing reads is emptied.
pub(crate) fn names_origin(value: &[u8], base: &Url) -> bool {
    let contains = |needle: &[u8]| {
        value.windows(needle.len().max(1)).any(|window| window.eq_ignore_ascii_case(needle))
    };
    contains(b"//")
        || base.host_str().is_some_and(|host| contains(host.as_bytes()))
        || is_host(value)
}

/// Two labels or more, and maybe a port.
fn is_host(value: &[u8]) -> bool {
    let host = value.split(|&byte| byte == b':').next().unwrap_or_default();
    host.split(|&byte| byte == b'.').count() > 1
        && host.split(|&byte| byte == b'.').all(|label| {
            !label.is_empty()
                && label
                    .iter()
                    .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let base = Url::parse("https://origin:9000/live/index.m3u8").unwrap();
        for (value, expected) in [
            ("https://cdn.example/", true),
            ("//cdn", true),
            ("cdn.example", true),
            ("cdn.example:81", true),
            ("10.0.0.1", true),
            ("ORIGIN:9000", true),
            ("", false),
            ("abc", false),
            ("/path/to.d/", false),
            (".", false),
            ("token=1", false),
        ] {
            assert_eq!(names_origin(value.as_bytes(), &base), expected, "{value}");
        }
    }
}
