//! A URI as written -> the absolute URL, byte for byte.
//!
//! `url::Url::join` would do, but it normalises as browsers do: `'` in a query becomes `%27`, `%2e%2e`
//! is a step up, a tab vanishes, `:443` is dropped. Signed URLs are signed as written. So this is
//! RFC 3986, section 5, over bytes: dots are removed, and only what cannot stand in a request line
//! is encoded. It writes into one buffer and allocates nothing per URI; one that needs neither, as
//! nearly all do, is copied in one piece behind the base's directory.

mod class;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use url::{Position, Url};

use self::class::Class;

/// Non-ASCII bytes are always encoded. `|`, `^`, `[`, `]` and `\` stay: browsers send or fold them
/// at the very end, and some origin relies on each of them.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');
const PATH: &AsciiSet = &QUERY.add(b'`').add(b'{').add(b'}');
/// Stricter, so that no two parsers disagree about which host is meant: `good\@evil`.
const AUTHORITY: &AsciiSet = &PATH.add(b'\\').add(b'^').add(b'|');

pub(crate) struct Resolver<'a> {
    base: &'a Url,
    web: bool,
    /// The base up to the last slash of its path, and where that path begins.
    directory: &'a str,
    root: usize,
    out: String,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(base: &'a Url) -> Self {
        // The base's path is free of dots already: a `Url` keeps it so.
        let root = base[..Position::BeforePath].len();
        let path = &base[..Position::AfterPath];
        let end = memchr::memrchr(b'/', path.as_bytes()).map_or(root, |slash| root.max(slash + 1));
        let directory = path.get(..end).unwrap_or(path);
        Self { base, web: is_web(base.scheme()), directory, root, out: String::new() }
    }

    pub(crate) fn base(&self) -> &Url {
        self.base
    }

    /// `None` for what is never fetched: skd:, data:, urn: and any other scheme.
    pub(crate) fn resolve(&mut self, uri: &[u8]) -> Option<&str> {
        self.out.clear();
        if let Some(name) = self.plain(uri) {
            self.out.push_str(self.directory);
            self.out.push_str(name);
            return Some(&self.out);
        }
        let uri = uri.get(..memchr::memchr(b'#', uri).unwrap_or(uri.len()))?;
        match split_scheme(uri) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"https") => {
                self.absolute("https", rest)
            }
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"http") => {
                self.absolute("http", rest)
            }
            Some(_) => return None,
            None if self.web => self.relative(uri),
            None => return None,
        }
        Some(&self.out)
    }

    /// What nearly every URI is: relative to the base's directory, and nothing to change in it.
    fn plain<'u>(&self, uri: &'u [u8]) -> Option<&'u str> {
        let seen = Class::of(uri);
        let rooted = matches!(uri.first()?, b'/' | b'?' | b'.');
        if !self.web || rooted || seen.contains(Class::NOT_PLAIN) || has_step(uri, seen) {
            return None;
        }
        std::str::from_utf8(uri).ok()
    }

    fn absolute(&mut self, scheme: &str, rest: &[u8]) {
        match rest.strip_prefix(b"//") {
            Some(rest) => self.network(scheme, rest),
            // `http:seg.ts`: RFC 3986, 5.2.2, the backward compatible reading.
            None if scheme == self.base.scheme() => self.relative(rest),
            None => self.network(scheme, rest.get(slashes(rest)..).unwrap_or_default()),
        }
    }

    fn network(&mut self, scheme: &str, rest: &[u8]) {
        let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        self.out.push_str(scheme);
        self.out.push_str("://");
        self.out.extend(percent_encode(authority, AUTHORITY));
        self.rooted(rest);
    }

    fn relative(&mut self, uri: &[u8]) {
        if let Some(rest) = uri.strip_prefix(b"//") {
            return self.network(self.base.scheme(), rest);
        }
        match uri.first() {
            None => self.out.push_str(&self.base[..Position::AfterQuery]),
            Some(b'?') => {
                self.out.push_str(&self.base[..Position::AfterPath]);
                self.query(uri);
            }
            Some(b'/') => {
                self.out.push_str(&self.base[..Position::BeforePath]);
                self.rooted(uri);
            }
            Some(_) => {
                self.out.push_str(self.directory);
                self.path_and_query(self.root, uri);
            }
        }
    }

    /// An absolute path, or none at all, after an authority.
    fn rooted(&mut self, rest: &[u8]) {
        let root = self.out.len();
        self.out.push('/');
        self.path_and_query(root, rest.strip_prefix(b"/").unwrap_or(rest));
    }

    /// Appends to a path that begins at `root` and ends in a slash, taking dots as steps.
    fn path_and_query(&mut self, root: usize, rest: &[u8]) {
        let (path, query) = rest.split_at(memchr::memchr(b'?', rest).unwrap_or(rest.len()));
        if let Some(settled) = settled(rest, path, query) {
            return self.out.push_str(settled);
        }
        let mut segments = path.split(|&byte| byte == b'/').peekable();
        while let Some(segment) = segments.next() {
            match segment {
                b"." => {}
                b".." => self.up(root),
                _ => {
                    self.out.extend(percent_encode(segment, PATH));
                    if segments.peek().is_some() {
                        self.out.push('/');
                    }
                }
            }
        }
        self.query(query);
    }

    fn up(&mut self, root: usize) {
        let last = self.out.len().saturating_sub(1);
        if last > root {
            self.out.truncate(last);
            let slash = self.out.rfind('/').map_or(root, |slash| slash.max(root));
            self.out.truncate(slash + 1);
        }
    }

    /// With its question mark.
    fn query(&mut self, query: &[u8]) {
        self.out.extend(percent_encode(query, QUERY));
    }
}

/// Would a player fetch it over the web, whatever the base? Asked of tags nobody knows, whose
/// `URI` may be relative to anything.
pub(crate) fn names_host(uri: &[u8]) -> bool {
    match split_scheme(uri) {
        Some((scheme, _)) => {
            scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")
        }
        None => uri.starts_with(b"//"),
    }
}

fn is_web(scheme: &str) -> bool {
    matches!(scheme, "http" | "https")
}

fn slashes(text: &[u8]) -> usize {
    text.iter().take_while(|&&byte| byte == b'/').count()
}

/// The whole, if nothing in it is encoded and no dots are steps.
fn settled<'u>(whole: &'u [u8], path: &[u8], query: &[u8]) -> Option<&'u str> {
    let seen = Class::of(path);
    if path.first() == Some(&b'.')
        || has_step(path, seen)
        || seen.contains(Class::NOT_IN_PATH)
        || Class::of(query).contains(Class::NOT_IN_QUERY)
    {
        return None;
    }
    std::str::from_utf8(whole).ok()
}

/// May take a name that merely begins with a dot for one.
fn has_step(text: &[u8], seen: Class) -> bool {
    let path = || text.split(|&byte| byte == b'?').next().unwrap_or_default();
    seen.contains(Class::SLASH) && path().windows(2).any(|pair| pair == b"/.")
}

/// A scheme begins with a letter, so `12:00.ts` has none.
fn split_scheme(uri: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = uri.iter().position(|&byte| !Class::of_byte(byte).contains(Class::SCHEME))?;
    let (scheme, rest) = uri.split_at(colon);
    if scheme.first()?.is_ascii_alphabetic() {
        Some((scheme, rest.strip_prefix(b":")?))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
