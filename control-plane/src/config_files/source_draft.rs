//! [`SourceDraft`]: the text that a source file is to have, as an operator sends it.

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use toml::de::DeTable;
use toml_edit::DocumentMut;
use utoipa::ToSchema;

use super::merge_patch::apply_merge_patch;
use super::secret_masks::{Masker, SecretMasks};
use super::versioned_file::TEXT_MAX_BYTES;
use super::{FileError, InvalidText};

/// A text, or changes of the stored one, or both: the changes are then made in the text. Masks in
/// either stand for the secrets of the stored file.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SourceDraft {
    /// The whole file, in TOML. By default that of the stored file.
    text: Option<String>,
    /// A merge patch (RFC 7396) of the keys; comments and all other keys stay.
    #[schema(value_type = Option<Object>)]
    patch: Option<Map<String, Json>>,
}

impl SourceDraft {
    /// The file with its secrets.
    ///
    /// `file`: its name in errors. `stored`: the text that it has now, if there is such a file.
    ///
    /// # Errors
    /// [`FileError::Invalid`]: something in the text is no TOML, or too long.
    pub(super) fn compose(
        &self,
        file: &str,
        stored: Option<&str>,
        masker: &Masker,
    ) -> Result<DocumentMut, FileError> {
        let invalid = |message: String| FileError::Invalid(InvalidText::new(file, message));
        let mut masks = SecretMasks::default();
        // A stored file that is no TOML has neither secrets to restore nor keys to change.
        let stored = stored.and_then(|text| text.parse::<DocumentMut>().ok());
        if let Some(stored) = &stored {
            masks = masker.mask(&mut stored.clone());
        }
        let mut document = match &self.text {
            Some(text) => parse_document(file, text)?,
            None => stored.unwrap_or_default(),
        };
        if let Some(patch) = &self.patch {
            apply_merge_patch(&mut document, patch)
                .map_err(|key| invalid(format!("{key}: TOML has no such value")))?;
        }
        masks.restore(&mut document).map_err(|key| {
            invalid(format!("{key}: a mask of no secret in this file: write the value itself"))
        })?;
        if document.to_string().len() > TEXT_MAX_BYTES {
            return Err(invalid(format!("longer than {TEXT_MAX_BYTES} bytes")));
        }
        Ok(document)
    }
}

fn parse_document(file: &str, text: &str) -> Result<DocumentMut, FileError> {
    let located =
        |error: &toml::de::Error| FileError::Invalid(InvalidText::of_toml(file, text, error));
    DeTable::parse(text).map_err(|error| located(&error))?;
    text.parse().map_err(|error: toml_edit::TomlError| {
        FileError::Invalid(InvalidText::new(file, error.message()))
    })
}
