use super::*;

fn atom(kind: &str, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(8 + body.len()).unwrap();
    [&size.to_be_bytes(), kind.as_bytes(), body].concat()
}

fn fragment(tfdt: &[u8]) -> Vec<u8> {
    let tfhd = atom("tfhd", &[0, 2, 0, 0, 0, 0, 0, 1]);
    let traf = atom("traf", &[tfhd, atom("tfdt", tfdt)].concat());
    let mfhd = atom("mfhd", &[0, 0, 0, 0, 0, 0, 0, 1]);
    let moof = atom("moof", &[mfhd, traf].concat());
    [atom("styp", b"msdh"), moof, atom("mdat", b"frames")].concat()
}

fn tracks() -> TrackTimescales {
    TrackTimescales(vec![(1, 48_000)])
}

#[test]
fn decode_times_move() {
    let v0 = |t: u32| [&[0, 0, 0, 0][..], &t.to_be_bytes()].concat();
    let v1 = |t: u64| [&[1, 0, 0, 0][..], &t.to_be_bytes()].concat();
    for (tfdt, seconds, expected) in [
        (v0(96_000), 24, Ok(96_000 + 24 * 48_000)),
        (v1(96_000), 24, Ok(96_000 + 24 * 48_000)),
        (v1(1), 40_000_000, Ok(1 + 40_000_000 * 48_000)),
        (v0(1), 40_000_000, Err(RestampError::TimeOverflow("tfdt"))),
    ] {
        let moved = restamp(&fragment(&tfdt), &tracks(), seconds, 77);
        assert_eq!(moved.and_then(|bytes| first_decode_time(&bytes)), expected);
    }
}

#[test]
fn only_times_and_numbers_change() {
    let before = fragment(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let after = restamp(&before, &tracks(), 0, 0x0102_0304).unwrap();
    let changed: Vec<_> = before
        .iter()
        .zip(&after)
        .enumerate()
        .filter(|(_, (a, b))| a != b)
        .map(|(i, _)| i)
        .collect();
    assert_eq!(changed, [32, 33, 34, 35], "mfhd's sequence number");
}

#[test]
fn sidx_time_is_shifted() {
    let body = [&[0u8; 4][..], &1u32.to_be_bytes(), &1000u32.to_be_bytes(), &5u32.to_be_bytes()];
    let before = [atom("sidx", &body.concat()), fragment(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])];
    let after = restamp(&before.concat(), &tracks(), 24, 1).unwrap();
    assert_eq!(read_u32(&after, 8 + 12), Ok(24_005));
}

#[test]
fn broken_files_are_refused() {
    let whole = fragment(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (bytes, expected) in [
        (whole[..whole.len() - 1].to_vec(), RestampError::Truncated(whole.len() - 14)),
        (atom("moof", &atom("traf", &[])), RestampError::MissingBox("tfhd")),
        (atom("moof", &[0, 0, 0, 4, b'x', b'x', b'x', b'x']), RestampError::Truncated(8)),
    ] {
        assert_eq!(restamp(&bytes, &tracks(), 0, 1), Err(expected));
    }
    assert_eq!(
        restamp(&whole, &TrackTimescales(vec![(9, 1)]), 0, 1),
        Err(RestampError::UnknownTrack(1))
    );
}
