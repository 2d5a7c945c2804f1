//! [`SourceStreams`]: live streams as the sources of a control plane, each of which can be made to
//! fail.

use std::collections::HashSet;

use bytes::Bytes;

use super::live_stream::LiveStream;
use super::{PLAYLIST_CONTENT_TYPE, SEGMENT_CONTENT_TYPE};
use crate::serve::RawResponse;

const TS_PACKET_BYTES: usize = 188;

/// Packets of a segment: small, but above the bit rate below which a check takes it for a slate.
const SEGMENT_PACKETS: usize = 48;

pub(super) struct SourceStreams {
    failing: HashSet<u64>,
    /// All packets of a segment but the first.
    other_packets: Bytes,
}

impl Default for SourceStreams {
    fn default() -> Self {
        let packets = build_packet("").repeat(SEGMENT_PACKETS - 1);
        Self { failing: HashSet::new(), other_packets: packets.into() }
    }
}

impl SourceStreams {
    /// The response to `{source}/{file}`: a playlist, a segment, or a command to fail or restore
    /// that source.
    pub(super) fn respond(&mut self, path: &str) -> Option<RawResponse> {
        let (source, file) = path.split_once('/')?;
        let source: u64 = source.parse().ok()?;
        match file {
            "fail" => {
                self.failing.insert(source);
                Some(RawResponse::new("200 OK", "text/plain", Bytes::new()))
            }
            "restore" => {
                self.failing.remove(&source);
                Some(RawResponse::new("200 OK", "text/plain", Bytes::new()))
            }
            _ if self.failing.contains(&source) => Some(RawResponse::new(
                "503 Service Unavailable",
                PLAYLIST_CONTENT_TYPE,
                Bytes::new(),
            )),
            "index.m3u8" => Some(LiveStream::of_stream(source).playlist_response()),
            segment => Some(RawResponse::from_pieces(
                SEGMENT_CONTENT_TYPE,
                &build_packet(segment),
                self.other_packets.clone(),
            )),
        }
    }
}

/// A transport stream packet, whose first byte is `G`, with the name of its segment, so that no two
/// segments are the same.
fn build_packet(segment: &str) -> String {
    format!("G{segment:.>length$}", length = TS_PACKET_BYTES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_fails_until_it_is_restored() {
        let mut streams = SourceStreams::default();
        for (path, status) in [
            ("7/index.m3u8", "200"),
            ("7/fail", "200"),
            ("7/index.m3u8", "503"),
            ("7/9.ts", "503"),
            ("8/index.m3u8", "200"),
            ("7/restore", "200"),
            ("7/index.m3u8", "200"),
        ] {
            let head = streams.respond(path).unwrap().head;
            assert!(head.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{path}: {head:?}");
        }
        assert!(streams.respond("x/index.m3u8").is_none() && streams.respond("7").is_none());
    }

    #[test]
    fn a_segment_is_a_transport_stream_of_its_own() {
        let mut streams = SourceStreams::default();
        let mut content = |path| {
            let response = streams.respond(path).unwrap();
            let bytes = [response.head, response.body].concat();
            bytes.split_at(bytes.len() - SEGMENT_PACKETS * TS_PACKET_BYTES).1.to_vec()
        };
        let segment = content("7/9.ts");
        assert!(segment.iter().step_by(TS_PACKET_BYTES).all(|byte| *byte == 0x47));
        assert_ne!(segment, content("7/10.ts"));
    }
}
