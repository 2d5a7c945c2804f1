//! Ids of renditions within a stream. Pure.
//!
//! The same id means that a player can go on with it from one source to another. Neither containers
//! nor segments with and without sound can be mixed in one playlist, so a source whose rendition
//! differs in one of them from that of the source that is configured first says so in its id: who
//! plays the other one finds it gone when this source takes over, and loads the multivariant
//! playlist again.

use std::collections::BTreeMap;

use pitwall_upstream_map::{Container, Rendition, RenditionId, Role};

/// What goes without saying.
pub(super) struct Usual<'a>(BTreeMap<&'a RenditionId, Composition>);

/// What segments of one playlist have in common.
#[derive(Clone, Copy)]
struct Composition {
    container: Container,
    demuxed: bool,
}

impl Composition {
    fn of(rendition: &Rendition) -> Self {
        Self { container: rendition.container, demuxed: rendition.demuxed }
    }
}

impl<'a> Usual<'a> {
    /// `renditions`: of all sources, in the order of the configuration.
    pub(super) fn of(renditions: impl Iterator<Item = &'a Rendition>) -> Self {
        let mut usual = BTreeMap::new();
        for rendition in renditions {
            usual.entry(&rendition.id).or_insert(Composition::of(rendition));
        }
        Self(usual)
    }

    pub(super) fn name(&self, rendition: &Rendition) -> Rendition {
        let own = Composition::of(rendition);
        let usual = self.0.get(&rendition.id).copied().unwrap_or(own);
        let mut id = rendition.id.0.clone();
        if own.container != usual.container {
            id = format!("{id}-{}", own.container.extension());
        }
        if own.demuxed != usual.demuxed && rendition.role == Role::Video {
            id += if own.demuxed { "-demuxed" } else { "-muxed" };
        }
        Rendition { id: RenditionId(id), ..rendition.clone() }
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

    #[test]
    fn the_same_id_has_its_sound_at_the_same_place() {
        let muxed = rendition("v720-avc", "fmp4");
        let demuxed = Rendition { demuxed: true, ..muxed.clone() };
        let both = Rendition { demuxed: true, ..rendition("v720-avc", "mpeg-ts") };
        for (first, second, expected) in [
            (&muxed, &muxed, "v720-avc"),
            (&demuxed, &demuxed, "v720-avc"),
            (&muxed, &demuxed, "v720-avc-demuxed"),
            (&demuxed, &muxed, "v720-avc-muxed"),
            (&muxed, &both, "v720-avc-ts-demuxed"),
        ] {
            let usual = Usual::of([first, second].into_iter());
            assert_eq!(
                (usual.name(first).id, usual.name(second).id.0),
                (first.id.clone(), expected.to_owned())
            );
        }
    }
}
