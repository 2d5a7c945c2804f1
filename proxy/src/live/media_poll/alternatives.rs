//! The other sources of a rendition: whether one is usable, whether all have ended and how certain
//! that is, and whether one continues where the active one is frozen.

use std::time::Duration;

use pitwall_hls::{PlaylistLimits, SegmentedPlaylist, Splice};
use pitwall_upstream_map::{Health, Upstream};

use super::{MediaPoll, PollAttempt};
use crate::http::problem::Problem;
use crate::live::publisher::parse_playlist;
use crate::live::source_switch::SwitchReason;
use crate::playlist;

/// Target durations without a new segment after which the playlists of other sources are fetched
/// and compared.
const FREEZE_SUSPECT_TARGET_DURATIONS: f64 = 1.5;
/// Target durations without a new segment after which a source whose playlist has no
/// `EXT-X-PROGRAM-DATE-TIME` is taken too, though nothing proves that it is further on.
const FREEZE_CONFIRMED_TARGET_DURATIONS: f64 = 2.0;
/// How long the end of a live source is not published while no other source confirms it.
const END_HOLD: Duration = Duration::from_mins(1);

impl MediaPoll {
    fn alternative_upstreams<'a>(
        &self,
        attempt: &PollAttempt<'a>,
    ) -> impl Iterator<Item = &'a Upstream> {
        let source = attempt.upstream.source.clone();
        let has_rendition =
            |upstream: &&Upstream| upstream.find_rendition(&self.publisher.rendition).is_some();
        let others =
            attempt.stream.upstreams.iter().filter(move |upstream| upstream.source != source);
        others.filter(has_rendition)
    }

    pub(super) fn has_usable_alternative(&self, attempt: &PollAttempt<'_>) -> bool {
        let is_usable = |upstream: &&Upstream| {
            upstream.health != Health::Down && !self.publisher.stream_state.is_in_cooldown(upstream)
        };
        self.alternative_upstreams(attempt).any(|upstream| is_usable(&upstream))
    }

    /// Whether the playlists of all sources have ended. A source that cannot be fetched counts as
    /// not ended.
    pub(super) async fn has_stream_ended(&self, attempt: &PollAttempt<'_>) -> bool {
        self.publisher.stream_state.mark_ended(attempt.upstream);
        for other in self.alternative_upstreams(attempt) {
            if self.publisher.stream_state.has_ended(other) {
                continue;
            }
            match self.fetch_alternative(attempt, other).await {
                Ok(playlist_of_other) if playlist_of_other.has_ended => {
                    self.publisher.stream_state.mark_ended(other)
                }
                _ => return false,
            }
        }
        true
    }

    /// Whether the end of all sources is not published yet: an encoder that is restarted writes
    /// `EXT-X-ENDLIST` and begins anew a moment later, and players that have read it never poll
    /// again. The end of a recording, and one that another source confirms, is published at once.
    pub(super) fn is_end_withheld(&self, attempt: &PollAttempt<'_>, playlist: &[u8]) -> bool {
        let stream_state = &self.publisher.stream_state;
        let is_confirmed = |other| stream_state.has_ended_within(other, END_HOLD);
        // Counted for this rendition: another one of the source may go on.
        let ended_at = self.publisher.rendition_state.record_end(&attempt.upstream.source);
        ended_at.elapsed() < END_HOLD
            && stream_state.was_live(attempt.upstream)
            && !parse_playlist(playlist).is_ok_and(|playlist| playlist.is_vod)
            && !self.alternative_upstreams(attempt).any(is_confirmed)
    }

    async fn fetch_alternative(
        &self,
        attempt: &PollAttempt<'_>,
        other: &Upstream,
    ) -> Result<SegmentedPlaylist, Problem> {
        let rendition = other.find_rendition(&self.publisher.rendition).ok_or(Problem::NotFound)?;
        let (url, profile) = (rendition.playlist.clone(), &other.profile.0);
        let target = self.state.target_resolver().resolve_for_profile(url, profile, attempt.map)?;
        let limit = PlaylistLimits::default().max_bytes;
        let response =
            playlist::fetch_playlist(&self.state.upstreams, &target, None, limit).await?;
        parse_playlist(&response.body)
    }

    /// Fails over from a frozen playlist, which answers well and has nothing new, to the first
    /// other source that has what comes next. `unchanged_for` is the time without a new segment,
    /// `target` the target duration.
    pub(super) async fn fail_over_if_frozen(
        &self,
        attempt: &PollAttempt<'_>,
        unchanged_for: Duration,
        target: Duration,
    ) -> bool {
        if unchanged_for < target.mul_f64(FREEZE_SUSPECT_TARGET_DURATIONS) {
            return false;
        }
        let problem = Problem::UpstreamInvalid("it stands still".to_owned());
        self.state.viewers.playback_reports.report_failure(
            &self.publisher.stream,
            attempt.upstream,
            &problem,
        );
        let Some(last_published) = self.publisher.rendition_state.last_published(target * 4) else {
            return false;
        };
        let Ok(last_published) = parse_playlist(&last_published) else { return false };
        let is_usable = |upstream: &&Upstream| {
            upstream.health != Health::Down && !self.publisher.stream_state.is_in_cooldown(upstream)
        };
        for other in self.alternative_upstreams(attempt).filter(is_usable) {
            let Ok(playlist_of_other) = self.fetch_alternative(attempt, other).await else {
                continue;
            };
            let source = other.source.clone();
            let splice = Splice::plan_switch(
                None,
                &last_published,
                unchanged_for,
                &playlist_of_other,
                source,
            );
            let has_dates = [&last_published, &playlist_of_other]
                .iter()
                .all(|parsed| parsed.segments.iter().all(|segment| segment.date.is_some()));
            let has_following = splice.from.upstream < playlist_of_other.next_number();
            if !playlist_of_other.has_ended
                && has_following
                && (has_dates || unchanged_for >= target.mul_f64(FREEZE_CONFIRMED_TARGET_DURATIONS))
            {
                tracing::warn!(stream = %self.publisher.stream, source = attempt.upstream.source, stands = ?unchanged_for, "the source's playlist is frozen: this edge fails over to another source; check the source");
                self.publisher.stream_state.mark_unusable(attempt.upstream, SwitchReason::Frozen);
                return true;
            }
        }
        false
    }
}
