//! [`CheckRun`]: fetches the playlists of one check.

use std::sync::Arc;

use http::{HeaderMap, header};
use pitwall_fetch::{AddressPolicy, CookieJar, Fetcher, Request, parse_source_headers};
use pitwall_hls::analysis::{MediaPlaylist, Segment};
use pitwall_hls::{Playlist, PlaylistLimits, Redactor, Variables, parse_playlist};
use pitwall_upstream_map::Container;
use url::Url;

use super::{CheckError, live_edge};
use crate::extract::Candidate;
use crate::source::{CheckPermit, Source};

pub(super) const NO_SEGMENTS_MESSAGE: &str = "the playlist has no segments";

/// What the requests of one check share.
#[derive(Clone)]
pub(super) struct CheckRun<'a> {
    fetcher: &'a Fetcher,
    policy: AddressPolicy,
    /// Where the keys of the source stand, for messages about denied addresses.
    config_location: String,
    headers: HeaderMap,
    /// What the upstream has set. A master playlist may open a session without which everything
    /// below it is refused.
    pub(super) cookies: Arc<CookieJar>,
    /// Maximum number of playlists fetched concurrently.
    pub(super) max_concurrency: usize,
}

impl<'a> CheckRun<'a> {
    pub(super) fn new(
        fetcher: &'a Fetcher,
        source: &Source,
        candidate: &Candidate,
        permit: &CheckPermit,
        cookies: Arc<CookieJar>,
    ) -> Result<Self, CheckError> {
        let headers = candidate.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers = parse_source_headers(headers)
            .map_err(|error| CheckError::permanent(error.to_string()))?;
        let (policy, config_location) = (source.fetch_policy(), source.config_location());
        Ok(Self {
            fetcher,
            policy,
            config_location,
            headers,
            cookies,
            max_concurrency: permit.max_concurrency,
        })
    }

    /// The same requests by a player that has just started.
    pub(super) fn without_cookies(&self) -> Self {
        Self { cookies: Arc::default(), ..self.clone() }
    }

    /// Knows the fields of the requests and the cookies, which are not published.
    pub(super) fn redactor(&self) -> Redactor {
        let mut redactor = Redactor::default();
        for (name, value) in &self.headers {
            redactor.add_field(name.as_str(), value.to_str().unwrap_or_default());
        }
        for (_, field) in self.cookies.export_set_cookies() {
            redactor.add_field(header::SET_COOKIE.as_str(), &field);
        }
        redactor
    }

    pub(super) async fn send(
        &self,
        request: Request<'_>,
    ) -> Result<pitwall_fetch::Response, CheckError> {
        let request = Request { cookies: Some(&self.cookies), ..request };
        let request = request.with_source_headers(self.headers.clone());
        let sent = self.fetcher.send(&self.policy, request).await;
        sent.map_err(|error| CheckError::from_fetch_error(&error, &self.config_location))
    }

    /// Fetches any playlist; returns it with the base URL of its relative URIs.
    pub(super) async fn fetch_playlist(
        &self,
        url: &Url,
        variables: &Variables,
    ) -> Result<(Url, Playlist), CheckError> {
        let limits = PlaylistLimits::default();
        let response = self.send(Request::get(url.clone())).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(CheckError::from_status("the playlist", status));
        }
        let base = response.url().clone();
        let body = response.bytes(limits.max_bytes).await?;
        let playlist = parse_playlist(&body, &base, variables, &limits)
            .map_err(|error| CheckError::new(error.to_string()))?;
        Ok((base, playlist))
    }

    /// Fetches a media playlist, which must be live.
    pub(super) async fn fetch_media_playlist(
        &self,
        url: &Url,
        variables: &Variables,
    ) -> Result<MediaPlaylist, CheckError> {
        match self.fetch_playlist(url, variables).await? {
            (_, Playlist::Media(media)) => {
                require_live(&media)?;
                Ok(media)
            }
            (_, Playlist::Multivariant(_)) => {
                Err(CheckError::new("a master playlist where a media playlist should be"))
            }
        }
    }

    /// What the newest segment of an audio rendition shows, or its initialization section.
    pub(super) async fn inspect_audio_segment(&self, media: &MediaPlaylist) -> AudioFindings {
        let claimed = AudioFindings {
            container: infer_container_from_playlist(media),
            bit_rate: None,
            codec: None,
        };
        if let Some(map) = newest_segment(media).ok().and_then(|segment| segment.map.as_ref()) {
            return AudioFindings {
                codec: self.read_init_section_codecs(map).await.audio,
                ..claimed
            };
        }
        match self.sample_newest_segment(media).await {
            Ok(sample) => AudioFindings {
                container: sample.container.unwrap_or(claimed.container),
                bit_rate: sample.bit_rate,
                codec: sample.codecs.audio,
            },
            Err(_) => claimed,
        }
    }
}

/// What a check sees of an audio rendition.
pub(super) struct AudioFindings {
    pub(super) container: Container,
    /// Measured, in bits per second.
    pub(super) bit_rate: Option<u64>,
    /// Family of the codec, where the segments tell it beside the container.
    pub(super) codec: Option<&'static str>,
}

/// Rejects playlists that have ended, have no segments, or have no usable target duration.
pub(super) fn require_live(media: &MediaPlaylist) -> Result<&MediaPlaylist, CheckError> {
    if media.has_end_list {
        return Err(CheckError::permanent("the playlist has ended"));
    }
    newest_segment(media)?;
    live_edge::target_duration(media)?;
    Ok(media)
}

/// The container that the playlist's tags and URIs suggest.
pub(super) fn infer_container_from_playlist(media: &MediaPlaylist) -> Container {
    super::to_published_container(media.container())
}

pub(super) fn newest_segment(media: &MediaPlaylist) -> Result<&Segment, CheckError> {
    let newest = media.segments.iter().rev().find(|segment| !segment.is_gap);
    newest.ok_or_else(|| CheckError::new(NO_SEGMENTS_MESSAGE))
}
