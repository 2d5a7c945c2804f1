//! What this edge knows of a stream's source switches and of its upstreams, beside the map.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use pitwall_upstream_map::store::SpliceDecision;
use pitwall_upstream_map::{StreamId, Upstream};
use tokio::time::Instant;

use super::rendition_state::RenditionState;
use super::source_switch::{CurrentGeneration, SourceSwitch, SwitchReason};

/// The state of a stream without polls for this long is dropped.
const STREAM_STATE_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
const STREAM_STATES_MAX: u64 = 20_000;
/// An upstream that could not be used is tried again after this.
const UPSTREAM_COOLDOWN: Duration = Duration::from_secs(20);

/// The states of all streams that are watched.
pub(super) struct StreamStates(Cache<StreamId, Arc<StreamState>>);

/// The state of one stream.
#[derive(Default)]
pub(super) struct StreamState {
    inner: Mutex<Inner>,
    /// Counts the changes of `inner`.
    revision: AtomicU64,
    renditions: Mutex<HashMap<String, Arc<RenditionState>>>,
}

#[derive(Default)]
struct Inner {
    current: CurrentGeneration,
    cooldowns: HashMap<UpstreamIdentity, Cooldown>,
    /// Sources whose playlists have been seen without `EXT-X-ENDLIST`.
    live_sources: HashSet<String>,
}

/// Source and generation of an upstream: an upstream with renewed URLs does not inherit the
/// cooldown of its predecessor.
type UpstreamIdentity = (String, u64);

/// Why an upstream is not used for now.
#[derive(Clone, Copy)]
enum Cooldown {
    Until(Instant, SwitchReason),
    /// Since when its playlist has had `EXT-X-ENDLIST`.
    Ended(Instant),
}

fn upstream_identity(upstream: &Upstream) -> UpstreamIdentity {
    (upstream.source.clone(), upstream.generation)
}

impl Default for StreamStates {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(STREAM_STATES_MAX)
                .time_to_idle(STREAM_STATE_IDLE_TIMEOUT)
                .build(),
        )
    }
}

impl StreamStates {
    pub(super) fn get_or_create(&self, stream: &StreamId) -> Arc<StreamState> {
        self.0.get_with_by_ref(stream, Arc::default)
    }

    pub(super) fn get(&self, stream: &str) -> Option<Arc<StreamState>> {
        self.0.get(stream)
    }
}

impl StreamState {
    fn lock_inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, for a change.
    fn lock_and_count_change(&self) -> MutexGuard<'_, Inner> {
        let state = self.lock_inner();
        self.revision.fetch_add(1, Ordering::Release);
        state
    }

    /// A number that is another one after each change of the current generation and the cooldowns.
    pub(super) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    fn lock_renditions(&self) -> MutexGuard<'_, HashMap<String, Arc<RenditionState>>> {
        self.renditions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of one of the stream's renditions.
    pub(super) fn get_or_create_rendition(&self, rendition: &str) -> Arc<RenditionState> {
        self.lock_renditions().entry(rendition.to_owned()).or_default().clone()
    }

    /// The state of a rendition that has been polled.
    pub(super) fn find_rendition(&self, rendition: &str) -> Option<Arc<RenditionState>> {
        self.lock_renditions().get(rendition).cloned()
    }

    /// The discontinuity sequence number after all that this edge has published, of any rendition.
    pub(super) fn next_discontinuity_sequence(&self) -> u64 {
        let renditions = self.lock_renditions();
        renditions
            .values()
            .map(|rendition| rendition.discontinuity_sequence())
            .max()
            .unwrap_or_default()
            .saturating_add(1)
    }

    pub(super) fn current_generation(&self) -> CurrentGeneration {
        self.lock_inner().current.clone()
    }

    /// Takes over a decision, unless it is older than the current one. Returns the reason if the
    /// stream has switched to another source since this edge knew of one.
    pub(super) fn apply_decision(&self, decision: &SpliceDecision) -> Option<SwitchReason> {
        let mut state = self.lock_and_count_change();
        let current = &mut state.current;
        current.shared = decision.is_shared;
        if decision.generation == 0 || decision.generation < current.generation {
            return None;
        }
        let source_switch: SourceSwitch = serde_json::from_slice(&decision.switch_record).ok()?;
        let has_switched = current.generation > 0 && decision.generation > current.generation;
        let reason = has_switched.then_some(source_switch.reason);
        if current.source_switch.as_deref() != Some(&source_switch) {
            tracing::info!(
                generation = decision.generation,
                source = source_switch.source,
                picked = source_switch.picked,
                reason = source_switch.reason.label(),
                shared = decision.is_shared,
                "the stream switched to another source"
            );
            current.source_switch = Some(Arc::new(source_switch));
        }
        if decision.generation > current.generation {
            current.confirmed_by_map = false;
            current.began_at =
                decision.generation_age.and_then(|age| Instant::now().checked_sub(age));
        }
        current.generation = decision.generation;
        reason
    }

    /// Records that the map ranks the source of this generation first.
    pub(super) fn confirm_generation(&self, generation: u64) {
        let mut state = self.lock_inner();
        if state.current.generation == generation && !state.current.confirmed_by_map {
            state.current.confirmed_by_map = true;
            self.revision.fetch_add(1, Ordering::Release);
        }
    }

    /// Puts an upstream into cooldown for [`UPSTREAM_COOLDOWN`].
    pub(super) fn mark_unusable(&self, upstream: &Upstream, reason: SwitchReason) {
        let mut state = self.lock_and_count_change();
        let now = Instant::now();
        state.cooldowns.retain(|_, cooldown| match cooldown {
            Cooldown::Until(until, _) => *until > now,
            Cooldown::Ended(_) => true,
        });
        state
            .cooldowns
            .insert(upstream_identity(upstream), Cooldown::Until(now + UPSTREAM_COOLDOWN, reason));
    }

    /// Marks an upstream whose playlist has `EXT-X-ENDLIST`.
    pub(super) fn mark_ended(&self, upstream: &Upstream) {
        let mut state = self.lock_and_count_change();
        let cooldown = state.cooldowns.entry(upstream_identity(upstream));
        let cooldown = cooldown.or_insert_with(|| Cooldown::Ended(Instant::now()));
        if matches!(cooldown, Cooldown::Until(..)) {
            *cooldown = Cooldown::Ended(Instant::now());
        }
    }

    pub(super) fn has_ended(&self, upstream: &Upstream) -> bool {
        matches!(
            self.lock_inner().cooldowns.get(&upstream_identity(upstream)),
            Some(Cooldown::Ended(_))
        )
    }

    /// Whether the upstream has ended, and not longer ago than `limit`.
    pub(super) fn has_ended_within(&self, upstream: &Upstream, limit: Duration) -> bool {
        matches!(
            self.lock_inner().cooldowns.get(&upstream_identity(upstream)),
            Some(Cooldown::Ended(at)) if at.elapsed() < limit
        )
    }

    /// Whether this edge has read a playlist of the upstream's source that had not ended.
    pub(super) fn was_live(&self, upstream: &Upstream) -> bool {
        self.lock_inner().live_sources.contains(&upstream.source)
    }

    /// Records that the upstream's playlist has no `EXT-X-ENDLIST`, or no longer.
    pub(super) fn mark_not_ended(&self, upstream: &Upstream) {
        let mut state = self.lock_inner();
        if !state.live_sources.contains(&upstream.source) {
            state.live_sources.insert(upstream.source.clone());
        }
        if matches!(state.cooldowns.get(&upstream_identity(upstream)), Some(Cooldown::Ended(_))) {
            state.cooldowns.remove(&upstream_identity(upstream));
            self.revision.fetch_add(1, Ordering::Release);
        }
    }

    /// Why this edge has put the upstream into cooldown. `None` if it has not, and only the map may
    /// say that the upstream is down.
    pub(super) fn cooldown_reason(&self, upstream: &Upstream) -> Option<SwitchReason> {
        match self.lock_inner().cooldowns.get(&upstream_identity(upstream))? {
            Cooldown::Until(_, reason) => Some(*reason),
            Cooldown::Ended(_) => Some(SwitchReason::Ended),
        }
    }

    pub(super) fn is_in_cooldown(&self, upstream: &Upstream) -> bool {
        match self.lock_inner().cooldowns.get(&upstream_identity(upstream)) {
            Some(Cooldown::Until(until, _)) => *until > Instant::now(),
            Some(Cooldown::Ended(_)) => true,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(source: &str) -> Upstream {
        let json = serde_json::json!({
            "source": source, "profile": source, "generation": 1, "health": "healthy",
            "playlist": "https://cdn.example.com/m.m3u8", "expires_at": null, "score": 1.0,
            "renditions": [],
        });
        serde_json::from_value(json).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_counts_from_when_it_was_first_seen() {
        let (state, source) = (StreamState::default(), upstream("club"));
        let minute = Duration::from_mins(1);
        let within = |state: &StreamState| state.has_ended_within(&source, minute);
        assert!(!within(&state) && !state.was_live(&source));
        state.mark_not_ended(&source);
        assert!(state.was_live(&source) && !state.was_live(&upstream("spare")));
        for (seconds, expected) in [(0, true), (59, true), (2, false)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            // Every poll marks it again.
            state.mark_ended(&source);
            assert_eq!(within(&state), expected, "after {seconds} s more");
            assert!(state.has_ended(&source));
        }
        state.mark_not_ended(&source);
        assert!(!state.has_ended(&source), "it goes on");
        state.mark_ended(&source);
        assert!(within(&state), "the next end is another one");
    }
}
