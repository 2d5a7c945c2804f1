//! Restamps fragmented MP4 (ISO/IEC 14496-12): the loop's offset is added to the times of `tfdt`
//! and `sidx`, and `mfhd` gets the segment's number.

use std::ops::Range;

use super::RestampError;

/// Track IDs and timescales (ticks per second) of a media initialization section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrackTimescales(Vec<(u32, u32)>);

/// One box: its type, and the byte range of its body within the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BoxSpan {
    kind: [u8; 4],
    body: Range<usize>,
}

impl TrackTimescales {
    /// Reads `moov/trak/{tkhd,mdia/mdhd}` of a media initialization section.
    ///
    /// # Errors
    /// When a box is missing or truncated.
    pub(crate) fn parse(init: &[u8]) -> Result<Self, RestampError> {
        let moov = find_box(init, 0..init.len(), "moov")?;
        let mut tracks = Vec::new();
        for trak in parse_boxes(init, moov)?.into_iter().filter(|b| &b.kind == b"trak") {
            let tkhd = find_box(init, trak.body.clone(), "tkhd")?;
            let mdia = find_box(init, trak.body, "mdia")?;
            let mdhd = find_box(init, mdia, "mdhd")?;
            // `tkhd` and `mdhd` both begin with version, flags and two times of 4 or 8 bytes.
            let id_at = tkhd.start + if read_version(init, &tkhd)? == 0 { 12 } else { 20 };
            let scale_at = mdhd.start + if read_version(init, &mdhd)? == 0 { 12 } else { 20 };
            tracks.push((read_u32(init, id_at)?, read_u32(init, scale_at)?));
        }
        if tracks.is_empty() { Err(RestampError::MissingBox("trak")) } else { Ok(Self(tracks)) }
    }

    /// The timescale of the first track; every embedded file has exactly one track.
    pub(crate) fn first_timescale(&self) -> u32 {
        self.0.first().map_or(1, |(_, scale)| *scale)
    }

    fn timescale(&self, track: u32) -> Result<u32, RestampError> {
        let found = self.0.iter().find(|(id, _)| *id == track);
        found.map(|(_, scale)| *scale).ok_or(RestampError::UnknownTrack(track))
    }
}

/// The decode time of the segment's first frame, in ticks of its track's timescale.
///
/// # Errors
/// When a box is missing or truncated.
pub(crate) fn first_decode_time(segment: &[u8]) -> Result<u64, RestampError> {
    let moof = find_box(segment, 0..segment.len(), "moof")?;
    let traf = find_box(segment, moof, "traf")?;
    let tfdt = find_box(segment, traf, "tfdt")?;
    read_time(segment, read_version(segment, &tfdt)?, tfdt.start + 4)
}

/// A copy of the segment whose times are `seconds` later and whose fragments all have the sequence
/// number `sequence`.
///
/// # Errors
/// When a box is missing or truncated, a track is unknown, or a 32-bit time overflows.
pub(crate) fn restamp(
    segment: &[u8],
    tracks: &TrackTimescales,
    seconds: u64,
    sequence: u32,
) -> Result<Vec<u8>, RestampError> {
    let mut out = segment.to_vec();
    for top in parse_boxes(segment, 0..segment.len())? {
        match &top.kind {
            b"sidx" => {
                // Version, flags, reference ID, timescale, earliest presentation time.
                let scale = read_u32(segment, top.body.start + 8)?;
                let at = top.body.start + 12;
                let v = read_version(segment, &top.body)?;
                shift_time(&mut out, "sidx", v, at, seconds * u64::from(scale))?;
            }
            b"moof" => restamp_moof(segment, top.body, &mut out, tracks, seconds, sequence)?,
            _ => {}
        }
    }
    Ok(out)
}

fn restamp_moof(
    segment: &[u8],
    moof: Range<usize>,
    out: &mut [u8],
    tracks: &TrackTimescales,
    seconds: u64,
    sequence: u32,
) -> Result<(), RestampError> {
    for inner in parse_boxes(segment, moof)? {
        match &inner.kind {
            b"mfhd" => write_bytes(out, inner.body.start + 4, &sequence.to_be_bytes())?,
            b"traf" => {
                let tfhd = find_box(segment, inner.body.clone(), "tfhd")?;
                let tfdt = find_box(segment, inner.body, "tfdt")?;
                let scale = tracks.timescale(read_u32(segment, tfhd.start + 4)?)?;
                let v = read_version(segment, &tfdt)?;
                shift_time(out, "tfdt", v, tfdt.start + 4, seconds * u64::from(scale))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Adds `ticks` to the time at `at`, which has 32 bits in version 0 of a box and 64 in version 1.
fn shift_time(
    out: &mut [u8],
    name: &'static str,
    version: u8,
    at: usize,
    ticks: u64,
) -> Result<(), RestampError> {
    let time = read_time(out, version, at)? + ticks;
    if version == 0 {
        let time = u32::try_from(time).map_err(|_| RestampError::TimeOverflow(name))?;
        write_bytes(out, at, &time.to_be_bytes())
    } else {
        write_bytes(out, at, &time.to_be_bytes())
    }
}

/// The boxes of which `range` consists, in order.
fn parse_boxes(bytes: &[u8], range: Range<usize>) -> Result<Vec<BoxSpan>, RestampError> {
    let mut found = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let size = read_u32(bytes, at)?;
        let kind = read_u32(bytes, at + 4)?.to_be_bytes();
        let (header, size) = match size {
            0 => (8, range.end - at), // size 0: the box extends to the end of the file
            1 => (16, usize::try_from(read_u64(bytes, at + 8)?).unwrap_or(usize::MAX)),
            size => (8, size as usize),
        };
        let end = at.checked_add(size).filter(|end| *end <= range.end && size >= header);
        let end = end.ok_or(RestampError::Truncated(at))?;
        found.push(BoxSpan { kind, body: at + header..end });
        at = end;
    }
    Ok(found)
}

fn find_box(
    bytes: &[u8],
    range: Range<usize>,
    name: &'static str,
) -> Result<Range<usize>, RestampError> {
    let found = parse_boxes(bytes, range)?.into_iter().find(|b| b.kind == name.as_bytes());
    found.map(|b| b.body).ok_or(RestampError::MissingBox(name))
}

fn read_version(bytes: &[u8], body: &Range<usize>) -> Result<u8, RestampError> {
    bytes.get(body.start).copied().ok_or(RestampError::Truncated(body.start))
}

fn read_time(bytes: &[u8], version: u8, at: usize) -> Result<u64, RestampError> {
    if version == 0 { read_u32(bytes, at).map(u64::from) } else { read_u64(bytes, at) }
}

fn read_u32(bytes: &[u8], at: usize) -> Result<u32, RestampError> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.map(|b| u32::from_be_bytes(*b)).ok_or(RestampError::Truncated(at))
}

fn read_u64(bytes: &[u8], at: usize) -> Result<u64, RestampError> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.map(|b| u64::from_be_bytes(*b)).ok_or(RestampError::Truncated(at))
}

fn write_bytes(out: &mut [u8], at: usize, value: &[u8]) -> Result<(), RestampError> {
    let target = out.get_mut(at..at + value.len()).ok_or(RestampError::Truncated(at))?;
    target.copy_from_slice(value);
    Ok(())
}

#[cfg(test)]
#[path = "mp4_tests.rs"]
mod tests;
