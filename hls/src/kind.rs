//! Multivariant or media, decided as hls.js does.

use crate::error::InvalidPlaylist;
use crate::line::{Content, Lines};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Names other playlists.
    Master,
    /// Names segments.
    Media,
}

/// What the tags seen so far say. EXTINF and TARGETDURATION outvote the tags of a multivariant
/// playlist, because hls.js asks for them first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evidence {
    master: bool,
    segments: bool,
    target_duration: bool,
}

impl Evidence {
    pub(crate) fn tag(&mut self, name: &[u8]) {
        match name {
            b"EXT-X-STREAM-INF"
            | b"EXT-X-MEDIA"
            | b"EXT-X-I-FRAME-STREAM-INF"
            | b"EXT-X-IMAGE-STREAM-INF"
            | b"EXT-X-SESSION-DATA"
            | b"EXT-X-SESSION-KEY"
            | b"EXT-X-CONTENT-STEERING" => self.master = true,
            b"EXTINF" => self.segments = true,
            b"EXT-X-TARGETDURATION" => self.target_duration = true,
            _ => {}
        }
    }

    /// A media playlist without a target duration has no rhythm to reload at; players refuse it too.
    pub(crate) fn kind(&self) -> Result<Kind, InvalidPlaylist> {
        match self {
            Self { target_duration: true, .. } => Ok(Kind::Media),
            Self { master: true, segments: false, .. } => Ok(Kind::Master),
            _ => Err(InvalidPlaylist::NoTargetDuration),
        }
    }

    /// Looks no further than it must: in a media playlist that is the first few lines.
    pub(crate) fn gather(lines: Lines<'_>) -> Result<Self, InvalidPlaylist> {
        let mut evidence = Self::default();
        for line in lines {
            if let Content::Tag(tag) = line?.content() {
                evidence.tag(tag.name);
                if evidence.target_duration {
                    break;
                }
            }
        }
        Ok(evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, line};

    #[test]
    fn kinds() {
        for (input, expected) in [
            ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na", Some(Kind::Master)),
            ("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO", Some(Kind::Master)),
            ("#EXTM3U\n#EXT-X-TARGETDURATION:6", Some(Kind::Media)),
            ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:6\n#EXT-X-TARGETDURATION:0", Some(Kind::Media)),
            (
                "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXT-X-TARGETDURATION:6",
                Some(Kind::Media),
            ),
            ("#EXTM3U\n#EXTINF:6,\na.ts", None),
            ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXTINF:6,\na.ts", None),
            ("#EXTM3U\n# EXT-X-TARGETDURATION:6", None),
            ("#EXTM3U", None),
        ] {
            let lines = line::open(input.as_bytes(), &Limits::default()).unwrap();
            assert_eq!(Evidence::gather(lines).unwrap().kind().ok(), expected, "{input}");
        }
    }
}
