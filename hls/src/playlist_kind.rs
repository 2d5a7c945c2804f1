//! Playlist kind, multivariant or media, decided as hls.js does.

use crate::error::InvalidPlaylist;
use crate::line::Lines;
use crate::tag::{PlaylistTag as P, SegmentTag as S, TagKind as Kind};

/// The kind of a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaylistKind {
    /// Lists variant streams and renditions.
    Multivariant,
    /// Lists segments.
    Media,
}

/// Decides the kind by the tags read so far. EXTINF and EXT-X-TARGETDURATION take precedence over
/// multivariant tags, because hls.js checks for them first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KindDetector {
    has_multivariant_tag: bool,
    pub(crate) has_segments: bool,
    has_target_duration: bool,
}

impl KindDetector {
    pub(crate) fn observe_tag(&mut self, kind: &Kind<'_>) {
        match kind {
            Kind::Multivariant(_) => self.has_multivariant_tag = true,
            Kind::Segment(S::Inf(_)) => self.has_segments = true,
            Kind::Playlist(P::TargetDuration(_)) => self.has_target_duration = true,
            _ => {}
        }
    }

    /// The kind of the playlist.
    ///
    /// # Errors
    /// [`InvalidPlaylist::NoTargetDuration`] for a media playlist without a target duration: it has
    /// no reload interval, and players reject it too.
    pub(crate) fn kind(&self) -> Result<PlaylistKind, InvalidPlaylist> {
        match self {
            Self { has_target_duration: true, .. } => Ok(PlaylistKind::Media),
            Self { has_multivariant_tag: true, has_segments: false, .. } => {
                Ok(PlaylistKind::Multivariant)
            }
            _ => Err(InvalidPlaylist::NoTargetDuration),
        }
    }

    /// Reads tags until the kind is known: in a media playlist, the first few lines.
    pub(crate) fn scan(lines: Lines<'_>) -> Result<Self, InvalidPlaylist> {
        let mut detector = Self::default();
        for line in lines {
            if let Some(tag) = line?.tag() {
                detector.observe_tag(&tag.kind());
                if detector.has_target_duration {
                    break;
                }
            }
        }
        Ok(detector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PlaylistLimits, line};

    #[test]
    fn kinds() {
        for (input, expected) in [
            ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na", Some(PlaylistKind::Multivariant)),
            ("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO", Some(PlaylistKind::Multivariant)),
            ("#EXTM3U\n#EXT-X-TARGETDURATION:6", Some(PlaylistKind::Media)),
            (
                "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:6\n#EXT-X-TARGETDURATION:0",
                Some(PlaylistKind::Media),
            ),
            (
                "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXT-X-TARGETDURATION:6",
                Some(PlaylistKind::Media),
            ),
            ("#EXTM3U\n#EXTINF:6,\na.ts", None),
            ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXTINF:6,\na.ts", None),
            ("#EXTM3U\n# EXT-X-TARGETDURATION:6", None),
            ("#EXTM3U", None),
        ] {
            let lines = line::parse_lines(input.as_bytes(), &PlaylistLimits::default()).unwrap();
            assert_eq!(KindDetector::scan(lines).unwrap().kind().ok(), expected, "{input}");
        }
    }
}
