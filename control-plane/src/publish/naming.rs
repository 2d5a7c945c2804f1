//! Ids of renditions within a stream. Pure.
//!
//! The same id means that a player can go on with it from one source to another. Containers cannot
//! be mixed in one playlist, so a source whose rendition is made of something else than that of
//! the source that is configured first says so in its id: who plays the other one finds it gone
//! when this source takes over, and loads the multivariant playlist again.

use std::collections::BTreeMap;

use pitwall_upstream_map::{Container, Rendition, RenditionId};

/// What goes without saying.
pub(super) struct Usual<'a>(BTreeMap<&'a RenditionId, Container>);

impl<'a> Usual<'a> {
    /// `renditions`: of all sources, in the order of the configuration.
    pub(super) fn of(renditions: impl Iterator<Item = &'a Rendition>) -> Self {
        let mut usual = BTreeMap::new();
        for rendition in renditions {
            usual.entry(&rendition.id).or_insert(rendition.container);
        }
        Self(usual)
    }

    pub(super) fn name(&self, rendition: &Rendition) -> Rendition {
        let container = rendition.container;
        if self.0.get(&rendition.id).is_none_or(|usual| *usual == container) {
            return rendition.clone();
        }
        let id = RenditionId(format!("{}-{}", rendition.id.0, container.extension()));
        Rendition { id, ..rendition.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendition(id: &str, container: &str) -> Rendition {
        let json = serde_json::json!({
            "id": id, "role": "video", "container": container, "label": id,
            "playlist": "https://cdn.example.com/v.m3u8",
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_same_id_is_the_same_container() {
        let first = [rendition("v720-avc", "mpeg-ts"), rendition("v360-avc", "fmp4")];
        let second = [rendition("v720-avc", "fmp4"), rendition("v360-avc", "fmp4")];
        let third = [rendition("v720-avc", "mpeg-ts"), rendition("v1080-avc", "fmp4")];
        let usual = Usual::of(first.iter().chain(&second).chain(&third));
        for (source, expected) in [
            (&first, ["v720-avc", "v360-avc"]),
            (&second, ["v720-avc-m4s", "v360-avc"]),
            (&third, ["v720-avc", "v1080-avc"]),
        ] {
            let names = source.each_ref().map(|one| usual.name(one).id.0);
            assert_eq!(names, expected);
        }
    }
}
