//! What a multivariant playlist says beside its renditions, and what of it may be public. Pure
//! functions.

use pitwall_fetch::join_url;
use pitwall_hls::Redactor;
use pitwall_hls::analysis::{
    AttributeList, MediaKind, MediaRendition, MultivariantPlaylist, SessionTag, Variant,
};
use pitwall_upstream_map::{IFramePlaylist, MultivariantTags, RenditionId};
use url::Url;

use super::rendition::{RENDITIONS_MAX_COUNT, codec_family, disambiguate_duplicate_ids};

/// Attributes of a variant that name a rendition group.
const GROUP_REFERENCES: [&str; 2] = ["VIDEO", "CLOSED-CAPTIONS"];

/// Removes every text from the playlist that is a URL, or that contains a host or a token of its
/// URLs or what else `redactor` knows: attributes are published. A group with such an id gets
/// another one. `canonical` is the URL before redirects, `base` the one after them.
pub(super) fn redact_origin(
    master: &mut MultivariantPlaylist,
    canonical: &Url,
    base: &Url,
    mut redactor: Redactor,
) {
    add_urls_to_redactor(&mut redactor, master, canonical, base);
    let group_ids: Vec<_> =
        master.renditions.iter().filter_map(|rendition| rendition.group_id.clone()).collect();
    let rename_group = |id: &str| {
        if redactor.can_publish(id.as_bytes()) {
            return id.to_owned();
        }
        let position = group_ids.iter().position(|known| known == id).unwrap_or(group_ids.len());
        format!("group-{}", position + 1)
    };
    let redact_attributes = |attributes: &mut AttributeList| {
        for (name, value) in attributes.iter_mut() {
            if GROUP_REFERENCES.contains(&name.as_str())
                && let Some(id) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
            {
                *value = format!("\"{}\"", rename_group(id));
            }
        }
        attributes.retain(|(_, value)| redactor.can_publish(value.as_bytes()));
    };
    let redact_text = |text: &mut Option<String>| {
        text.take_if(|text| !redactor.can_publish(text.as_bytes()));
    };
    let redact_group = |id: &mut Option<String>| *id = id.as_deref().map(rename_group);
    for variant in master.variants.iter_mut().chain(&mut master.i_frame_variants) {
        redact_text(&mut variant.name);
        redact_group(&mut variant.audio);
        redact_group(&mut variant.subtitles);
        redact_attributes(&mut variant.attributes);
    }
    for rendition in &mut master.renditions {
        redact_text(&mut rendition.name);
        redact_text(&mut rendition.language);
        redact_text(&mut rendition.channels);
        redact_group(&mut rendition.group_id);
        redact_attributes(&mut rendition.attributes);
    }
    if let Some(start) = &mut master.start {
        redact_attributes(start);
    }
    for tag in master.session_data.iter_mut().chain(&mut master.session_keys) {
        // A URI that the edge fetches becomes a link.
        tag.url.take_if(|url| !is_http_url(url) && !redactor.can_publish(url.as_bytes()));
        redact_attributes(&mut tag.attributes);
    }
}

/// The tags of the playlist that describe no rendition.
pub(super) fn multivariant_tags(master: &MultivariantPlaylist, base: &Url) -> MultivariantTags {
    // Only the first pathway is used.
    let pathway = master.variants.first().and_then(|first| first.pathway.as_ref());
    let i_frame_variants =
        master.i_frame_variants.iter().filter(|variant| variant.pathway.as_ref() == pathway);
    let mut i_frame_playlists: Vec<_> = i_frame_variants
        .filter_map(|variant| build_i_frame_playlist(variant, base))
        .take(RENDITIONS_MAX_COUNT)
        .collect();
    disambiguate_duplicate_ids(i_frame_playlists.iter_mut().map(|playlist| &mut playlist.id));
    let in_band_media = master.renditions.iter().filter_map(in_band_media_attributes);
    let session_data = master.session_data.iter().filter(|tag| {
        has_attribute(&tag.attributes, "DATA-ID")
            && (has_attribute(&tag.attributes, "VALUE") || tag.url.is_some())
    });
    let session_keys = master
        .session_keys
        .iter()
        .filter(|tag| has_attribute(&tag.attributes, "METHOD") && tag.url.is_some());
    // An offset from the beginning is one into the source's window, which is not the published one.
    let start = master.start.as_ref().filter(|start| {
        start.iter().any(|(name, offset)| name == "TIME-OFFSET" && offset.starts_with('-'))
    });
    MultivariantTags {
        has_independent_segments: master.has_independent_segments,
        in_band_media: in_band_media.take(RENDITIONS_MAX_COUNT).collect(),
        i_frame_playlists,
        session_data: session_data.take(RENDITIONS_MAX_COUNT).map(convert_session_tag).collect(),
        session_keys: session_keys.take(RENDITIONS_MAX_COUNT).map(convert_session_tag).collect(),
        start: start.cloned().unwrap_or_default(),
    }
}

/// The EXT-X-MEDIA of a rendition inside the segments of the video; `None` for one with a playlist
/// of its own, or without a group.
fn in_band_media_attributes(rendition: &MediaRendition) -> Option<AttributeList> {
    let (kind, fallback) = match rendition.kind {
        MediaKind::Audio => ("AUDIO", "Audio"),
        MediaKind::Video => ("VIDEO", "Video"),
        MediaKind::ClosedCaptions => ("CLOSED-CAPTIONS", "Captions"),
        MediaKind::Subtitles => return None,
    };
    let group_id = rendition.group_id.as_ref().filter(|_| rendition.url.is_none())?;
    let name = rendition.name.as_ref().or(rendition.language.as_ref());
    let quoted = |name: &str, value: &str| (name.to_owned(), format!("\"{value}\""));
    let yes = |name: &str, value: bool| value.then(|| (name.to_owned(), "YES".to_owned()));
    let required = [
        ("TYPE".to_owned(), kind.to_owned()),
        quoted("GROUP-ID", group_id),
        quoted("NAME", name.map_or(fallback, |name| name)),
    ];
    let optional = [
        rendition.language.as_ref().map(|language| quoted("LANGUAGE", language)),
        yes("DEFAULT", rendition.default),
        yes("AUTOSELECT", rendition.autoselect || rendition.default),
        rendition.channels.as_ref().map(|channels| quoted("CHANNELS", channels)),
    ];
    let attributes = rendition.attributes.iter().cloned();
    Some(required.into_iter().chain(optional.into_iter().flatten()).chain(attributes).collect())
}

fn build_i_frame_playlist(variant: &Variant, base: &Url) -> Option<IFramePlaylist> {
    if !has_attribute(&variant.attributes, "BANDWIDTH") {
        return None;
    }
    let height = variant.resolution.map_or(String::new(), |(_, height)| height.to_string());
    let codec = variant.codecs.as_deref().and_then(codec_family);
    let codec = codec.map_or(String::new(), |codec| format!("-{codec}"));
    Some(IFramePlaylist {
        id: RenditionId(format!("i{height}{codec}")),
        playlist: join_url(base, &variant.url).ok()?,
        attributes: variant.attributes.clone(),
    })
}

fn convert_session_tag(tag: &SessionTag) -> pitwall_upstream_map::SessionTag {
    pitwall_upstream_map::SessionTag { uri: tag.url.clone(), attributes: tag.attributes.clone() }
}

fn has_attribute(attributes: &[(String, String)], name: &str) -> bool {
    attributes.iter().any(|(known, _)| known == name)
}

fn is_http_url(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Adds the hosts and possible tokens of a playlist's URLs.
fn add_urls_to_redactor(
    redactor: &mut Redactor,
    master: &MultivariantPlaylist,
    canonical: &Url,
    base: &Url,
) {
    redactor.add_url(canonical);
    redactor.add_url(base);
    let variants = master.variants.iter().chain(&master.i_frame_variants);
    let renditions = master.renditions.iter().filter_map(|rendition| rendition.url.as_ref());
    let session_tags = master.session_data.iter().chain(&master.session_keys);
    let session_urls =
        session_tags.filter_map(|tag| tag.url.as_ref()).filter(|url| is_http_url(url));
    let urls = variants.map(|variant| &variant.url).chain(renditions).chain(session_urls);
    for url in urls.filter_map(|url| Url::parse(url).ok()) {
        redactor.add_url(&url);
    }
}

#[cfg(test)]
mod tests {
    use pitwall_hls::{Playlist, PlaylistLimits, Variables, parse_playlist};

    use super::*;
    use crate::check::rendition::draft_renditions;

    fn text_of(attributes: &[(String, String)]) -> String {
        let texts: Vec<_> =
            attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        texts.join(",")
    }

    /// Every text that the lines of a multivariant playlist lead to, in the order of the fields.
    fn publish(lines: &str) -> Vec<String> {
        let canonical = Url::parse("https://origin.example/m.m3u8?auth=Sesame-Open").unwrap();
        let base = Url::parse("https://cdn.example/live/m.m3u8").unwrap();
        let text = format!("#EXTM3U\n{lines}\n#EXT-X-STREAM-INF:BANDWIDTH=9\nlast.m3u8\n");
        let limits = PlaylistLimits::default();
        let playlist =
            parse_playlist(text.as_bytes(), &base, &Variables::default(), &limits).unwrap();
        let Playlist::Multivariant(mut master) = playlist else { panic!("a media playlist") };
        redact_origin(&mut master, &canonical, &base, Redactor::default());
        let tags = multivariant_tags(&master, &base);
        let mut renditions = draft_renditions(&master, &base);
        renditions.retain(|one| !one.playlist.path().ends_with("/last.m3u8"));
        let renditions = renditions.iter().map(|one| {
            let groups: Vec<_> = one.groups.iter().map(|group| group.id.as_str()).collect();
            format!("{} {} {}", one.label, groups.join("+"), text_of(&one.attributes))
        });
        let i_frames = tags.i_frame_playlists.iter();
        let i_frames = i_frames.map(|one| format!("{} {}", one.id.0, text_of(&one.attributes)));
        let session = tags.session_data.iter().chain(&tags.session_keys).map(|tag| {
            format!("{} {}", text_of(&tag.attributes), tag.uri.as_deref().unwrap_or_default())
        });
        let start = Some(text_of(&tags.start)).filter(|start| !start.is_empty());
        let in_band = tags.in_band_media.iter().map(|tag| text_of(tag));
        renditions.chain(in_band).chain(i_frames).chain(session).chain(start).collect()
    }

    #[test]
    fn what_is_published_of_a_multivariant_playlist() {
        let rows: &[(&str, &[&str])] = &[
            (
                "#EXT-X-STREAM-INF:BANDWIDTH=1,NAME=\"High\",VIDEO-RANGE=PQ,AUDIO=\"a\",CLOSED-CAPTIONS=\"cc\"\nv.m3u8",
                &["High a NAME=\"High\",VIDEO-RANGE=PQ,CLOSED-CAPTIONS=\"cc\""],
            ),
            (
                "#EXT-X-STREAM-INF:BANDWIDTH=1,NAME=\"by CDN.example!\",ALLOWED-CPC=\"//x\",SCORE=2\nv.m3u8",
                &["0 kbit/s  SCORE=2"],
            ),
            (
                "#EXT-X-STREAM-INF:BANDWIDTH=1,NAME=\"sesame-open\",X-A=\"notcdn.example2\"\nv.m3u8",
                &["0 kbit/s  "],
            ),
            (
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"x/cdn.example\",NAME=\"One\",URI=\"a.m3u8\"\n\
                 #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"origin.example\",NAME=\"CC\",INSTREAM-ID=\"CC1\"\n\
                 #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"x/cdn.example\",CLOSED-CAPTIONS=\"origin.example\"\nv.m3u8",
                &[
                    "0 kbit/s group-1 CLOSED-CAPTIONS=\"group-2\"",
                    "One group-1 ",
                    "TYPE=CLOSED-CAPTIONS,GROUP-ID=\"group-2\",NAME=\"CC\",INSTREAM-ID=\"CC1\"",
                ],
            ),
            (
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,CHANNELS=\"2\"\n\
                 #EXT-X-MEDIA:TYPE=AUDIO,NAME=\"No group\"\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"No URI\"",
                &[
                    "TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\"",
                ],
            ),
            (
                "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=3,RESOLUTION=1280x720,CODECS=\"hvc1.2\",URI=\"i.m3u8\"\n\
                 #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=2,RESOLUTION=1280x720,CODECS=\"hvc1.2\",URI=\"j.m3u8\"\n\
                 #EXT-X-I-FRAME-STREAM-INF:URI=\"no-bandwidth.m3u8\"\n\
                 #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=2,PATHWAY-ID=\"B\",URI=\"elsewhere.m3u8\"",
                &[
                    "i720-hevc BANDWIDTH=3,RESOLUTION=1280x720,CODECS=\"hvc1.2\"",
                    "i720-hevc-2 BANDWIDTH=2,RESOLUTION=1280x720,CODECS=\"hvc1.2\"",
                ],
            ),
            (
                "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=30000000,RESOLUTION=1920x1080,URI=\"i?size=1920x1080&rate=30000000\"",
                &["i1080 BANDWIDTH=30000000,RESOLUTION=1920x1080"],
            ),
            (
                "#EXT-X-SESSION-DATA:DATA-ID=\"com.example.title\",VALUE=\"Race\"\n\
                 #EXT-X-SESSION-DATA:DATA-ID=\"com.example.terms\",VALUE=\"https://terms.example/\"\n\
                 #EXT-X-SESSION-DATA:DATA-ID=\"com.example.more\",URI=\"more.json\"\n\
                 #EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://asset-7\"\n\
                 #EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://cdn.example/7\"\n\
                 #EXT-X-SESSION-KEY:METHOD=NONE",
                &[
                    "DATA-ID=\"com.example.title\",VALUE=\"Race\" ",
                    "DATA-ID=\"com.example.more\" https://cdn.example/live/more.json",
                    "METHOD=SAMPLE-AES skd://asset-7",
                ],
            ),
            ("#EXT-X-START:TIME-OFFSET=-6,PRECISE=YES", &["TIME-OFFSET=-6,PRECISE=YES"]),
            ("#EXT-X-START:TIME-OFFSET=-6,X-A=\"Sesame-Open\"", &["TIME-OFFSET=-6"]),
            ("#EXT-X-START:TIME-OFFSET=6", &[]),
        ];
        for (lines, expected) in rows {
            assert_eq!(publish(lines), *expected, "{lines}");
        }
    }
}
