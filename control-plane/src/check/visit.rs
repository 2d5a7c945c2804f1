//! Fetching what a check looks at.

use http::{HeaderMap, StatusCode};
use pitwall_fetch::{Fetcher, Policy, Request, source_headers};
use pitwall_hls::analysis::{Media, Segment};
use pitwall_hls::{Limits, Playlist, Variables, analyse};
use pitwall_upstream_map::Container;
use url::Url;

use super::turns::Turn;
use super::{CheckError, head};
use crate::extract::Candidate;
use crate::source::Source;

pub(super) const NO_SEGMENTS: &str = "the playlist has no segments";

pub(super) struct Visit<'a> {
    fetcher: &'a Fetcher,
    policy: Policy,
    /// Of the keys that say what the policy allows.
    place: String,
    headers: HeaderMap,
    /// How many playlists may be fetched at the same time.
    pub(super) at_once: usize,
}

impl<'a> Visit<'a> {
    pub(super) fn new(
        fetcher: &'a Fetcher,
        source: &Source,
        candidate: &Candidate,
        turn: &Turn,
    ) -> Result<Self, CheckError> {
        let headers = candidate.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers =
            source_headers(headers).map_err(|error| CheckError::definite(error.to_string()))?;
        let (policy, place) = (source.policy(), source.place());
        Ok(Self { fetcher, policy, place, headers, at_once: turn.at_once })
    }

    pub(super) async fn get(
        &self,
        request: Request<'_>,
    ) -> Result<pitwall_fetch::Response, CheckError> {
        let request = request.source_headers(self.headers.clone());
        let sent = self.fetcher.send(&self.policy, request).await;
        sent.map_err(|error| CheckError::of_fetch(&error, &self.place))
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
            return Err(CheckError::status("the playlist", status));
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

    /// What a rendition that may differ from the video is made of.
    pub(super) async fn container(&self, media: &Media) -> Container {
        if newest(media).is_ok_and(|segment| segment.map.is_some()) {
            return claimed(media);
        }
        let sample = self.segment(media).await.ok();
        sample.and_then(|sample| sample.container).unwrap_or(claimed(media))
    }
}

/// Ended, empty and unpaced playlists are no live streams.
pub(super) fn live(media: &Media) -> Result<&Media, CheckError> {
    if media.end_list {
        return Err(CheckError::definite("the playlist has ended"));
    }
    newest(media)?;
    head::target(media)?;
    Ok(media)
}

/// What names tell of the container.
pub(super) fn claimed(media: &Media) -> Container {
    super::container(media.container())
}

pub(super) fn newest(media: &Media) -> Result<&Segment, CheckError> {
    let there = media.segments.iter().rev().find(|segment| !segment.gap);
    there.ok_or_else(|| CheckError::new(NO_SEGMENTS))
}
