//! Steering manifests and asset lists: JSON documents that name playlists.
//!
//! JSON has no comments, no order and no line ends to preserve, so these are parsed and written anew.

use serde_json::{Map, Value};
use url::Url;

use crate::error::InvalidDocument;
use crate::limits::Limits;
use crate::reference::{Linker, Reference, Role};
use crate::resolve::Resolver;
use crate::variables::NONE;

/// Rewrites a document that was loaded from `base` (after redirects).
pub fn rewrite_document<L: Linker + ?Sized>(
    json: &[u8],
    base: &Url,
    linker: &mut L,
) -> Result<Vec<u8>, InvalidDocument> {
    let limits = Limits::default();
    if json.len() > limits.bytes {
        return Err(InvalidDocument::TooLong { bytes: json.len(), limit: limits.bytes });
    }
    let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    let Value::Object(mut document) = serde_json::from_slice(json)? else {
        return Err(InvalidDocument::Unrecognised);
    };
    let mut links =
        Links { resolver: Resolver::new(base), linker, written: 0, limit: limits.grown() };
    if document.get("ASSETS").is_some_and(Value::is_array) {
        links.assets(&mut document)?;
    } else if ["RELOAD-URI", "PATHWAY-PRIORITY", "TTL"]
        .iter()
        .any(|key| document.contains_key(*key))
    {
        links.steering(&mut document)?;
    } else {
        return Err(InvalidDocument::Unrecognised);
    }
    Ok(serde_json::to_vec(&document)?)
}

struct Links<'a, L: ?Sized> {
    resolver: Resolver<'a>,
    linker: &'a mut L,
    written: usize,
    limit: usize,
}

impl<L: Linker + ?Sized> Links<'_, L> {
    fn assets(&mut self, document: &mut Map<String, Value>) -> Result<(), InvalidDocument> {
        let assets = document.get_mut("ASSETS").and_then(Value::as_array_mut);
        for asset in assets.into_iter().flatten() {
            self.link(Role::Asset, asset.get_mut("URI"))?;
        }
        Ok(())
    }

    /// A clone puts another host in the place of ours, so there are none.
    fn steering(&mut self, document: &mut Map<String, Value>) -> Result<(), InvalidDocument> {
        document.remove("PATHWAY-CLONES");
        self.link(Role::Steering, document.get_mut("RELOAD-URI"))
    }

    fn link(&mut self, role: Role, uri: Option<&mut Value>) -> Result<(), InvalidDocument> {
        let Some(Value::String(uri)) = uri else { return Ok(()) };
        let written = crate::line::trim(uri.as_bytes());
        if written.is_empty() {
            return Ok(());
        }
        let Some(url) = self.resolver.resolve(written) else { return Ok(()) };
        let reference = Reference {
            role,
            target: role.target(url),
            url,
            sequence: None,
            byte_range: None,
            is_gap: false,
            variables: &NONE,
            written,
        };
        let mut link = Vec::new();
        self.linker.link(&reference, &mut link);
        self.written += link.len();
        if self.written > self.limit {
            return Err(InvalidDocument::GrownTooLong { limit: self.limit });
        }
        *uri = String::from_utf8_lossy(&link).into_owned();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
