//! Segments whose fetches stall while the playlist that names them goes on.
//!
//! A player that is given such a segment waits for it until its own buffer is dry, so it is neither
//! published nor waited for to the end where another source can play: two of them in a row, and the
//! source is left.

use std::time::Duration;

use pitwall_upstream_map::Upstream;

use super::{MediaPoll, PollAttempt};
use crate::cache::PrefetchOutcome;
use crate::cache::fetch_progress::FetchEvent;
use crate::live::source_switch::SwitchReason;
use crate::playlist::rewrite_cache::RewrittenPlaylist;

/// How long nothing comes of a segment before it counts as stalled: less than half of the timeout
/// after which its fetch is given up.
const SEGMENT_STALL_MIN: Duration = Duration::from_secs(2);
/// The same in target durations, for segments that take their time to begin.
const SEGMENT_STALL_TARGET_DURATIONS: f64 = 0.5;
/// And the most: less than the timeout after which the fetch is given up.
const SEGMENT_STALL_MAX: Duration = Duration::from_secs(4);
/// How many segments of a source stall, with none between that was fetched, before it is left.
const STALLED_SEGMENTS_MAX: usize = 2;

/// After how long without a byte a segment counts as stalled.
fn stall_limit(target: Duration) -> Duration {
    target.mul_f64(SEGMENT_STALL_TARGET_DURATIONS).clamp(SEGMENT_STALL_MIN, SEGMENT_STALL_MAX)
}

impl MediaPoll {
    /// Records which of the new segments stall and which are fetched, while nobody polls too.
    pub(super) fn watch_for_stalls(
        &self,
        upstream: &Upstream,
        rewritten: &RewrittenPlaylist,
        prefetches: &[PrefetchOutcome],
    ) {
        let limit = stall_limit(rewritten.target_duration());
        for (resource, prefetch) in rewritten.new_resources.iter().zip(prefetches) {
            // A fetch that was joined is watched already.
            let PrefetchOutcome::Inflight { progress, coalesced: false, .. } = prefetch else {
                continue;
            };
            let Some(number) = resource.number.filter(|_| !resource.is_long_lived) else {
                continue;
            };
            let mut progress = progress.clone();
            let rendition_state = self.publisher.rendition_state.clone();
            let source = upstream.source.clone();
            tokio::spawn(async move {
                let mut event = progress.wait_for_event(limit).await;
                if event == FetchEvent::Stalled {
                    rendition_state.source_progress.record_stalled_segment(&source, number);
                    event = progress.wait_for_end().await;
                }
                if event == FetchEvent::Completed {
                    rendition_state.source_progress.record_fetched_segment(&source);
                }
            });
        }
    }

    /// Leaves a source whose segments stall, where another source can play.
    pub(super) fn fail_over_if_stalling(&self, attempt: &PollAttempt<'_>) -> bool {
        let source = &attempt.upstream.source;
        let stalled = self.publisher.rendition_state.source_progress.count_stalled_segments(source);
        if stalled < STALLED_SEGMENTS_MAX || !self.has_usable_alternative(attempt) {
            return false;
        }
        tracing::warn!(stream = %self.publisher.stream, source, stalled, "the source's segments stall while its playlist goes on: this edge fails over to another source; check the source");
        self.publisher.stream_state.mark_unusable(attempt.upstream, SwitchReason::Failed);
        true
    }

    /// Whether new segments are withheld for longer than usual, because one of them stalls and
    /// another source can play: until the next segment shows whether the source is to be left.
    pub(super) fn is_withheld_for_stall(
        &self,
        attempt: &PollAttempt<'_>,
        withheld_for: Duration,
        target: Duration,
    ) -> bool {
        let source = &attempt.upstream.source;
        withheld_for < target * 2 + stall_limit(target)
            && self.publisher.rendition_state.source_progress.count_stalled_segments(source) > 0
            && self.has_usable_alternative(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_seen_before_its_fetch_is_given_up() {
        for (target, expected) in [(1, 2000), (4, 2000), (6, 3000), (10, 4000), (60, 4000)] {
            assert_eq!(stall_limit(Duration::from_secs(target)).as_millis(), expected, "{target}");
        }
    }
}
