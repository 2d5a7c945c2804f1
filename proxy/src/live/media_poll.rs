//! One poll of a rendition: choice of the source, fetch of its playlist, and publication.
//!
//! - [`rewriting`]: the source's playlist, rewritten with links of this edge.
//! - [`alternatives`]: what the other sources of the stream have.
//! - [`segment_stalls`]: segments whose fetches stall.

mod alternatives;
mod rewriting;
mod segment_stalls;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::StatusCode;
use pitwall_hls::PlaylistLimits;
use pitwall_hls::splice::cut_live_playlist;
use pitwall_upstream_map::{Stream, Upstream, UpstreamMap};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::Instrument as _;

use super::directives;
use super::publisher::{PublishOutcome, Publisher, SpliceCandidate};
use super::rendition_state::{PlaylistContinuity, RenditionSplice};
use super::source_switch::SwitchReason;
use super::upstream_selection::{SelectionInput, find_upstream_preferred_by_map, select_upstream};
use crate::cache::PrefetchOutcome;
use crate::edge_state::EdgeState;
use crate::http::problem::Problem;
use crate::metrics::{Label as _, PollStage};
use crate::playlist::rewrite_cache::RewrittenPlaylist;
use crate::playlist::{self, PlaylistPoller, PlaylistResult, ServedPlaylist, UpstreamPlaylist};
use crate::upstream::resolved_map::ResolvedMap;
use crate::upstream::target::UpstreamTarget;

/// All that a poll needs, owned, so that the poll can outlive the request that began it.
pub(super) struct MediaPoll {
    pub state: EdgeState,
    pub playlist_poller: Arc<PlaylistPoller>,
    pub publisher: Publisher,
    pub directives: Option<String>,
    pub now: u64,
}

/// One attempt of a poll: the source that is polled, and its target.
struct PollAttempt<'a> {
    started: Instant,
    map: &'a ResolvedMap,
    stream: &'a Stream,
    upstream: &'a Upstream,
    target: UpstreamTarget,
    /// Key of this source's playlist in the
    /// [`RewriteCache`](crate::playlist::rewrite_cache::RewriteCache).
    rewrite_cache_key: String,
}

/// How many attempts a poll makes while the source changes under it.
const POLL_ATTEMPTS_MAX: usize = 5;
/// How long a poll of a watched rendition waits for the prefetch of new segments, since other
/// players may be waiting for the same poll.
const PREFETCH_WAIT_TIMEOUT: Duration = Duration::from_secs(1);
/// A playlist of this size is cut to what may be published before it is rewritten; a shorter one is
/// rewritten faster than that.
const CUT_MIN_BYTES: usize = 256 << 10;
/// How long all polls of a source fail before this edge fails over to another source itself.
const FAILOVER_DELAY: Duration = Duration::from_secs(2);
/// How many target durations a playlist may take to arrive where another source can play: a source
/// that holds a request back until it has a new segment takes one.
const SLOW_PLAYLIST_TARGET_DURATIONS: f64 = 1.5;
/// The same for target durations so short that an ordinary delay would exceed them.
const SLOW_PLAYLIST_MIN: Duration = Duration::from_secs(3);
/// How many segments in a row may each take longer than a target duration to fetch where another
/// source can play: no player keeps up with such a source.
const LATE_SEGMENTS_MAX: u32 = 2;

/// What becomes of a playlist with new segments.
enum SegmentReadiness {
    Publish,
    /// The playlist that was published last is repeated.
    Withhold,
    /// The source's segments come too slowly to be played, and another source is usable.
    LeaveSource,
}

impl MediaPoll {
    pub(super) async fn run(mut self) -> PlaylistResult {
        let (started_at, started) = (self.now, Instant::now());
        for _ in 0..POLL_ATTEMPTS_MAX {
            // An attempt may take seconds, because some sources hold a request back until they have
            // a new segment.
            self.now = started_at + started.elapsed().as_secs();
            let Publisher { stream: id, rendition: name, rendition_state, .. } = &self.publisher;
            let map = self.state.maps.current();
            let stream = map.streams.get(id.as_str()).ok_or(Problem::NotFound)?;
            let upstream = self.select_upstream(&map, stream)?;
            let rendition = upstream.find_rendition(name).ok_or(Problem::NotFound)?;
            let url = rendition.playlist.clone();
            // The key has no URL: a renewed token changes the links of a playlist, and not its
            // segments.
            let name = format!("live {id} {name} {}", upstream.source);
            let target =
                self.state.target_resolver().resolve_for_profile(url, &upstream.profile.0, &map)?;
            let target = UpstreamTarget { stream: Some(id.as_str().into()), ..target };
            let attempt = PollAttempt {
                started: Instant::now(),
                map: &map,
                stream,
                upstream,
                target,
                rewrite_cache_key: name,
            };
            if let Some(playlist) = self.run_attempt(&attempt).await? {
                return Ok(playlist);
            }
            rendition_state.reset_failing_time();
        }
        Err(Problem::Unavailable("its source has just changed"))
    }

    pub(super) fn select_upstream<'a>(
        &self,
        map: &UpstreamMap,
        stream: &'a Stream,
    ) -> Result<&'a Upstream, Problem> {
        let Publisher { stream_state, rendition, .. } = &self.publisher;
        let current = stream_state.current_generation();
        if let (Some(source_switch), Some(preferred)) =
            (&current.source_switch, find_upstream_preferred_by_map(stream, rendition))
            && map.version > source_switch.map
            && preferred.source == source_switch.source
        {
            stream_state.confirm_generation(current.generation);
        }
        let active_source = self.publisher.active_source();
        let input = SelectionInput {
            last_switch: current.source_switch.as_deref(),
            active_source: active_source.as_deref(),
            confirmed_by_map: current.confirmed_by_map,
            shared: current.shared,
            has_own_map: self.state.store.leads_own_edge_only(),
            map_version: map.version,
            switch_age: current.age(),
            is_in_cooldown: &|upstream| stream_state.is_in_cooldown(upstream),
        };
        select_upstream(stream, Some(rendition), &input)
    }

    /// One attempt. `None`: the source is not, or no longer, the one to publish, and the poll is to
    /// try again.
    async fn run_attempt(
        &self,
        attempt: &PollAttempt<'_>,
    ) -> Result<Option<Arc<ServedPlaylist>>, Problem> {
        let directives = self.translate_directives(attempt);
        let fetched = self.run_timed_stage(
            PollStage::Fetch,
            self.fetch_playlist_in_time(attempt, directives.as_deref()),
        );
        let fetched = fetched.await;
        if !self.is_still_selected(attempt) {
            return Ok(None);
        }
        let upstream_playlist = match fetched {
            Ok(upstream_playlist) => upstream_playlist,
            Err(problem) => return self.handle_failure(attempt, problem),
        };
        let source = &attempt.upstream.source;
        if self.publisher.active_source().as_ref() != Some(source)
            && self.has_usable_alternative(attempt)
            && !self.publisher.is_within_target_duration(&upstream_playlist.body)
        {
            tracing::warn!(
                source,
                "the source's segments are longer than the target duration that players have: another source is tried"
            );
            self.publisher.stream_state.mark_unusable(attempt.upstream, SwitchReason::Failed);
            return Ok(None);
        }
        let Some(rendition_splice) = self
            .run_timed_stage(
                PollStage::Splice,
                self.propose_splice(attempt, &upstream_playlist, false),
            )
            .await?
        else {
            return Ok(None);
        };
        if self.publisher.is_player_reload_required() {
            return Err(Problem::NotFound);
        }
        let rewritten = match self.rewrite_playlist(
            attempt,
            upstream_playlist.clone(),
            &rendition_splice.splice,
        ) {
            Ok(rewritten) => rewritten,
            Err(problem) => return self.handle_failure(attempt, problem),
        };
        let (continuity, numbers) = self.publisher.check_continuity(&rendition_splice, &rewritten);
        match continuity {
            PlaylistContinuity::Continuous => {}
            PlaylistContinuity::Superseded => return Ok(None),
            PlaylistContinuity::Behind => {
                return self.repeat_last_published(attempt, rewritten).map(Some);
            }
            PlaylistContinuity::Restarted => {
                tracing::info!(
                    source = attempt.upstream.source,
                    ?numbers,
                    "the source's media sequence numbers started again: it is spliced anew"
                );
                self.propose_splice(attempt, &upstream_playlist, true).await?;
                return Ok(None);
            }
        }
        let next = numbers.map_or(0, |numbers| numbers.end);
        let prefetches = self.state.prefetch_new_segments(&rewritten, &attempt.target);
        self.watch_for_stalls(attempt.upstream, &rewritten, &prefetches);
        if !rewritten.timing.has_end_list {
            self.publisher.stream_state.mark_not_ended(attempt.upstream);
            self.publisher.rendition_state.forget_end();
        }
        let have_all_ended = rewritten.timing.has_end_list && self.has_stream_ended(attempt).await;
        if rewritten.timing.has_end_list && !have_all_ended && self.has_usable_alternative(attempt)
        {
            return Ok(None);
        }
        let has_ended = have_all_ended && !self.is_end_withheld(attempt, &rewritten.playlist.bytes);
        let rendition_state = &self.publisher.rendition_state;
        rendition_state.record_poll(next);
        // What counts is the source's own progress: one that is behind what another source has
        // published has nothing new for players, and goes on all the same.
        let unchanged_for = rendition_state
            .source_progress
            .record_playlist(rewritten.last_sequence_number(), rewritten.target_duration());
        if !have_all_ended
            && self.fail_over_if_frozen(attempt, unchanged_for, rewritten.target_duration()).await
        {
            return Ok(None);
        }
        if self.publisher.rendition_state.is_beyond_agreed(next) {
            let ready = self.await_new_segments(attempt, &rewritten, prefetches);
            match self.run_timed_stage(PollStage::Prefetch, ready).await {
                SegmentReadiness::Publish => {}
                SegmentReadiness::Withhold => {
                    return self.last_published_playlist(&rewritten).map(Some);
                }
                SegmentReadiness::LeaveSource => return Ok(None),
            }
        }
        let published = self.publisher.publish(&rendition_splice, &rewritten, has_ended);
        let text = match self.run_timed_stage(PollStage::Publish, published).await? {
            PublishOutcome::Playlist(text) => text,
            PublishOutcome::Behind => {
                return self.repeat_last_published(attempt, rewritten).map(Some);
            }
            PublishOutcome::Superseded => return Ok(None),
        };
        Ok(Some(self.store_rewritten(attempt, rewritten, Some(text))))
    }

    /// Runs a stage of the poll in a span, and measures it.
    async fn run_timed_stage<T>(&self, stage: PollStage, run: impl Future<Output = T>) -> T {
        let timer = self.state.metrics.poll_stage_duration.of(stage).start_timer();
        let output = run.instrument(tracing::debug_span!("stage", name = stage.text())).await;
        timer.observe_duration();
        output
    }

    /// Whether the source is still the selected one after a fetch, which may take seconds. To
    /// publish it after the other edges have switched would be to switch back.
    fn is_still_selected(&self, attempt: &PollAttempt<'_>) -> bool {
        let map = self.state.maps.current();
        let stream = map.streams.get(self.publisher.stream.as_str());
        let selected = stream.and_then(|stream| self.select_upstream(&map, stream).ok());
        selected.is_some_and(|selected| selected.source == attempt.upstream.source)
    }

    /// The player's directives in the source's numbers. `None` where the source is not the
    /// published one, whose numbers are not known yet.
    fn translate_directives(&self, attempt: &PollAttempt<'_>) -> Option<String> {
        let rendition_splice = self.publisher.current_splice()?;
        let is_active = rendition_splice.splice.source == attempt.upstream.source;
        directives::translate_directives(
            self.directives.as_deref().filter(|_| is_active)?,
            &rendition_splice.splice,
        )
    }

    /// Fetches the source's playlist. Where another source can play, it has to arrive while players
    /// still have something to show, and not within the much longer timeouts of an upstream.
    async fn fetch_playlist_in_time(
        &self,
        attempt: &PollAttempt<'_>,
        directives: Option<&str>,
    ) -> Result<UpstreamPlaylist, Problem> {
        let fetch = self.fetch_playlist(attempt, directives);
        let target = attempt.upstream.find_rendition(&self.publisher.rendition);
        let Some(target) = target.and_then(|rendition| rendition.target_duration) else {
            return fetch.await;
        };
        if directives.is_some() || !self.has_usable_alternative(attempt) {
            return fetch.await;
        }
        let target = Duration::from_secs(target).mul_f64(SLOW_PLAYLIST_TARGET_DURATIONS);
        let fetched = timeout(target.max(SLOW_PLAYLIST_MIN), fetch).await;
        fetched.unwrap_or(Err(Problem::UpstreamTimeout))
    }

    async fn fetch_playlist(
        &self,
        attempt: &PollAttempt<'_>,
        directives: Option<&str>,
    ) -> Result<UpstreamPlaylist, Problem> {
        let limit = PlaylistLimits::default().max_bytes;
        let upstreams = &self.state.upstreams;
        let fetched =
            playlist::fetch_playlist(upstreams, &attempt.target, directives, limit).await?;
        if fetched.body.len() < CUT_MIN_BYTES {
            return Ok(fetched);
        }
        // The segments that follow the window are what the playlists of other sources are aligned
        // with.
        let (body, max_duration) = (fetched.body.clone(), self.publisher.window * 2);
        let cut = tokio::task::spawn_blocking(move || cut_live_playlist(&body, max_duration));
        Ok(match cut.await.ok().flatten() {
            Some(body) => UpstreamPlaylist { body: body.into(), ..fetched },
            None => fetched,
        })
    }

    /// Proposes or looks up the splice by which this source is published. `restarts`: the source's
    /// numbers start again. `None`: the edges have decided on something else.
    async fn propose_splice(
        &self,
        attempt: &PollAttempt<'_>,
        upstream_playlist: &UpstreamPlaylist,
        restarts: bool,
    ) -> Result<Option<RenditionSplice>, Problem> {
        let Publisher { stream_state, rendition, .. } = &self.publisher;
        let renditions = attempt.stream.upstreams.iter().flat_map(|upstream| &upstream.renditions);
        let max_target_duration =
            renditions.filter_map(|one| one.target_duration).max().unwrap_or_default();
        let previous = self.publisher.active_source();
        let mut upstreams = attempt.stream.upstreams.iter();
        let previous =
            previous.and_then(|source| upstreams.find(|upstream| upstream.source == source));
        let candidate = SpliceCandidate {
            source: &attempt.upstream.source,
            preferred_source: find_upstream_preferred_by_map(attempt.stream, rendition)
                .map_or("", |upstream| &upstream.source),
            map_version: attempt.map.version,
            max_target_duration,
            switch_reason: previous
                .and_then(|previous| stream_state.cooldown_reason(previous))
                .unwrap_or(SwitchReason::Map),
            playlist: &upstream_playlist.body,
        };
        self.publisher.propose_splice(&candidate, restarts).await
    }

    /// Remembers a rewritten playlist for the next rewrite. `published_text`: the text that is
    /// published, if it differs from the rewritten one.
    fn store_rewritten(
        &self,
        attempt: &PollAttempt<'_>,
        rewritten: RewrittenPlaylist,
        published_text: Option<Bytes>,
    ) -> Arc<ServedPlaylist> {
        let playlist =
            self.playlist_poller.store_rewritten(attempt.rewrite_cache_key.clone(), rewritten);
        let Some(text) = published_text.filter(|text| playlist.bytes != *text) else {
            return playlist;
        };
        match self.publisher.rendition_state.latest_playlist() {
            Some(latest) if latest.bytes == text => Arc::new(latest.with_fetch_of(&playlist)),
            _ => Arc::new(playlist.with_bytes(text)),
        }
    }

    /// The last published playlist again, when the source's playlist is behind it.
    fn repeat_last_published(
        &self,
        attempt: &PollAttempt<'_>,
        rewritten: RewrittenPlaylist,
    ) -> Result<Arc<ServedPlaylist>, Problem> {
        let last_published = self.last_published_playlist(&rewritten)?;
        self.store_rewritten(attempt, rewritten, None);
        Ok(last_published)
    }

    fn last_published_playlist(&self, rewritten: &RewrittenPlaylist) -> PlaylistResult {
        let last_published = self.publisher.rendition_state.last_published(Duration::from_secs(60));
        let last_published = last_published.ok_or(Problem::Unavailable("its source is behind"))?;
        Ok(Arc::new(rewritten.playlist.with_bytes(last_published)))
    }

    /// Waits until the new segments are stored and may be published. A source that dies takes with
    /// it the segments that nobody has fetched, and a player whose playlist names such a segment
    /// stalls. A segment that is slow is published by a later poll, and after a target duration in
    /// any case, so that a source that is always slow still plays where there is no other. One that
    /// stalls is withheld for longer where there is.
    async fn await_new_segments(
        &self,
        attempt: &PollAttempt<'_>,
        rewritten: &RewrittenPlaylist,
        prefetches: Vec<PrefetchOutcome>,
    ) -> SegmentReadiness {
        let Publisher { rendition_state, stream, .. } = &self.publisher;
        if self.fail_over_if_stalling(attempt) {
            return SegmentReadiness::LeaveSource;
        }
        // The first player, or the first after a pause, gets the playlist as it is. The same holds
        // with partial segments, where each one adds to the latency.
        let is_watched = rendition_state.last_published(rewritten.target_duration()).is_some();
        if !is_watched || rewritten.timing.part_target.is_some() {
            return SegmentReadiness::Publish;
        }
        let until = Instant::now() + PREFETCH_WAIT_TIMEOUT;
        let outcomes = timeout_at(
            until,
            join_all(prefetches.into_iter().map(PrefetchOutcome::wait_until_done)),
        )
        .await;
        let failure = match &outcomes {
            Ok(outcomes) => outcomes.iter().find_map(|outcome| outcome.as_ref().err()),
            // The fetches are still in flight.
            Err(_) => None,
        };
        // A 404 is no failure: some sources announce a segment a moment before it exists.
        if let Some(problem) =
            failure.filter(|failure| **failure != Problem::UpstreamStatus(StatusCode::NOT_FOUND))
        {
            self.state.viewers.playback_reports.report_failure(stream, attempt.upstream, problem);
        }
        let all_stored = outcomes.is_ok() && failure.is_none();
        // With new tokens the playlist is published at once: the links with the old ones may have
        // expired.
        if all_stored || rewritten.has_new_tokens {
            rendition_state.record_segment_lateness(false);
            return SegmentReadiness::Publish;
        }
        if self.fail_over_if_stalling(attempt) {
            return SegmentReadiness::LeaveSource;
        }
        let (withheld_for, target) =
            (rendition_state.record_withheld(), rewritten.target_duration());
        if withheld_for >= target && !self.is_withheld_for_stall(attempt, withheld_for, target) {
            if rendition_state.record_segment_lateness(true) < LATE_SEGMENTS_MAX
                || !self.has_usable_alternative(attempt)
            {
                return SegmentReadiness::Publish;
            }
            tracing::warn!(%stream, source = attempt.upstream.source, "the source's segments take longer than they last: this edge fails over to another source; check the source");
            self.publisher.stream_state.mark_unusable(attempt.upstream, SwitchReason::Failed);
            return SegmentReadiness::LeaveSource;
        }
        // A blocking reload that is answered without a new segment is repeated at once, so it is
        // held back for the rest of the wait.
        if self.directives.is_some() {
            sleep_until(until).await;
        }
        SegmentReadiness::Withhold
    }

    /// Reports a failure to the control plane, which may find another upstream. After
    /// [`FAILOVER_DELAY`] of failures without that, this edge fails over to the next usable
    /// upstream itself: `Ok(None)`.
    fn handle_failure(
        &self,
        attempt: &PollAttempt<'_>,
        problem: Problem,
    ) -> Result<Option<Arc<ServedPlaylist>>, Problem> {
        let Publisher { stream_state, rendition_state, stream, .. } = &self.publisher;
        self.state.viewers.playback_reports.report_failure(stream, attempt.upstream, &problem);
        if problem.can_edge_retry()
            && rendition_state.record_failed_poll(attempt.started) >= FAILOVER_DELAY
            && self.has_usable_alternative(attempt)
        {
            tracing::warn!(%stream, source = attempt.upstream.source, problem = problem.name(), why = %problem, "the source keeps failing: this edge fails over to another one; check the source");
            stream_state.mark_unusable(attempt.upstream, SwitchReason::Failed);
            return Ok(None);
        }
        Err(problem)
    }
}
