//! Use of what a playlist says of its segments: how long they stay fresh, and which ones players
//! will request next. A playlist is fetched only when a player polls it, so nothing is prefetched
//! that is not watched.

use pitwall_fetch::parse_url;

use crate::cache::PrefetchOutcome;
use crate::edge_state::EdgeState;
use crate::metrics::PrefetchResult;
use crate::playlist::rewrite_cache::{MediaResource, RewrittenPlaylist};
use crate::upstream::target::UpstreamTarget;

impl EdgeState {
    /// Records the freshness lifetime of the playlist's segments and prefetches the new ones.
    /// `playlist` is the target that the playlist was fetched from.
    pub fn prefetch_new_segments(
        &self,
        rewritten: &RewrittenPlaylist,
        playlist: &UpstreamTarget,
    ) -> Vec<PrefetchOutcome> {
        if let Some(segment) = rewritten.last_segment_url() {
            self.cache.lifetimes.record_playlist(&playlist.profile.id, segment, &rewritten.timing);
        }
        if rewritten.timing.has_end_list {
            return Vec::new();
        }
        let prefetch = |resource| {
            let outcome = self.prefetch_resource(resource, playlist);
            let result = match &outcome {
                PrefetchOutcome::Inflight { coalesced: false, .. }
                | PrefetchOutcome::Refreshing => Some(PrefetchResult::Fetched),
                PrefetchOutcome::Skipped => Some(PrefetchResult::Skipped),
                PrefetchOutcome::Failed(_) => Some(PrefetchResult::Refused),
                PrefetchOutcome::Inflight { coalesced: true, .. } | PrefetchOutcome::Stored => None,
            };
            if let Some(result) = result {
                self.metrics.prefetches.of(result).inc();
            }
            outcome
        };
        rewritten.new_resources.iter().map(prefetch).collect()
    }

    fn prefetch_resource(
        &self,
        resource: &MediaResource,
        playlist: &UpstreamTarget,
    ) -> PrefetchOutcome {
        match parse_url(&resource.url) {
            Ok(url) => {
                let target = UpstreamTarget {
                    object_number: resource.number,
                    ..self.target_resolver().resolve_from_playlist(url, playlist)
                };
                self.cache.prefetch(&target, resource.byte_range, resource.is_long_lived)
            }
            Err(error) => PrefetchOutcome::Failed(error.into()),
        }
    }
}
