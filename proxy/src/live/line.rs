//! What is known here of a stream's changes, beside the map.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use pitwall_upstream_map::store::Agreed;
use pitwall_upstream_map::{StreamId, Upstream};
use tokio::time::Instant;

use super::change::{Change, Reason};
use super::track::Track;

/// Whoever comes back later begins anew.
const REMEMBERED: Duration = Duration::from_secs(3600);
const MOST: u64 = 20_000;
/// An upstream that was of no use is tried again after this.
const AVOIDED: Duration = Duration::from_secs(20);

pub(super) struct Lines(Cache<StreamId, Arc<Line>>);

/// One stream.
#[derive(Default)]
pub(super) struct Line {
    state: Mutex<State>,
    tracks: Mutex<HashMap<String, Arc<Track>>>,
}

#[derive(Default)]
struct State {
    latest: Latest,
    useless: HashMap<Tried, Useless>,
}

/// What edges agreed on last.
#[derive(Clone, Default)]
pub(super) struct Latest {
    pub generation: u64,
    pub change: Option<Arc<Change>>,
    pub shared: bool,
    /// The map has had this source first since.
    pub confirmed: bool,
}

/// An upstream with the URL that it had: its successor is not to blame.
type Tried = (String, u64);

#[derive(Clone, Copy)]
enum Useless {
    Until(Instant, Reason),
    Ended,
}

fn tried(upstream: &Upstream) -> Tried {
    (upstream.source.clone(), upstream.generation)
}

impl Default for Lines {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_idle(REMEMBERED).build())
    }
}

impl Lines {
    pub(super) fn of(&self, stream: &StreamId) -> Arc<Line> {
        self.0.get_with_by_ref(stream, Arc::default)
    }

    pub(super) fn known(&self, stream: &str) -> Option<Arc<Line>> {
        self.0.get(&StreamId::try_from(stream.to_owned()).ok()?)
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tracks(&self) -> MutexGuard<'_, HashMap<String, Arc<Track>>> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of its renditions.
    pub(super) fn track(&self, rendition: &str) -> Arc<Track> {
        self.tracks().entry(rendition.to_owned()).or_default().clone()
    }

    /// The discontinuity that follows all that was published here, of any rendition.
    pub(super) fn next_discontinuity(&self) -> u64 {
        let tracks = self.tracks();
        tracks.values().map(|track| track.discontinuity()).max().unwrap_or_default() + 1
    }

    pub(super) fn latest(&self) -> Latest {
        self.state().latest.clone()
    }

    /// What was agreed on, unless it is an older story. Says why the stream has changed, if it has
    /// since this edge first heard of it.
    pub(super) fn learn(&self, agreed: &Agreed) -> Option<Reason> {
        let mut state = self.state();
        let latest = &mut state.latest;
        latest.shared = agreed.shared;
        if agreed.generation == 0 || agreed.generation < latest.generation {
            return None;
        }
        let change: Change = serde_json::from_slice(&agreed.change).ok()?;
        let changed = latest.generation > 0 && agreed.generation > latest.generation;
        let reason = changed.then_some(change.reason);
        if latest.change.as_deref() != Some(&change) {
            tracing::info!(
                generation = agreed.generation,
                source = change.source,
                picked = change.picked,
                reason = change.reason.label(),
                shared = agreed.shared,
                "another source plays"
            );
            latest.change = Some(Arc::new(change));
        }
        if agreed.generation > latest.generation {
            latest.confirmed = false;
        }
        latest.generation = agreed.generation;
        reason
    }

    /// The map has the source first that plays by this generation.
    pub(super) fn confirm(&self, generation: u64) {
        let mut state = self.state();
        if state.latest.generation == generation {
            state.latest.confirmed = true;
        }
    }

    /// Nothing can be had of it now.
    pub(super) fn avoid(&self, upstream: &Upstream, why: Reason) {
        let mut state = self.state();
        let now = Instant::now();
        state.useless.retain(|_, why| match why {
            Useless::Until(until, _) => *until > now,
            Useless::Ended => true,
        });
        state.useless.insert(tried(upstream), Useless::Until(now + AVOIDED, why));
    }

    /// Nothing more will come of it.
    pub(super) fn ended(&self, upstream: &Upstream) {
        self.state().useless.insert(tried(upstream), Useless::Ended);
    }

    pub(super) fn has_ended(&self, upstream: &Upstream) -> bool {
        matches!(self.state().useless.get(&tried(upstream)), Some(Useless::Ended))
    }

    /// It goes on after all.
    pub(super) fn goes_on(&self, upstream: &Upstream) {
        let mut state = self.state();
        if matches!(state.useless.get(&tried(upstream)), Some(Useless::Ended)) {
            state.useless.remove(&tried(upstream));
        }
    }

    /// What is wrong with it, if it is not the map alone that says so.
    pub(super) fn why(&self, upstream: &Upstream) -> Option<Reason> {
        match self.state().useless.get(&tried(upstream))? {
            Useless::Until(_, why) => Some(*why),
            Useless::Ended => Some(Reason::Ended),
        }
    }

    pub(super) fn is_useless(&self, upstream: &Upstream) -> bool {
        match self.state().useless.get(&tried(upstream)) {
            Some(Useless::Until(until, _)) => *until > Instant::now(),
            Some(Useless::Ended) => true,
            None => false,
        }
    }
}
