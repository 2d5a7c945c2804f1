//! Which attributes of a source's multivariant playlist Pitwall repeats in its own.
//!
//! A multivariant playlist that is written anew loses what its writer does not know: without
//! VIDEO-RANGE a player takes HDR for SDR, and without CHARACTERISTICS a described sound track for
//! a usual one. So the table says of every attribute of RFC 8216bis, 4.4.6 what becomes of it, and
//! an attribute that the table lacks is repeated too, unless its value may name a host.

use super::value_resolver::ValueResolver;
use crate::error::InvalidPlaylist;
use crate::line::Tag;
use crate::redaction;

/// Attributes of a tag in their order: names, and values as text, with quotes where they have them.
pub type AttributeList = Vec<(String, String)>;

/// What becomes of an attribute of the source's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    /// The value is repeated as it is.
    Kept,
    /// Pitwall writes the attribute itself, from what it has parsed.
    Written,
    Dropped,
}

use Treatment::{Dropped, Kept, Written};

const STREAM_INF: &str = "EXT-X-STREAM-INF";
const I_FRAME_STREAM_INF: &str = "EXT-X-I-FRAME-STREAM-INF";
const MEDIA: &str = "EXT-X-MEDIA";
const SESSION_DATA: &str = "EXT-X-SESSION-DATA";
const SESSION_KEY: &str = "EXT-X-SESSION-KEY";
const START: &str = "EXT-X-START";

/// Tags, attributes, what becomes of these, and why.
type Rule = (&'static [&'static str], &'static [&'static str], Treatment, &'static str);

const RULES: &[Rule] = &[
    (
        &[STREAM_INF, I_FRAME_STREAM_INF, MEDIA, SESSION_DATA, SESSION_KEY],
        &["URI"],
        Written,
        "it becomes a link of the edge",
    ),
    (
        &[STREAM_INF],
        &["BANDWIDTH", "AVERAGE-BANDWIDTH", "CODECS", "RESOLUTION", "FRAME-RATE"],
        Written,
        "the rendition has it, and what the source leaves out may be measured",
    ),
    (
        &[I_FRAME_STREAM_INF],
        &["BANDWIDTH", "AVERAGE-BANDWIDTH", "CODECS", "RESOLUTION"],
        Kept,
        "nothing else knows it",
    ),
    (
        &[STREAM_INF],
        &["AUDIO", "SUBTITLES"],
        Written,
        "a reference needs a group that still has members",
    ),
    (
        &[STREAM_INF, I_FRAME_STREAM_INF],
        &["VIDEO", "CLOSED-CAPTIONS"],
        Kept,
        "the writer leaves a reference out whose group has no members",
    ),
    (
        &[STREAM_INF, I_FRAME_STREAM_INF],
        &[
            "SCORE",
            "SUPPLEMENTAL-CODECS",
            "HDCP-LEVEL",
            "ALLOWED-CPC",
            "VIDEO-RANGE",
            "REQ-VIDEO-LAYOUT",
            "STABLE-VARIANT-ID",
        ],
        Kept,
        "players choose by it",
    ),
    (&[STREAM_INF], &["NAME"], Kept, "players without RESOLUTION show it (not in RFC 8216bis)"),
    (
        &[STREAM_INF, I_FRAME_STREAM_INF],
        &["PATHWAY-ID"],
        Dropped,
        "one pathway is published, and content steering names upstreams",
    ),
    (
        &[MEDIA],
        &["TYPE", "GROUP-ID", "NAME", "LANGUAGE", "DEFAULT", "AUTOSELECT", "FORCED", "CHANNELS"],
        Written,
        "the rendition has it",
    ),
    (
        &[MEDIA],
        &[
            "ASSOC-LANGUAGE",
            "STABLE-RENDITION-ID",
            "INSTREAM-ID",
            "BIT-DEPTH",
            "SAMPLE-RATE",
            "CHARACTERISTICS",
        ],
        Kept,
        "players choose by it",
    ),
    (
        &[SESSION_DATA],
        &["DATA-ID", "VALUE", "FORMAT", "LANGUAGE"],
        Kept,
        "it is for the player's page",
    ),
    (
        &[SESSION_KEY],
        &["METHOD", "IV", "KEYFORMAT", "KEYFORMATVERSIONS"],
        Kept,
        "it is that of the EXT-X-KEY in the media playlists",
    ),
    (&[START], &["TIME-OFFSET", "PRECISE"], Kept, "it is about the live edge, which is the same"),
];

/// Further attributes of a tag are left out: so many are a mistake or an attack.
const ATTRIBUTES_MAX_COUNT: usize = 40;

impl ValueResolver<'_> {
    /// The attributes of `tag` that are repeated. The last one of a name wins, as in every player.
    pub(super) fn read_kept_attributes(
        &mut self,
        tag: &Tag<'_>,
    ) -> Result<AttributeList, InvalidPlaylist> {
        let mut kept = AttributeList::new();
        for attribute in tag.attributes() {
            let treatment = treatment_of(tag.name, attribute.name);
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
            if treatment.is_some_and(|it| it != Kept)
                || attribute.name.is_empty()
                || !attribute.name.iter().all(is_name)
                || (attribute.value.is_empty() && !attribute.is_quoted)
            {
                continue;
            }
            let value = self.read_text(attribute.value)?;
            let is_number = value.parse::<f64>().is_ok();
            if treatment.is_none() && !is_number && redaction::may_name_host(value.as_bytes()) {
                continue;
            }
            let name = String::from_utf8_lossy(attribute.name).to_ascii_uppercase();
            kept.retain(|(known, _)| *known != name);
            kept.push((name, if attribute.is_quoted { format!("\"{value}\"") } else { value }));
            if kept.len() == ATTRIBUTES_MAX_COUNT {
                break;
            }
        }
        Ok(kept)
    }
}

/// `None` for an attribute that the table lacks.
fn treatment_of(tag: &[u8], attribute: &[u8]) -> Option<Treatment> {
    let has_name = |known: &&str| known.as_bytes().eq_ignore_ascii_case(attribute);
    let is_of = |tags: &[&str]| tags.iter().any(|known| known.as_bytes() == tag);
    let mut rules = RULES.iter();
    rules.find(|rule| is_of(rule.0) && rule.1.iter().any(has_name)).map(|rule| rule.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Playlist, parse_playlist};
    use crate::limits::PlaylistLimits;
    use crate::variables::Variables;

    /// draft-pantos-hls-rfc8216bis, 4.4.6.1 to 4.4.6.5.
    const VARIANT_ATTRIBUTES: &[&str] = &[
        "BANDWIDTH",
        "AVERAGE-BANDWIDTH",
        "SCORE",
        "CODECS",
        "SUPPLEMENTAL-CODECS",
        "RESOLUTION",
        "HDCP-LEVEL",
        "ALLOWED-CPC",
        "VIDEO-RANGE",
        "REQ-VIDEO-LAYOUT",
        "STABLE-VARIANT-ID",
        "VIDEO",
        "PATHWAY-ID",
    ];

    #[test]
    fn every_attribute_is_in_the_table_once() {
        let attributes: &[(&str, &[&str])] = &[
            (STREAM_INF, VARIANT_ATTRIBUTES),
            (STREAM_INF, &["FRAME-RATE", "AUDIO", "SUBTITLES", "CLOSED-CAPTIONS"]),
            (I_FRAME_STREAM_INF, VARIANT_ATTRIBUTES),
            (I_FRAME_STREAM_INF, &["URI"]),
            (
                MEDIA,
                &[
                    "TYPE",
                    "URI",
                    "GROUP-ID",
                    "LANGUAGE",
                    "ASSOC-LANGUAGE",
                    "NAME",
                    "STABLE-RENDITION-ID",
                    "DEFAULT",
                    "AUTOSELECT",
                    "FORCED",
                    "INSTREAM-ID",
                    "BIT-DEPTH",
                    "SAMPLE-RATE",
                    "CHARACTERISTICS",
                    "CHANNELS",
                ],
            ),
            (SESSION_DATA, &["DATA-ID", "VALUE", "URI", "FORMAT", "LANGUAGE"]),
            (SESSION_KEY, &["METHOD", "URI", "IV", "KEYFORMAT", "KEYFORMATVERSIONS"]),
            (START, &["TIME-OFFSET", "PRECISE"]),
        ];
        for (tag, names) in attributes {
            for name in *names {
                let is_rule = |rule: &&Rule| rule.0.contains(tag) && rule.1.contains(name);
                assert_eq!(RULES.iter().filter(is_rule).count(), 1, "{tag} {name}");
            }
        }
        assert!(RULES.iter().all(|rule| !rule.3.is_empty()), "every rule has a reason");
    }

    #[test]
    fn attributes_keep_their_order_and_quotes() {
        for (written, expected) in [
            ("BANDWIDTH=1,SCORE=2.5,VIDEO-RANGE=PQ", "SCORE=2.5 VIDEO-RANGE=PQ"),
            ("CLOSED-CAPTIONS=NONE", "CLOSED-CAPTIONS=NONE"),
            ("CLOSED-CAPTIONS=\"cc\",VIDEO=\"v\"", "CLOSED-CAPTIONS=\"cc\" VIDEO=\"v\""),
            ("ALLOWED-CPC=\"com.example.drm:A/B\"", "ALLOWED-CPC=\"com.example.drm:A/B\""),
            ("score=1,SCORE=2", "SCORE=2"),
            ("SCORE=,NAME=\"\"", "NAME=\"\""),
            ("NAME=\"{$name}\"", "NAME=\"Race\""),
            ("PATHWAY-ID=\"CDN\",URI=\"x\",REQ-NEW=YES", "REQ-NEW=YES"),
            ("X-NOTE=\"a b\",X-HOST=\"cdn.example\",X-URL=\"https://cdn/\"", "X-NOTE=\"a b\""),
            ("X-LOUDNESS=23.5,=1", "X-LOUDNESS=23.5"),
            ("X~Y=1,X-Z=1", "X-Z=1"),
        ] {
            let base = url::Url::parse("https://o.example/index.m3u8").unwrap();
            let input = format!(
                "#EXTM3U\n#EXT-X-DEFINE:NAME=\"name\",VALUE=\"Race\"\n\
                 #EXT-X-STREAM-INF:{written}\nv.m3u8\n"
            );
            let limits = PlaylistLimits::default();
            let read = parse_playlist(input.as_bytes(), &base, &Variables::default(), &limits);
            let Ok(Playlist::Multivariant(master)) = read else { panic!("{written}: {read:?}") };
            let attributes = master.variants[0].attributes.iter();
            let got: Vec<_> = attributes.map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(got.join(" "), expected, "{written}");
        }
    }
}
