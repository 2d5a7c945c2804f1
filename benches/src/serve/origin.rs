//! The origin's server for generated responses.
//!
//! ```text
//! /made/window/{length}.m3u8?...      a playlist that advances by one segment at each request for
//!                                     that path and query
//! /made/live/{bytes}-{stream}/...     a live stream with segments of that size, timed by the clock
//! /made/once/{bytes}.ts?...           a segment whose requests are counted
//! /made/source/{source}/...           a live stream of tiny segments, not counted
//! /made/source/{source}/fail          makes that stream fail, until ...
//! /made/source/{source}/restore       ... it is restored
//! /made/counts                        requests per path under live/ and once/ since the last call
//! ```
//!
//! - [`live_stream`]: playlists of live streams.
//! - [`sliding_window`]: playlists that advance at each request.
//! - [`source_streams`]: live streams that can be made to fail.

mod live_stream;
mod sliding_window;
mod source_streams;

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;

use self::live_stream::LiveStream;
use self::sliding_window::SlidingWindows;
use self::source_streams::SourceStreams;
use super::{RawResponse, serve};
use crate::origin::{DYNAMIC_PREFIX, SEGMENT_BYTES, incompressible_bytes};

pub(crate) const PLAYLIST_CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";
const SEGMENT_CONTENT_TYPE: &str = "video/mp2t";

pub(crate) fn run(listen: SocketAddr) -> anyhow::Result<()> {
    let mut origin = DynamicOrigin::default();
    serve(listen, |path| origin.respond(path).unwrap_or_else(not_found))
}

#[derive(Default)]
struct DynamicOrigin {
    windows: SlidingWindows,
    sources: SourceStreams,
    segment_bodies: HashMap<usize, Bytes>,
    request_counts: HashMap<String, u64>,
}

impl DynamicOrigin {
    fn respond(&mut self, path: &str) -> Option<RawResponse> {
        let path = path.strip_prefix(DYNAMIC_PREFIX)?;
        let (kind, rest) = path.split_once('/').unwrap_or((path, ""));
        match kind {
            "window" if rest.starts_with("segment.ts") => {
                Some(self.segment_response(SEGMENT_BYTES))
            }
            "window" => self.windows.next_playlist(rest),
            "source" => self.sources.respond(rest),
            "live" => {
                *self.request_counts.entry(path.to_owned()).or_default() += 1;
                let (stream, file) = rest.split_once('/')?;
                let (bytes, stream) = stream.split_once('-')?;
                match file {
                    "index.m3u8" => {
                        Some(LiveStream::of_stream(stream.parse().ok()?).playlist_response())
                    }
                    _ => Some(self.segment_response(bytes.parse().ok()?)),
                }
            }
            "once" => {
                *self.request_counts.entry(path.to_owned()).or_default() += 1;
                Some(self.segment_response(rest.split('.').next()?.parse().ok()?))
            }
            "counts" => {
                let counts = std::mem::take(&mut self.request_counts);
                let body = serde_json::to_vec(&counts).ok()?;
                Some(RawResponse::new("200 OK", "application/json", body.into()))
            }
            _ => None,
        }
    }

    fn segment_response(&mut self, bytes: usize) -> RawResponse {
        let body =
            self.segment_bodies.entry(bytes).or_insert_with(|| incompressible_bytes(bytes).into());
        RawResponse::new("200 OK", SEGMENT_CONTENT_TYPE, body.clone())
    }
}

fn not_found() -> RawResponse {
    RawResponse::new("404 Not Found", "text/plain", Bytes::new())
}
