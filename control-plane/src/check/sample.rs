//! [`SegmentSample`]: latency, throughput and container by the first bytes of the newest segment.

use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderValue, StatusCode, header};
use pitwall_fetch::{Request, Response};
use pitwall_hls::analysis::{Map, MediaPlaylist, Segment};
use pitwall_hls::{CodecFamilies, Container as Seen};
use pitwall_upstream_map::Container;
use tokio::time::Instant;
use url::Url;

use super::run::{self, CheckRun};
use super::{CheckError, CheckFailureKind, to_published_container};

/// Enough bytes to tell segments apart and to measure throughput, few enough to be requested often.
const SAMPLE_MAX_BYTES: u64 = 64 * 1024;
/// Fewer bytes after the first chunk are too few to measure throughput.
const THROUGHPUT_MIN_BYTES: usize = 16 * 1024;
/// How much of a file is read and dropped to reach a segment inside it, where the server knows no
/// ranges.
const SKIP_MAX_BYTES: u64 = 1024 * 1024;
/// How far a disguised transport stream is searched for behind a picture; players search no
/// further.
const SYNC_SEARCH_MAX_BYTES: usize = 1024;
const TS_PACKET_BYTES: usize = 188;

/// The initialization section of a rendition, as a check has read it.
#[derive(Clone, Debug)]
pub(crate) struct InitSection {
    map: Map,
    pub(super) codecs: CodecFamilies,
    /// Of its bytes: two upstreams of which these are equal have equal encoder settings.
    pub(crate) fingerprint: SegmentFingerprint,
}

/// What the first bytes of a segment show.
#[derive(Clone, Debug)]
pub(crate) struct SegmentSample {
    pub(crate) taken_at: Instant,
    /// Time until the first bytes.
    pub(crate) latency: Duration,
    /// Bits per second after the first bytes; `None` when too few bytes followed.
    pub(crate) throughput: Option<u64>,
    /// `None` for an encrypted segment, or when the response does not begin at the requested
    /// offset.
    pub(crate) container: Option<Container>,
    /// Of a transport stream, by its tables.
    pub(crate) codecs: CodecFamilies,
    /// Of the whole segment, when its size is known.
    pub(crate) bit_rate: Option<u64>,
    pub(crate) fingerprint: SegmentFingerprint,
}

/// A hash of the sampled bytes, to recognise a repeated segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFingerprint([u8; 16]);

impl SegmentFingerprint {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut short = [0; 16];
        blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut short);
        Self(short)
    }
}

#[cfg(test)]
impl InitSection {
    pub(crate) fn of(fingerprint: SegmentFingerprint) -> Self {
        let map = Map { url: "https://a.example/init.mp4".to_owned(), byte_range: None };
        Self { map, codecs: CodecFamilies::default(), fingerprint }
    }
}

impl CheckRun<'_> {
    /// Fetches the first [`SAMPLE_MAX_BYTES`] of the newest segment.
    pub(super) async fn sample_newest_segment(
        &self,
        media: &MediaPlaylist,
    ) -> Result<SegmentSample, CheckError> {
        let segment = run::newest_segment(media)?;
        let url = pitwall_fetch::parse_url(&segment.url)?;
        let (length, offset) = segment.byte_range.unwrap_or((SAMPLE_MAX_BYTES, 0));
        let last = offset.saturating_add(length.clamp(1, SAMPLE_MAX_BYTES) - 1);
        let range = HeaderValue::from_str(&format!("bytes={offset}-{last}"))
            .map_err(|_| CheckError::new("a byte range that cannot be asked for"))?;
        // Media is compressed already, and a range of a coded body cannot be decoded.
        let identity = HeaderValue::from_static("identity");
        let whole = Request::get(url).with_forwarded_header(header::ACCEPT_ENCODING, identity);
        let ranged = whole.clone().with_forwarded_header(header::RANGE, range);
        let mut requested_at = Instant::now();
        let mut response = self.send(ranged).await?;
        if refuses_ranges(response.status()) {
            // Players ask for a whole segment without a range.
            requested_at = Instant::now();
            response = self.send(whole).await?;
        }
        let status = response.status();
        if !status.is_success() {
            return Err(media_error("the newest segment", status));
        }
        let total = segment.byte_range.map(|(length, _)| length).or_else(|| total_bytes(&response));
        // A server that knows no ranges sends the file from its beginning.
        let skipped = if status == StatusCode::PARTIAL_CONTENT { 0 } else { offset };
        let is_reached = skipped <= SKIP_MAX_BYTES;
        let skipped = if is_reached { skipped } else { 0 };
        let wanted = length.clamp(1, SAMPLE_MAX_BYTES);
        let read = read_prefix(response, requested_at, skipped, wanted).await?;
        if read.bytes.is_empty() {
            return Err(CheckError::new("the newest segment is empty"));
        }
        let container = match () {
            () if !is_reached || segment.key.is_some() => None,
            () => Some(recognise_container(&read.bytes, segment.map.is_some())?),
        };
        let is_clear_stream = container == Some(Container::MpegTs);
        let codecs = if is_clear_stream {
            CodecFamilies::sniff(&read.bytes)
        } else {
            CodecFamilies::default()
        };
        // The beginning of the file is the same for all of its segments, and no sign of a loop.
        let fingerprint = match is_reached {
            true => SegmentFingerprint::of(&read.bytes),
            false => SegmentFingerprint::of(format!("{offset} {}", segment.url).as_bytes()),
        };
        Ok(SegmentSample {
            taken_at: requested_at,
            latency: read.latency,
            throughput: read.throughput,
            container,
            codecs,
            bit_rate: bit_rate(total, segment),
            fingerprint,
        })
    }
}

impl CheckRun<'_> {
    /// The initialization section of the newest segment: `known`, where the playlist still names
    /// that one. `None` where the segment has none, or none that is fetched.
    ///
    /// # Errors
    /// [`CheckError`] where it cannot be read or is empty, as that of an encoder that has just been
    /// started: no player can begin, and renditions would be named as if their codecs were unknown.
    pub(super) async fn find_init_section(
        &self,
        media: &MediaPlaylist,
        known: Option<&InitSection>,
    ) -> Result<Option<InitSection>, CheckError> {
        let Some(map) = &run::newest_segment(media)?.map else { return Ok(None) };
        if let Some(known) = known.filter(|known| known.map == **map) {
            return Ok(Some(known.clone()));
        }
        match pitwall_fetch::parse_url(&map.url) {
            Ok(url) => self.read_init_section(url, map).await.map(Some),
            // Such as `data:`, which players read without a server.
            Err(_) => Ok(None),
        }
    }

    /// The codecs that an initialization section names; none where it cannot be read.
    pub(super) async fn read_init_section_codecs(&self, map: &Map) -> CodecFamilies {
        let Ok(url) = pitwall_fetch::parse_url(&map.url) else { return CodecFamilies::default() };
        self.read_init_section(url, map).await.map(|section| section.codecs).unwrap_or_default()
    }

    async fn read_init_section(&self, url: Url, map: &Map) -> Result<InitSection, CheckError> {
        let request = Request::get(url);
        let (length, offset) = map.byte_range.unwrap_or((SAMPLE_MAX_BYTES, 0));
        let wanted = length.clamp(1, SAMPLE_MAX_BYTES);
        let request = match map.byte_range {
            Some(_) => {
                let range = format!("bytes={offset}-{}", offset.saturating_add(wanted - 1));
                let range = HeaderValue::from_str(&range)
                    .map_err(|_| CheckError::new("a byte range that cannot be asked for"))?;
                request.with_forwarded_header(header::RANGE, range)
            }
            None => request,
        };
        let requested_at = Instant::now();
        let response = self.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(media_error("the initialization section", status));
        }
        let skipped = if status == StatusCode::PARTIAL_CONTENT { 0 } else { offset };
        let skipped = if skipped <= SKIP_MAX_BYTES { skipped } else { 0 };
        let bytes = read_prefix(response, requested_at, skipped, wanted).await?.bytes;
        if bytes.is_empty() {
            return Err(CheckError::new("the initialization section is empty"));
        }
        let (codecs, fingerprint) = (CodecFamilies::sniff(&bytes), SegmentFingerprint::of(&bytes));
        Ok(InitSection { map: map.clone(), codecs, fingerprint })
    }
}

/// The error for a segment or initialization section that is refused: one that is missing may only
/// be late, which the next check decides.
fn media_error(what: &str, status: StatusCode) -> CheckError {
    let error = CheckError::from_status(what, status);
    match error.kind {
        CheckFailureKind::TokenRejected => error,
        _ => CheckError { kind: CheckFailureKind::Transient, ..error },
    }
}

struct SegmentPrefix {
    bytes: BytesMut,
    latency: Duration,
    throughput: Option<u64>,
}

/// Whether a server answers so to a range because it knows none.
fn refuses_ranges(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 405 | 416 | 501)
}

/// Reads up to `wanted` bytes behind the first `skipped` ones.
async fn read_prefix(
    mut response: Response,
    requested_at: Instant,
    skipped: u64,
    wanted: u64,
) -> Result<SegmentPrefix, CheckError> {
    let (skipped, wanted) = (skipped as usize, wanted as usize);
    let (mut bytes, mut received) = (BytesMut::new(), 0);
    let mut first = None;
    while bytes.len() < wanted {
        let Some(chunk) = response.chunk().await? else { break };
        let start = skipped.saturating_sub(received).min(chunk.len());
        bytes.extend_from_slice(chunk.get(start..).unwrap_or_default());
        received += chunk.len();
        first.get_or_insert((requested_at.elapsed(), received));
    }
    let all = requested_at.elapsed();
    let (latency, length) = first.unwrap_or((all, 0));
    let (rest, took) = (received - length, all.saturating_sub(latency));
    let throughput = (rest >= THROUGHPUT_MIN_BYTES)
        .then(|| rest as f64 * 8.0 / took.as_secs_f64().max(0.000_1))
        .map(|rate| rate as u64);
    bytes.truncate(wanted);
    Ok(SegmentPrefix { bytes, latency, throughput })
}

/// Rejects bytes that no player can play. `mapped`: EXT-X-MAP makes the segment an fMP4 fragment,
/// which may begin with any box.
fn recognise_container(first: &[u8], mapped: bool) -> Result<Container, CheckError> {
    match Seen::sniff(first) {
        Seen::Unknown if is_disguised_transport_stream(first) => Ok(Container::MpegTs),
        Seen::Unknown if mapped && first.contains(&0) => Ok(Container::Fmp4),
        Seen::Unknown if first.trim_ascii_start().starts_with(b"<") => {
            Err(CheckError::new("the newest segment is an HTML page"))
        }
        Seen::Unknown => Err(CheckError::new("the newest segment is nothing that players know")),
        known => Ok(to_published_container(known)),
    }
}

/// Is there a transport stream behind other bytes?
fn is_disguised_transport_stream(first: &[u8]) -> bool {
    let packets = |at: usize| (0..3).map(move |packet| at + packet * TS_PACKET_BYTES);
    let syncs = |at: usize| packets(at).all(|offset| first.get(offset) == Some(&0x47));
    (0..SYNC_SEARCH_MAX_BYTES).any(syncs)
}

/// The size of the whole resource.
fn total_bytes(response: &Response) -> Option<u64> {
    if response.status() != StatusCode::PARTIAL_CONTENT {
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
        let ts: Vec<u8> =
            (0..1000).map(|at| if at % TS_PACKET_BYTES == 0 { 0x47 } else { 1 }).collect();
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
            match (recognise_container(&bytes, false), expected) {
                (Ok(container), Ok(expected)) => assert_eq!(container, expected, "{name}"),
                (Err(error), Err(expected)) => assert!(error.message.contains(expected), "{name}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
        let unusual = recognise_container(b"\0\0\0\x08free", true);
        assert_eq!(unusual.unwrap(), Container::Fmp4, "what a map announces");
        assert!(recognise_container(b"Access denied", true).is_err());
    }
}
