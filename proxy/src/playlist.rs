//! Playlists, fetched and rewritten once for all players that poll at the same moment.
//!
//! - [`delivery`]: the answer to delivery directives.
//! - [`poller`]: single flight for polls, and the pace at which they reach an upstream.
//! - [`rewrite_cache`]: what the next rewrite of a playlist takes over from the last.

pub mod delivery;
pub mod multivariant;
pub mod poller;
pub mod rewrite_cache;
pub mod uri_mappers;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use pitwall_fetch::Request;
use pitwall_hls::{DeliveryOffer, PlaylistTiming, write_delta_update};
use url::Url;

use crate::http::problem::{Problem, upstream_status_problem};
use crate::http::response::{Response, etag_of};
use crate::metrics::upstream::TrafficKind;
use crate::upstream::client::UpstreamClient;
use crate::upstream::target::UpstreamTarget;
pub use poller::{PlaylistPoller, PlaylistResult, PollOutcome};

/// A rewritten playlist, ready to be sent to any number of players.
#[derive(Debug)]
pub struct ServedPlaylist {
    pub bytes: Bytes,
    etag: HeaderValue,
    /// `None` for a multivariant playlist and for JSON documents.
    reload_interval: Option<ReloadInterval>,
    content_type: &'static str,
    /// How long the upstream took to respond, as `Server-Timing`.
    server_timing: HeaderValue,
    pub fetched_at: Instant,
    /// Read when a player sends delivery directives.
    offer: OnceLock<DeliveryOffer>,
    /// Made for the first player that asks for it; `None` if nothing can be left out.
    delta_update: OnceLock<Option<Bytes>>,
}

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

impl ServedPlaylist {
    pub fn new(
        bytes: Vec<u8>,
        content_type: &'static str,
        reload_interval: Option<ReloadInterval>,
        fetch_duration: Duration,
    ) -> Self {
        Self {
            etag: etag_of(&bytes),
            bytes: bytes.into(),
            reload_interval,
            content_type,
            server_timing: server_timing_of(fetch_duration),
            fetched_at: Instant::now(),
            offer: OnceLock::new(),
            delta_update: OnceLock::new(),
        }
    }

    /// The same playlist, fetched again in `fetch_duration`.
    fn with_fetch_duration(&self, fetch_duration: Duration) -> Self {
        let (bytes, etag) = (self.bytes.clone(), self.etag.clone());
        let server_timing = server_timing_of(fetch_duration);
        let (offer, delta_update) = (self.offer.clone(), self.delta_update.clone());
        Self {
            bytes,
            etag,
            server_timing,
            fetched_at: Instant::now(),
            offer,
            delta_update,
            ..*self
        }
    }

    /// The same fetch with another text.
    pub fn with_bytes(&self, bytes: Bytes) -> Self {
        let (etag, server_timing) = (etag_of(&bytes), self.server_timing.clone());
        let (offer, delta_update) = (OnceLock::new(), OnceLock::new());
        Self { etag, bytes, server_timing, offer, delta_update, ..*self }
    }

    /// The text of this playlist as `fetched` last: what has been computed of the text stays, which
    /// takes milliseconds for a playlist of hours.
    pub fn with_fetch_of(&self, fetched: &Self) -> Self {
        let (etag, server_timing) = (self.etag.clone(), fetched.server_timing.clone());
        let (offer, delta_update) = (self.offer.clone(), self.delta_update.clone());
        Self { etag, bytes: self.bytes.clone(), server_timing, offer, delta_update, ..*fetched }
    }

    /// The delta update of this playlist, or the playlist itself if nothing can be left out of it.
    #[must_use]
    pub fn delta_update(self: Arc<Self>) -> Arc<Self> {
        let delta =
            self.delta_update.get_or_init(|| write_delta_update(&self.bytes).map(Bytes::from));
        match delta {
            Some(delta) => Arc::new(self.with_bytes(delta.clone())),
            None => self,
        }
    }

    /// The delivery that the playlist offers, and how far it has come.
    pub fn delivery_offer(&self) -> &DeliveryOffer {
        self.offer.get_or_init(|| DeliveryOffer::read(&self.bytes))
    }

    pub fn to_response(&self) -> Response {
        let response = Response::ok(self.content_type, self.bytes.clone())
            .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
            .with_header(header::ETAG, self.etag.clone())
            .with_header(SERVER_TIMING, self.server_timing.clone());
        match self.fetched_at.elapsed().as_secs() {
            0 => response,
            // A stale playlist, served because its upstream failed, says its age (RFC 9111, 5.1).
            age => response.with_header(header::AGE, age),
        }
    }

    /// How long after its fetch the playlist may be served when no newer one can be fetched: three
    /// target durations.
    pub fn stale_if_error_lifetime(&self) -> Duration {
        self.reload_interval
            .map_or(Duration::from_secs(2), |reload_interval| reload_interval.target_duration)
            * 3
    }
}

fn server_timing_of(fetch_duration: Duration) -> HeaderValue {
    let text = format!("origin;dur={:.1}", fetch_duration.as_secs_f64() * 1000.0);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// How often players reload a media playlist.
#[derive(Clone, Copy, Debug)]
pub struct ReloadInterval {
    target_duration: Duration,
    part_target: Option<Duration>,
}

impl ReloadInterval {
    pub fn of(timing: &PlaylistTiming) -> Self {
        // A playlist may declare any target duration; no wait that depends on it is longer than for
        // a minute.
        let duration =
            |seconds: f64| Duration::try_from_secs_f64(seconds.min(60.0)).unwrap_or_default();
        let target = timing.target_duration.map_or(Duration::from_secs(2), duration);
        Self { target_duration: target, part_target: timing.part_target.map(duration) }
    }

    /// How long a response may be reused. A player polls once in a target duration or partial
    /// segment, so a response older than a fraction of that would add to its latency.
    fn freshness_lifetime(self) -> Duration {
        let part_lifetime = self.part_target.map_or(Duration::MAX, |part| part / 2);
        part_lifetime.min(self.target_duration / 4)
    }
}

/// An upstream's response to a request for a playlist or document.
#[derive(Clone)]
pub struct UpstreamPlaylist {
    pub body: Bytes,
    /// The URL after redirects, against which relative URIs are resolved.
    pub base_url: Url,
    pub fetch_duration: Duration,
}

/// Deadline of a playlist fetch. A player's buffer is a few seconds long, and all players that poll
/// the playlist wait for the same fetch.
const PLAYLIST_FETCH_TIMEOUT: Duration = Duration::from_secs(8);

/// How long an upstream may delay the first byte of its response to a blocking reload.
const BLOCKING_RELOAD_TIMEOUT: Duration = Duration::from_secs(20);

/// Fetches a playlist or document of at most `limit` bytes, with the delivery directives appended
/// to its query.
///
/// # Errors
/// The problem of the fetch, or of a status that is no success.
pub async fn fetch_playlist(
    upstreams: &UpstreamClient,
    target: &UpstreamTarget,
    directives: Option<&str>,
    limit: usize,
) -> Result<UpstreamPlaylist, Problem> {
    let started = Instant::now();
    let mut url = target.url.clone();
    if let Some(directives) = directives {
        let query = match url.query() {
            Some(query) => format!("{query}&{directives}"),
            None => directives.to_owned(),
        };
        url.set_query(Some(&query));
    }
    let mut request = Request::get(url)
        .with_source_headers(target.headers().clone())
        .with_forwarded_header(header::ACCEPT, HeaderValue::from_static("*/*"));
    request.private_host_filter.clone_from(&target.profile.private_hosts);
    if directives.is_some() {
        request = request.with_first_byte_timeout(BLOCKING_RELOAD_TIMEOUT);
    }
    let response = upstreams.send(target, TrafficKind::Playlist, request).await?;
    if !response.status().is_success() {
        return Err(upstream_status_problem(response.status()));
    }
    let base_url = response.url().clone();
    let body = response.bytes(limit).await?;
    Ok(UpstreamPlaylist { body, base_url, fetch_duration: started.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_reused_for_a_fraction_of_what_the_playlist_takes_to_move() {
        let milliseconds = Duration::from_millis;
        for (target, part, expected) in
            [(6000, None, 1500), (6000, Some(1000), 500), (1000, Some(800), 250), (0, None, 0)]
        {
            let reload_interval = ReloadInterval {
                target_duration: milliseconds(target),
                part_target: part.map(milliseconds),
            };
            assert_eq!(
                reload_interval.freshness_lifetime(),
                milliseconds(expected),
                "{target} {part:?}"
            );
        }
    }
}
