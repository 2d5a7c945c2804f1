//! [`Continuity`]: what players make of a splice between two upstreams.

use pitwall_upstream_map::{Container, Role};

use crate::check::CheckFindings;

/// What players make of a splice from one upstream to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continuity {
    /// The container is another: players have to begin anew.
    OtherContainer,
    /// Initialization sections of fragmented MP4 differ, or are not known: browsers play on, players
    /// that are built on ffmpeg go on to decode with the settings of the first encoder.
    OtherInitSection,
    Same,
}

impl Continuity {
    pub(crate) fn between(playing: &CheckFindings, next: &CheckFindings) -> Self {
        let container = |findings: &CheckFindings| {
            let videos = findings.renditions.iter().filter(|one| one.role == Role::Video);
            videos.map(|video| video.container).next()
        };
        let fingerprint = |findings: &CheckFindings| {
            findings.init_section.as_ref().map(|section| section.fingerprint)
        };
        let (own, other) = (container(playing), container(next));
        match fingerprint(playing).zip(fingerprint(next)) {
            _ if own != other => Self::OtherContainer,
            _ if own != Some(Container::Fmp4) => Self::Same,
            Some((own, other)) if own == other => Self::Same,
            _ => Self::OtherInitSection,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{InitSection, SegmentFingerprint};

    #[test]
    fn what_players_make_of_a_splice() {
        let findings = |container: &str, section: Option<&[u8]>| {
            let rendition = serde_json::json!({
                "id": "v", "role": "video", "container": container, "label": "v",
                "playlist": "https://a.example/v.m3u8",
            });
            let section = section.map(|bytes| InitSection::of(SegmentFingerprint::of(bytes)));
            let rendition = serde_json::from_value(rendition).unwrap();
            CheckFindings { init_section: section, ..CheckFindings::of(vec![rendition], 1) }
        };
        let (one, other): (Option<&[u8]>, Option<&[u8]>) = (Some(b"one"), Some(b"other"));
        for (playing, next, expected) in [
            (("mpeg-ts", None), ("mpeg-ts", None), Continuity::Same),
            (("mpeg-ts", None), ("fmp4", one), Continuity::OtherContainer),
            (("fmp4", one), ("mpeg-ts", None), Continuity::OtherContainer),
            (("fmp4", one), ("fmp4", one), Continuity::Same),
            (("fmp4", one), ("fmp4", other), Continuity::OtherInitSection),
            (("fmp4", one), ("fmp4", None), Continuity::OtherInitSection),
            (("fmp4", None), ("fmp4", None), Continuity::OtherInitSection),
        ] {
            let [from, to] = [playing, next].map(|(kind, section)| findings(kind, section));
            assert_eq!(Continuity::between(&from, &to), expected, "{playing:?} {next:?}");
        }
    }
}
