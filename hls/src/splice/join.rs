//! Where the next source begins.

use jiff::{SignedDuration, Timestamp};

use super::cut::{Cut, Segment};
use super::{Numbers, Splice};

/// Clocks that differ by more than this are not the same clock.
const SAME_CLOCK: SignedDuration = SignedDuration::from_secs(120);

/// A source may be behind by so many segments; what it will have then is waited for.
pub(super) const AHEAD: usize = 64;

impl Splice {
    /// The change from what is shown to another source's playlist: to the segment that follows
    /// by date what was published last, where both tell it, else to the newest.
    ///
    /// `before`: the change before this one. `shown`: what was published last.
    pub fn after(before: Option<&Self>, shown: &Cut, new: &Cut, source: String) -> Self {
        let last = shown.segments.last();
        let at = begin(last, &new.segments);
        let first = new.segments.get(at);
        let after_all = new.segments.last().map_or(0, |segment| segment.discontinuity);
        Self {
            generation: before.map_or(1, |before| before.generation + 1),
            source,
            from: Numbers {
                upstream: new.first.saturating_add(at as u64),
                published: shown.next(),
                upstream_discontinuity: first.map_or(after_all, |first| first.discontinuity),
                discontinuity: last.map_or(0, |last| last.discontinuity) + 1,
            },
            target_duration: shown.target_duration.max(new.target_duration),
            window: shown.segments.len().max(before.map_or(0, |before| before.window)),
            independent: shown.independent && new.independent,
            version: shown.version.max(new.version),
            tail: shown.segments.clone(),
        }
    }
}

/// The place of the first segment to publish; past the end: the one that comes next.
fn begin(last: Option<&Segment>, new: &[Segment]) -> usize {
    let newest = new.len().saturating_sub(1);
    let Some(end) = last.and_then(Segment::end) else { return newest };
    let dates: Option<Vec<_>> =
        new.iter().map(|segment| Some((segment.date?, segment.duration))).collect();
    let Some(dates) = dates.filter(|dates| !dates.is_empty()) else { return newest };
    let far = |at: usize| {
        dates.get(at).is_none_or(|(date, _)| date.duration_since(end).abs() > SAME_CLOCK)
    };
    if far(0) && far(newest) {
        return newest;
    }
    // Half of it was seen already, or half of it was not: what is nearer to the truth.
    let follows = |date: Timestamp, duration: f64| {
        let half = SignedDuration::try_from_secs_f64(duration / 2.0).unwrap_or_default();
        date.checked_add(half).is_ok_and(|middle| middle >= end)
    };
    if let Some(at) = dates.iter().position(|(date, duration)| follows(*date, *duration)) {
        return at;
    }
    // None of them does: of those to come, which will be as long as the last, the first that will.
    let Some((mut date, duration)) = dates.last().copied() else { return newest };
    let whole = SignedDuration::try_from_secs_f64(duration).unwrap_or_default();
    for ahead in 0..AHEAD {
        let Ok(next) = date.checked_add(whole) else { break };
        if follows(next, duration) {
            return new.len() + ahead;
        }
        date = next;
    }
    new.len()
}
