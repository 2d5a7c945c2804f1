//! The map in pieces: a field for each stream, profile and public document. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::documents::{Document, Documents};
use crate::map::{ProfileId, StreamId, UpstreamMap};

/// What each field holds, in clear.
pub(super) type Entries = BTreeMap<String, Vec<u8>>;

/// An entry that is ours but does not say what its field promises.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {why}")]
pub(super) struct Unfit {
    field: String,
    why: String,
}

type Pick = fn(&mut Documents) -> &mut Document;

const DOCUMENTS: [(&str, Pick); 8] = [
    ("bootstrap", |all| &mut all.bootstrap),
    ("schedule", |all| &mut all.schedule),
    ("streams", |all| &mut all.streams),
    ("extractors", |all| &mut all.extractors),
    ("status", |all| &mut all.status),
    ("calendar", |all| &mut all.calendar),
    ("guide", |all| &mut all.guide),
    ("playlist", |all| &mut all.playlist),
];

pub(super) fn write(map: &UpstreamMap) -> Result<Entries, serde_json::Error> {
    let mut entries = Entries::new();
    for (id, stream) in &map.streams {
        entries.insert(format!("stream/{id}"), serde_json::to_vec(stream)?);
    }
    for (id, profile) in &map.profiles {
        entries.insert(format!("profile/{}", id.0), serde_json::to_vec(profile)?);
    }
    let mut documents = map.documents.clone();
    for (name, pick) in DOCUMENTS {
        if let Some(text) = pick(&mut documents).as_str() {
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

/// Puts an entry where it belongs. What a newer control plane writes beside is left alone.
pub(super) fn put(map: &mut UpstreamMap, field: &str, plain: &[u8]) -> Result<(), Unfit> {
    let unfit = |why: &dyn ToString| Unfit { field: field.to_owned(), why: why.to_string() };
    let text = || {
        let text = std::str::from_utf8(plain).map_err(|error| unfit(&error))?;
        Ok(Document::text(text))
    };
    let Some((kind, name)) = field.split_once('/') else { return Ok(()) };
    match kind {
        "stream" => {
            let stream: crate::map::Stream =
                serde_json::from_slice(plain).map_err(|error| unfit(&error))?;
            if stream.id.as_str() != name {
                return Err(unfit(&"it is another stream"));
            }
            map.streams.insert(stream.id.clone(), Arc::new(stream));
        }
        "profile" => {
            let profile = serde_json::from_slice(plain).map_err(|error| unfit(&error))?;
            map.profiles.insert(ProfileId(name.to_owned()), Arc::new(profile));
        }
        "document" => {
            if let Some((_, pick)) = DOCUMENTS.iter().find(|(known, _)| *known == name) {
                *pick(&mut map.documents) = text()?;
            }
        }
        "explain" => {
            let id = StreamId::try_from(name.to_owned()).map_err(|error| unfit(&error))?;
            map.documents.explain.insert(id, text()?);
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn remove(map: &mut UpstreamMap, field: &str) {
    let Some((kind, name)) = field.split_once('/') else { return };
    match kind {
        "stream" => drop(map.streams.remove(name)),
        "profile" => drop(map.profiles.remove(&ProfileId(name.to_owned()))),
        "document" => {
            if let Some((_, pick)) = DOCUMENTS.iter().find(|(known, _)| *known == name) {
                *pick(&mut map.documents) = Document::default();
            }
        }
        "explain" => drop(map.documents.explain.remove(name)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::sample;

    #[test]
    fn a_map_is_the_sum_of_its_entries() {
        let map = sample(7, &["World feed", "Onboard 44"]);
        let entries = write(&map).unwrap();
        let mut read = UpstreamMap { version: 7, ..UpstreamMap::default() };
        for (field, plain) in &entries {
            put(&mut read, field, plain).unwrap();
        }
        let json = |map: &UpstreamMap| serde_json::to_value(map).unwrap();
        assert_eq!(json(&read), json(&map));
        for field in entries.keys() {
            remove(&mut read, field);
        }
        assert!(write(&read).unwrap().is_empty());
    }

    #[test]
    fn what_does_not_fit_its_field_is_refused_and_what_is_newer_is_not() {
        let stream = write(&sample(1, &["World feed"])).unwrap()["stream/world-feed"].clone();
        for (field, plain, fits) in [
            ("stream/world-feed", &stream[..], true),
            ("stream/onboard-44", &stream, false),
            ("stream/world-feed", b"{}", false),
            ("profile/club", b"[]", false),
            ("document/status", b"\xff", false),
            ("explain/../x", b"{}", false),
            ("document/of-a-later-day", b"\xff", true),
            ("novelty", b"", true),
        ] {
            let put = put(&mut UpstreamMap::default(), field, plain);
            assert_eq!(put.is_ok(), fits, "{field}: {put:?}");
        }
    }
}
