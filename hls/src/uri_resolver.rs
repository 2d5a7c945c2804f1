//! Resolution of a URI as written to the absolute URL, byte for byte (RFC 3986, section 5).
//!
//! `url::Url::join` normalises as browsers do: `'` in a query becomes `%27`, `%2e%2e` is taken as
//! `..`, a tab vanishes, `:443` is dropped. That breaks URLs whose signature covers the bytes as
//! written. So [`UriResolver`] only removes dot segments and encodes only bytes that cannot appear
//! in a request line. It writes into one buffer and allocates nothing per URI; a URI that needs
//! neither step, as nearly all do, is appended to the base's directory in one piece.

mod byte_class;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use url::{Position, Url};

use self::byte_class::ByteClass;

/// Bytes to percent-encode in a query; non-ASCII bytes always are. `|`, `^`, `[`, `]` and `\` stay,
/// because some origins rely on each of them.
const QUERY_ENCODE_SET: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');
const PATH_ENCODE_SET: &AsciiSet = &QUERY_ENCODE_SET.add(b'`').add(b'{').add(b'}');
/// Bytes to percent-encode in an authority: more than in a path, so that no two parsers disagree
/// about the host, as in `good\@evil`.
const AUTHORITY_ENCODE_SET: &AsciiSet = &PATH_ENCODE_SET.add(b'\\').add(b'^').add(b'|');

pub(crate) struct UriResolver<'a> {
    base: &'a Url,
    is_http: bool,
    /// The base URL up to the last slash of its path.
    directory: &'a str,
    path_start: usize,
    out: String,
}

impl<'a> UriResolver<'a> {
    pub(crate) fn new(base: &'a Url) -> Self {
        // A `Url` never has dot segments in its path.
        let path_start = base[..Position::BeforePath].len();
        let path = &base[..Position::AfterPath];
        let end = memchr::memrchr(b'/', path.as_bytes())
            .map_or(path_start, |slash| path_start.max(slash + 1));
        let directory = path.get(..end).unwrap_or(path);
        Self {
            base,
            is_http: is_http_scheme(base.scheme()),
            directory,
            path_start,
            out: String::new(),
        }
    }

    pub(crate) fn base(&self) -> &Url {
        self.base
    }

    /// Resolves `uri` against the base. `None` for schemes other than HTTP and HTTPS (`skd:`,
    /// `data:`, `urn:`), which the edge never fetches.
    pub(crate) fn resolve(&mut self, uri: &[u8]) -> Option<&str> {
        self.out.clear();
        if let Some(name) = self.as_plain_relative(uri) {
            self.out.push_str(self.directory);
            self.out.push_str(name);
            return Some(&self.out);
        }
        let uri = uri.get(..memchr::memchr(b'#', uri).unwrap_or(uri.len()))?;
        match split_scheme(uri) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"https") => {
                self.push_absolute("https", rest)
            }
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"http") => {
                self.push_absolute("http", rest)
            }
            Some(_) => return None,
            None if self.is_http => self.push_relative(uri),
            None => return None,
        }
        Some(&self.out)
    }

    /// Returns `uri` as text if it is relative to the base's directory and needs no change.
    fn as_plain_relative<'u>(&self, uri: &'u [u8]) -> Option<&'u str> {
        let classes = ByteClass::of(uri);
        let has_special_start = matches!(uri.first()?, b'/' | b'?' | b'.');
        if !self.is_http
            || has_special_start
            || classes.intersects(ByteClass::NOT_PLAIN)
            || has_dot_segment(uri, classes)
        {
            return None;
        }
        std::str::from_utf8(uri).ok()
    }

    fn push_absolute(&mut self, scheme: &str, rest: &[u8]) {
        match rest.strip_prefix(b"//") {
            Some(rest) => self.push_authority(scheme, rest),
            // `http:seg.ts`: RFC 3986, 5.2.2, backward-compatible interpretation.
            None if scheme == self.base.scheme() => self.push_relative(rest),
            None => self
                .push_authority(scheme, rest.get(leading_slash_count(rest)..).unwrap_or_default()),
        }
    }

    fn push_authority(&mut self, scheme: &str, rest: &[u8]) {
        let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        self.out.push_str(scheme);
        self.out.push_str("://");
        self.out.extend(percent_encode(authority, AUTHORITY_ENCODE_SET));
        self.push_absolute_path(rest);
    }

    fn push_relative(&mut self, uri: &[u8]) {
        if let Some(rest) = uri.strip_prefix(b"//") {
            return self.push_authority(self.base.scheme(), rest);
        }
        match uri.first() {
            None => self.out.push_str(&self.base[..Position::AfterQuery]),
            Some(b'?') => {
                self.out.push_str(&self.base[..Position::AfterPath]);
                self.push_query(uri);
            }
            Some(b'/') => {
                self.out.push_str(&self.base[..Position::BeforePath]);
                self.push_absolute_path(uri);
            }
            Some(_) => {
                self.out.push_str(self.directory);
                self.push_path_and_query(self.path_start, uri);
            }
        }
    }

    /// Appends an absolute path, or an empty one, after an authority.
    fn push_absolute_path(&mut self, rest: &[u8]) {
        let root = self.out.len();
        self.out.push('/');
        self.push_path_and_query(root, rest.strip_prefix(b"/").unwrap_or(rest));
    }

    /// Appends to a path that begins at offset `root` and ends in a slash, removing dot segments.
    fn push_path_and_query(&mut self, root: usize, rest: &[u8]) {
        let (path, query) = rest.split_at(memchr::memchr(b'?', rest).unwrap_or(rest.len()));
        if let Some(normalized) = as_normalized(rest, path, query) {
            return self.out.push_str(normalized);
        }
        let mut segments = path.split(|&byte| byte == b'/').peekable();
        while let Some(segment) = segments.next() {
            match segment {
                b"." => {}
                b".." => self.pop_path_segment(root),
                _ => {
                    self.out.extend(percent_encode(segment, PATH_ENCODE_SET));
                    if segments.peek().is_some() {
                        self.out.push('/');
                    }
                }
            }
        }
        self.push_query(query);
    }

    fn pop_path_segment(&mut self, root: usize) {
        let last = self.out.len().saturating_sub(1);
        if last > root {
            self.out.truncate(last);
            let slash = self.out.rfind('/').map_or(root, |slash| slash.max(root));
            self.out.truncate(slash + 1);
        }
    }

    /// Appends a query, with its question mark.
    fn push_query(&mut self, query: &[u8]) {
        self.out.extend(percent_encode(query, QUERY_ENCODE_SET));
    }
}

/// Whether the URI names a host, whatever the base. Used for the `URI` attributes of unknown tags,
/// which may be relative to anything.
pub(crate) fn has_host(uri: &[u8]) -> bool {
    match split_scheme(uri) {
        Some((scheme, _)) => {
            scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")
        }
        None => uri.starts_with(b"//"),
    }
}

fn is_http_scheme(scheme: &str) -> bool {
    matches!(scheme, "http" | "https")
}

fn leading_slash_count(text: &[u8]) -> usize {
    text.iter().take_while(|&&byte| byte == b'/').count()
}

/// Returns `whole` if it needs no encoding and has no dot segments.
fn as_normalized<'u>(whole: &'u [u8], path: &[u8], query: &[u8]) -> Option<&'u str> {
    let classes = ByteClass::of(path);
    if path.first() == Some(&b'.')
        || has_dot_segment(path, classes)
        || classes.intersects(ByteClass::NOT_IN_PATH)
        || ByteClass::of(query).intersects(ByteClass::NOT_IN_QUERY)
    {
        return None;
    }
    std::str::from_utf8(whole).ok()
}

/// Whether the path has a dot segment; also true for a name that merely begins with a dot.
fn has_dot_segment(text: &[u8], classes: ByteClass) -> bool {
    let path = || text.split(|&byte| byte == b'?').next().unwrap_or_default();
    classes.intersects(ByteClass::SLASH) && path().windows(2).any(|pair| pair == b"/.")
}

/// Splits off a scheme. A scheme begins with a letter, so `12:00.ts` has none.
fn split_scheme(uri: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon =
        uri.iter().position(|&byte| !ByteClass::of_byte(byte).intersects(ByteClass::SCHEME))?;
    let (scheme, rest) = uri.split_at(colon);
    if scheme.first()?.is_ascii_alphabetic() {
        Some((scheme, rest.strip_prefix(b":")?))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
