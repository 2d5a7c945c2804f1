//! Reads the values of one playlist: resolves URIs and substitutes variables.

use url::Url;

use crate::error::InvalidPlaylist;
use crate::limits::PlaylistLimits;
use crate::line::{Tag, trim_padding};
use crate::uri_resolver::UriResolver;
use crate::variables::Variables;

pub(super) struct ValueResolver<'a> {
    resolver: UriResolver<'a>,
    variables: &'a Variables,
    substituted: Vec<u8>,
    limits: &'a PlaylistLimits,
    /// Bytes of text returned so far, limited so that the model stays in proportion to its
    /// playlist.
    written_bytes: usize,
    line: usize,
}

impl<'a> ValueResolver<'a> {
    pub(super) fn new(base: &'a Url, variables: &'a Variables, limits: &'a PlaylistLimits) -> Self {
        Self {
            resolver: UriResolver::new(base),
            variables,
            substituted: Vec::new(),
            limits,
            written_bytes: 0,
            line: 0,
        }
    }

    /// Sets the line number for errors from here on.
    pub(super) fn set_error_line(&mut self, line: usize) {
        self.line = line;
    }

    /// Returns the absolute URL; as written if its scheme is never fetched.
    pub(super) fn read_url(&mut self, written: &[u8]) -> Result<String, InvalidPlaylist> {
        let limit = self.limits.max_line_bytes;
        let uri = self.variables.substitute(written, &mut self.substituted, limit, self.line)?;
        let uri = trim_padding(uri);
        let url = match self.resolver.resolve(uri) {
            Some(url) if url.len() > limit => {
                return Err(InvalidPlaylist::UriTooLong { line: self.line, limit });
            }
            Some(url) => url.to_owned(),
            None => String::from_utf8_lossy(uri).into_owned(),
        };
        self.charge_bytes(url)
    }

    pub(super) fn read_text(&mut self, written: &[u8]) -> Result<String, InvalidPlaylist> {
        let limit = self.limits.max_line_bytes;
        let text = self.variables.substitute(written, &mut self.substituted, limit, self.line)?;
        let text = String::from_utf8_lossy(text).into_owned();
        self.charge_bytes(text)
    }

    /// `None` if the tag has no such attribute or the attribute is empty.
    pub(super) fn read_url_attribute(
        &mut self,
        tag: &Tag<'_>,
        name: &str,
    ) -> Result<Option<String>, InvalidPlaylist> {
        let value = tag.find_attribute_value(name).filter(|value| !value.is_empty());
        value.map(|value| self.read_url(value)).transpose()
    }

    pub(super) fn read_text_attribute(
        &mut self,
        tag: &Tag<'_>,
        name: &str,
    ) -> Result<Option<String>, InvalidPlaylist> {
        tag.find_attribute_value(name).map(|value| self.read_text(value)).transpose()
    }

    fn charge_bytes(&mut self, text: String) -> Result<String, InvalidPlaylist> {
        let limit = self.limits.max_output_bytes();
        self.written_bytes = self.written_bytes.saturating_add(text.len());
        if self.written_bytes > limit {
            return Err(InvalidPlaylist::OutputTooLong { line: self.line, limit });
        }
        Ok(text)
    }
}
