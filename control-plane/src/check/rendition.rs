//! What a master playlist offers, as renditions. Pure.
//!
//! Ids come from what a rendition is (height, codec, language), not from where it stands or
//! what its URL is, so that playback goes on under the same id after a re-extraction.

use std::collections::HashSet;

use pitwall_hls::analysis::{Master, MediaKind, MediaRendition, Variant};
use pitwall_upstream_map::slug::slug;
use pitwall_upstream_map::{Container, Group, Rendition, RenditionId, Role};
use url::Url;

/// More is a mistake, or an attack.
const MAX_RENDITIONS: usize = 40;

/// Renditions whose containers are not known yet, best video first.
pub(super) fn drafts(master: &Master, base: &Url) -> Vec<Rendition> {
    let mut variants: Vec<&Variant> = master.variants.iter().collect();
    // Pathways offer the same ladder again from elsewhere; the first is the default.
    if let Some(first) = master.variants.first() {
        variants.retain(|variant| variant.pathway == first.pathway);
    }
    variants.sort_by_key(|variant| std::cmp::Reverse(variant.bandwidth));
    let video = variants.into_iter().filter_map(|variant| {
        let demuxed = is_demuxed(variant, &master.renditions);
        Some(Rendition { demuxed, ..video(variant, base)? })
    });
    let alternates = master.renditions.iter().filter_map(|alternate| track(alternate, base));
    let mut drafts: Vec<_> = video.chain(alternates).take(MAX_RENDITIONS).collect();
    tell_apart(&mut drafts);
    drafts
}

/// The one rendition of a stream that has no master.
pub(super) fn only(playlist: Url, container: Container, bandwidth: Option<u64>) -> Rendition {
    let id = RenditionId("v".to_owned());
    Rendition { bandwidth, container, ..blank(id, Role::Video, playlist, "Live".to_owned()) }
}

fn video(variant: &Variant, base: &Url) -> Option<Rendition> {
    let playlist = base.join(&variant.url).ok()?;
    let height = variant.resolution.map(|(_, height)| height);
    let codec = variant.codecs.as_deref().and_then(family);
    let rate = variant.frame_rate.map(f64::round).filter(|rate| *rate > 30.0);
    let rate = rate.map_or(String::new(), |rate| format!("p{rate:.0}"));
    let audio_only = height.is_none() && variant.codecs.is_some() && codec.is_none();
    let mut id = match height {
        Some(height) => format!("v{height}{rate}"),
        None if audio_only => "audio-only".to_owned(),
        None => "v".to_owned(),
    };
    if let Some(codec) = codec {
        id = format!("{id}-{codec}");
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
    let group = |role, id: &Option<String>| id.clone().map(|id| Group { role, id });
    let groups = [group(Role::Audio, &variant.audio), group(Role::Subtitles, &variant.subtitles)];
    Some(Rendition {
        bandwidth: variant.bandwidth,
        average_bandwidth: variant.average_bandwidth,
        resolution: variant.resolution,
        frame_rate: variant.frame_rate,
        codecs: variant.codecs.clone(),
        groups: groups.into_iter().flatten().collect(),
        name: variant.name.clone(),
        ..blank(RenditionId(id), Role::Video, playlist, label)
    })
}

/// Is all sound of its group in playlists of its own? An alternate without one is inside the video.
fn is_demuxed(variant: &Variant, alternates: &[MediaRendition]) -> bool {
    let Some(group) = &variant.audio else { return false };
    let is_member = |one: &&MediaRendition| {
        one.kind == MediaKind::Audio && one.group_id.as_ref() == Some(group)
    };
    let mut members = alternates.iter().filter(is_member).peekable();
    members.peek().is_some() && members.all(|one| one.url.is_some())
}

/// An audio or subtitle track that has a playlist of its own.
fn track(alternate: &MediaRendition, base: &Url) -> Option<Rendition> {
    let (role, letter, fallback) = match alternate.kind {
        MediaKind::Audio => (Role::Audio, 'a', "Audio"),
        MediaKind::Subtitles => (Role::Subtitles, 's', "Subtitles"),
        MediaKind::Video | MediaKind::ClosedCaptions => return None,
    };
    let playlist = base.join(alternate.url.as_ref()?).ok()?;
    let mut told = [&alternate.language, &alternate.name].into_iter().flatten();
    let told = told.find_map(|text| slug(text)).unwrap_or_else(|| "main".to_owned());
    let label = alternate.name.as_ref().or(alternate.language.as_ref());
    let label = label.map_or(fallback, |text| text);
    Some(Rendition {
        groups: alternate.group_id.clone().map(|id| Group { role, id }).into_iter().collect(),
        name: alternate.name.clone(),
        language: alternate.language.clone(),
        channels: alternate.channels.clone(),
        default: alternate.default,
        autoselect: alternate.autoselect,
        forced: alternate.forced,
        ..blank(RenditionId(format!("{letter}-{told}")), role, playlist, label.to_owned())
    })
}

fn blank(id: RenditionId, role: Role, playlist: Url, label: String) -> Rendition {
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
        groups: Vec::new(),
        name: None,
        language: None,
        channels: None,
        default: false,
        autoselect: false,
        forced: false,
    }
}

/// The family of the video codec; `None` when there is none that is known.
fn family(codecs: &str) -> Option<&'static str> {
    codecs.split(',').find_map(|codec| match codec.trim().get(..4)? {
        "avc1" | "avc3" => Some("avc"),
        "hvc1" | "hev1" | "dvh1" | "dvhe" => Some("hevc"),
        "av01" => Some("av1"),
        "vp09" => Some("vp9"),
        _ => None,
    })
}

/// Those that are alike are numbered in order: bandwidth for video, the master's for tracks.
fn tell_apart(drafts: &mut [Rendition]) {
    let mut taken = HashSet::new();
    for draft in drafts {
        let id = draft.id.0.clone();
        let names = std::iter::once(id.clone()).chain((2..).map(|n: u32| format!("{id}-{n}")));
        for name in names {
            if taken.insert(name.clone()) {
                draft.id = RenditionId(name);
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pitwall_hls::{Limits, Playlist, Variables, analyse};

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
#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,CODECS="avc1.640020",AUDIO="hi"
720low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2"
audio.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=70000
plain.m3u8
"#;

    #[test]
    fn a_master_with_everything() {
        let base = Url::parse("https://cdn.example/live/master.m3u8").unwrap();
        let limits = Limits::default();
        let playlist = analyse(MASTER.as_bytes(), &base, &Variables::default(), &limits).unwrap();
        let Playlist::Master(master) = playlist else { panic!("a media playlist") };
        let got: Vec<_> = drafts(&master, &base)
            .into_iter()
            .map(|r| format!("{} {} {}", r.id.0, r.label, r.playlist.path()))
            .collect();
        let expected = [
            "v720-avc 720p /live/720.m3u8",
            "v720p50-hevc 720p50 /live/720h.m3u8",
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
        let best = &drafts(&master, &base)[0];
        let groups: Vec<_> = best.groups.iter().map(|group| group.id.as_str()).collect();
        assert_eq!(groups, ["hi", "subs"]);
        let demuxed = drafts(&master, &base).into_iter().filter(|one| one.demuxed);
        let demuxed: Vec<_> = demuxed.map(|one| one.id.0).collect();
        assert_eq!(demuxed, ["v360-avc"], "one of the other group is inside the video");
    }

    /// A track keeps its id whatever stands before it, and is never taken for another.
    #[test]
    fn tracks_are_named_after_what_they_say() {
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
            let limits = Limits::default();
            let playlist = analyse(text.as_bytes(), &base, &Variables::default(), &limits).unwrap();
            let Playlist::Master(master) = playlist else { panic!("a media playlist") };
            drafts(&master, &base).into_iter().skip(1).map(|draft| draft.id.0).collect()
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
