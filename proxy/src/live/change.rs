//! What edges tell each other of a change: who plays from here on, why, and how the renditions
//! are numbered that nobody has polled yet.

use pitwall_hls::splice::Segment;
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
    /// Numbers of the rendition that came first, as the source counts and as we do.
    pub upstream: u64,
    pub published: u64,
    pub upstream_discontinuity: u64,
    pub discontinuity: u64,
    /// Of all sources there are: it must not change while a player watches.
    pub target_duration: u64,
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
        Self { at, segments: cut.segments.get(start..).unwrap_or_default().to_vec() }
    }

    fn next(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.number + 1)
    }
}

/// What a rendition's part in a change is made from.
pub(super) struct Joint<'a> {
    pub generation: u64,
    pub change: &'a Change,
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
        self.look_further();
        let mut splice = match self.shown.take() {
            Some(shown) => {
                let source = self.change.source.clone();
                Splice::after(self.before, &shown, new, source)
            }
            None if self.change.is_plain() && self.head == 0 => {
                Splice::plain(self.change.source.clone(), self.change.target_duration)
            }
            None => self.alike(new),
        };
        splice.generation = self.generation;
        splice.discontinuity = splice.discontinuity.max(self.change.discontinuity);
        splice.target_duration = self.change.target_duration;
        if self.head > splice.published {
            // Somebody has published what is not known here: there would be a gap.
            splice.published = self.head;
            splice.tail.clear();
        }
        splice
    }

    /// What others have published since is what it goes on from.
    fn look_further(&mut self) {
        let Newest { segments, .. } = &self.newest;
        let next = self.shown.as_ref().map_or(0, Cut::next);
        if self.newest.next() <= next || self.newest.next() < self.head {
            return;
        }
        let follows = segments.first().is_some_and(|first| first.number <= next);
        let shown = self.shown.take().filter(|_| follows).map_or_else(Vec::new, |cut| cut.segments);
        let since = segments.iter().filter(|one| shown.is_empty() || one.number >= next);
        let all = shown.iter().chain(since).cloned().collect();
        self.shown = Some(Cut::shown(all));
    }

    /// As the rendition that came first: players change from one to the other by their numbers.
    fn alike(&self, new: &Cut) -> Splice {
        let change = self.change;
        let first = new.segments.first();
        let theirs = first.map_or(change.upstream_discontinuity, |first| first.discontinuity);
        let published = (new.first + change.published).saturating_sub(change.upstream);
        // What is below the head is left out, so that the rest keeps its numbers.
        let late = self.head.saturating_sub(published).min(new.segments.len() as u64);
        let since = theirs.saturating_sub(change.upstream_discontinuity);
        Splice {
            generation: self.generation,
            source: change.source.clone(),
            upstream: new.first + late,
            published: published + late,
            upstream_discontinuity: theirs,
            discontinuity: change.discontinuity + since,
            target_duration: change.target_duration,
            window: 0,
            independent: new.independent,
            version: new.version,
            tail: Vec::new(),
        }
    }
}

impl Change {
    /// Every number is the source's own.
    fn is_plain(&self) -> bool {
        let Self { upstream, published, upstream_discontinuity, discontinuity, .. } = self;
        [*upstream, *published, *upstream_discontinuity, *discontinuity] == [0; 4]
    }

    /// The first of a stream: it is published as it comes.
    pub(super) fn first(
        source: &str,
        picked: &str,
        map: u64,
        at: u64,
        target_duration: u64,
    ) -> Self {
        let (source, picked) = (source.to_owned(), picked.to_owned());
        Self { source, picked, map, at, target_duration, ..Self::default() }
    }
}
