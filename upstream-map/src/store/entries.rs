//! The map as entries: one field per stream, profile, extractor and other document. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::document::PublicDocument;
use crate::documents::SharedDocuments;
use crate::map::UpstreamMap;
use crate::stream::{RequestProfileId, StreamId};

/// Entries by field name, not encrypted.
pub(super) type Entries = BTreeMap<String, Vec<u8>>;

/// The writes that turn one map into another.
#[derive(Default)]
pub(super) struct Delta {
    pub(super) changed: Entries,
    pub(super) removed: Vec<String>,
}

/// An entry that was opened with our key but does not contain what its field name promises.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {why}")]
pub(super) struct InvalidEntry {
    field: String,
    why: String,
}

/// A document of the map that belongs to no stream and no source.
struct DocumentAccessor {
    name: &'static str,
    get: fn(&SharedDocuments) -> &PublicDocument,
    get_mut: fn(&mut SharedDocuments) -> &mut PublicDocument,
}

macro_rules! document_fields {
    ($($name:ident),*) => {
        [$(DocumentAccessor {
            name: stringify!($name),
            get: |all| &all.$name,
            get_mut: |all| &mut all.$name,
        }),*]
    };
}

const DOCUMENT_FIELDS: [DocumentAccessor; 8] =
    document_fields![session, version, schedule, status, activity, calendar, guide, playlist];

fn find_document_field(name: &str) -> Option<&'static DocumentAccessor> {
    DOCUMENT_FIELDS.iter().find(|field| field.name == name)
}

pub(super) fn encode_map(map: &UpstreamMap) -> Result<Entries, serde_json::Error> {
    Ok(encode_changes(&UpstreamMap::default(), map)?.changed)
}

/// What differs between two maps. Only what they do not share is serialised.
pub(super) fn encode_changes(
    old: &UpstreamMap,
    new: &UpstreamMap,
) -> Result<Delta, serde_json::Error> {
    let mut delta = Delta::default();
    delta.add_changes("stream", &old.streams, &new.streams, StreamId::as_str)?;
    delta.add_changes("profile", &old.profiles, &new.profiles, |id| &id.0)?;
    let (old, new) = (&old.documents, &new.documents);
    delta.add_changes("extractor", &old.extractors, &new.extractors, |name| name)?;
    for DocumentAccessor { name, get, .. } in &DOCUMENT_FIELDS {
        let (old, new) = (get(old), get(new));
        if old != new {
            let field = format!("document/{name}");
            match new.as_str() {
                Some(text) => drop(delta.changed.insert(field, text.into())),
                None => delta.removed.push(field),
            }
        }
    }
    Ok(delta)
}

/// The entry of this field; `None` if the map does not have it.
pub(super) fn encode_entry(
    map: &UpstreamMap,
    field: &str,
) -> Result<Option<Vec<u8>>, serde_json::Error> {
    let Some((kind, name)) = field.split_once('/') else { return Ok(None) };
    let entry = match kind {
        "stream" => map.streams.get(name).map(serde_json::to_vec),
        "profile" => map.profiles.get(name).map(serde_json::to_vec),
        "extractor" => map.documents.extractors.get(name).map(serde_json::to_vec),
        _ => {
            let document = find_document_field(name).map(|field| (field.get)(&map.documents));
            return Ok(document.and_then(|document| Some(document.as_str()?.into())));
        }
    };
    entry.transpose()
}

impl Delta {
    fn add_changes<K: Ord, V: Serialize>(
        &mut self,
        kind: &str,
        old: &BTreeMap<K, Arc<V>>,
        new: &BTreeMap<K, Arc<V>>,
        name: impl Fn(&K) -> &str,
    ) -> Result<(), serde_json::Error> {
        for (key, value) in new {
            if !old.get(key).is_some_and(|old| Arc::ptr_eq(old, value)) {
                let field = format!("{kind}/{}", name(key));
                self.changed.insert(field, serde_json::to_vec(value)?);
            }
        }
        let removed = old.keys().filter(|key| !new.contains_key(key));
        self.removed.extend(removed.map(|key| format!("{kind}/{}", name(key))));
        Ok(())
    }

    pub(super) fn field_names(&self) -> Vec<String> {
        self.changed.keys().chain(&self.removed).cloned().collect()
    }
}

/// Applies an entry to the map. An entry of an unknown kind, written by another version of the
/// control plane, is ignored: `false`.
pub(super) fn apply_entry(
    map: &mut UpstreamMap,
    field: &str,
    plain: &[u8],
) -> Result<bool, InvalidEntry> {
    let invalid =
        |why: &dyn ToString| InvalidEntry { field: field.to_owned(), why: why.to_string() };
    let text = || {
        let text = std::str::from_utf8(plain).map_err(|error| invalid(&error))?;
        Ok(PublicDocument::from_text(text))
    };
    let Some((kind, name)) = field.split_once('/') else { return Ok(false) };
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
            let Some(field) = find_document_field(name) else { return Ok(false) };
            *(field.get_mut)(&mut map.documents) = text()?;
        }
        "extractor" => {
            let extractor = serde_json::from_slice(plain).map_err(|error| invalid(&error))?;
            map.documents.extractors.insert(name.to_owned(), Arc::new(extractor));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn remove_entry(map: &mut UpstreamMap, field: &str) {
    let Some((kind, name)) = field.split_once('/') else { return };
    match kind {
        "stream" => drop(map.streams.remove(name)),
        "profile" => drop(map.profiles.remove(name)),
        "document" => {
            if let Some(field) = find_document_field(name) {
                *(field.get_mut)(&mut map.documents) = PublicDocument::default();
            }
        }
        "extractor" => drop(map.documents.extractors.remove(name)),
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
    fn a_delta_has_what_two_maps_do_not_share() {
        let old = sample_map(1, &["World feed", "Onboard 44"]);
        let mut new = UpstreamMap { version: 2, ..old.clone() };
        assert!(encode_changes(&old, &new).unwrap().field_names().is_empty());
        let changed = new.streams.get_mut("world-feed").unwrap();
        Arc::make_mut(changed).feed = "World".to_owned();
        new.streams.remove("onboard-44");
        new.documents.calendar = PublicDocument::default();
        new.documents.status = PublicDocument::from_text("{}");
        let delta = encode_changes(&old, &new).unwrap();
        let changed: Vec<_> = delta.changed.keys().collect();
        assert_eq!(changed, ["document/status", "stream/world-feed"]);
        assert_eq!(delta.removed, ["stream/onboard-44", "document/calendar"]);
        for (field, entry) in &delta.changed {
            assert_eq!(encode_entry(&new, field).unwrap().as_ref(), Some(entry), "{field}");
        }
        for field in &delta.removed {
            assert_eq!(encode_entry(&new, field).unwrap(), None, "{field}");
        }
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
            ("extractor/club", b"{}", false),
            ("document/of-a-later-day", b"\xff", true),
            ("novelty", b"", true),
        ] {
            let result = apply_entry(&mut UpstreamMap::default(), field, plain);
            assert_eq!(result.is_ok(), is_accepted, "{field}: {result:?}");
        }
    }
}
