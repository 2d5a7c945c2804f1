use super::*;

const EPOCH_SEGMENT: u64 = 1_767_225_600 / 2;

/// Every rendition of every feed, with its `feed/rendition` name for assertion messages.
fn renditions() -> impl Iterator<Item = (String, &'static Rendition)> {
    library().feeds.iter().flat_map(|feed| {
        let video = feed.video.iter().map(|(_, rendition)| rendition);
        video.chain([&feed.audio]).map(|r| (format!("{}/{}", feed.id, r.id), r))
    })
}

#[test]
fn the_loop_is_whole() {
    for (name, rendition) in renditions() {
        assert_eq!(rendition.segments.len(), 12, "{name}");
        let total: f64 = rendition.segments.iter().map(|s| s.duration).sum();
        assert!((total - 24.0).abs() < 1e-9, "{name}: {total}");
        for (i, segment) in rendition.segments.iter().enumerate() {
            let late = segment.start - i as f64 * 2.0;
            assert!((0.0..0.022).contains(&late), "{name}/{i} starts {late} s late");
            assert!((1.97..2.01).contains(&segment.duration), "{name}/{i} {}", segment.duration);
            if rendition.id != "a" {
                assert_eq!((segment.start, segment.duration), (i as f64 * 2.0, 2.0), "{name}/{i}");
            }
        }
    }
}

#[test]
fn the_media_stays_small() {
    let bytes: usize =
        EmbeddedFiles::iter().filter_map(|f| EmbeddedFiles::get(&f)).map(|f| f.data.len()).sum();
    assert!(bytes < 5_500_000, "{bytes} bytes of media");
}

#[test]
fn codec_strings_match_the_media() {
    for feed in &library().feeds {
        for (format, rendition) in &feed.video {
            let media = rendition.init_segment().unwrap_or(&rendition.segments[0].bytes);
            // Profile, constraints and level: after the version byte of `avcC`, or in MPEG-TS after
            // the start code and NAL header of the SPS.
            let at = |needle: &[u8], skip| {
                let found = media.windows(needle.len()).position(|w| w == needle);
                found.map(|i| &media[i + skip..i + skip + 3])
            };
            let bytes = at(b"avcC", 5).or_else(|| at(&[0, 0, 1, 0x67], 4)).unwrap();
            let codec = format!("avc1.{:02x}{:02x}{:02x}", bytes[0], bytes[1], bytes[2]);
            assert_eq!(codec, format.codec, "{}/{}", feed.id, rendition.id);
        }
    }
}

#[test]
fn bytes_depend_on_the_number_alone() {
    for (name, rendition) in renditions() {
        let n = EPOCH_SEGMENT + 12 * 1_000_000 + 5;
        assert_eq!(rendition.segment_bytes(n), rendition.segment_bytes(n), "{name}");
        assert_ne!(rendition.segment_bytes(n), rendition.segment_bytes(n + 12), "{name}");
    }
}

#[test]
fn a_transport_stream_crosses_its_33_bit_wrap() {
    let wrap = 1 << 33;
    let rendition = library().feed("pit-lane").unwrap().rendition("v180").unwrap();
    let first = EPOCH_SEGMENT + 3 * wrap / 180_000 - 3;
    let times =
        (first..first + 8).map(|n| ts::scan_segment(&rendition.segment_bytes(n).unwrap()).unwrap());
    let times: Vec<_> = times.map(|scan| scan.first_pts).collect();
    assert!(times.windows(2).any(|t| t[1] < t[0]), "no wrap in {times:?}");
    assert!(times.windows(2).all(|t| (t[1] + wrap - t[0]) % wrap == 180_000), "{times:?}");
}
