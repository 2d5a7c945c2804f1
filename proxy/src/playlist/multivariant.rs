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
mod tests;
