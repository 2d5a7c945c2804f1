//! `/live`: a stream's playlists, resolved through the current `UpstreamMap` on every poll, so that
//! renewed tokens and replaced upstreams do not show in them.
//!
//! - [`media_poll`]: one poll of a media playlist, from the choice of the upstream to the published
//!   text.
//! - [`upstream_selection`]: which upstream of a stream is polled.
//! - [`publisher`]: publication of a rendition, after all edges have agreed on its numbers.
//! - [`stream_state`], [`rendition_state`]: what this edge knows of a stream and has published of a
//!   rendition.
//! - [`source_progress`]: whether the source of a rendition goes on.
//! - [`source_switch`]: the record by which edges share a change of the source.
//! - [`directives`]: delivery directives, translated to the source's sequence numbers.
//! - [`failure_log`]: which failing playlists have been logged.

mod directives;
mod failure_log;
mod media_poll;
mod publisher;
mod rendition_state;
mod source_progress;
mod source_switch;
mod stream_state;
mod upstream_selection;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http::StatusCode;
use pitwall_upstream_map::{Container, Health, Stream, Upstream, UpstreamMap};
#[cfg(any(test, feature = "fuzzing"))]
pub use publisher::fuzzing::splice_records;
pub use source_switch::SwitchReason;

use crate::edge_state::EdgeState;
use crate::http::problem::Problem;
use crate::http::query::{DeliveryDirectives, Link};
use crate::playlist::delivery::poll_until_satisfied;
use crate::playlist::multivariant::{self, WriteOptions};
use crate::playlist::uri_mappers::ProxyUriMapper;
use crate::playlist::{PlaylistPoller, PlaylistResult, PollOutcome, ServedPlaylist};
use crate::upstream::target::UpstreamTarget;
use failure_log::FailureLog;
use media_poll::MediaPoll;
use publisher::Publisher;
use rendition_state::{LatestPlaylist, SelectionVersion};
use stream_state::StreamStates;
use tokio::time::Instant;
use upstream_selection::{SelectionInput, select_upstream};

/// Media type of playlists (RFC 8216bis, 4).
pub const PLAYLIST_CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// How long a poll waits for a new map from the control plane before the poll fails.
const MAP_UPDATE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often it is tried again meanwhile, because the source may have what is missing by then. The
/// poller asks the source less often where it keeps failing.
const RETRY_INTERVAL: Duration = Duration::from_millis(600);

/// Handler of `/live`: multivariant and media playlists of the streams in the map.
pub struct LiveHandler {
    playlist_poller: Arc<PlaylistPoller>,
    state: EdgeState,
    failure_log: FailureLog,
    stream_states: StreamStates,
    /// Maximum duration of a published media playlist.
    window: Duration,
}

impl LiveHandler {
    pub fn new(playlist_poller: Arc<PlaylistPoller>, state: EdgeState, window: Duration) -> Self {
        // Each series exists from the start, so that `increase()` sees its first count.
        for reason in SwitchReason::ALL {
            state.metrics.source_switches.with_label_values(&[reason.label()]);
        }
        Self {
            playlist_poller,
            state,
            failure_log: FailureLog::default(),
            stream_states: StreamStates::default(),
            window,
        }
    }

    /// The multivariant playlist of a stream, with all renditions of its active upstream or only
    /// with `rendition`. `query` is appended to each rendition's URI and carries the viewer's
    /// access key.
    ///
    /// # Errors
    /// [`Problem::NotFound`] for an unknown stream or rendition, [`Problem::StreamDown`] without an
    /// active upstream.
    pub fn build_multivariant_playlist(
        &self,
        stream: &str,
        rendition: Option<&str>,
        query: &str,
        now: u64,
    ) -> Result<ServedPlaylist, Problem> {
        let map = self.state.maps.current();
        let stream = map.streams.get(stream).ok_or_else(|| self.missing_stream_problem())?;
        let upstream = self.active_upstream(&map, stream);
        let upstream = upstream.ok_or_else(|| Problem::StreamDown(stream.id.clone()))?;
        let only = match rendition {
            Some(id) => {
                Some(upstream.find_rendition(id).ok_or_else(|| self.missing_stream_problem())?)
            }
            None => None,
        };
        let mut uri_mapper = ProxyUriMapper {
            sealer: &self.state.sealer,
            profile: &upstream.profile.0,
            public_path: self.state.public_path.as_str(),
            container_extension: Container::MpegTs.extension(),
            now,
            expires: None,
            // The check has judged what the map has.
            redactor: None,
        };
        let mut upstreams = stream.upstreams.iter();
        let options = WriteOptions {
            only,
            has_independent_segments: upstreams
                .all(|upstream| upstream.multivariant.has_independent_segments),
            query,
            uri_mapper: &mut uri_mapper,
        };
        let text = multivariant::write_playlist(upstream, options);
        Ok(ServedPlaylist::new(text.into_bytes(), PLAYLIST_CONTENT_TYPE, None, Duration::ZERO))
    }

    /// The target of the I-frame playlist with this id, and the variables that it imports. `None`
    /// if no upstream of the stream has one.
    ///
    /// # Errors
    /// [`Problem::NotFound`] if another upstream than that of the playlist is active: the player
    /// loads the multivariant playlist again. [`Problem::StreamDown`] without an active upstream.
    pub fn find_i_frame_playlist(
        &self,
        stream: &str,
        id: &str,
    ) -> Result<Option<(UpstreamTarget, String)>, Problem> {
        let map = self.state.maps.current();
        let Some(stream) = map.streams.get(stream) else { return Ok(None) };
        if !stream.upstreams.iter().any(|upstream| upstream.find_i_frame_playlist(id).is_some()) {
            return Ok(None);
        }
        let upstream = self.active_upstream(&map, stream);
        let upstream = upstream.ok_or_else(|| Problem::StreamDown(stream.id.clone()))?;
        let url = upstream.find_i_frame_playlist(id).ok_or(Problem::NotFound)?.playlist.clone();
        let target =
            self.state.target_resolver().resolve_for_profile(url, &upstream.profile.0, &map)?;
        let target = UpstreamTarget { stream: Some(stream.id.as_str().into()), ..target };
        Ok(Some((target, upstream.variables.clone())))
    }

    /// One rendition's media playlist. While its upstream fails, the last good playlist is served
    /// for up to three target durations, so that a brief failure does not reach the player.
    ///
    /// # Errors
    /// The problem of the upstream, if it is not retryable or lasts longer than
    /// [`MAP_UPDATE_TIMEOUT`]; the problem of the directives.
    pub async fn fetch_media_playlist(
        &self,
        stream: &str,
        rendition: &str,
        directives: Option<&DeliveryDirectives>,
        now: u64,
    ) -> PlaylistResult {
        let poll = |directives: Option<String>| {
            let poll = async move {
                match directives {
                    Some(directives) => {
                        self.attempt_poll(stream, rendition, Some(directives), now).await
                    }
                    None => {
                        let started_at = Instant::now();
                        let result = self.fetch_current_playlist(stream, rendition, now).await;
                        PollOutcome { result, started_at, fresh_until: Instant::now() }
                    }
                }
            };
            poll.boxed()
        };
        let fetched = match directives {
            None => self.fetch_current_playlist(stream, rendition, now).await,
            Some(directives) => {
                poll_until_satisfied(directives, self.latest_playlist(stream, rendition), poll)
                    .await
            }
        };
        fetched.map_err(|problem| match problem {
            Problem::NotFound => self.missing_stream_problem(),
            problem => problem,
        })
    }

    async fn fetch_current_playlist(
        &self,
        stream: &str,
        rendition: &str,
        now: u64,
    ) -> PlaylistResult {
        match self.find_fresh_playlist(stream, rendition) {
            Some(playlist) => Ok(playlist),
            None => self.fetch_until_available(stream, rendition, now).boxed().await,
        }
    }

    /// What the last poll has given.
    fn latest_playlist(&self, stream: &str, rendition: &str) -> Option<Arc<ServedPlaylist>> {
        self.stream_states.get(stream)?.find_rendition(rendition)?.latest_playlist()
    }

    /// The playlist that the last poll has given, if another poll would give the same one.
    fn find_fresh_playlist(&self, stream: &str, rendition: &str) -> Option<Arc<ServedPlaylist>> {
        let map_version = self.state.maps.current().version;
        let stream_state = self.stream_states.get(stream)?;
        let basis = SelectionVersion { map_version, revision: stream_state.revision() };
        let rendition_state = stream_state.find_rendition(rendition)?;
        let peer_number = self.state.store.find_peer_next_number(stream, rendition);
        rendition_state.find_fresh_playlist(basis, rendition_state.outdated_since(peer_number))
    }

    /// [`Problem::NotFound`], unless the map cannot be read: the stream may exist in the newer map,
    /// and a 404 would make a player give it up.
    fn missing_stream_problem(&self) -> Problem {
        match self.state.store.unreadable_reason() {
            Some(_) => Problem::MapUnreadable,
            None => Problem::NotFound,
        }
    }

    async fn fetch_until_available(
        &self,
        stream: &str,
        rendition: &str,
        now: u64,
    ) -> PlaylistResult {
        let mut map_versions = self.state.store.subscribe_versions();
        let deadline = Instant::now() + MAP_UPDATE_TIMEOUT;
        let mut wait_expired = false;
        loop {
            map_versions.mark_unchanged();
            let failure = match self.attempt_poll(stream, rendition, None, now).await.result {
                Ok(playlist) => {
                    if self.failure_log.record_recovery(stream, rendition) {
                        tracing::info!(stream, rendition, "the playlist can be fetched again");
                    }
                    return Ok(playlist);
                }
                Err(problem) => problem,
            };
            // The stream plays without this rendition: the 404 makes the player load the
            // multivariant playlist again.
            if failure == Problem::NotFound && self.has_active_upstream(stream) {
                return Err(failure);
            }
            // This also covers a stream that is missing from the map, since the next map may have
            // it again.
            if let Some(playlist) = self.last_good_playlist(stream, rendition) {
                self.log_failure_once(
                    stream,
                    rendition,
                    &failure,
                    "the playlist cannot be fetched: the last good one is served for up to three \
                     target durations",
                );
                return Ok(playlist);
            }
            if !failure.can_edge_retry() {
                return Err(failure);
            }
            self.log_failure_once(
                stream,
                rendition,
                &failure,
                "the playlist cannot be fetched and there is no recent one: check the upstreams of \
                 this stream",
            );
            // The next map may have another upstream. Without a new map, this edge may have put the
            // failing upstream into cooldown by then, or the source has come further.
            if !wait_expired {
                let retry_at = deadline.min(Instant::now() + RETRY_INTERVAL);
                let changed = tokio::time::timeout_at(retry_at, map_versions.changed()).await;
                wait_expired = Instant::now() >= deadline || matches!(changed, Ok(Err(_)));
                if !wait_expired || self.has_alternative_upstream(stream, rendition) {
                    continue;
                }
            }
            return Err(match failure {
                Problem::StreamDown(_) => failure,
                _ => self.unavailable_problem(stream),
            });
        }
    }

    fn last_good_playlist(&self, stream: &str, rendition: &str) -> Option<Arc<ServedPlaylist>> {
        self.stream_states.get(stream)?.find_rendition(rendition)?.last_good_playlist()
    }

    /// The problem to answer with when the wait is over: [`Problem::StreamDown`] if the map has no
    /// upstream that plays.
    fn unavailable_problem(&self, stream: &str) -> Problem {
        match self.state.maps.current().streams.get(stream) {
            Some(stream) if stream.active_upstream().is_none() => {
                Problem::StreamDown(stream.id.clone())
            }
            _ => Problem::Unavailable("its source cannot be read"),
        }
    }

    /// Logs a failing playlist once until its problem changes, however many players poll it, and
    /// only if an upstream in the map has the rendition.
    fn log_failure_once(
        &self,
        stream: &str,
        rendition: &str,
        problem: &Problem,
        event: &'static str,
    ) {
        let map = self.state.maps.current();
        let upstreams = map.streams.get(stream).into_iter().flat_map(|stream| &stream.upstreams);
        let is_known = upstreams.into_iter().any(|one| one.find_rendition(rendition).is_some());
        let name = problem.name();
        if is_known && self.failure_log.record_failure(stream, rendition, (event, name)) {
            tracing::warn!(stream, rendition, problem = name, why = %problem, "{event}");
        }
    }

    /// Whether more than one upstream of the stream that is not down has this rendition.
    fn has_alternative_upstream(&self, stream: &str, rendition: &str) -> bool {
        let map = self.state.maps.current();
        let Some(stream) = map.streams.get(stream) else { return false };
        let is_usable =
            |one: &&Upstream| one.health != Health::Down && one.find_rendition(rendition).is_some();
        stream.upstreams.iter().filter(is_usable).count() > 1
    }

    /// The link that `path` has in a newly fetched playlist, after the upstream has refused the one
    /// with the seal `refused_seal`. Concurrent callers share the polls. Where the new link is the
    /// same one, or the poll fails, the failure has been reported to the control plane, and the
    /// method waits up to [`MAP_UPDATE_TIMEOUT`] for a new map. A 404 for an unchanged link is
    /// final.
    pub async fn find_renewed_link(
        &self,
        path: &str,
        refused_seal: &str,
        problem: &Problem,
        now: u64,
    ) -> Option<Link<'static>> {
        let mut path_segments = path.strip_prefix("/live/")?.split('/');
        let (stream, rendition) = (path_segments.next()?, path_segments.next()?);
        let mut map_versions = self.state.store.subscribe_versions();
        let deadline = tokio::time::Instant::now() + MAP_UPDATE_TIMEOUT;
        loop {
            map_versions.mark_unchanged();
            let seal = match self.attempt_poll(stream, rendition, None, now).await.result {
                Ok(playlist) => Some(find_seal(&playlist.bytes, path)?),
                Err(_) => None,
            };
            match seal {
                Some(seal) if seal != refused_seal => {
                    return Some(Link::Sealed { seal: seal.into(), path: path.to_owned().into() });
                }
                Some(_) if *problem == Problem::UpstreamStatus(StatusCode::NOT_FOUND) => {
                    return None;
                }
                _ => {}
            }
            let changed = tokio::time::timeout_at(deadline, map_versions.changed()).await;
            changed.ok()?.ok()?;
        }
    }

    /// Takes the segment at `path` out of its playlist, with all that are older, after its upstream
    /// has refused it: no viewer is sent to a segment that is not there. A segment of the source that
    /// plays has to be gone (404, 410); of an earlier source, which may have ended, any failure is
    /// enough.
    pub fn withdraw_segment(&self, path: &str, problem: &Problem) {
        let Some((stream, rendition, number)) = parse_segment_path(path) else { return };
        let Some(stream_state) = self.stream_states.get(stream) else { return };
        let Some(rendition_state) = stream_state.find_rendition(rendition) else { return };
        let Some(rendition_splice) = rendition_state.splice() else { return };
        let is_gone =
            matches!(problem, Problem::UpstreamStatus(StatusCode::NOT_FOUND | StatusCode::GONE));
        let is_of_earlier_source = number < rendition_splice.splice.from.published;
        if (is_gone || is_of_earlier_source) && rendition_state.mark_gone(number) {
            tracing::info!(
                stream,
                rendition,
                number,
                problem = problem.name(),
                "a segment can no longer be fetched: it leaves the playlist with all before it"
            );
        }
    }

    /// The upstream that plays the stream on this edge, or that would play it if there were a
    /// viewer.
    pub fn active_upstream<'a>(
        &self,
        map: &UpstreamMap,
        stream: &'a Stream,
    ) -> Option<&'a Upstream> {
        let Some(stream_state) = self.stream_states.get(stream.id.as_str()) else {
            return stream.active_upstream();
        };
        let current = stream_state.current_generation();
        let input = SelectionInput {
            last_switch: current.source_switch.as_deref(),
            active_source: current
                .source_switch
                .as_ref()
                .map(|source_switch| source_switch.source.as_str()),
            confirmed_by_map: current.confirmed_by_map,
            shared: current.shared,
            has_own_map: self.state.store.leads_own_edge_only(),
            map_version: map.version,
            switch_age: current.age(),
            is_in_cooldown: &|upstream| stream_state.is_in_cooldown(upstream),
        };
        select_upstream(stream, None, &input).ok().filter(|one| one.health != Health::Down)
    }

    fn has_active_upstream(&self, stream: &str) -> bool {
        self.state
            .maps
            .current()
            .streams
            .get(stream)
            .is_some_and(|it| it.active_upstream().is_some())
    }

    /// `directives`: in published numbers.
    async fn attempt_poll(
        &self,
        stream: &str,
        rendition: &str,
        directives: Option<String>,
        now: u64,
    ) -> PollOutcome {
        let started_at = Instant::now();
        let polled = self.try_poll(stream, rendition, directives, now).await;
        polled.unwrap_or_else(|problem| PollOutcome {
            result: Err(problem),
            started_at,
            fresh_until: Instant::now(),
        })
    }

    async fn try_poll(
        &self,
        stream: &str,
        rendition: &str,
        directives: Option<String>,
        now: u64,
    ) -> Result<PollOutcome, Problem> {
        let map = self.state.maps.current();
        let stream = map.streams.get(stream).ok_or(Problem::NotFound)?;
        if !stream.upstreams.iter().any(|one| one.find_rendition(rendition).is_some()) {
            return Err(missing_rendition_problem(stream));
        }
        let stream_state = self.stream_states.get_or_create(&stream.id);
        let basis =
            SelectionVersion { map_version: map.version, revision: stream_state.revision() };
        let rendition_state = stream_state.get_or_create_rendition(rendition);
        // The first source of a stream is published as generation 1 before that has been agreed on,
        // and is no switch: without `max` its polls would not share one key.
        let generation = stream_state.current_generation().generation.max(1);
        let publisher = Publisher {
            store: self.state.store.clone(),
            switch_counter: self.state.metrics.source_switches.clone(),
            rendition_state: rendition_state.clone(),
            stream_state,
            stream: stream.id.clone(),
            rendition: rendition.to_owned(),
            window: self.window,
        };
        let poll = MediaPoll {
            state: self.state.clone(),
            playlist_poller: self.playlist_poller.clone(),
            publisher,
            directives: None,
            now,
        };
        let upstream = poll.select_upstream(&map, stream)?;
        let url = &upstream.find_rendition(rendition).ok_or(Problem::NotFound)?.playlist;
        // The key contains the URL, because a renewed token has a response of its own, and the
        // generation, because a source that plays again must not be given the response from before:
        // it is behind what another source has published since.
        let poll_name = format!("live {} {rendition} {generation} {url}", stream.id);
        let run = |directives| MediaPoll { directives, ..poll }.run();
        let peer_number = self.state.store.find_peer_next_number(stream.id.as_str(), rendition);
        let not_before = rendition_state.outdated_since(peer_number);
        let outcome = self.playlist_poller.poll(poll_name, directives, not_before, run).await;
        if let Ok(playlist) = &outcome.result {
            rendition_state.set_latest(LatestPlaylist {
                playlist: playlist.clone(),
                polled_at: outcome.started_at,
                fresh_until: outcome.fresh_until,
                basis,
            });
        }
        Ok(outcome)
    }
}

/// Stream, rendition and published number in the path of a segment; `None` for a map or a key.
fn parse_segment_path(path: &str) -> Option<(&str, &str, u64)> {
    let mut parts = path.strip_prefix("/live/")?.split('/');
    let (stream, rendition) = (parts.next()?, parts.next()?);
    let number = parts.next()?.split_once('.')?.0.parse().ok()?;
    Some((stream, rendition, number))
}

/// The seal in the link that a playlist has for `path`.
fn find_seal(playlist: &[u8], path: &str) -> Option<String> {
    let text = std::str::from_utf8(playlist).ok()?;
    let (_, rest) = text.split_once(&format!("{path}?u="))?;
    let seal = rest.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')).next();
    seal.map(str::to_owned)
}

/// The problem for a rendition that no upstream of the stream has.
fn missing_rendition_problem(stream: &Stream) -> Problem {
    match stream.active_upstream() {
        Some(_) => Problem::NotFound,
        None => Problem::StreamDown(stream.id.clone()),
    }
}
