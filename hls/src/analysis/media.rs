//! Media playlists: segments with all tags that apply to each.

use std::sync::Arc;

use super::segment::{Key, Map, Segment};
use super::value_resolver::ValueResolver;
use crate::container::{self, Container};
use crate::error::InvalidPlaylist;
use crate::line::{Line, LineKind, Lines, Tag};
use crate::number;
use crate::segment_context::{KeysInForce, PendingSegmentTags};
use crate::tag::{self, PlaylistTag as P, PlaylistType, SegmentTag as S, TagKind as Kind};

/// A media playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaPlaylist {
    /// Seconds.
    pub target_duration: Option<f64>,
    pub media_sequence: u64,
    pub discontinuity_sequence: u64,
    pub segments: Vec<Segment>,
    pub has_end_list: bool,
    pub playlist_type: Option<PlaylistType>,
    pub has_independent_segments: bool,
    pub is_i_frames_only: bool,
    /// Low-latency HLS: the playlist has EXT-X-PART, EXT-X-PRELOAD-HINT or EXT-X-PART-INF.
    pub has_parts: bool,
    /// PART-TARGET in seconds.
    pub part_target: Option<f64>,
    /// Number of segments that a delta update (EXT-X-SKIP) omits between `media_sequence` and the
    /// first segment.
    pub skipped_segments: u64,
    pub server_control: Option<ServerControl>,
}

/// EXT-X-SERVER-CONTROL; durations in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerControl {
    pub can_block_reload: bool,
    pub can_skip_until: Option<f64>,
    pub hold_back: Option<f64>,
    pub part_hold_back: Option<f64>,
}

impl MediaPlaylist {
    /// Media sequence number of the last segment.
    pub fn last_sequence(&self) -> Option<u64> {
        self.segments.last().map(|segment| segment.sequence)
    }

    /// Container of the segments, judged by the first segment's name.
    pub fn container(&self) -> Container {
        match self.segments.first() {
            Some(Segment { map: Some(map), .. }) => container::container_of_map(map.url.as_bytes()),
            Some(segment) => container::container_of_segment(segment.url.as_bytes()),
            None => Container::Unknown,
        }
    }
}

pub(super) fn read_media(
    lines: Lines<'_>,
    reader: ValueResolver<'_>,
) -> Result<MediaPlaylist, InvalidPlaylist> {
    let mut builder = MediaPlaylistBuilder {
        reader,
        media: MediaPlaylist::default(),
        next: PendingSegmentTags::default(),
        keys: KeysInForce::default(),
        map: None,
        key: None,
    };
    for line in lines {
        builder.read_line(&line?)?;
    }
    Ok(MediaPlaylist {
        media_sequence: builder.next.media_sequence,
        discontinuity_sequence: builder.next.discontinuity_sequence,
        ..builder.media
    })
}

struct MediaPlaylistBuilder<'a> {
    reader: ValueResolver<'a>,
    media: MediaPlaylist,
    next: PendingSegmentTags<'a>,
    keys: KeysInForce<'a>,
    /// The EXT-X-MAP in force.
    map: Option<Arc<Map>>,
    /// The preferred one of the EXT-X-KEYs in force.
    key: Option<Arc<Key>>,
}

impl<'a> MediaPlaylistBuilder<'a> {
    fn read_line(&mut self, line: &Line<'a>) -> Result<(), InvalidPlaylist> {
        self.reader.set_error_line(line.number);
        match line.kind() {
            LineKind::Blank | LineKind::Comment => Ok(()),
            LineKind::Uri if self.next.take_variant_flag() => Ok(()),
            LineKind::Uri => self.push_segment(line.text),
            LineKind::Tag(tag) => {
                let kind = tag.kind();
                self.next.observe_tag(&kind);
                self.read_tag(&kind, &tag)
            }
        }
    }

    fn push_segment(&mut self, uri: &[u8]) -> Result<(), InvalidPlaylist> {
        let url = self.reader.read_url(uri)?;
        let tags = self.next.take_segment_tags(url.as_bytes());
        let text = |written| String::from_utf8_lossy(written).into_owned();
        self.media.segments.push(Segment {
            sequence: tags.number,
            url,
            duration: tags.inf.map_or(0.0, |inf| inf.duration()),
            // A title is no attribute, so variables are not substituted in it.
            title: tags.inf.and_then(|inf| inf.title()).map(text),
            byte_range: tags.byte_range,
            has_discontinuity: tags.discontinuity_tags > 0,
            program_date_time: tags.date.map(text),
            map: self.map.clone(),
            key: self.key.clone(),
            is_gap: tags.is_gap,
        });
        Ok(())
    }

    fn read_tag(&mut self, kind: &Kind<'a>, tag: &Tag<'a>) -> Result<(), InvalidPlaylist> {
        let media = &mut self.media;
        match *kind {
            Kind::Segment(S::Part | S::PreloadHint) => media.has_parts = true,
            Kind::Segment(S::Map(byte_range)) => {
                let url = self.reader.read_url_attribute(tag, "URI")?;
                self.map = url.map(|url| Arc::new(Map { url, byte_range }));
            }
            Kind::Segment(S::Key) => {
                self.keys.observe_key(tag::Key::parse(tag));
                let preferred = self.keys.preferred();
                self.key = preferred.map(|key| self.read_key(key)).transpose()?.map(Arc::new);
            }
            // `PendingSegmentTags` reads them, or they do not describe a segment.
            Kind::Segment(S::Inf(_) | S::ProgramDateTime(_) | S::ByteRange(_) | S::Gap) => {}
            Kind::Segment(S::Discontinuity | S::Prefetch | S::Bitrate | S::Tiles | S::Cue) => {}
            Kind::Playlist(P::TargetDuration(seconds)) => media.target_duration = seconds,
            Kind::Playlist(P::PlaylistType(kind)) => media.playlist_type = kind,
            Kind::Playlist(P::EndList) => media.has_end_list = true,
            Kind::Playlist(P::IndependentSegments) => media.has_independent_segments = true,
            Kind::Playlist(P::IFramesOnly) => media.is_i_frames_only = true,
            Kind::Playlist(P::PartInf(target)) => {
                (media.has_parts, media.part_target) = (true, target);
            }
            Kind::Playlist(P::Skip(skipped)) => {
                media.skipped_segments = media.skipped_segments.saturating_add(skipped);
            }
            Kind::Playlist(P::ServerControl) => {
                media.server_control = Some(ServerControl {
                    can_block_reload: tag.is_attribute_yes("CAN-BLOCK-RELOAD"),
                    can_skip_until: tag.decimal_attribute("CAN-SKIP-UNTIL"),
                    hold_back: tag.decimal_attribute("HOLD-BACK"),
                    part_hold_back: tag.decimal_attribute("PART-HOLD-BACK"),
                });
            }
            Kind::Playlist(P::MediaSequence(_) | P::DiscontinuitySequence(_)) => {}
            Kind::Playlist(P::Header | P::Version(_) | P::Start | P::Define) => {}
            Kind::Playlist(P::DateRange | P::RenditionReport) => {}
            Kind::Multivariant(_) | Kind::Unknown => {}
        }
        Ok(())
    }

    fn read_key(&mut self, key: tag::Key<'_>) -> Result<Key, InvalidPlaylist> {
        let uri = key.uri.filter(|uri| !uri.is_empty());
        Ok(Key {
            method: self.reader.read_text(key.method)?,
            url: uri.map(|uri| self.reader.read_url(uri)).transpose()?,
            iv: key.iv.and_then(number::parse_hexadecimal),
            format: (!key.is_identity()).then(|| self.reader.read_text(key.format)).transpose()?,
        })
    }
}
