//! The multivariant playlist of a stream, written from the map. It names renditions, not upstreams,
//! so a player that never reloads it still follows every switch of the upstream.

use std::fmt::Write;

use pitwall_upstream_map::{Rendition, Role, Upstream};

/// Writes all renditions of the upstream, or with `only` that one and its groups. `query` is
/// appended to each URI and carries the viewer's access key.
pub fn write_playlist(upstream: &Upstream, only: Option<&Rendition>, query: &str) -> String {
    let listed: Vec<&Rendition> = upstream
        .renditions
        .iter()
        .filter(|rendition| only.is_none_or(|only| is_in_group_of(only, rendition)))
        .collect();
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
    for rendition in listed.iter().filter(|rendition| rendition.role != Role::Video) {
        write_media_tag(rendition, query, &mut out);
    }
    let videos: Vec<_> = listed.iter().filter(|rendition| rendition.role == Role::Video).collect();
    for rendition in &videos {
        write_stream_inf_tag(rendition, &listed, query, &mut out);
    }
    if videos.is_empty() {
        // Without video, each audio rendition is a variant of its own.
        for rendition in listed.iter().filter(|rendition| rendition.role == Role::Audio) {
            write_stream_inf_tag(rendition, &[], query, &mut out);
        }
    }
    out
}

fn is_in_group_of(only: &Rendition, other: &Rendition) -> bool {
    other.id == only.id
        || (other.role != Role::Video
            && only.role == Role::Video
            && other.groups.iter().any(|group| only.groups.contains(group)))
}

fn write_media_tag(rendition: &Rendition, query: &str, out: &mut String) {
    let kind = if rendition.role == Role::Audio { "AUDIO" } else { "SUBTITLES" };
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
        let _ = writeln!(out, ",URI=\"{}.m3u8{query}\"", rendition.id.0);
    }
}

fn write_stream_inf_tag(
    rendition: &Rendition,
    listed: &[&Rendition],
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
    if rendition.role == Role::Video {
        for (role, attribute) in [(Role::Audio, "AUDIO"), (Role::Subtitles, "SUBTITLES")] {
            // A reference to a group without renditions would make the whole playlist invalid.
            let group = rendition.groups.iter().find(|group| {
                group.role == role
                    && listed.iter().any(|other| other.role == role && other.groups.contains(group))
            });
            if let Some(group) = group {
                let _ = write!(out, ",{attribute}=\"{}\"", sanitize_quoted_string(&group.id));
            }
        }
    }
    let _ = writeln!(out, "\n{}.m3u8{query}", rendition.id.0);
}

/// Removes what a quoted-string must not contain: quotes and line ends (RFC 8216bis, 4.2).
fn sanitize_quoted_string(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '"' | '\r' | '\n')).collect()
}

#[cfg(test)]
mod tests {
    use pitwall_upstream_map::{Container, Health, RenditionGroup, RenditionId, RequestProfileId};

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
            groups: vec![],
            name: None,
            language: None,
            channels: None,
            default: false,
            autoselect: false,
            forced: false,
        }
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
        }
    }

    const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:7\n";
    const AUDIO: &str = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aud\",NAME=\"English\",DEFAULT=YES,\
                         AUTOSELECT=YES,LANGUAGE=\"en\",URI=\"a-en.m3u8\"\n";
    const HIGH: &str = "#EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS=\"avc1.64001f,mp4a.40.2\",\
                        RESOLUTION=1280x720,FRAME-RATE=25.000,AUDIO=\"aud\"\nv720.m3u8\n";
    const LOW: &str = "#EXT-X-STREAM-INF:BANDWIDTH=800000,AUDIO=\"aud\"\nv180.m3u8\n";

    fn check(only: Option<&str>, expected: &[&str]) {
        let upstream = upstream();
        let only = only.map(|id| upstream.rendition(id).unwrap());
        let expected = [&[HEAD], expected].concat().concat();
        assert_eq!(write_playlist(&upstream, only, ""), expected);
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
        assert!(!write_playlist(&upstream(), None, "").contains("origin.test"));
    }

    #[test]
    fn the_access_key_is_in_every_link() {
        let (open, with_key) =
            (write_playlist(&upstream(), None, ""), write_playlist(&upstream(), None, "?key=T"));
        assert_eq!(with_key, open.replace(".m3u8", ".m3u8?key=T"));
    }
}
