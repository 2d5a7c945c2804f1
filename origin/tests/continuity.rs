//! Timestamps are continuous over forty consecutive segments, which include three restarts of the
//! media loop. ffprobe reads the timestamps (`make test` installs ffmpeg); the continuity counters
//! of MPEG-TS are read here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that cannot go on fails its test"
)]

mod site;

use std::collections::BTreeMap;
use std::process::Command;

use http::StatusCode;
use site::{NOW, Site};

const SEGMENT_COUNT: u64 = 40;

/// The media initialization section and forty media segments, each fetched while it is the newest.
async fn record(site: &Site, feed: &str, rendition: &str, ext: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    if ext == "m4s" {
        let init = site.get(&format!("/open/{feed}/{rendition}/init.mp4"), &[]).await;
        bytes.extend_from_slice(&init.body);
    }
    let first = NOW / 2;
    for n in first..first + SEGMENT_COUNT {
        site.set_seconds(n * 2);
        let response = site.get(&format!("/open/{feed}/{rendition}/{n}.{ext}"), &[]).await;
        assert_eq!(response.status, StatusCode::OK, "{feed}/{rendition}/{n}");
        bytes.extend_from_slice(&response.body);
    }
    bytes
}

/// PTS and DTS of every packet, in ticks, and what ffprobe wrote to its standard error.
fn probe(bytes: &[u8]) -> (Vec<(i64, i64)>, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "warning", "-show_entries", "packet=pts,dts", "-of", "csv=p=0"])
        .arg(file.path())
        .output()
        .expect("ffprobe is installed: this test needs it (apt install ffmpeg)");
    let lines = String::from_utf8(output.stdout).unwrap();
    let times = lines.lines().filter(|l| !l.trim().is_empty()).map(|line| {
        let mut numbers = line.split(',').map(|n| n.trim().parse::<i64>());
        let mut next = || numbers.next().unwrap().unwrap_or_else(|e| panic!("{line}: {e}"));
        (next(), next())
    });
    (times.collect(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn timestamps_are_continuous_across_the_loop() {
    let site = Site::new();
    for (feed, rendition, ext, frame) in [
        ("world-feed", "v720", "m4s", 3_600),
        ("world-feed", "a", "m4s", 1_024),
        ("onboard-7", "v360", "m4s", 3_600),
        ("onboard-22", "v180", "m4s", 3_600),
        ("onboard-22", "a", "m4s", 1_024),
        ("pit-lane", "v720", "ts", 3_600),
        ("pit-lane", "v180", "ts", 3_600),
        ("pit-lane", "a", "ts", 1_920),
    ] {
        let name = format!("{feed}/{rendition}");
        let bytes = record(&site, feed, rendition, ext).await;
        let (times, warnings) = probe(&bytes);
        assert_eq!(warnings, "", "{name}");
        let frames = if rendition == "a" { 48_000 * 80 / 1_024 } else { 25 * 80 };
        assert!(times.len().abs_diff(frames) <= 1, "{name}: {} frames", times.len());
        for pair in times.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            assert_eq!((after.0 - before.0, after.1 - before.1), (frame, frame), "{name} {pair:?}");
        }
    }
}

#[tokio::test]
async fn audio_and_video_share_one_clock() {
    let site = Site::new();
    for (feed, ext, scales) in
        [("world-feed", "m4s", (90_000, 48_000)), ("pit-lane", "ts", (90_000, 90_000))]
    {
        let first = |bytes: Vec<u8>, scale: i64| {
            let (times, _) = probe(&bytes);
            times[0].0 as f64 / scale as f64
        };
        let video = first(record(&site, feed, "v720", ext).await, scales.0);
        let audio = first(record(&site, feed, "a", ext).await, scales.1);
        assert!((0.0..0.022).contains(&(audio - video)), "{feed}: {video} and {audio}");
    }
}

#[tokio::test]
async fn transport_stream_counters_run_on() {
    let site = Site::new();
    for rendition in ["v720", "v360", "v180", "a"] {
        let bytes = record(&site, "pit-lane", rendition, "ts").await;
        let mut last = BTreeMap::new();
        for (i, packet) in bytes.chunks(188).enumerate() {
            assert_eq!(packet[0], 0x47);
            if packet[3] & 0x10 == 0 {
                continue;
            }
            let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
            let counter = packet[3] & 15;
            if let Some(before) = last.insert(pid, counter) {
                assert_eq!(counter, (before + 1) % 16, "{rendition}: packet {i} of PID {pid}");
            }
        }
        assert!(last.len() >= 3, "PAT, PMT and media: {last:?}");
    }
}
