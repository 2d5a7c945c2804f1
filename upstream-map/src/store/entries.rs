//! The map as entries: one field per stream, profile, public document and explanation. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::documents::{Document, Documents};
use crate::map::UpstreamMap;
use crate::stream::{RequestProfileId, StreamId};

/// Entries by field name, not encrypted.
pub(super) type Entries = BTreeMap<String, Vec<u8>>;

/// An entry that was opened with our key but does not contain what its field name promises.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {why}")]
pub(super) struct InvalidEntry {
    field: String,
    why: String,
}

type DocumentSelector = fn(&mut Documents) -> &mut Document;

const DOCUMENT_FIELDS: [(&str, DocumentSelector); 8] = [
    ("bootstrap", |all| &mut all.bootstrap),
    ("schedule", |all| &mut all.schedule),
    ("streams", |all| &mut all.streams),
    ("extractors", |all| &mut all.extractors),
    ("status", |all| &mut all.status),
    ("calendar", |all| &mut all.calendar),
    ("guide", |all| &mut all.guide),
    ("playlist", |all| &mut all.playlist),
];

pub(super) fn encode_map(map: &UpstreamMap) -> Result<Entries, serde_json::Error> {
    let mut entries = Entries::new();
    for (id, stream) in &map.streams {
        entries.insert(format!("stream/{id}"), serde_json::to_vec(stream)?);
    }
    for (id, profile) in &map.profiles {
        entries.insert(format!("profile/{}", id.0), serde_json::to_vec(profile)?);
    }
    let mut documents = map.documents.clone();
    for (name, select) in DOCUMENT_FIELDS {
        if let Some(text) = select(&mut documents).as_str() {
            entries.insert(format!("document/{name}"), text.into());
        }
    }
    for (id, explanation) in &documents.explain {
        if let Some(text) = explanation.as_str() {
            entries.insert(format!("explain/{id}"), text.into());
        }
    }
    Ok(entries)
}

/// Applies an entry to the map. Entries of unknown kinds, written by a newer control plane, are
/// ignored.
pub(super) fn apply_entry(
    map: &mut UpstreamMap,
    field: &str,
    plain: &[u8],
) -> Result<(), InvalidEntry> {
    let invalid =
        |why: &dyn ToString| InvalidEntry { field: field.to_owned(), why: why.to_string() };
    let text = || {
        let text = std::str::from_utf8(plain).map_err(|error| invalid(&error))?;
        Ok(Document::from_text(text))
    };
    let Some((kind, name)) = field.split_once('/') else { return Ok(()) };
    match kind {
        "stream" => {
            let stream: crate::stream::Stream =
                serde_json::from_slice(plain).map_err(|error| invalid(&error))?;
            if stream.id.as_str() != name {
                return Err(invalid(&"it is another stream"));
            }
            map.streams.insert(stream.id.clone(), Arc::new(stream));
        }
        "profile" => {
            let profile = serde_json::from_slice(plain).map_err(|error| invalid(&error))?;
            map.profiles.insert(RequestProfileId(name.to_owned()), Arc::new(profile));
        }
        "document" => {
            if let Some((_, select)) = DOCUMENT_FIELDS.iter().find(|(known, _)| *known == name) {
                *select(&mut map.documents) = text()?;
            }
        }
        "explain" => {
            let id = StreamId::try_from(name.to_owned()).map_err(|error| invalid(&error))?;
            map.documents.explain.insert(id, text()?);
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn remove_entry(map: &mut UpstreamMap, field: &str) {
    let Some((kind, name)) = field.split_once('/') else { return };
    match kind {
        "stream" => drop(map.streams.remove(name)),
        "profile" => drop(map.profiles.remove(&RequestProfileId(name.to_owned()))),
        "document" => {
            if let Some((_, select)) = DOCUMENT_FIELDS.iter().find(|(known, _)| *known == name) {
                *select(&mut map.documents) = Document::default();
            }
        }
        "explain" => drop(map.documents.explain.remove(name)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::sample_map;

    #[test]
    fn a_map_is_the_sum_of_its_entries() {
        let map = sample_map(7, &["World feed", "Onboard 44"]);
        let entries = encode_map(&map).unwrap();
        let mut read = UpstreamMap { version: 7, ..UpstreamMap::default() };
        for (field, plain) in &entries {
            apply_entry(&mut read, field, plain).unwrap();
        }
        let json = |map: &UpstreamMap| serde_json::to_value(map).unwrap();
        assert_eq!(json(&read), json(&map));
        for field in entries.keys() {
            remove_entry(&mut read, field);
        }
        assert!(encode_map(&read).unwrap().is_empty());
    }

    #[test]
    fn invalid_entries_are_rejected_and_unknown_ones_are_ignored() {
        let stream =
            encode_map(&sample_map(1, &["World feed"])).unwrap()["stream/world-feed"].clone();
        for (field, plain, is_accepted) in [
            ("stream/world-feed", &stream[..], true),
            ("stream/onboard-44", &stream, false),
            ("stream/world-feed", b"{}", false),
            ("profile/club", b"[]", false),
            ("document/status", b"\xff", false),
            ("explain/../x", b"{}", false),
            ("document/of-a-later-day", b"\xff", true),
            ("novelty", b"", true),
        ] {
            let result = apply_entry(&mut UpstreamMap::default(), field, plain);
            assert_eq!(result.is_ok(), is_accepted, "{field}: {result:?}");
        }
    }
}
