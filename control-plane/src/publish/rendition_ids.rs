//! Ids of renditions within a stream. Pure functions.
//!
//! A player continues with a rendition of the same id when the source changes. One media playlist
//! can mix neither containers nor segments with and without audio, so a rendition that differs in
//! one of them from that of the first configured source gets a suffix: a player of the unsuffixed
//! id then finds it gone after the switch and reloads the multivariant playlist.

use std::collections::BTreeMap;

use pitwall_upstream_map::{Container, Rendition, RenditionId, Role};

/// By rendition id: the composition that gets no suffix.
pub(super) struct UsualCompositions<'a>(BTreeMap<&'a RenditionId, SegmentComposition>);

/// What the segments of one media playlist have in common.
#[derive(Clone, Copy)]
struct SegmentComposition {
    container: Container,
    is_demuxed: bool,
}

impl SegmentComposition {
    fn of(rendition: &Rendition) -> Self {
        Self { container: rendition.container, is_demuxed: rendition.demuxed }
    }
}

impl<'a> UsualCompositions<'a> {
    /// `renditions`: those of all sources, in the order of the configuration.
    pub(super) fn of(renditions: impl Iterator<Item = &'a Rendition>) -> Self {
        let mut usual = BTreeMap::new();
        for rendition in renditions {
            usual.entry(&rendition.id).or_insert(SegmentComposition::of(rendition));
        }
        Self(usual)
    }

    /// The rendition with its id suffixed where its composition is not the usual one.
    pub(super) fn qualify_id(&self, rendition: &Rendition) -> Rendition {
        let own = SegmentComposition::of(rendition);
        let usual = self.0.get(&rendition.id).copied().unwrap_or(own);
        let mut id = rendition.id.0.clone();
        if own.container != usual.container {
            id = format!("{id}-{}", own.container.extension());
        }
        if own.is_demuxed != usual.is_demuxed && rendition.role == Role::Video {
            id += if own.is_demuxed { "-demuxed" } else { "-muxed" };
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
        let usual = UsualCompositions::of(first.iter().chain(&second).chain(&third));
        for (source, expected) in [
            (&first, ["v720-avc", "v360-avc"]),
            (&second, ["v720-avc-m4s", "v360-avc"]),
            (&third, ["v720-avc", "v1080-avc"]),
        ] {
            let names = source.each_ref().map(|one| usual.qualify_id(one).id.0);
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn the_same_id_is_muxed_or_demuxed_alike() {
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
            let usual = UsualCompositions::of([first, second].into_iter());
            assert_eq!(
                (usual.qualify_id(first).id, usual.qualify_id(second).id.0),
                (first.id.clone(), expected.to_owned())
            );
        }
    }
}
