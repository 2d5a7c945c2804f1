//! What a body itself says of its end, where its message does not: a connection that is closed ends
//! a body that is complete, and one whose sender has failed (RFC 9112, 8).

use std::collections::HashMap;

/// What a body says of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyCompleteness {
    /// The last unit of its format is complete.
    Complete,
    /// Its last unit is cut.
    Truncated,
    /// Its format does not say, as that of WebVTT.
    Unknown,
}

impl BodyCompleteness {
    pub fn of(body: &[u8]) -> Self {
        if is_transport_stream(body) {
            transport_stream_completeness(body)
        } else {
            mp4_completeness(body)
        }
    }
}

const PACKET_BYTES: usize = 188;
const SYNC_BYTE: u8 = 0x47;

fn is_transport_stream(body: &[u8]) -> bool {
    body.first() == Some(&SYNC_BYTE)
        && body.chunks(PACKET_BYTES).all(|packet| packet.first() == Some(&SYNC_BYTE))
}

/// The last PES packet of an elementary stream (ISO/IEC 13818-1, 2.4.3).
#[derive(Default)]
struct LastPes {
    /// Bytes of the PES packet that are still to come, if its header says its length.
    missing_bytes: Option<usize>,
    /// The last transport packet is stuffed, as only that is with which a PES packet ends.
    is_stuffed: bool,
}

/// A stream is complete if each PES packet in it is: a muxer fills the last transport packet of a
/// PES packet up with stuffing.
fn transport_stream_completeness(body: &[u8]) -> BodyCompleteness {
    if !body.len().is_multiple_of(PACKET_BYTES) {
        return BodyCompleteness::Truncated;
    }
    let mut last_pes: HashMap<u16, LastPes> = HashMap::new();
    for packet in body.chunks_exact(PACKET_BYTES) {
        let Some(packet) = TransportPacket::parse(packet) else { continue };
        if packet.starts_unit {
            match packet.payload {
                [0, 0, 1, _, high, low, rest @ ..] => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    let missing_bytes = (length > 0).then(|| length.saturating_sub(rest.len()));
                    let pes = LastPes { missing_bytes, is_stuffed: packet.is_stuffed };
                    last_pes.insert(packet.pid, pes);
                }
                // A section of a table, which says nothing of the end.
                _ => {
                    last_pes.remove(&packet.pid);
                }
            }
        } else if let Some(pes) = last_pes.get_mut(&packet.pid) {
            let payload_bytes = packet.payload.len();
            pes.missing_bytes = pes.missing_bytes.map(|bytes| bytes.saturating_sub(payload_bytes));
            pes.is_stuffed = packet.is_stuffed;
        }
    }
    let is_complete = |pes: &LastPes| pes.missing_bytes.map_or(pes.is_stuffed, |bytes| bytes == 0);
    match !last_pes.is_empty() && last_pes.values().all(is_complete) {
        true => BodyCompleteness::Complete,
        false => BodyCompleteness::Unknown,
    }
}

struct TransportPacket<'a> {
    pid: u16,
    /// The payload begins with a PES packet or a section.
    starts_unit: bool,
    is_stuffed: bool,
    payload: &'a [u8],
}

impl<'a> TransportPacket<'a> {
    /// `None` for a packet without payload, or one that is damaged.
    fn parse(packet: &'a [u8]) -> Option<Self> {
        let [_, high, low, control, rest @ ..] = packet else { return None };
        let (has_adaptation, has_payload) = (control & 0x20 != 0, control & 0x10 != 0);
        if !has_payload {
            return None;
        }
        let (adaptation, payload) = match (has_adaptation, rest) {
            (false, _) => (None, rest),
            (true, [length, rest @ ..]) => {
                let (adaptation, payload) = rest.split_at_checked(usize::from(*length))?;
                (Some(adaptation), payload)
            }
            (true, []) => return None,
        };
        Some(Self {
            pid: u16::from_be_bytes([high & 0x1f, *low]),
            starts_unit: high & 0x40 != 0,
            is_stuffed: adaptation.is_some_and(is_stuffed),
            payload,
        })
    }
}

/// Whether an adaptation field has more bytes than its flags ask for. One of length 0 is a single
/// byte of stuffing.
fn is_stuffed(adaptation: &[u8]) -> bool {
    let [flags, fields @ ..] = adaptation else { return true };
    let has = |flag: u8| flags & flag != 0;
    if has(0x03) {
        // Private data and extensions have lengths of their own.
        return false;
    }
    let used = usize::from(has(0x10)) * 6 + usize::from(has(0x08)) * 6 + usize::from(has(0x04));
    fields.len() > used
}

/// Walks over the boxes of an ISO base media file (ISO/IEC 14496-12, 4.2).
fn mp4_completeness(body: &[u8]) -> BodyCompleteness {
    const FIRST_TYPES: [&[u8; 4]; 7] =
        [b"ftyp", b"styp", b"moof", b"sidx", b"emsg", b"prft", b"moov"];
    let mut rest = body;
    let mut last_type = None;
    while !rest.is_empty() {
        let Some((size, box_type)) = parse_box_header(rest) else {
            return if last_type.is_some() {
                BodyCompleteness::Truncated
            } else {
                BodyCompleteness::Unknown
            };
        };
        if last_type.is_none() && !FIRST_TYPES.contains(&&box_type) {
            return BodyCompleteness::Unknown;
        }
        match usize::try_from(size).ok().filter(|size| *size >= 8) {
            Some(size) => match rest.get(size..) {
                Some(after) => rest = after,
                None => return BodyCompleteness::Truncated,
            },
            // A box without a length reaches to the end, wherever that is.
            None => return BodyCompleteness::Unknown,
        }
        last_type = Some(box_type);
    }
    match last_type.as_ref() {
        None => BodyCompleteness::Unknown,
        // A fragment's samples follow its header.
        Some(b"moof") => BodyCompleteness::Truncated,
        Some(_) => BodyCompleteness::Complete,
    }
}

/// Size in bytes and type of the box that `bytes` begin with; size 0: to the end.
fn parse_box_header(bytes: &[u8]) -> Option<(u64, [u8; 4])> {
    let (size, rest) = bytes.split_first_chunk()?;
    let (box_type, rest) = rest.split_first_chunk()?;
    let size = match u32::from_be_bytes(*size) {
        1 => u64::from_be_bytes(*rest.first_chunk()?),
        size => u64::from(size),
    };
    Some((size, *box_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transport packet; its adaptation field, if any, is stuffed up to the payload.
    fn packet(pid: u8, starts_unit: bool, payload: &[u8]) -> Vec<u8> {
        let stuffing = PACKET_BYTES - 4 - payload.len();
        let unit = if starts_unit { 0x40 } else { 0 };
        let control = if stuffing > 0 { 0x30 } else { 0x10 };
        let mut packet = vec![SYNC_BYTE, unit, pid, control];
        if stuffing > 0 {
            packet.push(u8::try_from(stuffing - 1).unwrap());
            packet.extend([0].iter().take(stuffing - 1));
            packet.resize(PACKET_BYTES - payload.len(), 0xff);
        }
        packet.extend(payload);
        packet
    }

    fn pes(length: u16, payload_bytes: usize) -> Vec<u8> {
        let mut pes = vec![0, 0, 1, 0xe0];
        pes.extend(length.to_be_bytes());
        pes.resize(payload_bytes, 7);
        pes
    }

    #[test]
    fn a_transport_stream_ends_with_whole_pes_packets() {
        use BodyCompleteness::{Complete, Truncated, Unknown};
        let table = packet(0, true, &[0; 184]);
        let video = packet(1, true, &pes(0, 184));
        let video_end = packet(1, false, &[7; 100]);
        let audio = packet(2, true, &pes(300, 184));
        let audio_end = packet(2, false, &[7; 122]);
        for (what, packets, expected) in [
            ("both streams end", vec![&table, &video, &audio, &audio_end, &video_end], Complete),
            ("stuffed by one byte", vec![&packet(1, true, &pes(0, 183))], Complete),
            ("video goes on", vec![&table, &audio, &audio_end, &video], Unknown),
            ("audio goes on", vec![&video, &video_end, &audio], Unknown),
            ("a new frame has begun", vec![&video, &video_end, &video], Unknown),
            ("tables alone", vec![&table], Unknown),
        ] {
            let body = packets.into_iter().flatten().copied().collect::<Vec<u8>>();
            assert_eq!(BodyCompleteness::of(&body), expected, "{what}");
            assert_eq!(BodyCompleteness::of(&body[..body.len() - 1]), Truncated, "{what}, cut");
        }
        let clock = [[SYNC_BYTE, 0, 1, 0x30, 7, 0x10].as_slice(), &[0; 6], &[7; 176]].concat();
        let body = [video, clock].concat();
        assert_eq!(BodyCompleteness::of(&body), Unknown, "a clock reference is no stuffing");
    }

    #[test]
    fn a_media_file_ends_with_whole_boxes() {
        use BodyCompleteness::{Complete, Truncated, Unknown};
        let of = |box_type: &[u8; 4], size: u32| {
            let mut bytes = size.to_be_bytes().to_vec();
            bytes.extend(box_type);
            bytes.resize(bytes.len().max(size as usize), 0);
            bytes
        };
        let large = [&[0, 0, 0, 1], b"mdat".as_slice(), &20_u64.to_be_bytes(), &[0; 4]].concat();
        for (what, boxes, expected, cut) in [
            (
                "a segment",
                vec![of(b"styp", 16), of(b"moof", 40), of(b"mdat", 99)],
                Complete,
                Truncated,
            ),
            ("a map", vec![of(b"ftyp", 16), of(b"moov", 40)], Complete, Truncated),
            ("a long size", vec![of(b"moof", 40), large], Complete, Truncated),
            ("without samples", vec![of(b"styp", 16), of(b"moof", 40)], Truncated, Truncated),
            ("to the end", vec![of(b"moof", 40), of(b"mdat", 0)], Unknown, Truncated),
            (
                "another format",
                vec![b"WEBVTT\n\n00:00.000 --> 00:01.000\nA".to_vec()],
                Unknown,
                Unknown,
            ),
            ("nothing", vec![], Unknown, Unknown),
        ] {
            let body = boxes.concat();
            assert_eq!(BodyCompleteness::of(&body), expected, "{what}");
            assert_eq!(
                BodyCompleteness::of(&body[..body.len().saturating_sub(1)]),
                cut,
                "{what}, cut"
            );
        }
    }
}
