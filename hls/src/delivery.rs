//! What a media playlist says of its own delivery: which directives its server honours (RFC
//! 8216bis, 4.4.3.8 and 6.2.5), and how far the playlist has come.

use crate::limits::PlaylistLimits;
use crate::line::{LineKind, Lines};
use crate::segment_context::PendingSegmentTags;
use crate::tag::{PlaylistTag as P, SegmentTag as S, TagKind as Kind};

/// The delivery of a media playlist, or of a delta update of it. A multivariant playlist offers
/// nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DeliveryOffer {
    /// CAN-BLOCK-RELOAD: a request may wait for a segment or partial segment.
    pub can_block_reload: bool,
    /// CAN-SKIP-UNTIL: a request may ask for a delta update.
    pub can_skip: bool,
    /// CAN-SKIP-DATERANGES: also for one that leaves out date ranges.
    pub can_skip_date_ranges: bool,
    /// Media sequence number of the segment after the last one.
    pub next_number: u64,
    /// Number of that segment's partial segments that are listed already.
    pub next_part: u64,
    /// PART-TARGET in seconds; `None` without partial segments.
    pub part_target: Option<f64>,
    pub has_end_list: bool,
}

impl DeliveryOffer {
    pub fn read(playlist: &[u8]) -> Self {
        let mut offer = Self::default();
        let mut next = PendingSegmentTags::default();
        for line in Lines::new(playlist, PlaylistLimits::UNLIMITED).flatten() {
            match line.kind() {
                LineKind::Uri => {
                    next.take_segment_tags(b"");
                    offer.next_part = 0;
                }
                LineKind::Tag(tag) => {
                    let kind = tag.kind();
                    next.observe_tag(&kind);
                    match kind {
                        Kind::Segment(S::Part) => offer.next_part += 1,
                        Kind::Playlist(P::PartInf(target)) => offer.part_target = target,
                        Kind::Playlist(P::EndList) => offer.has_end_list = true,
                        Kind::Playlist(P::ServerControl) => {
                            offer.can_block_reload = tag.is_attribute_yes("CAN-BLOCK-RELOAD");
                            offer.can_skip = tag.decimal_attribute("CAN-SKIP-UNTIL").is_some();
                            offer.can_skip_date_ranges =
                                tag.is_attribute_yes("CAN-SKIP-DATERANGES");
                        }
                        _ => {}
                    }
                }
                LineKind::Comment | LineKind::Blank => {}
            }
        }
        offer.next_number = next.tags.number;
        offer
    }

    /// Whether segment `number` is listed, or as much of it as `part`.
    pub fn has_segment_or_part(&self, number: u64, part: Option<u64>) -> bool {
        let has_part = |part| self.part_target.is_some() && self.next_part > part;
        self.next_number > number || (self.next_number == number && part.is_some_and(has_part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers() {
        let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n";
        let nothing = DeliveryOffer { next_number: 7, ..DeliveryOffer::default() };
        let control = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24\n";
        let controlled = DeliveryOffer { can_block_reload: true, can_skip: true, ..nothing };
        let parts = DeliveryOffer { part_target: Some(0.5), ..nothing };
        for (lines, expected) in [
            ("".to_owned(), nothing),
            ("#EXTINF:4,\na.ts\n\nb.ts\n".to_owned(), DeliveryOffer { next_number: 9, ..nothing }),
            (control.to_owned(), controlled),
            (control.replace("YES", "NO"), DeliveryOffer { can_block_reload: false, ..controlled }),
            (
                format!("{},CAN-SKIP-DATERANGES=YES\n", control.trim()),
                DeliveryOffer { can_skip_date_ranges: true, ..controlled },
            ),
            (
                "#EXT-X-SKIP:SKIPPED-SEGMENTS=5\na.ts\n#EXT-X-ENDLIST".to_owned(),
                DeliveryOffer { next_number: 13, has_end_list: true, ..nothing },
            ),
            (
                "#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-PART:URI=\"a\"\na.ts\n\
                 #EXT-X-PART:URI=\"b\"\n#EXT-X-PART:URI=\"c\"\n#EXT-X-PRELOAD-HINT:URI=\"d\"\n"
                    .to_owned(),
                DeliveryOffer { next_number: 8, next_part: 2, ..parts },
            ),
        ] {
            assert_eq!(
                DeliveryOffer::read(format!("{head}{lines}").as_bytes()),
                expected,
                "{lines}"
            );
        }
        assert_eq!(
            DeliveryOffer::read(b"{}"),
            DeliveryOffer { next_number: 1, ..Default::default() }
        );
    }

    #[test]
    fn what_a_playlist_has() {
        let whole = DeliveryOffer { next_number: 8, next_part: 2, ..DeliveryOffer::default() };
        let in_parts = DeliveryOffer { part_target: Some(0.5), ..whole };
        for (number, part, expected_whole, expected_in_parts) in [
            (7, None, true, true),
            (7, Some(99), true, true),
            (8, None, false, false),
            (8, Some(1), false, true),
            (8, Some(2), false, false),
            (9, Some(0), false, false),
        ] {
            assert_eq!(
                whole.has_segment_or_part(number, part),
                expected_whole,
                "{number} {part:?}"
            );
            assert_eq!(
                in_parts.has_segment_or_part(number, part),
                expected_in_parts,
                "{number} {part:?}"
            );
        }
    }
}
