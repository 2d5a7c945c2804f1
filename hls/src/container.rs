//! Container formats of segments. Links end in the extension of the container, because ffmpeg and
//! VLC look at it, and never in a misleading extension of the upstream (`.jpg`, `.html`).

use crate::limits::PlaylistLimits;
use crate::line::{LineKind, Lines, Tag, trim_padding};

/// The container format of a segment.
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
    /// File extension of the container, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::MpegTs => "ts",
            Self::Fmp4 => "m4s",
            Self::PackedAudio => "aac",
            Self::Mp3 => "mp3",
            Self::Ac3 => "ac3",
            // FFmpeg 5.1, and mpv with it, refuses Enhanced AC-3 that is named `.ec3`.
            Self::Eac3 => "eac3",
            Self::WebVtt => "vtt",
            Self::Unknown => "bin",
        }
    }

    /// The container that the extension of the URL names; `Unknown` for any extension that is not
    /// of a media format.
    pub fn from_url(url: &[u8]) -> Self {
        let extension = extension(url);
        let has_extension = |names: &[&str]| {
            names.iter().any(|name| extension.eq_ignore_ascii_case(name.as_bytes()))
        };
        match () {
            () if has_extension(&["ts", "m2ts", "mts"]) => Self::MpegTs,
            () if has_extension(&[
                "mp4", "m4s", "m4v", "m4a", "m4f", "cmfv", "cmfa", "cmft", "mp4a", "mp4v",
            ]) =>
            {
                Self::Fmp4
            }
            () if has_extension(&["aac", "adts"]) => Self::PackedAudio,
            () if has_extension(&["mp3", "mp2", "mpa"]) => Self::Mp3,
            () if has_extension(&["ac3"]) => Self::Ac3,
            () if has_extension(&["ec3", "eac3"]) => Self::Eac3,
            () if has_extension(&["vtt", "webvtt"]) => Self::WebVtt,
            () => Self::Unknown,
        }
    }

    /// The container that the first bytes of an unencrypted segment show; 189 bytes suffice.
    pub fn sniff(first: &[u8]) -> Self {
        let text = first.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(first);
        match first {
            [0x47, ..] if first.get(188).is_none_or(|&byte| byte == 0x47) => Self::MpegTs,
            [_, _, _, _, kind @ ..] if is_mp4_box(kind) => Self::Fmp4,
            // Packed audio begins with its timestamp in an ID3 tag (RFC 8216, 3.4).
            [b'I', b'D', b'3', ..] => {
                match id3_tag_length(first).and_then(|end| first.get(end..)) {
                    Some(rest) if !rest.is_empty() => {
                        Self::sniff_audio(rest).unwrap_or(Self::PackedAudio)
                    }
                    _ => Self::PackedAudio,
                }
            }
            _ if let Some(audio) = Self::sniff_audio(first) => audio,
            _ if text.starts_with(b"WEBVTT") => Self::WebVtt,
            _ => Self::Unknown,
        }
    }

    /// The format of an audio frame by its first bytes.
    fn sniff_audio(frame: &[u8]) -> Option<Self> {
        // Smallest bit stream identification (`bsid`) taken as Enhanced AC-3; AC-3 has at most 10
        // and Enhanced AC-3 has 16 (ETSI TS 102 366).
        const EAC3_MIN_BSID: u8 = 11;
        match frame {
            // MPEG audio has no layer 0, so those bits mark ADTS.
            [0xFF, layer, ..] if layer & 0xE0 == 0xE0 => {
                Some(if layer & 0x06 == 0 { Self::PackedAudio } else { Self::Mp3 })
            }
            [0x0B, 0x77, _, _, _, id, ..] if id >> 3 >= EAC3_MIN_BSID => Some(Self::Eac3),
            [0x0B, 0x77, ..] => Some(Self::Ac3),
            _ => None,
        }
    }
}

/// Length in bytes of the ID3v2 tag that begins here; each byte of its size field holds seven bits.
fn id3_tag_length(first: &[u8]) -> Option<usize> {
    let length = first.get(6..10)?.iter();
    Some(10 + length.fold(0, |length, byte| (length << 7) | usize::from(byte & 0x7F)))
}

fn is_mp4_box(kind: &[u8]) -> bool {
    const BOX_TYPES: [&[u8]; 8] =
        [b"ftyp", b"styp", b"moof", b"sidx", b"moov", b"emsg", b"prft", b"mdat"];
    BOX_TYPES.iter().any(|known| kind.starts_with(known))
}

/// Guesses the container of a media playlist's segments by their names, reading no further than the
/// first segment. An unknown extension is taken as MPEG-TS, the only HLS container until 2016 and
/// what most misleading extensions hide.
pub fn guess_container(input: &[u8]) -> Container {
    let mut first_part = None;
    for line in Lines::new(input, PlaylistLimits::UNLIMITED).flatten() {
        match line.kind() {
            LineKind::Tag(tag) if tag.name == b"EXT-X-MAP" => {
                return container_of_map(uri_of_tag(&tag));
            }
            LineKind::Tag(tag) if tag.name == b"EXT-X-PART" => {
                first_part = first_part.or(Some(uri_of_tag(&tag)))
            }
            LineKind::Uri => return container_of_segment(first_part.unwrap_or(line.text)),
            _ => {}
        }
    }
    container_of_segment(first_part.unwrap_or_default())
}

/// Whether the newest segment's name does not tell its container. A playlist that ends in a variant
/// has no segments.
pub fn has_unknown_extension(input: &[u8]) -> bool {
    let lines = input.rsplit(|&byte| byte == b'\n').map(trim_padding);
    let mut lines = lines.filter(|line| !line.is_empty());
    let newest = lines.find(|line| !line.starts_with(b"#"));
    newest.is_some_and(|uri| Container::from_url(uri) == Container::Unknown)
        && !lines.next().is_some_and(|tag| tag.starts_with(b"#EXT-X-STREAM-INF:"))
}

/// The container of segments with this map URL: fMP4, unless the name says MPEG-TS (a map may hold
/// PAT and PMT).
pub(crate) fn container_of_map(url: &[u8]) -> Container {
    match Container::from_url(url) {
        Container::MpegTs => Container::MpegTs,
        _ => Container::Fmp4,
    }
}

/// The container of a segment without a map.
pub(crate) fn container_of_segment(url: &[u8]) -> Container {
    match Container::from_url(url) {
        Container::Unknown => Container::MpegTs,
        known => known,
    }
}

fn uri_of_tag<'a>(tag: &Tag<'a>) -> &'a [u8] {
    tag.find_attribute_value("URI").unwrap_or_default()
}

/// The extension of the URL's last path segment; empty if there is none.
pub(crate) fn extension(url: &[u8]) -> &[u8] {
    let path = url.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let path = match memchr::memmem::find(path, b"://") {
        // The dots of a host do not begin an extension.
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
