//! The embedded loop and its index: four feeds of one programme, 24 s each.
//!
//! World feed and the onboards are fragmented MP4; the pit lane is MPEG-TS, its sound too, so
//! that both groups of a feed share one container and one clock.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::restamp::{RestampError, mp4, ts};
use crate::timeline::{self, LOOP_SECONDS, SEGMENTS_PER_LOOP};

#[derive(rust_embed::Embed)]
#[folder = "media/"]
struct Files;

/// Every feed the origin has.
pub(crate) struct Library {
    pub(crate) feeds: Vec<Feed>,
}

/// One picture of the programme, with its own sound.
pub(crate) struct Feed {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) video: Vec<(Picture, Rendition)>,
    pub(crate) audio: Rendition,
}

/// What the multivariant playlist says about a video rendition. `codec` is what the recipe asks
/// x264 for; a test compares it with the media.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) codec: &'static str,
}

/// One media playlist's worth of the loop.
pub(crate) struct Rendition {
    pub(crate) id: &'static str,
    pub(crate) segments: Vec<Segment>,
    container: Container,
}

pub(crate) struct Segment {
    bytes: Bytes,
    /// Seconds from the start of the loop to its first frame, and from there to the next one's.
    pub(crate) start: f64,
    pub(crate) duration: f64,
}

enum Container {
    Mp4 { init: Bytes, tracks: mp4::Tracks },
    Ts(TsCounts),
}

/// Packets per PID before each segment of the loop, and in all of it.
struct TsCounts {
    before: Vec<ts::Counts>,
    whole: ts::Counts,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaError {
    #[error("media/{0} is not embedded")]
    Missing(String),
    #[error("media/{0}: {1}")]
    Broken(String, #[source] RestampError),
}

#[expect(clippy::expect_used, reason = "the media is embedded: a test of this crate loads it")]
static LIBRARY: LazyLock<Library> =
    LazyLock::new(|| Library::load().expect("the embedded media is whole"));

pub(crate) fn library() -> &'static Library {
    &LIBRARY
}

const PICTURES: [(&str, Picture); 3] = [
    ("v720", Picture { width: 1280, height: 720, codec: "avc1.64001f" }),
    ("v360", Picture { width: 640, height: 360, codec: "avc1.64001e" }),
    ("v180", Picture { width: 320, height: 180, codec: "avc1.64000d" }),
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
        let video = PICTURES
            .into_iter()
            .map(|(v, picture)| Ok((picture, Rendition::load(id, v, ext)?)))
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
        let broken = |error| MediaError::Broken(format!("{feed}/{id}"), error);
        let files = (0..SEGMENTS_PER_LOOP)
            .map(|i| file(&format!("{feed}/{id}/{i}.{ext}")))
            .collect::<Result<Vec<_>, _>>()?;
        let (container, starts, scale) = if ext == "ts" {
            let (counts, starts) = TsCounts::read(&files).map_err(broken)?;
            (Container::Ts(counts), starts, ts::TIMESCALE)
        } else {
            let init = file(&format!("{feed}/{id}/init.mp4"))?;
            let tracks = mp4::Tracks::read(&init).map_err(broken)?;
            let starts = files.iter().map(|f| mp4::first_decode_time(f));
            let starts = starts.collect::<Result<Vec<_>, _>>().map_err(broken)?;
            let scale = u64::from(tracks.first_timescale());
            (Container::Mp4 { init, tracks }, starts, scale)
        };
        // A segment lasts until the next one starts; the last one until the loop starts over.
        let ends = starts.iter().skip(1).copied();
        let ends = ends.chain(starts.first().map(|first| first + LOOP_SECONDS * scale));
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

    pub(crate) fn init(&self) -> Option<&Bytes> {
        match &self.container {
            Container::Mp4 { init, .. } => Some(init),
            Container::Ts(_) => None,
        }
    }

    /// The bytes of published segment `n`: the same for the same `n`, always.
    pub(crate) fn segment(&self, n: u64) -> Result<Vec<u8>, RestampError> {
        let index = timeline::media_index(n);
        let loops = timeline::loops_before(n);
        let seconds = loops * LOOP_SECONDS;
        let bytes = self.segments.get(index).map_or(&[][..], |segment| &segment.bytes);
        match &self.container {
            // The fragment's number is 32 bits and only has to grow.
            Container::Mp4 { tracks, .. } => mp4::restamp(bytes, tracks, seconds, n as u32),
            Container::Ts(counts) => {
                ts::restamp(bytes, seconds * ts::TIMESCALE, &counts.sent(loops, index))
            }
        }
    }

    /// The segment of the loop that follows number `n - 1`.
    pub(crate) fn at(&self, n: u64) -> Option<&Segment> {
        self.segments.get(timeline::media_index(n))
    }

    pub(crate) fn peak_bits(&self) -> u64 {
        self.segments.iter().map(Segment::bits_per_second).max().unwrap_or(0)
    }

    pub(crate) fn average_bits(&self) -> u64 {
        let bytes: usize = self.segments.iter().map(|segment| segment.bytes.len()).sum();
        bytes as u64 * 8 / LOOP_SECONDS
    }
}

impl Segment {
    fn bits_per_second(&self) -> u64 {
        (self.bytes.len() as f64 * 8.0 / self.duration).ceil() as u64
    }
}

impl TsCounts {
    fn read(files: &[Bytes]) -> Result<(Self, Vec<u64>), RestampError> {
        let mut whole = ts::Counts::new();
        let mut before = Vec::new();
        let mut starts = Vec::new();
        for file in files {
            let scan = ts::scan(file)?;
            before.push(whole.clone());
            starts.push(scan.first_pts);
            for (pid, count) in scan.counts {
                *whole.entry(pid).or_default() += count;
            }
        }
        Ok((Self { before, whole }, starts))
    }

    fn sent(&self, loops: u64, index: usize) -> ts::Counts {
        let before = self.before.get(index);
        let one = |(pid, whole): (&u16, &u64)| {
            let in_this_loop = before.and_then(|b| b.get(pid)).unwrap_or(&0);
            (*pid, loops * whole + in_this_loop)
        };
        self.whole.iter().map(one).collect()
    }
}

fn file(path: &str) -> Result<Bytes, MediaError> {
    let file = Files::get(path).ok_or_else(|| MediaError::Missing(path.to_owned()))?;
    Ok(match file.data {
        std::borrow::Cow::Borrowed(data) => Bytes::from_static(data),
        std::borrow::Cow::Owned(data) => Bytes::from(data),
    })
}

#[cfg(test)]
#[path = "media_tests.rs"]
mod tests;
