use super::*;

fn packet(pid: u16, flags: &[u8], afc: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x47, flags[0] | (pid >> 8) as u8, pid as u8, afc << 4];
    bytes.extend(body);
    bytes.resize(PACKET_BYTES, 0xFF);
    bytes
}

/// A packet that starts a video PES packet with PTS and DTS.
fn pes(pts: u64, dts: u64) -> Vec<u8> {
    let mut body = vec![0, 0, 1, 0xE0, 0, 0, 0x80, 0xC0, 10];
    for (mark, time) in [(0x31, pts), (0x11, dts)] {
        let mut field = [mark, 0, 1, 0, 1];
        write_timestamp(&mut field, time);
        body.extend(field);
    }
    packet(256, &[0x40], 1, &body)
}

/// A packet with a PCR and no payload.
fn pcr(base: u64) -> Vec<u8> {
    let mut body = vec![183, 0x10, 0, 0, 0, 0, 0x7E, 0x2A];
    write_pcr(&mut body[2..], base);
    packet(256, &[0], 2, &body)
}

#[test]
fn times_are_33_bits_and_wrap() {
    for (time, ticks, expected) in [
        (0, 0, 0),
        (123_456_789, 24 * 90_000, 123_456_789 + 24 * 90_000),
        (TIMESTAMP_WRAP_TICKS - 1, 1, 0),
        (TIMESTAMP_WRAP_TICKS - 3_600, 90_000, 86_400),
        (0x1_5555_5555, 0x0_AAAA_AAAA, 0x1_FFFF_FFFF),
        (7, 5 * TIMESTAMP_WRAP_TICKS + 3, 10),
    ] {
        let segment = [pcr(time), pes(time, time)].concat();
        let out = restamp(&segment, ticks, &PacketCounts::new()).unwrap();
        assert_eq!(read_pcr(&out[6..]), expected, "PCR {time} + {ticks}");
        assert_eq!(&out[10..12], &[out[10], 0x2A], "PCR extension stays");
        assert_eq!(read_timestamp(&out[PACKET_BYTES + 13..]), expected, "PTS {time} + {ticks}");
        assert_eq!(read_timestamp(&out[PACKET_BYTES + 18..]), expected, "DTS {time} + {ticks}");
        assert_eq!(out[PACKET_BYTES + 13] & 0xF1, 0x31, "prefix and marker stay");
    }
}

#[test]
fn counters_run_on_per_pid() {
    let psi = |pid| packet(pid, &[0x40], 1, &[0]);
    let segment = [psi(0), pes(0, 0), pcr(0), pes(1, 1), psi(0)].concat();
    let before = PacketCounts::from([(0, 31), (256, 15)]);
    let out = restamp(&segment, 0, &before).unwrap();
    let counters: Vec<_> = out.chunks(PACKET_BYTES).map(|p| p[3] & 15).collect();
    // 31 is 15 modulo 16; the packet without a payload repeats the counter of the packet before.
    assert_eq!(counters, [15, 15, 15, 0, 0]);
    assert_eq!(scan_segment(&segment).unwrap().counts, PacketCounts::from([(0, 2), (256, 2)]));
}

#[test]
fn broken_streams_are_refused() {
    let good = pes(0, 0);
    for (bytes, expected) in [
        (good[..100].to_vec(), RestampError::Truncated(0)),
        ([good.clone(), vec![0; 188]].concat(), RestampError::MissingSyncByte(188)),
        (packet(256, &[0], 3, &[250]), RestampError::Truncated(0)),
    ] {
        assert_eq!(restamp(&bytes, 0, &PacketCounts::new()), Err(expected));
    }
    assert_eq!(scan_segment(&pcr(0)), Err(RestampError::MissingTimestamp));
}
