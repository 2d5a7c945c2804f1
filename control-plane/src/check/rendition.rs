//! The renditions of a multivariant playlist. Pure functions.
//!
//! Ids derive from a rendition's properties (height, codec, language), not from its position or
//! URL, so that playback continues under the same id after a re-extraction.

use std::collections::HashSet;

use pitwall_fetch::join_url;
use pitwall_hls::CodecFamilies;
use pitwall_hls::analysis::{MediaKind, MediaRendition, MultivariantPlaylist, Variant};
use pitwall_upstream_map::slug::slugify;
use pitwall_upstream_map::{Container, Rendition, RenditionGroup, RenditionId, Role};
use url::Url;

/// Further renditions are ignored: so many are a mistake or an attack.
pub(super) const RENDITIONS_MAX_COUNT: usize = 40;

/// The renditions of a multivariant playlist, best video first; their containers are provisional.
pub(super) fn draft_renditions(master: &MultivariantPlaylist, base: &Url) -> Vec<Rendition> {
    let mut variants: Vec<&Variant> = master.variants.iter().collect();
    // Only the first pathway is used: further ones (PATHWAY-ID) repeat its variants elsewhere.
    if let Some(first) = master.variants.first() {
        variants.retain(|variant| variant.pathway == first.pathway);
    }
    variants.sort_by_key(|variant| std::cmp::Reverse(variant.bandwidth));
    let video = variants.into_iter().filter_map(|variant| {
        let demuxed = is_demuxed(variant, &master.renditions);
        Some(Rendition { demuxed, ..build_video_rendition(variant, base)? })
    });
    let alternates =
        master.renditions.iter().filter_map(|alternate| build_track_rendition(alternate, base));
    let mut drafts: Vec<_> = video.chain(alternates).take(RENDITIONS_MAX_COUNT).collect();
    disambiguate_duplicate_ids(drafts.iter_mut().map(|draft| &mut draft.id));
    drafts
}

/// The one rendition of a stream without a multivariant playlist.
pub(super) fn build_single_rendition(
    playlist: Url,
    container: Container,
    bandwidth: Option<u64>,
) -> Rendition {
    let id = RenditionId("v".to_owned());
    Rendition {
        bandwidth,
        container,
        ..blank_rendition(id, Role::Video, playlist, "Live".to_owned())
    }
}

/// Records the codecs that the segments of a video show: that of its audio in each video with audio,
/// and that of the picture in the ids of the videos whose codec no playlist says. One packager makes
/// the segments of all variants.
pub(super) fn record_codecs(renditions: &mut [&mut Rendition], codecs: CodecFamilies) {
    let has_audio = |one: &Rendition| one.role == Role::Video && !one.demuxed;
    for rendition in renditions.iter_mut().filter(|rendition| has_audio(rendition)) {
        rendition.audio_codec = codecs.audio.map(str::to_owned);
    }
    let Some(family) = codecs.video else { return };
    let mut taken: HashSet<String> = renditions.iter().map(|one| one.id.0.clone()).collect();
    let is_untold = |one: &Rendition| one.role == Role::Video && one.codecs.is_none();
    for rendition in renditions.iter_mut().filter(|rendition| is_untold(rendition)) {
        // A told codec stands in the same place: behind the height, before range and number.
        let height = rendition.id.0.split('-').next().unwrap_or_default();
        let rest = rendition.id.0.strip_prefix(height).unwrap_or_default();
        let id = format!("{height}-{family}{rest}");
        if taken.insert(id.clone()) {
            rendition.id = RenditionId(id);
        }
    }
}

fn build_video_rendition(variant: &Variant, base: &Url) -> Option<Rendition> {
    let playlist = join_url(base, &variant.url).ok()?;
    let height = variant.resolution.map(|(_, height)| height);
    let codec = variant.codecs.as_deref().and_then(codec_family);
    let rate = variant.frame_rate.map(f64::round).filter(|rate| *rate > 30.0);
    let rate = rate.map_or(String::new(), |rate| format!("p{rate:.0}"));
    let audio_only = height.is_none() && variant.codecs.is_some() && codec.is_none();
    let mut id = match height {
        Some(height) => format!("v{height}{rate}"),
        None if audio_only => "audio-only".to_owned(),
        None => "v".to_owned(),
    };
    // Players mix no dynamic ranges, so each range is a rendition of its own.
    let range = variant.video_range.as_deref().filter(|range| *range != "SDR").and_then(slugify);
    for property in codec.into_iter().chain(range.as_deref()) {
        id = format!("{id}-{property}");
    }
    let label = match height {
        Some(height) => format!("{height}p{}", rate.trim_start_matches('p')),
        None if audio_only => "Audio only".to_owned(),
        None => match (&variant.name, variant.bandwidth) {
            (Some(name), _) => name.clone(),
            (None, Some(bandwidth)) => format!("{} kbit/s", bandwidth / 1000),
            (None, None) => "Live".to_owned(),
        },
    };
    let group = |role, id: &Option<String>| id.clone().map(|id| RenditionGroup { role, id });
    let groups = [group(Role::Audio, &variant.audio), group(Role::Subtitles, &variant.subtitles)];
    Some(Rendition {
        bandwidth: variant.bandwidth.filter(|bandwidth| *bandwidth > 0),
        average_bandwidth: variant.average_bandwidth,
        resolution: variant.resolution,
        frame_rate: variant.frame_rate,
        codecs: variant.codecs.clone(),
        groups: groups.into_iter().flatten().collect(),
        name: variant.name.clone(),
        attributes: variant.attributes.clone(),
        ..blank_rendition(RenditionId(id), Role::Video, playlist, label)
    })
}

/// Has every audio rendition of the variant's group a playlist of its own? An audio rendition
/// without a URI is inside the video.
fn is_demuxed(variant: &Variant, alternates: &[MediaRendition]) -> bool {
    let Some(group) = &variant.audio else { return false };
    let is_member = |one: &&MediaRendition| {
        one.kind == MediaKind::Audio && one.group_id.as_ref() == Some(group)
    };
    let mut members = alternates.iter().filter(is_member).peekable();
    members.peek().is_some() && members.all(|one| one.url.is_some())
}

/// The rendition of an audio or subtitle track with a playlist of its own.
fn build_track_rendition(alternate: &MediaRendition, base: &Url) -> Option<Rendition> {
    let (role, letter, fallback) = match alternate.kind {
        MediaKind::Audio => (Role::Audio, 'a', "Audio"),
        MediaKind::Subtitles => (Role::Subtitles, 's', "Subtitles"),
        MediaKind::Video | MediaKind::ClosedCaptions => return None,
    };
    let playlist = join_url(base, alternate.url.as_ref()?).ok()?;
    let mut names = [&alternate.language, &alternate.name].into_iter().flatten();
    let slug = names.find_map(|text| slugify(text)).unwrap_or_else(|| "main".to_owned());
    let label = alternate.name.as_ref().or(alternate.language.as_ref());
    let label = label.map_or(fallback, |text| text);
    Some(Rendition {
        groups: alternate
            .group_id
            .clone()
            .map(|id| RenditionGroup { role, id })
            .into_iter()
            .collect(),
        name: alternate.name.clone(),
        language: alternate.language.clone(),
        channels: alternate.channels.clone(),
        default: alternate.default,
        autoselect: alternate.autoselect,
        forced: alternate.forced,
        attributes: alternate.attributes.clone(),
        ..blank_rendition(RenditionId(format!("{letter}-{slug}")), role, playlist, label.to_owned())
    })
}

fn blank_rendition(id: RenditionId, role: Role, playlist: Url, label: String) -> Rendition {
    Rendition {
        id,
        role,
        playlist,
        container: Container::MpegTs,
        demuxed: false,
        label,
        target_duration: None,
        bandwidth: None,
        average_bandwidth: None,
        resolution: None,
        frame_rate: None,
        codecs: None,
        audio_codec: None,
        groups: Vec::new(),
        name: None,
        language: None,
        channels: None,
        default: false,
        autoselect: false,
        forced: false,
        attributes: Vec::new(),
    }
}

/// The family of the first known video codec.
pub(super) fn codec_family(codecs: &str) -> Option<&'static str> {
    codecs.split(',').find_map(|codec| match codec.trim().get(..4)? {
        "avc1" | "avc3" => Some("avc"),
        "hvc1" | "hev1" | "dvh1" | "dvhe" => Some("hevc"),
        "av01" => Some("av1"),
        "vp09" => Some("vp9"),
        _ => None,
    })
}

/// Numbers equal ids in their order: by bandwidth for video, by playlist order for other tracks.
pub(super) fn disambiguate_duplicate_ids<'a>(ids: impl Iterator<Item = &'a mut RenditionId>) {
    let mut taken = HashSet::new();
    for RenditionId(id) in ids {
        let own = id.clone();
        let names = std::iter::once(own.clone()).chain((2..).map(|n: u32| format!("{own}-{n}")));
        for name in names {
            if taken.insert(name.clone()) {
                *id = name;
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pitwall_hls::{Playlist, PlaylistLimits, Variables, parse_playlist};

    use super::*;

    const MASTER: &str = r#"#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="lo",NAME="English",LANGUAGE="en",DEFAULT=YES,URI="a/en-lo.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="hi",NAME="English",LANGUAGE="en",DEFAULT=YES,URI="a/en-hi.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="hi",NAME="Paddock",URI="a/paddock.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="hi",NAME="Muxed"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="Deutsch",LANGUAGE="de",URI="s/de.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC",INSTREAM-ID="CC1"
#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=640x360,CODECS="avc1.4d401e,mp4a.40.2",AUDIO="lo"
360.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720,CODECS="avc1.640020",AUDIO="hi",SUBTITLES="subs"
720.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2500000,RESOLUTION=1280x720,CODECS="hvc1.1.6.L93",FRAME-RATE=50,AUDIO="hi"
720h.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2400000,RESOLUTION=1280x720,CODECS="hvc1.2.4.L93",FRAME-RATE=50,VIDEO-RANGE=PQ,AUDIO="hi"
720hdr.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,CODECS="avc1.640020",VIDEO-RANGE=SDR,AUDIO="hi"
720low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2"
audio.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=70000
plain.m3u8
"#;

    #[test]
    fn a_multivariant_playlist_with_everything() {
        let base = Url::parse("https://cdn.example/live/master.m3u8").unwrap();
        let limits = PlaylistLimits::default();
        let playlist =
            parse_playlist(MASTER.as_bytes(), &base, &Variables::default(), &limits).unwrap();
        let Playlist::Multivariant(master) = playlist else { panic!("a media playlist") };
        let got: Vec<_> = draft_renditions(&master, &base)
            .into_iter()
            .map(|r| format!("{} {} {}", r.id.0, r.label, r.playlist.path()))
            .collect();
        let expected = [
            "v720-avc 720p /live/720.m3u8",
            "v720p50-hevc 720p50 /live/720h.m3u8",
            "v720p50-hevc-pq 720p50 /live/720hdr.m3u8",
            "v720-avc-2 720p /live/720low.m3u8",
            "v360-avc 360p /live/360.m3u8",
            "v 70 kbit/s /live/plain.m3u8",
            "audio-only Audio only /live/audio.m3u8",
            "a-en English /live/a/en-lo.m3u8",
            "a-en-2 English /live/a/en-hi.m3u8",
            "a-paddock Paddock /live/a/paddock.m3u8",
            "s-de Deutsch /live/s/de.m3u8",
        ];
        assert_eq!(got, expected);
        let best = &draft_renditions(&master, &base)[0];
        let groups: Vec<_> = best.groups.iter().map(|group| group.id.as_str()).collect();
        assert_eq!(groups, ["hi", "subs"]);
        let demuxed = draft_renditions(&master, &base).into_iter().filter(|one| one.demuxed);
        let demuxed: Vec<_> = demuxed.map(|one| one.id.0).collect();
        assert_eq!(demuxed, ["v360-avc"], "one of the other group is inside the video");
    }

    #[test]
    fn a_codec_that_no_playlist_says_is_part_of_the_id() {
        let named = |ids: &[&str], told: &[&str], video: Option<&'static str>| -> Vec<String> {
            let draft = |id: &&str, codecs: Option<String>| {
                let url = Url::parse("https://cdn.example/v.m3u8").unwrap();
                let id = RenditionId((*id).to_owned());
                Rendition { codecs, ..blank_rendition(id, Role::Video, url, String::new()) }
            };
            let told = told.iter().map(|id| draft(id, Some("avc1.64001f".to_owned())));
            let mut drafts: Vec<_> = told.chain(ids.iter().map(|id| draft(id, None))).collect();
            let codecs = CodecFamilies { video, audio: Some("aac") };
            record_codecs(&mut drafts.iter_mut().collect::<Vec<_>>(), codecs);
            drafts.into_iter().map(|draft| draft.id.0).collect()
        };
        for (ids, told, video, expected) in [
            (&["v720", "v720-2"][..], &[][..], Some("hevc"), &["v720-hevc", "v720-hevc-2"][..]),
            (&["v"], &[], Some("avc"), &["v-avc"]),
            (&["v1080p50-pq"], &[], Some("av1"), &["v1080p50-av1-pq"]),
            (&["v720"], &[], None, &["v720"]),
            (&["v360", "v720"], &["v720-avc"], Some("avc"), &["v720-avc", "v360-avc", "v720"]),
        ] {
            assert_eq!(named(ids, told, video), expected, "{ids:?} {told:?} {video:?}");
        }
    }

    /// A track's id depends on neither the tracks before it nor its position, and is unique.
    #[test]
    fn track_ids_come_from_language_or_name() {
        let tracks = [
            ("NAME=\"Русский\"", "a-HASH"),
            ("NAME=\"日本語\"", "a-HASH"),
            ("NAME=\"Sport 5+\"", "a-sport-5-HASH"),
            ("NAME=\"Sport 5\"", "a-sport-5"),
            ("NAME=\"Français\"", "a-francais"),
            ("NAME=\"Русский\",LANGUAGE=\"ru\"", "a-ru"),
            ("NAME=\"中文\",LANGUAGE=\"zh-Hans\"", "a-zh-hans"),
            ("NAME=\"Paddock\",LANGUAGE=\"\"", "a-paddock"),
            ("NAME=\"-\"", "a-main"),
        ];
        let ids = |order: &[(&str, &str)]| -> Vec<String> {
            let lines = order.iter().enumerate().map(|(at, (attributes, _))| {
                format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",{attributes},URI=\"{at}.m3u8\"\n")
            });
            let text = format!(
                "#EXTM3U\n{}#EXT-X-STREAM-INF:BANDWIDTH=900000,AUDIO=\"a\"\nv.m3u8\n",
                lines.collect::<String>()
            );
            let base = Url::parse("https://cdn.example/master.m3u8").unwrap();
            let limits = PlaylistLimits::default();
            let playlist =
                parse_playlist(text.as_bytes(), &base, &Variables::default(), &limits).unwrap();
            let Playlist::Multivariant(master) = playlist else { panic!("a media playlist") };
            draft_renditions(&master, &base).into_iter().skip(1).map(|draft| draft.id.0).collect()
        };
        let found = ids(&tracks);
        for ((attributes, expected), id) in tracks.iter().zip(&found) {
            let hash = id.rsplit('-').next().unwrap();
            assert_eq!(*id, expected.replace("HASH", hash), "{attributes}");
            assert_eq!(expected.contains("HASH"), hash.len() == 10, "{attributes}: {id}");
        }
        assert_eq!(found.iter().collect::<HashSet<_>>().len(), tracks.len(), "{found:?}");
        let mut reversed = tracks;
        reversed.reverse();
        let mut again = ids(&reversed);
        again.reverse();
        assert_eq!(again, found);
    }
}
