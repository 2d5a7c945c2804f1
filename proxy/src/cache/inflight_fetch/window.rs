//! The sliding window of a fetch whose object is not stored: one too large for the cache, or one
//! that finds no room in the fetch budget. All its readers share it. None paces the others for
//! long: one that keeps them waiting is cut off.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{FetchState, InflightFetch, cut_off_problem};
use crate::http::problem::Problem;

/// How much of the budget a window takes at least, and waits for.
const WINDOW_MIN_BYTES: u64 = 512 * 1024;

/// How far the fetch runs ahead of its slowest reader, where the budget has room.
const WINDOW_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How long a window waits for its share of the budget.
const WINDOW_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the beginning of the body is held at least, so that viewers who ask for a new segment
/// together share one fetch of it.
const JOIN_PERIOD: Duration = Duration::from_millis(500);

/// How long a reader may stand still while others wait for it.
const STALLED_READER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long readers wait in all for those that are slower.
const BLOCKED_MAX: Duration = Duration::from_secs(2);

/// How often a full window is looked at while no reader advances.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);

impl InflightFetch {
    /// Holds only a window of the body from here on.
    ///
    /// # Errors
    /// [`Problem::Busy`] where the budget has no room for a window.
    pub(in crate::cache) async fn start_window(&self) -> Result<(), Problem> {
        let share = self.budget_share();
        let min_bytes = WINDOW_MIN_BYTES.min(share.budget_limit_bytes() / 2);
        let missing = min_bytes.saturating_sub(share.bytes());
        if missing > 0 && !share.grow(missing, WINDOW_ACQUIRE_TIMEOUT).await {
            return Err(Problem::Busy("there is no memory for another transfer"));
        }
        share.make_revocable();
        self.lock_state().windowed_since = Some(Instant::now());
        Ok(())
    }

    /// Waits until `bytes` more fit into the window.
    ///
    /// # Errors
    /// The fetch has no readers left, or its share of the budget was revoked.
    pub(in crate::cache) async fn make_room(&self, bytes: u64) -> Result<(), Problem> {
        loop {
            let is_blocked = match self.try_make_room(bytes)? {
                Room::Free => return Ok(()),
                Room::Full { is_blocked } => is_blocked,
            };
            let started = Instant::now();
            // The time limits only how long readers that stand still are waited for.
            let _ = timeout(RECHECK_INTERVAL, self.reader_advanced.notified()).await;
            if is_blocked {
                self.lock_state().blocked += started.elapsed();
            }
        }
    }

    fn try_make_room(&self, bytes: u64) -> Result<Room, Problem> {
        let share = self.budget_share();
        let mut state = self.lock_state();
        if share.is_revoked() {
            return Err(cut_off_problem());
        }
        if state.is_abandoned() {
            return Err(Problem::Unavailable("the fetch has no readers left"));
        }
        let wanted = (state.body.held_bytes() + bytes).saturating_sub(share.bytes());
        if wanted == 0
            || (share.bytes() + wanted <= WINDOW_MAX_BYTES && share.try_grow(wanted))
            || state.body.held_bytes() == 0
        {
            return Ok(Room::Free);
        }
        let may_join = state.windowed_since.is_some_and(|since| since.elapsed() < JOIN_PERIOD);
        let Some(slowest) = state.slowest_position() else {
            return Ok(Room::Full { is_blocked: false });
        };
        if may_join && state.body.first_held_position() == 0 {
            return Ok(Room::Full { is_blocked: false });
        }
        state.body.drop_before(slowest);
        if state.body.held_bytes() + bytes <= share.bytes() {
            share.shrink_to((state.body.held_bytes() + bytes).max(WINDOW_MAX_BYTES));
            return Ok(Room::Free);
        }
        let is_blocked = state.has_reader_at_end();
        if is_blocked && state.cut_off_laggards() {
            drop(state);
            share.notify_readers();
            return self.try_make_room(bytes);
        }
        Ok(Room::Full { is_blocked })
    }
}

enum Room {
    Free,
    /// `is_blocked`: a reader waits for a slower one.
    Full {
        is_blocked: bool,
    },
}

impl FetchState {
    fn slowest_position(&self) -> Option<u64> {
        self.readers.values().map(|reader| reader.position).min()
    }

    fn has_reader_at_end(&self) -> bool {
        let end = self.body.total_length();
        self.readers.values().any(|reader| reader.position >= end)
    }

    /// Removes the readers that are more than half a window behind and stand still, or have kept
    /// others waiting for too long. Whether there were any.
    fn cut_off_laggards(&mut self) -> bool {
        let half = self.body.total_length() - self.body.held_bytes() / 2;
        let is_pacing = self.blocked >= BLOCKED_MAX;
        let count = self.readers.len();
        self.readers.retain(|_, reader| {
            reader.position >= half
                || !(is_pacing || reader.advanced_at.elapsed() >= STALLED_READER_TIMEOUT)
        });
        self.readers.len() < count
    }
}
