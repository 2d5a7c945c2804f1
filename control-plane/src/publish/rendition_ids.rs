//! Ids of renditions within a stream. Pure functions.
//!
//! A player continues with a rendition of the same id when the source changes. One media playlist
//! can mix neither containers nor audio codecs nor segments with and without audio, so a rendition
//! that differs in one of them from that of the first configured source gets a suffix: a player of
//! the unsuffixed id then finds it gone after the switch and reloads the multivariant playlist.

use std::collections::BTreeMap;

use pitwall_upstream_map::slug::slugify;
use pitwall_upstream_map::{Container, MultivariantTags, Rendition, RenditionId, Role};

/// By rendition id: the composition that gets no suffix.
pub(super) struct CompositionsById<'a>(BTreeMap<&'a RenditionId, SegmentComposition<'a>>);

/// What the segments of one media playlist have in common.
#[derive(Clone, Copy)]
struct SegmentComposition<'a> {
    container: Container,
    is_demuxed: bool,
    /// Codec family of the audio, where it is known and the container does not tell it.
    audio_codec: Option<&'a str>,
}

impl<'a> SegmentComposition<'a> {
    fn of(rendition: &'a Rendition) -> Self {
        let has_audio = match rendition.role {
            Role::Video => !rendition.demuxed,
            Role::Audio => true,
            Role::Subtitles => false,
        };
        let is_multiplexed = matches!(rendition.container, Container::MpegTs | Container::Fmp4);
        let told = rendition.codecs.as_deref().and_then(audio_codec_family);
        let audio_codec = told.or(rendition.audio_codec.as_deref());
        Self {
            container: rendition.container,
            is_demuxed: rendition.demuxed,
            audio_codec: audio_codec.filter(|_| has_audio && is_multiplexed),
        }
    }
}

/// The family of the first known audio codec (RFC 6381).
fn audio_codec_family(codecs: &str) -> Option<&'static str> {
    let family = |codec: &str| match codec.trim().to_ascii_lowercase().as_str() {
        "mp4a.40.34" | "mp4a.69" | "mp4a.6b" => Some("mp3"),
        "ac-3" | "mp4a.a5" => Some("ac3"),
        "ec-3" | "mp4a.a6" => Some("eac3"),
        "opus" => Some("opus"),
        "flac" => Some("flac"),
        aac if aac.starts_with("mp4a.40.") => Some("aac"),
        _ => None,
    };
    codecs.split(',').find_map(family)
}

/// I-frame playlists with the source in their ids: their numbers are the source's own, so players
/// are to load the multivariant playlist again after a switch.
pub(super) fn qualify_i_frame_ids(
    mut multivariant: MultivariantTags,
    source: &str,
) -> MultivariantTags {
    let source = slugify(source).unwrap_or_default();
    for playlist in &mut multivariant.i_frame_playlists {
        playlist.id = RenditionId(format!("{}-{source}", playlist.id.0));
    }
    multivariant
}

impl<'a> CompositionsById<'a> {
    /// `renditions`: those of all sources, in the order of the configuration.
    pub(super) fn of(renditions: impl Iterator<Item = &'a Rendition>) -> Self {
        let mut usual = BTreeMap::new();
        for rendition in renditions {
            usual.entry(&rendition.id).or_insert(SegmentComposition::of(rendition));
        }
        Self(usual)
    }

    /// The rendition with its id suffixed where its composition is not the usual one.
    pub(super) fn qualify_rendition(&self, rendition: &Rendition) -> Rendition {
        let own = SegmentComposition::of(rendition);
        let usual = self.0.get(&rendition.id).copied().unwrap_or(own);
        let mut id = rendition.id.0.clone();
        if own.container != usual.container {
            id = format!("{id}-{}", own.container.extension());
        }
        if own.is_demuxed != usual.is_demuxed && rendition.role == Role::Video {
            id += if own.is_demuxed { "-demuxed" } else { "-muxed" };
        }
        if let (Some(codec), Some(usual)) = (own.audio_codec, usual.audio_codec)
            && codec != usual
        {
            id = format!("{id}-{codec}");
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
        let usual = CompositionsById::of(first.iter().chain(&second).chain(&third));
        for (source, expected) in [
            (&first, ["v720-avc", "v360-avc"]),
            (&second, ["v720-avc-m4s", "v360-avc"]),
            (&third, ["v720-avc", "v1080-avc"]),
        ] {
            let names = source.each_ref().map(|one| usual.qualify_rendition(one).id.0);
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn the_same_id_has_audio_of_the_same_kind() {
        let muxed = rendition("v720-avc", "fmp4");
        let demuxed = Rendition { demuxed: true, ..muxed.clone() };
        let both = Rendition { demuxed: true, ..rendition("v720-avc", "mpeg-ts") };
        let with_audio = |codec: &str| Rendition {
            codecs: Some(format!("avc1.64001f,{codec}")),
            ..muxed.clone()
        };
        let packed =
            Rendition { codecs: Some("mp4a.40.34".to_owned()), ..rendition("v720-avc", "mp3") };
        let seen = |role, codec: &str| Rendition {
            role,
            audio_codec: Some(codec.to_owned()),
            ..muxed.clone()
        };
        let video = |codec| seen(Role::Video, codec);
        let audio = |codec| seen(Role::Audio, codec);
        for (first, second, expected) in [
            (&video("aac"), &video("aac"), "v720-avc"),
            (&video("aac"), &video("ac3"), "v720-avc-ac3"),
            (&video("aac"), &with_audio("ec-3"), "v720-avc-eac3"),
            (&with_audio("mp4a.40.2"), &video("mp3"), "v720-avc-mp3"),
            (&video("aac"), &muxed, "v720-avc"),
            (&audio("aac"), &audio("eac3"), "v720-avc-eac3"),
            (&audio("eac3"), &audio("eac3"), "v720-avc"),
            (&muxed, &muxed, "v720-avc"),
            (&demuxed, &demuxed, "v720-avc"),
            (&muxed, &demuxed, "v720-avc-demuxed"),
            (&demuxed, &muxed, "v720-avc-muxed"),
            (&muxed, &both, "v720-avc-ts-demuxed"),
            (&with_audio("mp4a.40.2"), &with_audio("mp4a.40.5"), "v720-avc"),
            (&with_audio("mp4a.40.2"), &with_audio("mp4a.40.34"), "v720-avc-mp3"),
            (&with_audio("ec-3"), &with_audio("mp4a.40.2"), "v720-avc-aac"),
            (&with_audio("ec-3"), &muxed, "v720-avc"),
            (&with_audio("ec-3"), &packed, "v720-avc-mp3"),
        ] {
            let usual = CompositionsById::of([first, second].into_iter());
            assert_eq!(
                (usual.qualify_rendition(first).id, usual.qualify_rendition(second).id.0),
                (first.id.clone(), expected.to_owned())
            );
        }
    }
}
