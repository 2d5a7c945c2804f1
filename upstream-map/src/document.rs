//! [`Document`]: one document as it is served.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

/// Text, usually JSON, shared by all maps that contain it and all responses that carry it. The
/// default is a document that is not published yet.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct PublicDocument(Option<Arc<Content>>);

struct Content {
    text: String,
    etag: OnceLock<String>,
}

impl PublicDocument {
    /// Serialises a value as JSON.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the value cannot be represented as JSON.
    pub fn from_value<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::from_text(serde_json::to_string(value)?))
    }

    /// A document that is not JSON.
    pub fn from_text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self((!text.is_empty()).then(|| Arc::new(Content { text, etag: OnceLock::new() })))
    }

    /// The text; `None` until the control plane has published the document.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_ref().map(|content| content.text.as_str())
    }

    /// The [`entity_tag`] of the text, which is computed once, however many maps and responses have
    /// the document.
    pub fn etag(&self) -> &str {
        let etag = self
            .0
            .as_ref()
            .map(|content| content.etag.get_or_init(|| entity_tag(content.text.as_bytes())));
        etag.map_or("\"\"", String::as_str)
    }
}

/// A strong entity tag (RFC 9110): the first 64 bits of a hash of the content, in quotes.
pub fn entity_tag(content: &[u8]) -> String {
    let hash = blake3::hash(content).to_hex();
    format!("\"{}\"", hash.get(..16).unwrap_or_default())
}

impl PartialEq for PublicDocument {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// For response bodies that share the text.
impl AsRef<[u8]> for PublicDocument {
    fn as_ref(&self) -> &[u8] {
        self.as_str().unwrap_or_default().as_bytes()
    }
}

impl fmt::Debug for PublicDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl From<String> for PublicDocument {
    fn from(text: String) -> Self {
        Self::from_text(text)
    }
}

impl From<PublicDocument> for String {
    fn from(document: PublicDocument) -> Self {
        document.as_str().unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_a_hash_of_the_text() {
        let [one, same, other] = ["a", "a", "b"].map(PublicDocument::from_text);
        assert_eq!(one.etag(), same.etag());
        assert_ne!(one.etag(), other.etag());
        assert!(one.etag().starts_with('"') && one.etag().ends_with('"'));
    }

    #[test]
    fn an_unpublished_document_has_no_text() {
        for (json, expected) in [("\"\"", None), ("\"x\"", Some("x"))] {
            let document: PublicDocument = serde_json::from_str(json).unwrap();
            assert_eq!(document.as_str(), expected);
            assert_eq!(serde_json::to_string(&document).unwrap(), json);
        }
    }
}
