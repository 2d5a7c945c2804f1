//! MPEG-TS: PTS, DTS and PCR get the loop's offset modulo 2^33, and every PID's continuity
//! counter runs on from the segment before.

use std::collections::BTreeMap;

use super::RestampError;

pub(crate) const TIMESCALE: u64 = 90_000;
const PACKET: usize = 188;
/// The clock of a transport stream has 33 bits: it starts over every 26.5 hours.
const WRAP: u64 = 1 << 33;

/// How many packets with a payload each PID has.
pub(crate) type Counts = BTreeMap<u16, u64>;

/// What the loop's index needs to know about one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) first_pts: u64,
    pub(crate) counts: Counts,
}

pub(crate) fn scan(segment: &[u8]) -> Result<Scan, RestampError> {
    let mut counts = Counts::new();
    let mut first_pts = None;
    for (at, packet) in packets(segment) {
        let packet = Packet::read(at, packet)?;
        if packet.payload.is_some() {
            *counts.entry(packet.pid).or_default() += 1;
        }
        if let Some((pts, _)) = packet.pes_times()
            && first_pts.is_none()
        {
            first_pts = Some(read_time(&segment[at + pts..]));
        }
    }
    Ok(Scan { first_pts: first_pts.ok_or(RestampError::NoTime)?, counts })
}

/// A copy of the segment, `ticks` later; `before` counts the packets sent on each PID so far.
pub(crate) fn restamp(
    segment: &[u8],
    ticks: u64,
    before: &Counts,
) -> Result<Vec<u8>, RestampError> {
    let mut out = segment.to_vec();
    let mut sent = before.clone();
    for (at, bytes) in packets(segment) {
        let packet = Packet::read(at, bytes)?;
        let count = sent.entry(packet.pid).or_default();
        // The counter steps with payloads; a packet without one repeats the last value.
        let counter = if packet.payload.is_some() { *count } else { count.wrapping_sub(1) };
        *count += u64::from(packet.payload.is_some());
        out[at + 3] = (bytes[3] & 0xF0) | (counter % 16) as u8;
        if let Some(pcr) = packet.pcr() {
            write_pcr(&mut out[at + pcr..], (read_pcr(&bytes[pcr..]) + ticks) % WRAP);
        }
        if let Some((pts, dts)) = packet.pes_times() {
            for time in std::iter::once(pts).chain(dts) {
                write_time(&mut out[at + time..], (read_time(&bytes[time..]) + ticks) % WRAP);
            }
        }
    }
    Ok(out)
}

fn packets(segment: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    segment.chunks(PACKET).enumerate().map(|(i, packet)| (i * PACKET, packet))
}

/// One packet of 188 bytes; offsets are relative to it.
struct Packet<'a> {
    bytes: &'a [u8],
    pid: u16,
    starts_unit: bool,
    has_adaptation: bool,
    payload: Option<usize>,
}

impl<'a> Packet<'a> {
    fn read(at: usize, bytes: &'a [u8]) -> Result<Self, RestampError> {
        if bytes.first() != Some(&0x47) {
            return Err(RestampError::NoSync(at));
        }
        if bytes.len() != PACKET {
            return Err(RestampError::Truncated(at));
        }
        let has_adaptation = bytes[3] & 0x20 != 0;
        let payload_at = if has_adaptation { 5 + usize::from(bytes[4]) } else { 4 };
        if payload_at > PACKET {
            return Err(RestampError::Truncated(at));
        }
        Ok(Self {
            bytes,
            pid: u16::from_be_bytes([bytes[1] & 0x1F, bytes[2]]),
            starts_unit: bytes[1] & 0x40 != 0,
            has_adaptation,
            payload: (bytes[3] & 0x10 != 0).then_some(payload_at),
        })
    }

    /// Where the program clock reference lies.
    fn pcr(&self) -> Option<usize> {
        let present = self.has_adaptation && self.bytes[4] >= 7 && self.bytes[5] & 0x10 != 0;
        present.then_some(6)
    }

    /// Where PTS and DTS lie, when an audio or video PES packet starts here with them.
    fn pes_times(&self) -> Option<(usize, Option<usize>)> {
        let at = self.payload.filter(|_| self.starts_unit)?;
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

/// 33 bits in five bytes, in groups of 3, 15 and 15, each closed by a marker bit.
fn read_time(b: &[u8]) -> u64 {
    u64::from(b[0] >> 1 & 7) << 30
        | u64::from(b[1]) << 22
        | u64::from(b[2] >> 1) << 15
        | u64::from(b[3]) << 7
        | u64::from(b[4] >> 1)
}

fn write_time(b: &mut [u8], time: u64) {
    b[0] = (b[0] & 0xF1) | ((time >> 30) as u8 & 7) << 1;
    b[1] = (time >> 22) as u8;
    b[2] = (b[2] & 1) | ((time >> 15) as u8) << 1;
    b[3] = (time >> 7) as u8;
    b[4] = (b[4] & 1) | (time as u8) << 1;
}

/// The 33-bit base; the 9-bit extension (27 MHz) stays, as whole ticks are added.
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
