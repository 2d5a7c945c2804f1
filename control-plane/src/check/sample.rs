//! The beginning of the newest segment: how fast it comes, and what it is made of.

use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderValue, StatusCode, header};
use pitwall_fetch::{Request, Response};
use pitwall_hls::Container as Seen;
use pitwall_hls::analysis::{Media, Segment};
use pitwall_upstream_map::Container;
use tokio::time::Instant;

use super::visit::{self, Visit};
use super::{CheckError, Fault, container};

/// Enough to tell one segment from the next and a slow upstream from a fast one, little
/// enough to be asked for often.
const SAMPLE: u64 = 64 * 1024;
/// Less than this after the first bytes says nothing about throughput.
const MEASURABLE: usize = 16 * 1024;
/// Disguises put a picture in front of the transport stream; players look no further.
const SYNC_WITHIN: usize = 1024;
const PACKET: usize = 188;

/// What the beginning of a segment tells.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) taken: Instant,
    /// Until the first bytes.
    pub(crate) latency: Duration,
    /// Bits a second after them; `None` when too little followed.
    pub(crate) throughput: Option<u64>,
    /// `None` when it is encrypted.
    pub(crate) container: Option<Container>,
    /// Of the whole segment, when its size is told.
    pub(crate) bit_rate: Option<u64>,
    pub(crate) fingerprint: Fingerprint,
}

/// Tells segments apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 16]);

impl Fingerprint {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut short = [0; 16];
        blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut short);
        Self(short)
    }
}

impl Visit<'_> {
    /// The first bytes of the newest segment.
    pub(super) async fn segment(&self, media: &Media) -> Result<Sample, CheckError> {
        let segment = visit::newest(media)?;
        let url = pitwall_fetch::parse_url(&segment.url)?;
        let (length, offset) = segment.byte_range.unwrap_or((SAMPLE, 0));
        let last = offset.saturating_add(length.clamp(1, SAMPLE) - 1);
        let range = HeaderValue::from_str(&format!("bytes={offset}-{last}"))
            .map_err(|_| CheckError::new("a byte range that cannot be asked for"))?;
        let asked = Instant::now();
        let response = self.get(Request::get(url).forward(header::RANGE, range)).await?;
        let status = response.status();
        if !matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            let error = CheckError::status("the newest segment", status);
            // One that is missing may be late; the next one decides.
            let fault = if error.fault == Fault::Refused { error.fault } else { Fault::Passing };
            return Err(CheckError { fault, ..error });
        }
        let size = segment.byte_range.map(|(length, _)| length).or_else(|| size(&response));
        // A server that ignores the range begins at the beginning, which tells nothing then.
        let misplaced = status == StatusCode::OK && offset > 0;
        let read = read(response, asked).await?;
        if read.bytes.is_empty() {
            return Err(CheckError::new("the newest segment is empty"));
        }
        let container = match () {
            () if misplaced || segment.key.is_some() => None,
            () => Some(recognise(&read.bytes, segment.map.is_some())?),
        };
        Ok(Sample {
            taken: asked,
            latency: read.latency,
            throughput: read.throughput,
            container,
            bit_rate: bit_rate(size, segment),
            fingerprint: Fingerprint::of(&read.bytes),
        })
    }
}

struct Read {
    bytes: BytesMut,
    latency: Duration,
    throughput: Option<u64>,
}

async fn read(mut response: Response, asked: Instant) -> Result<Read, CheckError> {
    let mut bytes = BytesMut::new();
    let mut first = None;
    while (bytes.len() as u64) < SAMPLE {
        let Some(chunk) = response.chunk().await? else { break };
        bytes.extend_from_slice(&chunk);
        first.get_or_insert((asked.elapsed(), bytes.len()));
    }
    let all = asked.elapsed();
    let (latency, length) = first.unwrap_or((all, 0));
    let (rest, took) = (bytes.len() - length, all.saturating_sub(latency));
    let throughput = (rest >= MEASURABLE)
        .then(|| rest as f64 * 8.0 / took.as_secs_f64().max(0.000_1))
        .map(|rate| rate as u64);
    bytes.truncate(SAMPLE as usize);
    Ok(Read { bytes, latency, throughput })
}

/// What players can do nothing with is no segment. `mapped`: a map makes it a fragment, which
/// may begin with any box.
fn recognise(first: &[u8], mapped: bool) -> Result<Container, CheckError> {
    match Seen::sniff(first) {
        Seen::Unknown if is_disguised(first) => Ok(Container::MpegTs),
        Seen::Unknown if mapped && first.contains(&0) => Ok(Container::Fmp4),
        Seen::Unknown if first.trim_ascii_start().starts_with(b"<") => {
            Err(CheckError::new("the newest segment is an HTML page"))
        }
        Seen::Unknown => Err(CheckError::new("the newest segment is nothing that players know")),
        known => Ok(container(known)),
    }
}

/// Is there a transport stream behind something else?
fn is_disguised(first: &[u8]) -> bool {
    let packets = |at: usize| (0..3).map(move |packet| at + packet * PACKET);
    let syncs = |at: usize| packets(at).all(|place| first.get(place) == Some(&0x47));
    (0..SYNC_WITHIN).any(syncs)
}

/// Of the whole thing, whether it came whole or in part.
fn size(response: &Response) -> Option<u64> {
    if response.status() == StatusCode::OK {
        return response.content_length();
    }
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit_once('/')?.1.parse().ok()
}

fn bit_rate(bytes: Option<u64>, segment: &Segment) -> Option<u64> {
    let rate = bytes? as f64 * 8.0 / segment.duration;
    (rate.is_finite() && rate >= 1.0).then_some(rate as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_segments_are_made_of() {
        let ts: Vec<u8> = (0..1000).map(|at| if at % PACKET == 0 { 0x47 } else { 1 }).collect();
        let behind = |picture: &[u8]| [picture, &ts].concat();
        for (name, bytes, expected) in [
            ("a transport stream", ts.clone(), Ok(Container::MpegTs)),
            ("a single packet", ts[..100].to_vec(), Ok(Container::MpegTs)),
            ("one behind a picture", behind(b"\x89PNG\r\n\x1a\nxxxx"), Ok(Container::MpegTs)),
            ("a fragment", b"\0\0\0\x18styp".to_vec(), Ok(Container::Fmp4)),
            ("audio", b"ID3\x04".to_vec(), Ok(Container::PackedAudio)),
            ("text tracks", b"WEBVTT\n".to_vec(), Ok(Container::WebVtt)),
            ("a page", b" <!doctype html>".to_vec(), Err("an HTML page")),
            ("an apology", b"Access denied".to_vec(), Err("nothing that players know")),
            ("too much picture", behind(&[0; 1100]), Err("nothing that players know")),
        ] {
            match (recognise(&bytes, false), expected) {
                (Ok(container), Ok(expected)) => assert_eq!(container, expected, "{name}"),
                (Err(error), Err(expected)) => assert!(error.message.contains(expected), "{name}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
        let unusual = recognise(b"\0\0\0\x08free", true);
        assert_eq!(unusual.unwrap(), Container::Fmp4, "what a map announces");
        assert!(recognise(b"Access denied", true).is_err());
    }
}
