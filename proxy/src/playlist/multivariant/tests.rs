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
