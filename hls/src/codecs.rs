//! [`Codecs`]: the codecs of a segment or an initialization section, by the tables at its beginning.
//! Nothing is decoded.
//!
//! CODECS is only a recommendation (RFC 8216bis, 4.4.6.2), and often left out.

use memchr::memmem;

/// Families of codecs, as far as they are known: within one, a player goes on without a new
/// decoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CodecFamilies {
    /// `avc`, `hevc`, `vvc`, `av1`, `vp9` or `mpeg2`.
    pub video: Option<&'static str>,
    /// `aac`, `mp3`, `ac3`, `eac3`, `opus` or `flac`.
    pub audio: Option<&'static str>,
}

const TS_PACKET_BYTES: usize = 188;
const TS_SYNC_BYTE: u8 = 0x47;
/// Programs and their streams are told at the beginning of a segment (RFC 8216bis, 3.1.1).
const TS_PACKETS_MAX: usize = 64;
/// Boxes that contain those that lead to the sample descriptions (ISO/IEC 14496-12).
const CONTAINER_BOXES: [&[u8]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];

impl CodecFamilies {
    /// By the first bytes of an unencrypted transport stream or of an MP4 initialization section.
    pub fn sniff(first: &[u8]) -> Self {
        let mut codecs = Self::default();
        match first.first() {
            Some(&TS_SYNC_BYTE) => codecs.read_transport_stream(first),
            _ => codecs.read_boxes(first),
        }
        codecs
    }

    /// Whether a codec is known in both and differs: not every segment need begin with its tables.
    pub fn has_conflict_with(&self, other: &Self) -> bool {
        let differ = |one: Option<&str>, other: Option<&str>| {
            one.zip(other).is_some_and(|(one, other)| one != other)
        };
        differ(self.video, other.video) || differ(self.audio, other.audio)
    }

    fn add(&mut self, found: CodecFamilies) {
        self.video = self.video.or(found.video);
        self.audio = self.audio.or(found.audio);
    }

    fn read_boxes(&mut self, mut bytes: &[u8]) {
        while let Some((kind, content, rest)) = split_box(bytes) {
            if CONTAINER_BOXES.contains(&kind) {
                self.read_boxes(content);
            } else if kind == b"stsd" {
                // Version, flags and the number of entries come first.
                let mut entries = content.get(8..).unwrap_or_default();
                while let Some((format, entry, behind)) = split_box(entries) {
                    self.add(codecs_of_sample_entry(format, entry));
                    entries = behind;
                }
            }
            bytes = rest;
        }
    }

    fn read_transport_stream(&mut self, bytes: &[u8]) {
        let mut program_map = None;
        for packet in bytes.chunks_exact(TS_PACKET_BYTES).take(TS_PACKETS_MAX) {
            let Some((pid, section)) = find_psi_section(packet) else { continue };
            if pid == 0 {
                program_map = program_map.or_else(|| program_map_pid(section));
            } else if Some(pid) == program_map {
                self.read_program_map(section);
                return;
            }
        }
    }

    /// Reads a program map section (ISO/IEC 13818-1, 2.4.4.8), as far as it is in one packet.
    fn read_program_map(&mut self, section: &[u8]) {
        let program_info = section.get(10..12).map_or(0, twelve_bits);
        // The checksum ends the section.
        let end = (3 + section.get(1..3).map_or(0, twelve_bits)).saturating_sub(4);
        let mut streams = section.get(12 + program_info..end.min(section.len()));
        while let Some([stream_type, _, _, high, low, rest @ ..]) = streams {
            let length = twelve_bits(&[*high, *low]);
            let descriptors = rest.get(..length).unwrap_or_default();
            self.add(codecs_of_elementary_stream(*stream_type, descriptors));
            streams = rest.get(length..);
        }
    }
}

/// The type, the content and what follows of the first box; `None` where none is whole.
fn split_box(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
    let kind = rest.get(..4)?;
    // A box of size 0 extends to the end of the file; a 64-bit size is that of media data.
    let end = if size == 0 { bytes.len() } else { size };
    Some((kind, bytes.get(8..end)?, bytes.get(end..)?))
}

fn codecs_of_sample_entry(format: &[u8], entry: &[u8]) -> CodecFamilies {
    match format {
        b"avc1" | b"avc2" | b"avc3" | b"avc4" => video_family("avc"),
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => video_family("hevc"),
        b"vvc1" | b"vvi1" => video_family("vvc"),
        b"av01" => video_family("av1"),
        b"vp09" => video_family("vp9"),
        // The object type of MPEG-4 audio may be that of MP3 (ISO/IEC 14496-1).
        b"mp4a" if has_mp3_object_type(entry) => audio_family("mp3"),
        b"mp4a" => audio_family("aac"),
        b"ac-3" => audio_family("ac3"),
        b"ec-3" => audio_family("eac3"),
        b"Opus" => audio_family("opus"),
        b"fLaC" => audio_family("flac"),
        b".mp3" => audio_family("mp3"),
        // Encrypted: the original format is told beside the protection scheme.
        b"encv" | b"enca" => {
            let original = memmem::find(entry, b"frma").and_then(|at| entry.get(at + 4..at + 8));
            original.map_or(CodecFamilies::default(), |format| codecs_of_sample_entry(format, &[]))
        }
        _ => CodecFamilies::default(),
    }
}

/// Whether a decoder configuration (tag 4 of an `esds` box) names MPEG-1 or MPEG-2 audio.
fn has_mp3_object_type(entry: &[u8]) -> bool {
    let Some(descriptors) = memmem::find(entry, b"esds").and_then(|at| entry.get(at + 8..)) else {
        return false;
    };
    // Lengths are of one to four bytes, of which all but the last have the highest bit.
    let mut bytes = descriptors.iter();
    while let Some(tag) = bytes.next() {
        let _last_of_length = bytes.find(|byte| **byte & 0x80 == 0);
        match tag {
            3 => drop(bytes.nth(2)),
            4 => return matches!(bytes.next(), Some(0x69 | 0x6B)),
            _ => return false,
        }
    }
    false
}

fn codecs_of_elementary_stream(stream_type: u8, descriptors: &[u8]) -> CodecFamilies {
    match stream_type {
        0x01 | 0x02 => video_family("mpeg2"),
        0x1B => video_family("avc"),
        0x24 => video_family("hevc"),
        0x33 => video_family("vvc"),
        0x03 | 0x04 => audio_family("mp3"),
        // 0xCF: encrypted as Apple's SAMPLE-AES describes it, as are 0xDB, 0xC1 and 0xC2.
        0x0F | 0x11 | 0xCF => audio_family("aac"),
        0xDB => video_family("avc"),
        0x81 | 0xC1 => audio_family("ac3"),
        0x87 | 0xC2 => audio_family("eac3"),
        // Private data: a descriptor says of what (ETSI EN 300 468).
        0x06 => codecs_of_descriptors(descriptors),
        _ => CodecFamilies::default(),
    }
}

fn codecs_of_descriptors(mut descriptors: &[u8]) -> CodecFamilies {
    while let [tag, length, rest @ ..] = descriptors {
        let content = rest.get(..usize::from(*length)).unwrap_or_default();
        match (tag, content) {
            (0x6A, _) | (0x05, b"AC-3") => return audio_family("ac3"),
            (0x7A, _) | (0x05, b"EAC3") => return audio_family("eac3"),
            (0x05, b"Opus") => return audio_family("opus"),
            (0x05, b"HEVC") => return video_family("hevc"),
            (0x05, b"AV01") => return video_family("av1"),
            _ => {}
        }
        descriptors = rest.get(usize::from(*length)..).unwrap_or_default();
    }
    CodecFamilies::default()
}

/// The packet identifier and the section that begins in a packet.
fn find_psi_section(packet: &[u8]) -> Option<(u16, &[u8])> {
    let [TS_SYNC_BYTE, high, low, control, payload @ ..] = packet else { return None };
    let begins_section = high & 0x40 != 0;
    let payload = match control >> 4 & 0b11 {
        0b01 => payload,
        0b11 => payload.get(1 + usize::from(*payload.first()?)..)?,
        _ => return None,
    };
    let pid = u16::from_be_bytes([high & 0x1F, *low]);
    let pointer = usize::from(*payload.first()?);
    begins_section.then(|| Some((pid, payload.get(1 + pointer..)?)))?
}

/// The packet identifier of the first program's map (ISO/IEC 13818-1, 2.4.4.3).
fn program_map_pid(section: &[u8]) -> Option<u16> {
    let length = twelve_bits(section.get(1..3)?);
    let programs = section.get(8..(3 + length).checked_sub(4)?)?;
    // Program 0 is the network information.
    let program = programs.chunks_exact(4).find(|program| !program.starts_with(&[0, 0]))?;
    let [_, _, high, low] = program else { return None };
    Some(u16::from_be_bytes([high & 0x1F, *low]))
}

/// The lower twelve bits of two bytes.
fn twelve_bits(bytes: &[u8]) -> usize {
    match bytes {
        [high, low] => usize::from(high & 0x0F) << 8 | usize::from(*low),
        _ => 0,
    }
}

fn video_family(family: &'static str) -> CodecFamilies {
    CodecFamilies { video: Some(family), audio: None }
}

fn audio_family(family: &'static str) -> CodecFamilies {
    CodecFamilies { video: None, audio: Some(family) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mp4_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(8 + content.len()).unwrap();
        [&size.to_be_bytes()[..], kind, content].concat()
    }

    fn track(format: &[u8; 4], entry: &[u8]) -> Vec<u8> {
        let stsd = mp4_box(b"stsd", &[&[0; 8][..], &mp4_box(format, entry)].concat());
        let stbl = mp4_box(b"stbl", &stsd);
        mp4_box(b"trak", &mp4_box(b"mdia", &mp4_box(b"minf", &stbl)))
    }

    fn init_section(tracks: &[Vec<u8>]) -> Vec<u8> {
        [mp4_box(b"ftyp", b"isom"), mp4_box(b"moov", &tracks.concat())].concat()
    }

    fn packet(pid: u16, section: &[u8]) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![TS_SYNC_BYTE, high | 0x40, low, 0x10, 0];
        packet.extend_from_slice(section);
        packet.resize(TS_PACKET_BYTES, 0xFF);
        packet
    }

    /// A section with its length, without a valid checksum.
    fn section(table: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len() + 4).unwrap().to_be_bytes();
        [&[table, 0xB0 | length[0], length[1]][..], content, &[0; 4]].concat()
    }

    fn transport_stream(streams: &[(u8, &[u8])]) -> Vec<u8> {
        let programs = section(0, &[0, 1, 0xC1, 0, 0, 0, 0, 0xE0, 0x10, 0, 1, 0xF0, 0x00]);
        let streams = streams.iter().flat_map(|(stream_type, descriptors)| {
            let length = u8::try_from(descriptors.len()).unwrap();
            [&[*stream_type, 0xE1, 0, 0xF0, length][..], descriptors].concat()
        });
        let header = [0, 1, 0xC1, 0, 0, 0xE1, 0, 0xF0, 0];
        let map = section(2, &header.into_iter().chain(streams).collect::<Vec<_>>());
        [packet(0x11, &section(0x42, &[0; 8])), packet(0, &programs), packet(0x1000, &map)].concat()
    }

    #[test]
    fn codecs_are_told_by_tables() {
        let esds = |object_type: u8| {
            let config =
                [3, 0x80, 0x80, 0x80, 0x22, 0, 1, 0, 4, 0x80, 0x80, 0x80, 0x14, object_type];
            [&[0; 28][..], &mp4_box(b"esds", &[&[0; 4][..], &config].concat())].concat()
        };
        let encrypted = mp4_box(b"sinf", &mp4_box(b"frma", b"hvc1"));
        for (name, bytes, expected) in [
            (
                "picture and sound",
                init_section(&[track(b"avc1", &[]), track(b"mp4a", &esds(0x40))]),
                (Some("avc"), Some("aac")),
            ),
            (
                "sound first",
                init_section(&[track(b"ec-3", &[]), track(b"av01", &[])]),
                (Some("av1"), Some("eac3")),
            ),
            ("MP3 in MP4", init_section(&[track(b"mp4a", &esds(0x6B))]), (None, Some("mp3"))),
            ("encrypted", init_section(&[track(b"encv", &encrypted)]), (Some("hevc"), None)),
            ("nothing known", init_section(&[track(b"tx3g", &[])]), (None, None)),
            ("cut off", init_section(&[track(b"avc1", &[])])[..60].to_vec(), (None, None)),
            (
                "a transport stream",
                transport_stream(&[(0x1B, &[]), (0x0F, &[])]),
                (Some("avc"), Some("aac")),
            ),
            (
                "descriptors",
                transport_stream(&[(0x24, &[0x0A, 1, 0]), (0x06, &[0x0A, 1, 0, 0x6A, 1, 0])]),
                (Some("hevc"), Some("ac3")),
            ),
            ("registered", transport_stream(&[(0x06, b"\x05\x04Opus")]), (None, Some("opus"))),
            ("a fragment", mp4_box(b"moof", &[0; 16]), (None, None)),
            ("no map of the program", packet(0, &section(0, &[0; 13])), (None, None)),
            ("nothing", Vec::new(), (None, None)),
        ] {
            let codecs = CodecFamilies::sniff(&bytes);
            assert_eq!((codecs.video, codecs.audio), expected, "{name}");
        }
    }

    #[test]
    fn what_is_not_known_contradicts_nothing() {
        let codecs = |video, audio| CodecFamilies { video, audio };
        let known = codecs(Some("avc"), Some("aac"));
        for (other, expected) in [
            (known, false),
            (codecs(None, Some("aac")), false),
            (CodecFamilies::default(), false),
            (codecs(Some("hevc"), Some("aac")), true),
            (codecs(None, Some("ac3")), true),
        ] {
            assert_eq!(known.has_conflict_with(&other), expected, "{other:?}");
            assert_eq!(other.has_conflict_with(&known), expected, "{other:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, packets in 0_usize..4) {
            CodecFamilies::sniff(&bytes);
            CodecFamilies::sniff(&[b"\0\0\0\x08moov", &bytes[..]].concat());
            let mut stream = transport_stream(&[(0x1B, &[])]);
            for (at, byte) in bytes.iter().enumerate() {
                let at = (at * 7 + packets * TS_PACKET_BYTES) % stream.len();
                if !at.is_multiple_of(TS_PACKET_BYTES) {
                    stream[at] = *byte;
                }
            }
            CodecFamilies::sniff(&stream);
        }
    }
}
