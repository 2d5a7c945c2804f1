//! Restamps MPEG-TS (ISO/IEC 13818-1): the loop's offset is added to PTS, DTS and PCR modulo 2^33,
//! and the continuity counter of every PID continues from the preceding segment.

use std::collections::BTreeMap;

use super::RestampError;

/// Ticks per second of PTS, DTS and the PCR base.
pub(crate) const TIMESCALE: u64 = 90_000;
const PACKET_BYTES: usize = 188;
/// PTS, DTS and the PCR base have 33 bits, so they wrap every 26.5 hours.
const TIMESTAMP_WRAP_TICKS: u64 = 1 << 33;

/// Number of packets with a payload, by PID.
pub(crate) type PacketCounts = BTreeMap<u16, u64>;

/// What [`scan_segment`] reads from one segment for the index of the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentScan {
    pub(crate) first_pts: u64,
    pub(crate) counts: PacketCounts,
}

/// Reads the first PTS and the packet counts of a segment.
///
/// # Errors
/// When a packet is malformed, or none has a PTS.
pub(crate) fn scan_segment(segment: &[u8]) -> Result<SegmentScan, RestampError> {
    let mut counts = PacketCounts::new();
    let mut first_pts = None;
    for (at, packet) in packets(segment) {
        let packet = Packet::parse(at, packet)?;
        if packet.payload_offset.is_some() {
            *counts.entry(packet.pid).or_default() += 1;
        }
        if let Some((pts, _)) = packet.pes_timestamp_offsets()
            && first_pts.is_none()
        {
            first_pts = Some(read_timestamp(&segment[at + pts..]));
        }
    }
    Ok(SegmentScan { first_pts: first_pts.ok_or(RestampError::MissingTimestamp)?, counts })
}

/// A copy of the segment whose times are `ticks` later; `before` has the number of packets sent on
/// each PID before this segment.
///
/// # Errors
/// When a packet is malformed.
pub(crate) fn restamp(
    segment: &[u8],
    ticks: u64,
    before: &PacketCounts,
) -> Result<Vec<u8>, RestampError> {
    let mut out = segment.to_vec();
    let mut sent = before.clone();
    for (at, bytes) in packets(segment) {
        let packet = Packet::parse(at, bytes)?;
        let count = sent.entry(packet.pid).or_default();
        // The continuity counter increments with each packet that has a payload; a packet without a
        // payload repeats the counter's last value.
        let counter = if packet.payload_offset.is_some() { *count } else { count.wrapping_sub(1) };
        *count += u64::from(packet.payload_offset.is_some());
        out[at + 3] = (bytes[3] & 0xF0) | (counter % 16) as u8;
        if let Some(pcr) = packet.pcr_offset() {
            write_pcr(
                &mut out[at + pcr..],
                (read_pcr(&bytes[pcr..]) + ticks) % TIMESTAMP_WRAP_TICKS,
            );
        }
        if let Some((pts, dts)) = packet.pes_timestamp_offsets() {
            for time in std::iter::once(pts).chain(dts) {
                write_timestamp(
                    &mut out[at + time..],
                    (read_timestamp(&bytes[time..]) + ticks) % TIMESTAMP_WRAP_TICKS,
                );
            }
        }
    }
    Ok(out)
}

fn packets(segment: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    segment.chunks(PACKET_BYTES).enumerate().map(|(i, packet)| (i * PACKET_BYTES, packet))
}

/// One packet of 188 bytes; all offsets are relative to the packet's first byte.
struct Packet<'a> {
    bytes: &'a [u8],
    pid: u16,
    has_payload_unit_start: bool,
    has_adaptation_field: bool,
    payload_offset: Option<usize>,
}

impl<'a> Packet<'a> {
    fn parse(at: usize, bytes: &'a [u8]) -> Result<Self, RestampError> {
        if bytes.first() != Some(&0x47) {
            return Err(RestampError::MissingSyncByte(at));
        }
        if bytes.len() != PACKET_BYTES {
            return Err(RestampError::Truncated(at));
        }
        let has_adaptation = bytes[3] & 0x20 != 0;
        let payload_at = if has_adaptation { 5 + usize::from(bytes[4]) } else { 4 };
        if payload_at > PACKET_BYTES {
            return Err(RestampError::Truncated(at));
        }
        Ok(Self {
            bytes,
            pid: u16::from_be_bytes([bytes[1] & 0x1F, bytes[2]]),
            has_payload_unit_start: bytes[1] & 0x40 != 0,
            has_adaptation_field: has_adaptation,
            payload_offset: (bytes[3] & 0x10 != 0).then_some(payload_at),
        })
    }

    /// The offset of the program clock reference, when the adaptation field has one.
    fn pcr_offset(&self) -> Option<usize> {
        let present = self.has_adaptation_field && self.bytes[4] >= 7 && self.bytes[5] & 0x10 != 0;
        present.then_some(6)
    }

    /// The offsets of PTS and DTS, when an audio or video PES packet with them starts in this
    /// packet.
    fn pes_timestamp_offsets(&self) -> Option<(usize, Option<usize>)> {
        let at = self.payload_offset.filter(|_| self.has_payload_unit_start)?;
        let pes = self.bytes.get(at..)?;
        let is_media = pes.starts_with(&[0, 0, 1]) && matches!(pes.get(3), Some(0xC0..=0xEF));
        let flags = pes.get(7).filter(|_| is_media)? >> 6;
        match flags {
            2 if pes.len() >= 14 => Some((at + 9, None)),
            3 if pes.len() >= 19 => Some((at + 9, Some(at + 14))),
            _ => None,
        }
    }
}

/// Reads a PTS or DTS: 33 bits in five bytes, in groups of 3, 15 and 15, each followed by a marker
/// bit.
fn read_timestamp(b: &[u8]) -> u64 {
    u64::from(b[0] >> 1 & 7) << 30
        | u64::from(b[1]) << 22
        | u64::from(b[2] >> 1) << 15
        | u64::from(b[3]) << 7
        | u64::from(b[4] >> 1)
}

fn write_timestamp(b: &mut [u8], time: u64) {
    b[0] = (b[0] & 0xF1) | ((time >> 30) as u8 & 7) << 1;
    b[1] = (time >> 22) as u8;
    b[2] = (b[2] & 1) | ((time >> 15) as u8) << 1;
    b[3] = (time >> 7) as u8;
    b[4] = (b[4] & 1) | (time as u8) << 1;
}

/// Reads the 33-bit base of a PCR. The 9-bit extension (27 MHz) is never changed, since only whole
/// ticks of the base are added.
fn read_pcr(b: &[u8]) -> u64 {
    u64::from(u32::from_be_bytes([b[0], b[1], b[2], b[3]])) << 1 | u64::from(b[4] >> 7)
}

fn write_pcr(b: &mut [u8], base: u64) {
    b[..4].copy_from_slice(&((base >> 1) as u32).to_be_bytes());
    b[4] = (b[4] & 0x7F) | ((base & 1) as u8) << 7;
}

#[cfg(test)]
#[path = "ts_tests.rs"]
mod tests;
