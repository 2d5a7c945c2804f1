//! What edges tell each other of a change: who plays from here on, why, and how the renditions
//! are numbered that nobody has polled yet.

use pitwall_hls::splice::{Numbers, Segment};
use pitwall_hls::{Cut, Splice};
use serde::{Deserialize, Serialize};

/// The change with which a generation of a stream begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    pub source: String,
    /// The one that the map had first. Another than `source`: an edge knew better.
    pub picked: String,
    /// The version of that map: an edge with an older one does not know yet.
    pub map: u64,
    /// Unix seconds.
    pub at: u64,
    #[serde(default)]
    pub reason: Reason,
    /// Of the rendition that came first.
    #[serde(flatten)]
    pub from: Numbers,
    /// Of all sources there were at first: it must not change while a player watches.
    pub target_duration: u64,
    /// Unix seconds: it had to change. Until then no player is given anything, so that each loads
    /// the multivariant playlist again.
    #[serde(default)]
    pub nothing_until: u64,
}

impl Change {
    /// Are its segments no longer than players were told? One that is so here and there, and does
    /// not say it, is none to make them begin anew.
    pub(super) fn fits(&self, new: &Cut) -> bool {
        let longest = new.longest().min(new.target_duration);
        self.target_duration == 0 || longest <= self.target_duration
    }
}

/// Why another source plays, or the same one anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The map says so.
    #[default]
    Map,
    /// Nothing could be had of it.
    Failed,
    /// It stood still.
    Frozen,
    Ended,
    /// It counts anew.
    Restarted,
    /// Edges that could not ask each other had decided differently.
    Split,
}

impl Reason {
    pub const ALL: [Self; 6] =
        [Self::Map, Self::Failed, Self::Frozen, Self::Ended, Self::Restarted, Self::Split];

    pub fn label(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Failed => "failed",
            Self::Frozen => "frozen",
            Self::Ended => "ended",
            Self::Restarted => "restarted",
            Self::Split => "split",
        }
    }
}

/// What was published last of a rendition, for those who have not seen it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Newest {
    /// Unix milliseconds.
    pub at: u64,
    pub segments: Vec<Segment>,
}

/// So many segments are told.
const TOLD: usize = 4;

impl Newest {
    pub(super) fn of(cut: &Cut, at: u64) -> Self {
        let start = cut.segments.len().saturating_sub(TOLD);
        let segments = cut.segments.get(start..).unwrap_or_default();
        Self { at, segments: segments.to_vec() }
    }

    pub(super) fn next(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.number + 1)
    }

    pub(super) fn discontinuity(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.discontinuity)
    }
}

/// `own`, and what follows it of what others have published. Where these have published something
/// else under the same numbers, there is a discontinuity between, for which their own may have to
/// be counted `anew`. `None`: nothing follows.
pub(super) fn followed(own: &[Segment], others: &[Segment], anew: bool) -> Option<Vec<Segment>> {
    let (last, first) = (own.last()?, others.first()?);
    if first.number > last.number + 1 {
        return None;
    }
    // But for its link, whose token may be another.
    let what = |one: &Segment| (one.discontinuity, one.date, one.duration.to_bits());
    let theirs = others.iter().find(|one| one.number == last.number);
    let same = theirs.is_none_or(|theirs| what(theirs) == what(last));
    let mut since: Vec<Segment> =
        others.iter().filter(|one| one.number > last.number).cloned().collect();
    let follows =
        |next: &Segment| same && next.discontinuity.saturating_sub(next.tags) == last.discontinuity;
    if let Some(begins) = since.first_mut().filter(|begins| !follows(begins)) {
        let missing = (last.discontinuity + 1).saturating_sub(begins.discontinuity);
        if missing > 0 && !anew {
            return None;
        }
        begins.tags = begins.discontinuity + missing - last.discontinuity;
        since.iter_mut().for_each(|one| one.discontinuity += missing);
    }
    Some(own.iter().cloned().chain(since).collect())
}

/// What a rendition's part in a change is made from.
pub(super) struct Joint<'a> {
    pub generation: u64,
    pub change: &'a Change,
    /// It is this part with which the change begins.
    pub begins: bool,
    /// What was published here is not what has been agreed on.
    pub torn: bool,
    /// The rendition's part in the change before, and what was published last, on this edge.
    pub before: Option<&'a Splice>,
    pub shown: Option<Cut>,
    /// As others say.
    pub newest: Newest,
    /// No number below is free.
    pub head: u64,
}

impl Joint<'_> {
    /// The part that begins with the source's playlist `new`.
    pub(super) fn part(mut self, new: &Cut) -> Splice {
        let source = self.change.source.clone();
        let mut splice = match self.past() {
            Some(past) if past.next() < self.head => {
                // Somebody has published what is not known here: there would be a gap.
                let mut nothing = Cut::shown(Vec::new());
                nothing.first = self.head;
                Splice::after(self.before, &nothing, new, source)
            }
            Some(past) => Splice::after(self.before, &past, new, source),
            None if self.change.from == Numbers::default() && self.head == 0 => {
                Splice::plain(source, self.change.target_duration)
            }
            None => self.alike(new),
        };
        splice.generation = self.generation;
        let from = &mut splice.from;
        from.discontinuity = from.discontinuity.max(self.change.from.discontinuity);
        splice.target_duration = self.change.target_duration;
        // Nothing of a late rendition may be free yet.
        from.published = from.published.max(self.head);
        splice
    }

    /// What it goes on from: what was published here, and by others since.
    fn past(&mut self) -> Option<Cut> {
        let shown = self.shown.take();
        let theirs = std::mem::take(&mut self.newest);
        let next = shown.as_ref().map_or(0, Cut::next);
        let all = match shown {
            Some(shown) if self.torn => {
                // As agreed on, as far as that goes. Numbers above are this edge's alone.
                followed(&theirs.segments, &shown.segments, true).unwrap_or(theirs.segments)
            }
            Some(shown) if theirs.next() <= next || theirs.next() < self.head => {
                return Some(shown);
            }
            Some(shown) => {
                let all =
                    followed(&shown.segments, &theirs.segments, false).unwrap_or(theirs.segments);
                // As long as it was: an edge that has seen all of it would step back.
                let start = all.len().saturating_sub(shown.segments.len().max(TOLD));
                all.get(start..).unwrap_or_default().to_vec()
            }
            None => theirs.segments,
        };
        let goes_on = !all.is_empty() || (self.begins && self.head > 0);
        goes_on.then(|| Cut::shown(all))
    }

    /// As the rendition that came first: players change from one to the other by their numbers.
    fn alike(&self, new: &Cut) -> Splice {
        let change = self.change;
        let first = new.segments.first();
        let theirs = first.map_or(change.from.upstream_discontinuity, |first| first.discontinuity);
        let published = new.first.saturating_add(change.from.published);
        let published = published.saturating_sub(change.from.upstream);
        // What is below the head is left out, so that the rest keeps its numbers.
        let late = self.head.saturating_sub(published).min(new.segments.len() as u64);
        let since = theirs.saturating_sub(change.from.upstream_discontinuity);
        Splice {
            generation: self.generation,
            source: change.source.clone(),
            from: Numbers {
                upstream: new.first + late,
                published: published + late,
                upstream_discontinuity: theirs,
                discontinuity: change.from.discontinuity + since,
            },
            target_duration: change.target_duration,
            window: 0,
            independent: new.independent,
            version: new.version,
            tail: Vec::new(),
        }
    }
}
