//! Rewriting of steering manifests and asset lists, the JSON documents that name playlists.
//!
//! JSON has no comments, significant order or line ends to preserve, so these documents are parsed
//! and serialised again.

use serde_json::{Map, Value};
use url::Url;

use crate::error::InvalidDocument;
use crate::limits::PlaylistLimits;
use crate::uri_mapper::{UriMapper, UriReference, UriRole};
use crate::uri_resolver::UriResolver;
use crate::variables::NO_VARIABLES;

/// A document takes many times its size while it is parsed, and real ones have a few kilobytes.
const DOCUMENT_MAX_BYTES: usize = 2 << 20;
const OUTPUT_MAX_BYTES: usize = 16 * DOCUMENT_MAX_BYTES;

/// Rewrites the URIs of a JSON document that was loaded from `base` (the URL after redirects).
///
/// # Errors
/// [`InvalidDocument`] if the document has more than 2 MiB, is not JSON, is neither a steering
/// manifest nor an asset list, or grows beyond 32 MiB.
pub fn rewrite_json_document<L: UriMapper + ?Sized>(
    json: &[u8],
    base: &Url,
    mapper: &mut L,
) -> Result<Vec<u8>, InvalidDocument> {
    if json.len() > DOCUMENT_MAX_BYTES {
        return Err(InvalidDocument::TooLong { bytes: json.len(), limit: DOCUMENT_MAX_BYTES });
    }
    let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    let Value::Object(mut document) = serde_json::from_slice(json)? else {
        return Err(InvalidDocument::Unrecognised);
    };
    let mut rewriter = JsonDocumentRewriter {
        resolver: UriResolver::new(base),
        mapper,
        written_bytes: 0,
        max_bytes: OUTPUT_MAX_BYTES,
        max_link_bytes: PlaylistLimits::DEFAULT.max_link_bytes,
    };
    if document.get("ASSETS").is_some_and(Value::is_array) {
        rewriter.rewrite_asset_list(&mut document)?;
    } else if ["RELOAD-URI", "PATHWAY-PRIORITY", "TTL"]
        .iter()
        .any(|key| document.contains_key(*key))
    {
        rewriter.rewrite_steering_manifest(&mut document)?;
    } else {
        return Err(InvalidDocument::Unrecognised);
    }
    Ok(serde_json::to_vec(&document)?)
}

struct JsonDocumentRewriter<'a, L: ?Sized> {
    resolver: UriResolver<'a>,
    mapper: &'a mut L,
    written_bytes: usize,
    max_bytes: usize,
    max_link_bytes: usize,
}

impl<L: UriMapper + ?Sized> JsonDocumentRewriter<'_, L> {
    fn rewrite_asset_list(
        &mut self,
        document: &mut Map<String, Value>,
    ) -> Result<(), InvalidDocument> {
        self.redact_members(document, &["ASSETS"])?;
        let assets = document.get_mut("ASSETS").and_then(Value::as_array_mut);
        for asset in assets.into_iter().flatten() {
            match asset.as_object_mut() {
                Some(members) => self.redact_members(members, &["URI"])?,
                None => self.redact_value(asset)?,
            }
            self.replace_uri(UriRole::Asset, asset.get_mut("URI"))?;
        }
        Ok(())
    }

    /// Removes `PATHWAY-CLONES` from a steering manifest: a pathway clone replaces the host of
    /// URIs, which would send players past the edge.
    fn rewrite_steering_manifest(
        &mut self,
        document: &mut Map<String, Value>,
    ) -> Result<(), InvalidDocument> {
        document.remove("PATHWAY-CLONES");
        self.redact_members(document, &["RELOAD-URI"])?;
        self.replace_uri(UriRole::Steering, document.get_mut("RELOAD-URI"))
    }

    /// Redacts all members of an object but those named, which are looked at one by one.
    fn redact_members(
        &mut self,
        object: &mut Map<String, Value>,
        except: &[&str],
    ) -> Result<(), InvalidDocument> {
        let Some(redactor) = self.mapper.redactor() else { return Ok(()) };
        object.retain(|name, _| redactor.can_publish(name.as_bytes()));
        for (name, value) in object.iter_mut() {
            let is_fetched = value.is_string() || value.is_array();
            if !(is_fetched && except.contains(&name.as_str())) {
                self.redact_value(value)?;
            }
        }
        Ok(())
    }

    /// Replaces each text of a value that may not be published: a URL with a link, another text
    /// with a name.
    fn redact_value(&mut self, value: &mut Value) -> Result<(), InvalidDocument> {
        match value {
            Value::String(text) => {
                let redactor = self.mapper.redactor();
                if redactor.is_none_or(|redactor| redactor.can_publish(text.as_bytes())) {
                    return Ok(());
                }
                let trimmed = crate::line::trim_padding(text.as_bytes());
                if crate::uri_resolver::has_host(trimmed) && !trimmed.contains(&b' ') {
                    return self.replace_uri(UriRole::UnknownTag, Some(value));
                }
                let mut name = Vec::new();
                self.mapper.map_hidden_text(text.as_bytes(), &mut name);
                *text = String::from_utf8_lossy(&name).into_owned();
                Ok(())
            }
            Value::Array(values) => {
                values.iter_mut().try_for_each(|value| self.redact_value(value))
            }
            Value::Object(members) => self.redact_members(members, &[]),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn replace_uri(
        &mut self,
        role: UriRole,
        uri: Option<&mut Value>,
    ) -> Result<(), InvalidDocument> {
        let Some(Value::String(uri)) = uri else { return Ok(()) };
        let written = crate::line::trim_padding(uri.as_bytes());
        if written.is_empty() {
            return Ok(());
        }
        let Some(url) = self.resolver.resolve(written) else {
            if self.mapper.redactor().is_some_and(|redactor| !redactor.can_publish(written)) {
                let mut name = Vec::new();
                self.mapper.map_hidden_text(written, &mut name);
                *uri = String::from_utf8_lossy(&name).into_owned();
            }
            return Ok(());
        };
        let reference = UriReference {
            role,
            target: role.link_route(url),
            url,
            sequence: None,
            byte_range: None,
            is_gap: false,
            variables: &NO_VARIABLES,
            written,
        };
        let mut link = Vec::new();
        self.mapper.map_uri(&reference, &mut link);
        let (bytes, limit) = (link.len(), self.max_link_bytes);
        if bytes > limit {
            return Err(InvalidDocument::LinkTooLong { bytes, limit });
        }
        self.written_bytes += link.len();
        if self.written_bytes > self.max_bytes {
            return Err(InvalidDocument::OutputTooLong { limit: self.max_bytes });
        }
        *uri = String::from_utf8_lossy(&link).into_owned();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
