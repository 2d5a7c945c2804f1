//! The multivariant playlist of a stream, written from the map. It names renditions, not upstreams,
//! so a player that never reloads it still follows every switch of the upstream.
//!
//! It says what the active upstream's own multivariant playlist says. Which of its attributes that
//! are is decided where the upstream is checked; here references to groups, URIs and the version
//! are made to fit what is listed.

use std::fmt::Write;

use pitwall_hls::{LinkRoute, UriMapper, UriReference, UriRole, Variables};
use pitwall_upstream_map::{AttributeList, Rendition, Role, SessionTag, Upstream};

/// How a multivariant playlist is written.
pub struct WriteOptions<'a> {
    /// The rendition that is listed alone with its groups; `None` lists all.
    pub only: Option<&'a Rendition>,
    /// Whether segments of every source of the stream can be decoded alone: players keep the
    /// playlist across switches.
    pub has_independent_segments: bool,
    /// Appended to the URI of each playlist; carries the viewer's access key.
    pub query: &'a str,
    /// Makes the links of session data and session keys.
    pub uri_mapper: &'a mut dyn UriMapper,
}

/// TYPE and GROUP-ID of a rendition group.
type GroupReference<'a> = (&'a str, &'a str);

/// RFC 8216bis, 8: of the attributes that any version of Pitwall has written.
const BASE_VERSION: u8 = 7;

/// Writes the renditions of the upstream.
pub fn write_playlist(upstream: &Upstream, options: WriteOptions<'_>) -> String {
    let WriteOptions { only, has_independent_segments, query, uri_mapper } = options;
    let tags = &upstream.multivariant;
    let listed: Vec<&Rendition> = upstream
        .renditions
        .iter()
        .filter(|rendition| only.is_none_or(|only| is_in_group_of(only, rendition)))
        .collect();
    let in_band: Vec<&AttributeList> = tags
        .in_band_media
        .iter()
        .filter(|tag| only.is_none_or(|only| refers_to(only, group_of_media_tag(tag))))
        .collect();
    let tracks = || listed.iter().filter(|rendition| rendition.role != Role::Video);
    let videos = || listed.iter().filter(|rendition| rendition.role == Role::Video);
    // A reference to a group without renditions would make the whole playlist invalid.
    let groups: Vec<GroupReference<'_>> = tracks()
        .flat_map(|track| groups_of(track))
        .chain(in_band.iter().map(|tag| group_of_media_tag(tag)))
        .collect();

    let mut out =
        format!("#EXTM3U\n#EXT-X-VERSION:{}\n", required_version(&listed, &in_band, upstream));
    if has_independent_segments {
        out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    if !tags.start.is_empty() {
        let _ = writeln!(out, "#EXT-X-START:{}", format_attributes(&tags.start));
    }
    for tag in &tags.session_data {
        write_session_tag("EXT-X-SESSION-DATA", UriRole::SessionData, tag, uri_mapper, &mut out);
    }
    for tag in &tags.session_keys {
        write_session_tag("EXT-X-SESSION-KEY", UriRole::SessionKey, tag, uri_mapper, &mut out);
    }
    for tag in &in_band {
        let _ = writeln!(out, "#EXT-X-MEDIA:{}", format_attributes(*tag));
    }
    for track in tracks() {
        write_media_tag(track, query, &mut out);
    }
    for video in videos() {
        write_stream_inf_tag(video, &groups, query, &mut out);
    }
    if videos().next().is_none() {
        // Without video, each audio rendition is a variant of its own.
        for audio in listed.iter().filter(|rendition| rendition.role == Role::Audio) {
            write_stream_inf_tag(audio, &[], query, &mut out);
        }
        return out;
    }
    for playlist in &tags.i_frame_playlists {
        let attributes = playlist.attributes.iter().filter(|it| is_listed_reference(it, &groups));
        let _ = writeln!(
            out,
            "#EXT-X-I-FRAME-STREAM-INF:{},URI=\"{}.m3u8{query}\"",
            format_attributes(attributes),
            playlist.id.0
        );
    }
    out
}

fn is_in_group_of(only: &Rendition, other: &Rendition) -> bool {
    other.id == only.id
        || (other.role != Role::Video
            && only.role == Role::Video
            && other.groups.iter().any(|group| only.groups.contains(group)))
}

fn refers_to(only: &Rendition, group: GroupReference<'_>) -> bool {
    only.role == Role::Video && groups_of(only).any(|known| known == group)
}

/// The groups that a video rendition refers to, or that another rendition belongs to.
fn groups_of(rendition: &Rendition) -> impl Iterator<Item = GroupReference<'_>> {
    let groups = rendition.groups.iter().map(|group| (media_type(group.role), group.id.as_str()));
    groups.chain(rendition.attributes.iter().filter_map(find_group_reference))
}

/// The group that an attribute of a variant refers to, of those kinds that have no [`Role`].
fn find_group_reference((name, value): &(String, String)) -> Option<GroupReference<'_>> {
    let kind = ["VIDEO", "CLOSED-CAPTIONS"].into_iter().find(|kind| kind == name)?;
    Some((kind, unquote(value)?))
}

/// The group that an EXT-X-MEDIA belongs to.
fn group_of_media_tag(tag: &[(String, String)]) -> GroupReference<'_> {
    let value = |name: &str| tag.iter().find(|it| it.0 == name).map_or("", |it| it.1.as_str());
    (value("TYPE"), unquote(value("GROUP-ID")).unwrap_or_default())
}

fn is_listed_reference(attribute: &(String, String), groups: &[GroupReference<'_>]) -> bool {
    find_group_reference(attribute).is_none_or(|group| groups.contains(&group))
}

fn media_type(role: Role) -> &'static str {
    match role {
        Role::Video => "VIDEO",
        Role::Audio => "AUDIO",
        Role::Subtitles => "SUBTITLES",
    }
}

/// The version that the attributes require (RFC 8216bis, 8): clients that do not know a `REQ-`
/// attribute must ignore its tag.
fn required_version(listed: &[&Rendition], in_band: &[&AttributeList], upstream: &Upstream) -> u8 {
    let has = |attributes: &AttributeList, name: &str| {
        attributes.iter().any(|attribute| attribute.0.starts_with(name))
    };
    let tracks = listed.iter().filter(|rendition| rendition.role != Role::Video);
    let is_captions = |tag: &AttributeList| group_of_media_tag(tag).0 == "CLOSED-CAPTIONS";
    if tracks.map(|track| &track.attributes).any(|it| has(it, "INSTREAM-ID"))
        || in_band.iter().any(|tag| !is_captions(tag) && has(tag, "INSTREAM-ID"))
    {
        return 13;
    }
    let i_frame_playlists = upstream.multivariant.i_frame_playlists.iter();
    let mut attributes = listed.iter().map(|rendition| &rendition.attributes);
    if attributes.any(|it| has(it, "REQ-"))
        || in_band.iter().any(|tag| has(tag, "REQ-"))
        || i_frame_playlists.map(|playlist| &playlist.attributes).any(|it| has(it, "REQ-"))
    {
        return 12;
    }
    BASE_VERSION
}

fn write_session_tag(
    name: &str,
    role: UriRole,
    tag: &SessionTag,
    uri_mapper: &mut dyn UriMapper,
    out: &mut String,
) {
    let _ = write!(out, "#{name}:{}", format_attributes(&tag.attributes));
    if let Some(url) = &tag.uri {
        let link = map_uri(role, url, uri_mapper);
        let _ = write!(out, ",URI=\"{}\"", sanitize_quoted_string(&link));
    }
    out.push('\n');
}

/// The link of a URL at the upstream. Other URIs (`skd:`, `data:`) are fetched by nobody and stay.
fn map_uri(role: UriRole, url: &str, uri_mapper: &mut dyn UriMapper) -> String {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return url.to_owned();
    }
    let reference = UriReference {
        role,
        target: LinkRoute::Media,
        url,
        sequence: None,
        byte_range: None,
        is_gap: false,
        variables: &Variables::default(),
        written: url.as_bytes(),
    };
    let mut link = Vec::new();
    uri_mapper.map_uri(&reference, &mut link);
    String::from_utf8_lossy(&link).into_owned()
}

fn write_media_tag(rendition: &Rendition, query: &str, out: &mut String) {
    let kind = media_type(rendition.role);
    for group in &rendition.groups {
        let yes = |value: bool| if value { "YES" } else { "NO" };
        let _ = write!(
            out,
            "#EXT-X-MEDIA:TYPE={kind},GROUP-ID=\"{}\",NAME=\"{}\",DEFAULT={},AUTOSELECT={}",
            sanitize_quoted_string(&group.id),
            sanitize_quoted_string(rendition.name.as_deref().unwrap_or(&rendition.label)),
            yes(rendition.default),
            yes(rendition.autoselect || rendition.default),
        );
        if let Some(language) = &rendition.language {
            let _ = write!(out, ",LANGUAGE=\"{}\"", sanitize_quoted_string(language));
        }
        if rendition.role == Role::Subtitles && rendition.forced {
            out.push_str(",FORCED=YES");
        }
        if let Some(channels) = &rendition.channels {
            let _ = write!(out, ",CHANNELS=\"{}\"", sanitize_quoted_string(channels));
        }
        for attribute in &rendition.attributes {
            let _ = write!(out, ",{}", format_attribute(attribute));
        }
        let _ = writeln!(out, ",URI=\"{}.m3u8{query}\"", rendition.id.0);
    }
}

/// `groups`: those that have renditions.
fn write_stream_inf_tag(
    rendition: &Rendition,
    groups: &[GroupReference<'_>],
    query: &str,
    out: &mut String,
) {
    // BANDWIDTH is required (RFC 8216bis, 4.4.6.2), and players sort by it: an unknown one is
    // better low than missing.
    let _ = write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={}", rendition.bandwidth.unwrap_or(1_000_000));
    if let Some(average) = rendition.average_bandwidth {
        let _ = write!(out, ",AVERAGE-BANDWIDTH={average}");
    }
    if let Some(codecs) = &rendition.codecs {
        let _ = write!(out, ",CODECS=\"{}\"", sanitize_quoted_string(codecs));
    }
    if let Some((width, height)) = rendition.resolution {
        let _ = write!(out, ",RESOLUTION={width}x{height}");
    }
    if let Some(rate) = rendition.frame_rate {
        let _ = write!(out, ",FRAME-RATE={rate:.3}");
    }
    // The attributes of an audio rendition are those of an EXT-X-MEDIA.
    if rendition.role == Role::Video {
        for attribute in rendition.attributes.iter().filter(|it| is_listed_reference(it, groups)) {
            let _ = write!(out, ",{}", format_attribute(attribute));
        }
        for role in [Role::Audio, Role::Subtitles] {
            let kind = media_type(role);
            let group = rendition
                .groups
                .iter()
                .find(|group| group.role == role && groups.contains(&(kind, group.id.as_str())));
            if let Some(group) = group {
                let _ = write!(out, ",{kind}=\"{}\"", sanitize_quoted_string(&group.id));
            }
        }
    }
    let _ = writeln!(out, "\n{}.m3u8{query}", rendition.id.0);
}

fn format_attributes<'a>(attributes: impl IntoIterator<Item = &'a (String, String)>) -> String {
    attributes.into_iter().map(format_attribute).collect::<Vec<_>>().join(",")
}

/// An attribute with a value that players can read, whatever the upstream has written.
fn format_attribute((name, value): &(String, String)) -> String {
    let is_bare = |text: &str| {
        !text.contains(|c: char| matches!(c, ',' | '"') || c.is_whitespace() || c.is_control())
    };
    match unquote(value) {
        None if is_bare(value) => format!("{name}={value}"),
        text => format!("{name}=\"{}\"", sanitize_quoted_string(text.unwrap_or(value))),
    }
}

/// The text between quotes; `None` without them.
fn unquote(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// Removes what a quoted-string must not contain: quotes and line ends (RFC 8216bis, 4.2).
fn sanitize_quoted_string(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '"' | '\r' | '\n')).collect()
}

#[cfg(test)]
mod tests {
    use pitwall_upstream_map::{
        Container, Health, IFramePlaylist, MultivariantTags, RenditionGroup, RenditionId,
        RequestProfileId,
    };

    use super::*;

    fn rendition(id: &str, role: Role) -> Rendition {
        Rendition {
            id: RenditionId(id.into()),
            role,
            playlist: "http://origin.test/secret.m3u8".parse().unwrap(),
            container: Container::Fmp4,
            demuxed: false,
            label: id.to_uppercase(),
            target_duration: None,
            bandwidth: Some(800_000),
            average_bandwidth: None,
            resolution: None,
            frame_rate: None,
            codecs: None,
            audio_codec: None,
            groups: vec![],
            name: None,
            language: None,
            channels: None,
            default: false,
            autoselect: false,
            forced: false,
            attributes: Vec::new(),
        }
    }

    fn attributes(list: &[(&str, &str)]) -> AttributeList {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn write(upstream: &Upstream, only: Option<&str>, query: &str) -> String {
        let mut uri_mapper = |reference: &UriReference<'_>, out: &mut Vec<u8>| {
            out.extend_from_slice(format!("/relay/{:?}", reference.role).as_bytes());
        };
        let options = WriteOptions {
            only: only.map(|id| upstream.find_rendition(id).unwrap()),
            has_independent_segments: upstream.multivariant.has_independent_segments,
            query,
            uri_mapper: &mut uri_mapper,
        };
        write_playlist(upstream, options)
    }

    fn group(role: Role) -> RenditionGroup {
        RenditionGroup { role, id: "aud".into() }
    }

    fn upstream() -> Upstream {
        let high = Rendition {
            resolution: Some((1280, 720)),
            frame_rate: Some(25.0),
            codecs: Some("avc1.64001f,mp4a.40.2".into()),
            groups: vec![group(Role::Audio)],
            ..rendition("v720", Role::Video)
        };
        let low = Rendition { groups: vec![group(Role::Audio)], ..rendition("v180", Role::Video) };
        let audio = Rendition {
            groups: vec![group(Role::Audio)],
            name: Some("Eng\"lish".into()),
            language: Some("en".into()),
            default: true,
            ..rendition("a-en", Role::Audio)
        };
        Upstream {
            source: "s".into(),
            profile: RequestProfileId("s".into()),
            generation: 1,
            playlist: "http://origin.test/master.m3u8".parse().unwrap(),
            expires_at: None,
            health: Health::Healthy,
            score: 1.0,
            variables: String::new(),
            renditions: vec![high, low, audio],
            multivariant: MultivariantTags::default(),
        }
    }

    const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:7\n";
    const AUDIO: &str = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aud\",NAME=\"English\",DEFAULT=YES,\
                         AUTOSELECT=YES,LANGUAGE=\"en\",URI=\"a-en.m3u8\"\n";
    const HIGH: &str = "#EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS=\"avc1.64001f,mp4a.40.2\",\
                        RESOLUTION=1280x720,FRAME-RATE=25.000,AUDIO=\"aud\"\nv720.m3u8\n";
    const LOW: &str = "#EXT-X-STREAM-INF:BANDWIDTH=800000,AUDIO=\"aud\"\nv180.m3u8\n";

    fn check(only: Option<&str>, expected: &[&str]) {
        let expected = [&[HEAD], expected].concat().concat();
        assert_eq!(write(&upstream(), only, ""), expected);
    }

    #[test]
    fn all_renditions() {
        check(None, &[AUDIO, HIGH, LOW]);
    }

    #[test]
    fn one_rendition_keeps_its_audio() {
        check(Some("v180"), &[AUDIO, LOW]);
    }

    #[test]
    fn audio_alone_is_a_variant() {
        check(Some("a-en"), &[AUDIO, "#EXT-X-STREAM-INF:BANDWIDTH=800000\na-en.m3u8\n"]);
    }

    #[test]
    fn names_no_upstream() {
        let upstream = upstream_with_everything();
        assert!(!write(&upstream, None, "").contains("origin.test"));
    }

    #[test]
    fn the_access_key_is_in_every_link() {
        let upstream = upstream_with_everything();
        let (open, with_key) = (write(&upstream, None, ""), write(&upstream, None, "?key=T"));
        assert_eq!(with_key, open.replace(".m3u8", ".m3u8?key=T"));
    }

    fn upstream_with_everything() -> Upstream {
        let mut upstream = upstream();
        let [high, low, audio] = upstream.renditions.as_mut_slice() else { panic!("three") };
        high.attributes = attributes(&[
            ("VIDEO-RANGE", "PQ"),
            ("CLOSED-CAPTIONS", "\"cc\""),
            ("VIDEO", "\"angles\""),
            ("NAME", "\"Hi\nres\""),
        ]);
        low.attributes = attributes(&[("CLOSED-CAPTIONS", "NONE"), ("SCORE", "1 2")]);
        low.groups.clear();
        audio.attributes = attributes(&[("CHARACTERISTICS", "\"public.easy\"")]);
        let captions = attributes(&[
            ("TYPE", "CLOSED-CAPTIONS"),
            ("GROUP-ID", "\"cc\""),
            ("NAME", "\"CC\""),
            ("INSTREAM-ID", "\"CC1\""),
        ]);
        let session_tag = |uri: Option<&str>, list: &[(&str, &str)]| SessionTag {
            uri: uri.map(str::to_owned),
            attributes: attributes(list),
        };
        upstream.multivariant = MultivariantTags {
            has_independent_segments: true,
            in_band_media: vec![captions],
            i_frame_playlists: vec![IFramePlaylist {
                id: RenditionId("i720-s".into()),
                playlist: "http://origin.test/i.m3u8".parse().unwrap(),
                attributes: attributes(&[("BANDWIDTH", "9"), ("VIDEO", "\"angles\"")]),
            }],
            session_data: vec![
                session_tag(None, &[("DATA-ID", "\"a\""), ("VALUE", "\"b\"")]),
                session_tag(Some("https://origin.test/d"), &[("DATA-ID", "\"c\"")]),
            ],
            session_keys: vec![session_tag(Some("skd://7"), &[("METHOD", "SAMPLE-AES")])],
            start: attributes(&[("TIME-OFFSET", "-6")]),
        };
        upstream
    }

    const TAGS: &str = "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-START:TIME-OFFSET=-6\n\
                        #EXT-X-SESSION-DATA:DATA-ID=\"a\",VALUE=\"b\"\n\
                        #EXT-X-SESSION-DATA:DATA-ID=\"c\",URI=\"/relay/SessionData\"\n\
                        #EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://7\"\n";
    const CAPTIONS: &str =
        "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"CC\",INSTREAM-ID=\"CC1\"\n";
    const FULL_AUDIO: &str = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aud\",NAME=\"English\",\
                              DEFAULT=YES,AUTOSELECT=YES,LANGUAGE=\"en\",\
                              CHARACTERISTICS=\"public.easy\",URI=\"a-en.m3u8\"\n";
    const FULL_HIGH: &str = "#EXT-X-STREAM-INF:BANDWIDTH=800000,\
                             CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,\
                             FRAME-RATE=25.000,VIDEO-RANGE=PQ,CLOSED-CAPTIONS=\"cc\",\
                             NAME=\"Hires\",AUDIO=\"aud\"\nv720.m3u8\n";
    const FULL_LOW: &str = "#EXT-X-STREAM-INF:BANDWIDTH=800000,CLOSED-CAPTIONS=NONE,\
                            SCORE=\"1 2\"\nv180.m3u8\n";
    const I_FRAMES: &str = "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,URI=\"i720-s.m3u8\"\n";

    /// A group without members is not referred to, and a group that nothing refers to is left out
    /// where one rendition is listed.
    #[test]
    fn everything_that_the_upstream_says() {
        let audio = "#EXT-X-STREAM-INF:BANDWIDTH=800000\na-en.m3u8\n";
        let rows: &[(Option<&str>, &[&str])] = &[
            (None, &[TAGS, CAPTIONS, FULL_AUDIO, FULL_HIGH, FULL_LOW, I_FRAMES]),
            (Some("v720"), &[TAGS, CAPTIONS, FULL_AUDIO, FULL_HIGH, I_FRAMES]),
            (Some("v180"), &[TAGS, FULL_LOW, I_FRAMES]),
            (Some("a-en"), &[TAGS, FULL_AUDIO, audio]),
        ];
        for (only, expected) in rows {
            let expected = format!("{HEAD}{}", expected.concat());
            assert_eq!(write(&upstream_with_everything(), *only, ""), expected, "{only:?}");
        }
    }

    /// RFC 8216bis, 4.4.6.2.1: an audio rendition without a URI is inside the video, and belongs to
    /// the group all the same.
    #[test]
    fn audio_inside_the_video_is_a_member_of_its_group() {
        let mut upstream = upstream();
        upstream.renditions.retain(|one| one.role == Role::Video);
        let inside =
            [("TYPE", "AUDIO"), ("GROUP-ID", "\"aud\""), ("NAME", "\"Main\""), ("DEFAULT", "YES")];
        upstream.multivariant.in_band_media = vec![attributes(&inside)];
        let tag = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aud\",NAME=\"Main\",DEFAULT=YES\n";
        assert_eq!(write(&upstream, Some("v180"), ""), [HEAD, tag, LOW].concat());
    }

    #[test]
    fn the_version_is_the_one_that_the_attributes_require() {
        for (kind, name, version) in [
            ("AUDIO", "CHARACTERISTICS", 7),
            ("CLOSED-CAPTIONS", "INSTREAM-ID", 7),
            ("CLOSED-CAPTIONS", "REQ-NEW", 12),
            ("AUDIO", "INSTREAM-ID", 13),
        ] {
            let mut upstream = upstream();
            upstream.multivariant.in_band_media = vec![attributes(&[("TYPE", kind), (name, "1")])];
            let text = write(&upstream, None, "");
            assert!(text.contains(&format!("#EXT-X-VERSION:{version}\n")), "{kind} {name}: {text}");
        }
    }
}
