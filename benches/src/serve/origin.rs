//! The origin's other half: what files cannot do.
//!
//! ```text
//! /made/window/{length}.m3u8?...      a playlist, one segment further each time that path is asked for
//! /made/live/{bytes}-{stream}/...     a live stream with segments of that size, by the clock
//! /made/once/{bytes}.ts?...           a segment whose fetches are counted
//! /made/counts                        how often each path of the last two was asked for, once
//! ```

mod live;
mod window;

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;

use self::live::Live;
pub(crate) use self::live::TARGET;
use self::window::Windows;
use super::{Answer, serve};
use crate::origin::{MADE, noise};
use crate::scenario::playlists::SEGMENT_BYTES;

pub(crate) const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const SEGMENT: &str = "video/mp2t";

pub(crate) fn run(listen: SocketAddr) -> anyhow::Result<()> {
    let mut maker = Maker::default();
    serve(listen, |path| maker.answer(path).unwrap_or_else(not_found))
}

#[derive(Default)]
struct Maker {
    windows: Windows,
    bodies: HashMap<usize, Bytes>,
    counts: HashMap<String, u64>,
}

impl Maker {
    fn answer(&mut self, path: &str) -> Option<Answer> {
        let path = path.strip_prefix(MADE)?;
        let (kind, rest) = path.split_once('/').unwrap_or((path, ""));
        match kind {
            "window" if rest.starts_with("segment.ts") => Some(self.segment(SEGMENT_BYTES)),
            "window" => self.windows.next(rest),
            "live" => {
                *self.counts.entry(path.to_owned()).or_default() += 1;
                let (stream, file) = rest.split_once('/')?;
                let (bytes, stream) = stream.split_once('-')?;
                match file {
                    "index.m3u8" => Some(Live::of(stream.parse().ok()?).playlist()),
                    _ => Some(self.segment(bytes.parse().ok()?)),
                }
            }
            "once" => {
                *self.counts.entry(path.to_owned()).or_default() += 1;
                Some(self.segment(rest.split('.').next()?.parse().ok()?))
            }
            "counts" => {
                let counts = std::mem::take(&mut self.counts);
                let body = serde_json::to_vec(&counts).ok()?;
                Some(Answer::new("200 OK", "application/json", body.into()))
            }
            _ => None,
        }
    }

    fn segment(&mut self, bytes: usize) -> Answer {
        let body = self.bodies.entry(bytes).or_insert_with(|| noise(bytes).into());
        Answer::new("200 OK", SEGMENT, body.clone())
    }
}

fn not_found() -> Answer {
    Answer::new("404 Not Found", "text/plain", Bytes::new())
}
