//! What was published here of one rendition, and by which part in which change.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use pitwall_hls::{Cut, Splice};
use pitwall_upstream_map::store::Agreed;
use tokio::time::Instant;

use super::change::{Change, Newest, followed};
use super::line::Latest;

#[derive(Default)]
pub(super) struct Track(Mutex<State>);

#[derive(Default)]
struct State {
    part: Option<Part>,
    shown: Option<Shown>,
    /// The number that follows the highest that was published.
    next: u64,
    /// The same, as edges have agreed on it.
    head: u64,
    discontinuity: u64,
    /// What others have published, as far as they told.
    told: Told,
    /// Numbers below may be published too, as was said last.
    free: u64,
    /// What was published is not what has been agreed on: it is too late to take it back.
    torn: bool,
    /// Since when every poll fails.
    failing: Option<Instant>,
    /// Since when something new is not published, for it is not here.
    withheld: Option<Instant>,
}

/// A rendition's part in a change, and how it is written in the ledger.
#[derive(Clone)]
pub(super) struct Part {
    pub splice: Arc<Splice>,
    pub record: Arc<[u8]>,
    change: Arc<Change>,
}

impl Part {
    /// Is it by this that the stream plays now?
    pub(super) fn is_of(&self, latest: &Latest) -> bool {
        self.splice.generation == latest.generation
            && latest.change.as_deref() == Some(&*self.change)
    }
}

#[derive(Clone, Default)]
pub(super) struct Told {
    /// No number below is free.
    pub head: u64,
    /// What others have published last.
    pub newest: Newest,
}

/// What was published last.
#[derive(Clone)]
pub(super) struct Shown {
    pub text: Bytes,
    polled: Instant,
    /// When it last had something new.
    moved: Instant,
}

/// What a playlist that came in is to what was published before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It goes on, or stays.
    Ahead,
    /// One of its servers is behind the others.
    Behind,
    /// The source counts anew.
    Restarted,
    /// It was made by a part that is over.
    Over,
}

/// By so many segments a source steps back when one of its servers is behind the others.
const LAG: u64 = 3;
/// So many segments at most there are in a target duration.
const LEAP: f64 = 10.0;

impl State {
    /// Does it begin further on than time can tell?
    fn leaps(&self, first: u64, target: Duration) -> bool {
        let Some(shown) = &self.shown else { return false };
        // Where its part began others may have been far ahead.
        let begun = self.part.as_ref().map_or(0, |part| part.splice.from.published);
        let gap = first.saturating_sub(self.next.max(begun));
        let passed = shown.polled.elapsed().as_secs_f64() / target.as_secs_f64().max(0.1);
        gap > 0 && gap as f64 > LEAP * (passed + 1.0)
    }
}

impl Track {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn part(&self) -> Option<Part> {
        self.state().part.clone()
    }

    pub(super) fn is_torn(&self) -> bool {
        self.state().torn
    }

    pub(super) fn discontinuity(&self) -> u64 {
        self.state().discontinuity
    }

    /// What was published last, unless it is too long ago to go on from.
    pub(super) fn shown(&self, target: Duration) -> Option<Bytes> {
        let state = self.state();
        let shown = state.shown.as_ref()?;
        (shown.polled.elapsed() < target * 4).then(|| shown.text.clone())
    }

    /// The number of the first segment that is shown.
    pub(super) fn first(&self) -> Option<u64> {
        let text = self.state().shown.as_ref()?.text.clone();
        Some(Cut::of(&text).ok()?.first)
    }

    pub(super) fn told(&self) -> Told {
        let state = self.state();
        let head = state.told.head.max(state.next).max(state.free);
        Told { head, ..state.told.clone() }
    }

    pub(super) fn hear(&self, agreed: &Agreed) {
        let mut state = self.state();
        state.told.head = state.told.head.max(agreed.next);
        state.free = agreed.free();
        // Alone it is what was said here.
        if agreed.shared {
            state.told.newest = serde_json::from_slice(&agreed.newest).unwrap_or_default();
        }
    }

    /// The part that has been agreed on, whoever proposed it. What was published here stays what
    /// it was: where that cannot be, it is torn.
    pub(super) fn adopt(&self, record: &[u8], change: &Arc<Change>) -> Option<Part> {
        let mut splice: Splice = serde_json::from_slice(record).ok()?;
        let mut state = self.state();
        if let Some(part) = state.part.as_mut().filter(|part| *part.record == *record) {
            part.change = change.clone();
            return Some(part.clone());
        }
        let own = state.shown.as_ref().and_then(|shown| Cut::of(&shown.text).ok());
        if let Some(own) = own {
            let unseen = splice.tail.first().is_some_and(|first| {
                let before = first.discontinuity.saturating_sub(first.tags);
                first.number > own.next() && before >= state.discontinuity
            });
            if let Some(tail) = followed(&own.segments, &splice.tail, false) {
                splice.tail = tail;
            } else if own.next() == splice.from.published {
                splice.tail = own.segments;
            } else if !unseen {
                splice.tail.clear();
            }
        }
        let last = splice.tail.last().map_or(0, |last| last.discontinuity).max(state.discontinuity);
        state.torn = state.next > 0
            && (splice.from.published < state.next || splice.from.discontinuity <= last);
        state.head = splice.from.published.max(state.head);
        let (splice, record) = (Arc::new(splice), record.into());
        let part = Part { splice, record, change: change.clone() };
        state.withheld = None;
        state.part = Some(part.clone());
        Some(part)
    }

    /// There is nothing to go on by.
    pub(super) fn tear(&self) {
        self.state().torn = true;
    }

    /// How a playlist of these numbers follows.
    pub(super) fn step(&self, part: &Part, numbers: &Range<u64>, target: Duration) -> Step {
        let state = self.state();
        match &state.part {
            Some(current) if current.record == part.record => {}
            _ => return Step::Over,
        }
        match () {
            () if numbers.end + LAG < state.next => Step::Restarted,
            () if numbers.end < state.next => Step::Behind,
            () if state.leaps(numbers.start, target) => Step::Restarted,
            () => Step::Ahead,
        }
    }

    /// Have edges to agree before so much is published?
    pub(super) fn is_news(&self, next: u64) -> bool {
        next > self.state().head
    }

    pub(super) fn is_new(&self) -> bool {
        self.state().shown.is_none()
    }

    pub(super) fn agreed(&self, next: u64) {
        let mut state = self.state();
        state.head = state.head.max(next);
    }

    /// `cut`: the same text taken apart, if it has something new.
    pub(super) fn publish(&self, part: &Part, text: Bytes, next: u64, cut: Option<&Cut>) -> Step {
        let mut state = self.state();
        if state.part.as_ref().is_none_or(|current| current.record != part.record) {
            return Step::Over;
        }
        if next < state.next {
            return Step::Behind;
        }
        let now = Instant::now();
        let moved = match &state.shown {
            Some(shown) if next == state.next => shown.moved,
            _ => now,
        };
        if let Some(last) = cut.and_then(|cut| cut.segments.last()) {
            state.discontinuity = last.discontinuity;
        }
        // Where nothing was shown yet, what follows was announced.
        let announced = part.splice.from.discontinuity.saturating_sub(1);
        state.discontinuity = state.discontinuity.max(announced);
        state.next = next;
        state.withheld = None;
        state.shown = Some(Shown { text, polled: now, moved });
        Step::Ahead
    }

    /// A playlist came in. For how long has it had nothing new?
    pub(super) fn stands(&self, next: u64, target: Duration) -> Duration {
        let mut state = self.state();
        state.failing = None;
        let same = next <= state.next;
        let Some(shown) = state.shown.as_mut().filter(|_| same) else { return Duration::ZERO };
        // Nobody looked meanwhile: it may have moved just now.
        if shown.polled.elapsed() > target * 2 {
            shown.moved = Instant::now();
        }
        shown.polled = Instant::now();
        shown.moved.elapsed()
    }

    /// What is new is not here yet. For how long has that been so?
    pub(super) fn withheld(&self) -> Duration {
        self.state().withheld.get_or_insert_with(Instant::now).elapsed()
    }

    /// No playlist could be had. For how long has that been so?
    pub(super) fn failing(&self) -> Duration {
        self.state().failing.get_or_insert_with(Instant::now).elapsed()
    }

    /// Another source is tried.
    pub(super) fn turns(&self) {
        self.state().failing = None;
    }
}
