//! Fragmented MP4: `tfdt` (and `sidx`) get the loop's offset, `mfhd` the segment's number.

use std::ops::Range;

use super::RestampError;

/// The tracks of an init segment and their clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tracks(Vec<(u32, u32)>);

/// One box: its type and where its body lies.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BoxAt {
    kind: [u8; 4],
    body: Range<usize>,
}

impl Tracks {
    /// Reads `moov/trak/{tkhd,mdia/mdhd}`.
    pub(crate) fn read(init: &[u8]) -> Result<Self, RestampError> {
        let moov = child(init, 0..init.len(), "moov")?;
        let mut tracks = Vec::new();
        for trak in boxes(init, moov)?.into_iter().filter(|b| &b.kind == b"trak") {
            let tkhd = child(init, trak.body.clone(), "tkhd")?;
            let mdia = child(init, trak.body, "mdia")?;
            let mdhd = child(init, mdia, "mdhd")?;
            // Both start with version, flags and two times of 4 or 8 bytes.
            let id_at = tkhd.start + if version(init, &tkhd)? == 0 { 12 } else { 20 };
            let scale_at = mdhd.start + if version(init, &mdhd)? == 0 { 12 } else { 20 };
            tracks.push((u32_at(init, id_at)?, u32_at(init, scale_at)?));
        }
        if tracks.is_empty() { Err(RestampError::NoBox("trak")) } else { Ok(Self(tracks)) }
    }

    /// The clock of the first track; our files have one.
    pub(crate) fn first_timescale(&self) -> u32 {
        self.0.first().map_or(1, |(_, scale)| *scale)
    }

    fn timescale(&self, track: u32) -> Result<u32, RestampError> {
        let found = self.0.iter().find(|(id, _)| *id == track);
        found.map(|(_, scale)| *scale).ok_or(RestampError::UnknownTrack(track))
    }
}

/// The decode time of the segment's first frame.
pub(crate) fn first_decode_time(segment: &[u8]) -> Result<u64, RestampError> {
    let moof = child(segment, 0..segment.len(), "moof")?;
    let traf = child(segment, moof, "traf")?;
    let tfdt = child(segment, traf, "tfdt")?;
    time_at(segment, version(segment, &tfdt)?, tfdt.start + 4)
}

/// A copy of the segment, `seconds` later and numbered `sequence` (times 1 per fragment in it).
pub(crate) fn restamp(
    segment: &[u8],
    tracks: &Tracks,
    seconds: u64,
    sequence: u32,
) -> Result<Vec<u8>, RestampError> {
    let mut out = segment.to_vec();
    for top in boxes(segment, 0..segment.len())? {
        match &top.kind {
            b"sidx" => {
                // version, flags, reference id, timescale, earliest presentation time
                let scale = u32_at(segment, top.body.start + 8)?;
                let at = top.body.start + 12;
                let v = version(segment, &top.body)?;
                shift(&mut out, "sidx", v, at, seconds * u64::from(scale))?;
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
    tracks: &Tracks,
    seconds: u64,
    sequence: u32,
) -> Result<(), RestampError> {
    for inner in boxes(segment, moof)? {
        match &inner.kind {
            b"mfhd" => write(out, inner.body.start + 4, &sequence.to_be_bytes())?,
            b"traf" => {
                let tfhd = child(segment, inner.body.clone(), "tfhd")?;
                let tfdt = child(segment, inner.body, "tfdt")?;
                let scale = tracks.timescale(u32_at(segment, tfhd.start + 4)?)?;
                let v = version(segment, &tfdt)?;
                shift(out, "tfdt", v, tfdt.start + 4, seconds * u64::from(scale))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Adds `ticks` to the 32-bit (version 0) or 64-bit time at `at`.
fn shift(
    out: &mut [u8],
    name: &'static str,
    version: u8,
    at: usize,
    ticks: u64,
) -> Result<(), RestampError> {
    let time = time_at(out, version, at)? + ticks;
    if version == 0 {
        let time = u32::try_from(time).map_err(|_| RestampError::TooSmall(name))?;
        write(out, at, &time.to_be_bytes())
    } else {
        write(out, at, &time.to_be_bytes())
    }
}

/// The boxes that fill `range`, side by side.
fn boxes(bytes: &[u8], range: Range<usize>) -> Result<Vec<BoxAt>, RestampError> {
    let mut found = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let size = u32_at(bytes, at)?;
        let kind = u32_at(bytes, at + 4)?.to_be_bytes();
        let (header, size) = match size {
            0 => (8, range.end - at), // to the end
            1 => (16, usize::try_from(u64_at(bytes, at + 8)?).unwrap_or(usize::MAX)),
            size => (8, size as usize),
        };
        let end = at.checked_add(size).filter(|end| *end <= range.end && size >= header);
        let end = end.ok_or(RestampError::Truncated(at))?;
        found.push(BoxAt { kind, body: at + header..end });
        at = end;
    }
    Ok(found)
}

fn child(
    bytes: &[u8],
    range: Range<usize>,
    name: &'static str,
) -> Result<Range<usize>, RestampError> {
    let found = boxes(bytes, range)?.into_iter().find(|b| b.kind == name.as_bytes());
    found.map(|b| b.body).ok_or(RestampError::NoBox(name))
}

fn version(bytes: &[u8], body: &Range<usize>) -> Result<u8, RestampError> {
    bytes.get(body.start).copied().ok_or(RestampError::Truncated(body.start))
}

fn time_at(bytes: &[u8], version: u8, at: usize) -> Result<u64, RestampError> {
    if version == 0 { u32_at(bytes, at).map(u64::from) } else { u64_at(bytes, at) }
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, RestampError> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.map(|b| u32::from_be_bytes(*b)).ok_or(RestampError::Truncated(at))
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, RestampError> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.map(|b| u64::from_be_bytes(*b)).ok_or(RestampError::Truncated(at))
}

fn write(out: &mut [u8], at: usize, value: &[u8]) -> Result<(), RestampError> {
    let place = out.get_mut(at..at + value.len()).ok_or(RestampError::Truncated(at))?;
    place.copy_from_slice(value);
    Ok(())
}

#[cfg(test)]
#[path = "mp4_tests.rs"]
mod tests;
