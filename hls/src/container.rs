//! What segments are made of. Minted links end in the extension of the container, because ffmpeg
//! and VLC look at it, and never in the upstream's disguise (`.jpg`, `.html`).

use crate::limits::Limits;
use crate::line::{Content, Lines, Tag, trim};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    MpegTs,
    Fmp4,
    /// AAC in ADTS frames.
    PackedAudio,
    Mp3,
    Ac3,
    Eac3,
    WebVtt,
    Unknown,
}

impl Container {
    pub fn extension(self) -> &'static str {
        match self {
            Self::MpegTs => "ts",
            Self::Fmp4 => "m4s",
            Self::PackedAudio => "aac",
            Self::Mp3 => "mp3",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
            Self::WebVtt => "vtt",
            Self::Unknown => "bin",
        }
    }

    /// What a name claims. A disguise claims nothing.
    pub fn from_url(url: &[u8]) -> Self {
        let extension = extension(url);
        let is = |names: &[&str]| {
            names.iter().any(|name| extension.eq_ignore_ascii_case(name.as_bytes()))
        };
        match () {
            () if is(&["ts", "m2ts", "mts"]) => Self::MpegTs,
            () if is(&[
                "mp4", "m4s", "m4v", "m4a", "m4f", "cmfv", "cmfa", "cmft", "mp4a", "mp4v",
            ]) =>
            {
                Self::Fmp4
            }
            () if is(&["aac", "adts"]) => Self::PackedAudio,
            () if is(&["mp3", "mp2", "mpa"]) => Self::Mp3,
            () if is(&["ac3"]) => Self::Ac3,
            () if is(&["ec3", "eac3"]) => Self::Eac3,
            () if is(&["vtt", "webvtt"]) => Self::WebVtt,
            () => Self::Unknown,
        }
    }

    /// What the first bytes of a clear segment show. 189 are enough.
    pub fn sniff(first: &[u8]) -> Self {
        let text = first.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(first);
        match first {
            [0x47, ..] if first.get(188).is_none_or(|&byte| byte == 0x47) => Self::MpegTs,
            [_, _, _, _, kind @ ..] if is_box(kind) => Self::Fmp4,
            // The timestamp of packed audio, in front of its first frame (RFC 8216, 3.4).
            [b'I', b'D', b'3', ..] => match id3_length(first).and_then(|end| first.get(end..)) {
                Some(rest) if !rest.is_empty() => Self::audio(rest).unwrap_or(Self::PackedAudio),
                _ => Self::PackedAudio,
            },
            _ if let Some(audio) = Self::audio(first) => audio,
            _ if text.starts_with(b"WEBVTT") => Self::WebVtt,
            _ => Self::Unknown,
        }
    }

    /// What an audio frame is of, by its first bytes.
    fn audio(frame: &[u8]) -> Option<Self> {
        // The bit stream identification of AC-3 (ETSI TS 102 366): 16 is Enhanced AC-3.
        const EAC3: u8 = 11;
        match frame {
            // Of the MPEG audio layers 0 is none, and so it is ADTS.
            [0xFF, layer, ..] if layer & 0xE0 == 0xE0 => {
                Some(if layer & 0x06 == 0 { Self::PackedAudio } else { Self::Mp3 })
            }
            [0x0B, 0x77, _, _, _, id, ..] if id >> 3 >= EAC3 => Some(Self::Eac3),
            [0x0B, 0x77, ..] => Some(Self::Ac3),
            _ => None,
        }
    }
}

/// Where an ID3v2 tag ends that begins here: its length is in seven bits of each byte.
fn id3_length(first: &[u8]) -> Option<usize> {
    let length = first.get(6..10)?.iter();
    Some(10 + length.fold(0, |length, byte| (length << 7) | usize::from(byte & 0x7F)))
}

fn is_box(kind: &[u8]) -> bool {
    const KINDS: [&[u8]; 8] =
        [b"ftyp", b"styp", b"moof", b"sidx", b"moov", b"emsg", b"prft", b"mdat"];
    KINDS.iter().any(|known| kind.starts_with(known))
}

/// What a media playlist's segments are made of, going by names, without reading past the first.
/// MPEG-TS is what HLS was for nine years, and what most disguises hide.
pub fn container_hint(input: &[u8]) -> Container {
    let mut part = None;
    for line in Lines::new(input, Limits::NONE).flatten() {
        match line.content() {
            Content::Tag(tag) if tag.name == b"EXT-X-MAP" => return of_map(uri(&tag)),
            Content::Tag(tag) if tag.name == b"EXT-X-PART" => part = part.or(Some(uri(&tag))),
            Content::Uri => return of_segment(part.unwrap_or(line.text)),
            _ => {}
        }
    }
    of_segment(part.unwrap_or_default())
}

/// Does the newest segment's name say nothing of what it is made of?
pub fn is_masked(input: &[u8]) -> bool {
    let mut lines = input.rsplit(|&byte| byte == b'\n').map(trim);
    let newest = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
    newest.is_some_and(|uri| Container::from_url(uri) == Container::Unknown)
}

/// A map means fMP4, unless it holds a transport stream's tables.
pub(crate) fn of_map(url: &[u8]) -> Container {
    match Container::from_url(url) {
        Container::MpegTs => Container::MpegTs,
        _ => Container::Fmp4,
    }
}

/// Of a segment without a map.
pub(crate) fn of_segment(url: &[u8]) -> Container {
    match Container::from_url(url) {
        Container::Unknown => Container::MpegTs,
        known => known,
    }
}

fn uri<'a>(tag: &Tag<'a>) -> &'a [u8] {
    tag.attribute("URI").unwrap_or_default()
}

/// Of the last path segment; empty if there is none.
pub(crate) fn extension(url: &[u8]) -> &[u8] {
    let path = url.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let path = match memchr::memmem::find(path, b"://") {
        // A host has dots, but no extension.
        Some(at) => memchr::memchr(b'/', path.get(at + 3..).unwrap_or_default())
            .and_then(|slash| path.get(at + 3 + slash..))
            .unwrap_or_default(),
        None => path,
    };
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    memchr::memrchr(b'.', name).and_then(|dot| name.get(dot + 1..)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
