//! The embedded media loop and its index: four feeds of one programme, 24 s each.
//!
//! The world feed and the onboards are fragmented MP4. The pit lane is MPEG-TS for video and audio
//! alike, so that all renditions of a feed share one container and one timescale.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::restamp::{RestampError, mp4, ts};
use crate::timeline::{self, LOOP_DURATION_SECONDS, SEGMENTS_PER_LOOP};

#[derive(rust_embed::Embed)]
#[folder = "media/"]
struct EmbeddedFiles;

/// All feeds of the origin.
pub(crate) struct Library {
    pub(crate) feeds: Vec<Feed>,
}

/// One camera's view of the programme: its video renditions and one audio rendition.
pub(crate) struct Feed {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) video: Vec<(VideoFormat, Rendition)>,
    pub(crate) audio: Rendition,
}

/// Attributes of a video rendition in the multivariant playlist. `codec` (RFC 6381) is what
/// media/make.sh requests from x264; a test compares `codec` with the media.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VideoFormat {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) codec: &'static str,
}

/// The segments of one media playlist, one loop long.
pub(crate) struct Rendition {
    pub(crate) id: &'static str,
    pub(crate) segments: Vec<Segment>,
    container: Container,
}

pub(crate) struct Segment {
    bytes: Bytes,
    /// Seconds from the start of the loop to the segment's first frame.
    pub(crate) start: f64,
    /// Seconds from the segment's first frame to the next segment's first frame.
    pub(crate) duration: f64,
}

enum Container {
    Mp4 { init: Bytes, tracks: mp4::TrackTimescales },
    Ts(TsPacketCounts),
}

/// MPEG-TS packets with a payload, per PID; continuity counters are computed from these counts.
struct TsPacketCounts {
    /// Packets of the loop before each of its segments.
    before_segment: Vec<ts::PacketCounts>,
    /// Packets of one whole loop.
    per_loop: ts::PacketCounts,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaError {
    #[error("media/{0} is not embedded")]
    NotEmbedded(String),
    #[error("media/{0}: {1}")]
    Malformed(String, #[source] RestampError),
}

#[expect(clippy::expect_used, reason = "the media is embedded: a test of this crate loads it")]
static LIBRARY: LazyLock<Library> =
    LazyLock::new(|| Library::load().expect("the embedded media is whole"));

pub(crate) fn library() -> &'static Library {
    &LIBRARY
}

const VIDEO_FORMATS: [(&str, VideoFormat); 3] = [
    ("v720", VideoFormat { width: 1280, height: 720, codec: "avc1.64001f" }),
    ("v360", VideoFormat { width: 640, height: 360, codec: "avc1.64001e" }),
    ("v180", VideoFormat { width: 320, height: 180, codec: "avc1.64000d" }),
];
pub(crate) const AUDIO_CODEC: &str = "mp4a.40.2";

impl Library {
    fn load() -> Result<Self, MediaError> {
        let feeds = [
            ("world-feed", "World feed", "m4s"),
            ("onboard-7", "Onboard 7", "m4s"),
            ("onboard-22", "Onboard 22", "m4s"),
            ("pit-lane", "Pit lane", "ts"),
        ];
        let feeds = feeds.into_iter().map(|(id, name, ext)| Feed::load(id, name, ext));
        Ok(Self { feeds: feeds.collect::<Result<_, _>>()? })
    }

    pub(crate) fn feed(&self, id: &str) -> Option<&Feed> {
        self.feeds.iter().find(|feed| feed.id == id)
    }
}

impl Feed {
    fn load(id: &'static str, name: &'static str, ext: &str) -> Result<Self, MediaError> {
        let video = VIDEO_FORMATS
            .into_iter()
            .map(|(rendition, format)| Ok((format, Rendition::load(id, rendition, ext)?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { id, name, video, audio: Rendition::load(id, "a", ext)? })
    }

    pub(crate) fn rendition(&self, id: &str) -> Option<&Rendition> {
        let video = self.video.iter().map(|(_, rendition)| rendition);
        video.chain([&self.audio]).find(|rendition| rendition.id == id)
    }
}

impl Rendition {
    fn load(feed: &str, id: &'static str, ext: &str) -> Result<Self, MediaError> {
        let malformed = |error| MediaError::Malformed(format!("{feed}/{id}"), error);
        let files = (0..SEGMENTS_PER_LOOP)
            .map(|i| embedded_file(&format!("{feed}/{id}/{i}.{ext}")))
            .collect::<Result<Vec<_>, _>>()?;
        let (container, starts, scale) = if ext == "ts" {
            let (counts, starts) = TsPacketCounts::scan(&files).map_err(malformed)?;
            (Container::Ts(counts), starts, ts::TIMESCALE)
        } else {
            let init = embedded_file(&format!("{feed}/{id}/init.mp4"))?;
            let tracks = mp4::TrackTimescales::parse(&init).map_err(malformed)?;
            let starts = files.iter().map(|f| mp4::first_decode_time(f));
            let starts = starts.collect::<Result<Vec<_>, _>>().map_err(malformed)?;
            let scale = u64::from(tracks.first_timescale());
            (Container::Mp4 { init, tracks }, starts, scale)
        };
        // A segment's duration ends where the next segment starts; the last segment's, where the
        // loop starts over.
        let ends = starts.iter().skip(1).copied();
        let ends = ends.chain(starts.first().map(|first| first + LOOP_DURATION_SECONDS * scale));
        let seconds = |ticks: u64| ticks as f64 / scale as f64;
        let segments = files.into_iter().zip(starts.iter().zip(ends)).map(|(bytes, (&s, e))| {
            Segment { bytes, start: seconds(s), duration: seconds(e.saturating_sub(s)) }
        });
        Ok(Self { id, segments: segments.collect(), container })
    }

    pub(crate) fn extension(&self) -> &'static str {
        match self.container {
            Container::Mp4 { .. } => "m4s",
            Container::Ts(_) => "ts",
        }
    }

    pub(crate) fn init_segment(&self) -> Option<&Bytes> {
        match &self.container {
            Container::Mp4 { init, .. } => Some(init),
            Container::Ts(_) => None,
        }
    }

    /// The bytes of published segment `n`, which depend on nothing but `n`.
    ///
    /// # Errors
    /// A [`RestampError`] when the embedded media is malformed.
    pub(crate) fn segment_bytes(&self, n: u64) -> Result<Vec<u8>, RestampError> {
        let index = timeline::loop_index(n);
        let loops = timeline::loops_before(n);
        let seconds = loops * LOOP_DURATION_SECONDS;
        let bytes = self.segments.get(index).map_or(&[][..], |segment| &segment.bytes);
        match &self.container {
            // `mfhd`'s sequence number has 32 bits and only has to increase (ISO/IEC 14496-12).
            Container::Mp4 { tracks, .. } => mp4::restamp(bytes, tracks, seconds, n as u32),
            Container::Ts(counts) => {
                ts::restamp(bytes, seconds * ts::TIMESCALE, &counts.packets_before(loops, index))
            }
        }
    }

    /// The segment of the loop that is published as number `n`.
    pub(crate) fn loop_segment(&self, n: u64) -> Option<&Segment> {
        self.segments.get(timeline::loop_index(n))
    }

    pub(crate) fn peak_bits_per_second(&self) -> u64 {
        self.segments.iter().map(Segment::bits_per_second).max().unwrap_or(0)
    }

    pub(crate) fn average_bits_per_second(&self) -> u64 {
        let bytes: usize = self.segments.iter().map(|segment| segment.bytes.len()).sum();
        bytes as u64 * 8 / LOOP_DURATION_SECONDS
    }
}

impl Segment {
    fn bits_per_second(&self) -> u64 {
        (self.bytes.len() as f64 * 8.0 / self.duration).ceil() as u64
    }
}

impl TsPacketCounts {
    fn scan(files: &[Bytes]) -> Result<(Self, Vec<u64>), RestampError> {
        let mut total = ts::PacketCounts::new();
        let mut before_segment = Vec::new();
        let mut starts = Vec::new();
        for file in files {
            let scan = ts::scan_segment(file)?;
            before_segment.push(total.clone());
            starts.push(scan.first_pts);
            for (pid, count) in scan.counts {
                *total.entry(pid).or_default() += count;
            }
        }
        Ok((Self { before_segment, per_loop: total }, starts))
    }

    /// Packets per PID since the epoch before segment `index` of the loop that follows `loops`
    /// loops.
    fn packets_before(&self, loops: u64, index: usize) -> ts::PacketCounts {
        let before_segment = self.before_segment.get(index);
        let count = |(pid, per_loop): (&u16, &u64)| {
            let in_this_loop = before_segment.and_then(|b| b.get(pid)).unwrap_or(&0);
            (*pid, loops * per_loop + in_this_loop)
        };
        self.per_loop.iter().map(count).collect()
    }
}

fn embedded_file(path: &str) -> Result<Bytes, MediaError> {
    let file = EmbeddedFiles::get(path).ok_or_else(|| MediaError::NotEmbedded(path.to_owned()))?;
    Ok(match file.data {
        std::borrow::Cow::Borrowed(data) => Bytes::from_static(data),
        std::borrow::Cow::Owned(data) => Bytes::from(data),
    })
}

#[cfg(test)]
#[path = "media_tests.rs"]
mod tests;
