//! DEFINE values that only named the origin leave with the URIs that used them.
//!
//! `NAME="host",VALUE="cdn.example"` would betray what every link hides. Once its URIs are links
//! nothing reads the value, so it is emptied; unless some other attribute still mentions the name,
//! in which case the playlist needs it to make sense, and it stays.

use std::collections::{HashMap, HashSet};
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
        let mut values: HashMap<&[u8], Vec<&Range<usize>>> = HashMap::new();
        let (mut mentioned, mut seen) = (Vec::new(), 0);
        for (name, value) in &self.0 {
            values.entry(name).or_default().push(value);
            mentioned.extend(names_in(&out, seen..value.start));
            seen = value.end;
        }
        mentioned.extend(names_in(&out, seen..out.len()));
        // A value that is read reads others in turn. Two that only read each other are not read.
        let mut read: HashSet<&[u8]> = HashSet::new();
        while let Some(name) = mentioned.pop() {
            if read.insert(name) {
                let values = values.get(name).into_iter().flatten();
                mentioned.extend(values.flat_map(|value| names_in(&out, (*value).clone())));
            }
        }
        let mut kept = Vec::with_capacity(out.len());
        let mut copied = 0;
        for (_, value) in self.0.iter().filter(|(name, _)| !read.contains(name)) {
            kept.extend_from_slice(out.get(copied..value.start).unwrap_or_default());
            copied = value.end;
        }
        kept.extend_from_slice(out.get(copied..).unwrap_or_default());
        kept
    }
}

fn names_in(out: &[u8], range: Range<usize>) -> impl Iterator<Item = &[u8]> {
    mentions(out.get(range).unwrap_or_default()).map(|mention| mention.name)
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

/// Two labels or more, and maybe a port or a path.
fn is_host(value: &[u8]) -> bool {
    let host = value.split(|&byte| matches!(byte, b':' | b'/' | b'?')).next().unwrap_or_default();
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
            ("cdn.example/live", true),
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
