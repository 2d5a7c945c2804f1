//! Fetching what a check looks at: playlists whole, segments by their first bytes.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use pitwall_fetch::{Fetcher, Policy, Request, source_headers};
use pitwall_hls::analysis::{Media, Segment};
use pitwall_hls::{Limits, Playlist, Variables, analyse};
use pitwall_upstream_map::Container;
use tokio::time::Instant;
use url::Url;

use super::CheckError;
use crate::extract::Candidate;
use crate::source::Source;

/// Enough to recognise any container.
const FIRST_BYTES: usize = 1024;

pub(super) const NO_SEGMENTS: &str = "the playlist has no segments";

pub(super) struct Visit<'a> {
    fetcher: &'a Fetcher,
    policy: Policy,
    headers: HeaderMap,
}

/// What the beginning of a segment tells.
pub(super) struct Sample {
    pub(super) latency: Duration,
    /// `None` when it is encrypted, or nothing that is known.
    pub(super) container: Option<Container>,
    /// When the whole segment's size is told.
    pub(super) bits_per_second: Option<u64>,
}

impl<'a> Visit<'a> {
    pub(super) fn new(
        fetcher: &'a Fetcher,
        source: &Source,
        candidate: &Candidate,
    ) -> Result<Self, CheckError> {
        let headers = candidate.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers =
            source_headers(headers).map_err(|error| CheckError::definite(error.to_string()))?;
        Ok(Self { fetcher, policy: source.policy(), headers })
    }

    async fn get(&self, request: Request<'_>) -> Result<pitwall_fetch::Response, CheckError> {
        let request = request.source_headers(self.headers.clone());
        Ok(self.fetcher.send(&self.policy, request).await?)
    }

    /// Any playlist, and the URL that relative links in it start from.
    pub(super) async fn playlist(
        &self,
        url: &Url,
        variables: &Variables,
    ) -> Result<(Url, Playlist), CheckError> {
        let limits = Limits::default();
        let response = self.get(Request::get(url.clone())).await?;
        let status = response.status();
        if status != StatusCode::OK {
            let message = format!("the playlist was answered with {}", status.as_u16());
            let refused = matches!(status.as_u16(), 401 | 403 | 404 | 410 | 451);
            return Err(CheckError { message, definite: refused });
        }
        let base = response.url().clone();
        let body = response.bytes(limits.bytes).await?;
        let playlist = analyse(&body, &base, variables, &limits)
            .map_err(|error| CheckError::new(error.to_string()))?;
        Ok((base, playlist))
    }

    /// A media playlist that is live.
    pub(super) async fn media(
        &self,
        url: &Url,
        variables: &Variables,
    ) -> Result<Media, CheckError> {
        match self.playlist(url, variables).await? {
            (_, Playlist::Media(media)) => {
                live(&media)?;
                Ok(media)
            }
            (_, Playlist::Master(_)) => {
                Err(CheckError::new("a master playlist where a media playlist should be"))
            }
        }
    }

    /// The first bytes of the newest segment.
    pub(super) async fn segment(&self, media: &Media) -> Result<Sample, CheckError> {
        let segment = newest(media)?;
        let url = pitwall_fetch::parse_url(&segment.url)?;
        let offset = segment.byte_range.map_or(0, |(_, offset)| offset);
        let last = offset.saturating_add(FIRST_BYTES as u64 - 1);
        let range = HeaderValue::from_str(&format!("bytes={offset}-{last}"))
            .map_err(|_| CheckError::new("a byte range that cannot be asked for"))?;
        let asked = Instant::now();
        let response = self.get(Request::get(url).forward(header::RANGE, range)).await?;
        let status = response.status();
        if !matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            let message = format!("the newest segment was answered with {}", status.as_u16());
            return Err(CheckError::new(message));
        }
        let size = segment.byte_range.map(|(length, _)| length).or_else(|| size(&response));
        // A server that ignores the range begins at the beginning, which tells nothing then.
        let misplaced = status == StatusCode::OK && offset > 0;
        let first = response.prefix(FIRST_BYTES).await?;
        let latency = asked.elapsed();
        if first.is_empty() {
            return Err(CheckError::new("the newest segment is empty"));
        }
        let container = match pitwall_hls::Container::sniff(&first) {
            _ if misplaced || segment.key.is_some() => None,
            pitwall_hls::Container::Unknown if first.trim_ascii_start().starts_with(b"<") => {
                return Err(CheckError::new("the newest segment is an HTML page"));
            }
            pitwall_hls::Container::Unknown => None,
            known => Some(super::container(known)),
        };
        Ok(Sample { latency, container, bits_per_second: bit_rate(size, segment.duration) })
    }

    /// What a rendition that may differ from the video is made of.
    pub(super) async fn container(&self, media: &Media) -> Container {
        if newest(media).is_ok_and(|segment| segment.map.is_some()) {
            return claimed(media);
        }
        let sample = self.segment(media).await.ok();
        sample.and_then(|sample| sample.container).unwrap_or(claimed(media))
    }
}

/// Ended and empty playlists are no streams.
pub(super) fn live(media: &Media) -> Result<&Media, CheckError> {
    if media.end_list {
        return Err(CheckError::definite("the playlist has ended"));
    }
    newest(media).map(|_| media)
}

/// What names tell of the container.
pub(super) fn claimed(media: &Media) -> Container {
    super::container(media.container())
}

fn newest(media: &Media) -> Result<&Segment, CheckError> {
    let there = media.segments.iter().rev().find(|segment| !segment.gap);
    there.ok_or_else(|| CheckError::new(NO_SEGMENTS))
}

/// Of the whole thing, whether it came whole or in part.
fn size(response: &pitwall_fetch::Response) -> Option<u64> {
    if response.status() == StatusCode::OK {
        return response.content_length();
    }
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit_once('/')?.1.parse().ok()
}

fn bit_rate(bytes: Option<u64>, seconds: f64) -> Option<u64> {
    let rate = bytes? as f64 * 8.0 / seconds;
    (rate.is_finite() && rate >= 1.0).then_some(rate as u64)
}
