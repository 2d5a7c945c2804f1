//! Values of one playlist: its URIs resolved, its variables filled in.

use url::Url;

use crate::error::InvalidPlaylist;
use crate::limits::Limits;
use crate::line::{Tag, trim};
use crate::resolve::Resolver;
use crate::variables::Variables;

pub(super) struct Reader<'a> {
    resolver: Resolver<'a>,
    variables: &'a Variables,
    filled: Vec<u8>,
    limits: &'a Limits,
    /// Bytes of text handed out, so that a picture stays in proportion to its playlist.
    written: usize,
    line: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(base: &'a Url, variables: &'a Variables, limits: &'a Limits) -> Self {
        Self {
            resolver: Resolver::new(base),
            variables,
            filled: Vec::new(),
            limits,
            written: 0,
            line: 0,
        }
    }

    /// For what goes wrong from here on.
    pub(super) fn at(&mut self, line: usize) {
        self.line = line;
    }

    /// Absolute; as written if it is of a scheme that is never fetched.
    pub(super) fn url(&mut self, written: &[u8]) -> Result<String, InvalidPlaylist> {
        let uri =
            trim(self.variables.fill(written, &mut self.filled, self.limits.line, self.line)?);
        let url = match self.resolver.resolve(uri) {
            Some(url) => url.to_owned(),
            None => String::from_utf8_lossy(uri).into_owned(),
        };
        self.weigh(url)
    }

    pub(super) fn text(&mut self, written: &[u8]) -> Result<String, InvalidPlaylist> {
        let text = self.variables.fill(written, &mut self.filled, self.limits.line, self.line)?;
        let text = String::from_utf8_lossy(text).into_owned();
        self.weigh(text)
    }

    /// `None` if the tag has no such attribute, or nothing in it.
    pub(super) fn url_in(
        &mut self,
        tag: &Tag<'_>,
        name: &str,
    ) -> Result<Option<String>, InvalidPlaylist> {
        let value = tag.attribute(name).filter(|value| !value.is_empty());
        value.map(|value| self.url(value)).transpose()
    }

    pub(super) fn text_in(
        &mut self,
        tag: &Tag<'_>,
        name: &str,
    ) -> Result<Option<String>, InvalidPlaylist> {
        tag.attribute(name).map(|value| self.text(value)).transpose()
    }

    fn weigh(&mut self, text: String) -> Result<String, InvalidPlaylist> {
        let limit = self.limits.grown();
        self.written = self.written.saturating_add(text.len());
        if self.written > limit {
            return Err(InvalidPlaylist::GrownTooLong { line: self.line, limit });
        }
        Ok(text)
    }
}
