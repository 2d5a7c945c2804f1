//! Redaction of EXT-X-DEFINE values that name the origin.
//!
//! `NAME="host",VALUE="cdn.example"` would reveal the host that every link hides. Once the URIs are
//! links, no URI refers to the variable, so its value is emptied. The value stays if another
//! attribute still refers to the variable, because the playlist would change its meaning otherwise.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use url::Url;

use crate::variables::find_variable_references;

/// Values that may have to be redacted: variable name and position in the output, in order.
#[derive(Debug, Default)]
pub(crate) struct RedactionCandidates<'a>(Vec<(&'a [u8], Range<usize>)>);

impl<'a> RedactionCandidates<'a> {
    pub(crate) fn push(&mut self, name: &'a [u8], value: Range<usize>) {
        self.0.push((name, value));
    }

    /// Returns the output with the values removed to which no variable reference leads.
    pub(crate) fn redact_unreferenced(self, out: Vec<u8>) -> Vec<u8> {
        if self.0.is_empty() {
            return out;
        }
        let mut values: HashMap<&[u8], Vec<&Range<usize>>> = HashMap::new();
        let (mut pending, mut scanned_until) = (Vec::new(), 0);
        for (name, value) in &self.0 {
            values.entry(name).or_default().push(value);
            pending.extend(variables_in(&out, scanned_until..value.start));
            scanned_until = value.end;
        }
        pending.extend(variables_in(&out, scanned_until..out.len()));
        // References are followed through values. Values that only refer to each other count as
        // unreferenced.
        let mut referenced: HashSet<&[u8]> = HashSet::new();
        while let Some(name) = pending.pop() {
            if referenced.insert(name) {
                let values = values.get(name).into_iter().flatten();
                pending.extend(values.flat_map(|value| variables_in(&out, (*value).clone())));
            }
        }
        let mut redacted = Vec::with_capacity(out.len());
        let mut copied_until = 0;
        for (_, value) in self.0.iter().filter(|(name, _)| !referenced.contains(name)) {
            redacted.extend_from_slice(out.get(copied_until..value.start).unwrap_or_default());
            copied_until = value.end;
        }
        redacted.extend_from_slice(out.get(copied_until..).unwrap_or_default());
        redacted
    }
}

fn variables_in(out: &[u8], range: Range<usize>) -> impl Iterator<Item = &[u8]> {
    find_variable_references(out.get(range).unwrap_or_default()).map(|reference| reference.name)
}

/// Whether the value is an absolute URL, contains the playlist's own host, or has the form of a
/// host. A false positive is harmless, because only unreferenced values are emptied.
pub(crate) fn may_name_origin(value: &[u8], base: &Url) -> bool {
    let contains = |needle: &[u8]| {
        value.windows(needle.len().max(1)).any(|window| window.eq_ignore_ascii_case(needle))
    };
    contains(b"//")
        || base.host_str().is_some_and(|host| contains(host.as_bytes()))
        || has_host_form(value)
}

/// Whether the value may be a URL or a host, whatever the playlist's own host is.
pub(crate) fn may_name_host(value: &[u8]) -> bool {
    memchr::memmem::find(value, b"//").is_some() || has_host_form(value)
}

/// Whether the value is two labels or more, with an optional port or path.
fn has_host_form(value: &[u8]) -> bool {
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
            assert_eq!(may_name_origin(value.as_bytes(), &base), expected, "{value}");
        }
    }
}
