//! Use of what a playlist says of its segments: how long they stay fresh, and which ones players
//! will request next. A playlist is fetched only when a player polls it, so nothing is prefetched
//! that is not watched.

use pitwall_fetch::parse_url;

use crate::cache::PrefetchOutcome;
use crate::edge_state::EdgeState;
use crate::http::problem::Problem;
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
            self.cache.lifetimes.record_playlist(&playlist.profile, segment, &rewritten.timing);
        }
        if rewritten.timing.has_end_list {
            return Vec::new();
        }
        let prefetch = |resource| {
            let outcome = self.prefetch_resource(resource, playlist);
            let result = match &outcome {
                PrefetchOutcome::Inflight { coalesced: false, .. }
                | PrefetchOutcome::Refreshing => Some("fetched"),
                PrefetchOutcome::Skipped => Some("skipped"),
                PrefetchOutcome::Failed(_) => Some("refused"),
                PrefetchOutcome::Inflight { coalesced: true, .. } | PrefetchOutcome::Stored => None,
            };
            if let Some(result) = result {
                self.metrics.prefetches.with_label_values(&[result]).inc();
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
        let map = self.store.map();
        let target = parse_url(&resource.url)
            .map_err(Problem::from)
            .and_then(|url| self.targets.resolve_for_profile(url, &playlist.profile, &map));
        match target {
            Ok(target) => {
                let target = UpstreamTarget { stream: playlist.stream.clone(), ..target };
                self.cache.prefetch(&target, resource.byte_range, resource.is_long_lived)
            }
            Err(problem) => PrefetchOutcome::Failed(problem),
        }
    }
}
