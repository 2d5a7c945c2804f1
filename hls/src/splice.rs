//! One media playlist across a change of source: what was published stays, and what follows goes
//! on from it.
//!
//! - [`cut`]: a playlist taken apart into segments, each with all that it needs to stand anywhere.
//! - [`join`]: where the next source begins.
//! - [`window`]: how much of it is shown.
//! - [`print`]: the parts put together again.
//!
//! A [`Splice`] is all that has to be remembered of a change: who has it, and a playlist of the
//! source, makes the same playlist as everybody else. Numbers only ever grow, and a segment keeps
//! its number, its discontinuity, its key and its map for as long as it is shown.
//!
//! It works on playlists that are rewritten already: links are made for the number under which a
//! segment is published ([`Splice::number`]), by whoever rewrites.

mod cut;
mod join;
mod print;
mod window;

pub use self::cut::{Cut, NoCut, Segment};
pub use self::print::tailored;
pub use self::window::Window;

use serde::{Deserialize, Serialize};

/// From when on a source is published, and under which numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Splice {
    /// Counts the changes. The first is to the first source.
    pub generation: u64,
    pub source: String,
    #[serde(flatten)]
    pub from: Numbers,
    /// Of all sources: it must not change while a player watches.
    pub target_duration: u64,
    /// How many segments are shown, at least.
    pub window: usize,
    /// Does every source so far say that its segments stand alone?
    pub independent: bool,
    pub version: u64,
    /// What was published before, as far as it may still be shown.
    pub tail: Vec<Segment>,
}

/// How the first segment of a source that is published is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Its number, as the source counts.
    pub upstream: u64,
    /// And as we do.
    pub published: u64,
    /// The source's discontinuity number there, and ours.
    pub upstream_discontinuity: u64,
    pub discontinuity: u64,
}

/// What a source has become, so that it cannot be published any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source counts backwards: it is at {newest}, and {published} is published")]
pub struct Regressed {
    pub newest: u64,
    pub published: u64,
}

impl Splice {
    /// The first source, before any change: it is published as it comes.
    pub fn plain(source: String, target_duration: u64) -> Self {
        Self {
            generation: 1,
            source,
            from: Numbers::default(),
            target_duration,
            window: 0,
            independent: true,
            version: 1,
            tail: Vec::new(),
        }
    }

    pub fn is_plain(&self) -> bool {
        self.from == Numbers::default()
    }

    /// Under which number a segment of the source is published. What came before the change is
    /// not, and has none.
    pub fn number(&self, upstream: u64) -> Option<u64> {
        upstream.checked_sub(self.from.upstream)?.checked_add(self.from.published)
    }

    /// The same of the segment that follows a playlist of the source, which may not have come to
    /// what is published yet. `None`: it counts backwards.
    pub fn next(&self, upstream: u64) -> Option<u64> {
        let missing = self.from.upstream.saturating_sub(upstream);
        let since = upstream.saturating_sub(self.from.upstream);
        (missing <= join::AHEAD as u64).then(|| self.from.published.saturating_add(since))
    }

    /// The number by which the source knows what a player asks for.
    pub fn upstream_number(&self, published: u64) -> Option<u64> {
        published.checked_sub(self.from.published)?.checked_add(self.from.upstream)
    }

    /// The segments that are shown of this source's playlist, as they are published, and before
    /// them what is left of the sources before.
    pub fn window(&self, cut: &Cut) -> Result<Vec<Segment>, Regressed> {
        let newest = cut.next().saturating_sub(1);
        if self.next(cut.next()).is_none() {
            return Err(Regressed { newest, published: self.from.upstream.saturating_sub(1) });
        }
        let current: Vec<Segment> =
            cut.segments.iter().filter_map(|segment| self.publish(segment)).collect();
        let shown = self.window.max(current.len());
        // With a gap in its numbers it would be no playlist: then the old ones are gone.
        let follows = current.first().is_none_or(|first| first.number == self.from.published);
        let kept = if follows { shown - current.len() } else { 0 };
        let tail = self.tail.get(self.tail.len().saturating_sub(kept)..).unwrap_or_default();
        Ok(tail.iter().map(Segment::whole).chain(current).collect())
    }

    fn publish(&self, segment: &Segment) -> Option<Segment> {
        let number = self.number(segment.number)?;
        let since = segment.discontinuity.checked_sub(self.from.upstream_discontinuity)?;
        let mut published = segment.clone();
        published.number = number;
        published.discontinuity = self.from.discontinuity + since;
        if number == self.from.published {
            // Ours, and its own where it was not there yet when the source was chosen. Other
            // renditions may have had more before.
            published.tags = published.discontinuity.saturating_sub(self.before());
        }
        Some(published)
    }

    /// The discontinuity number in front of what begins here.
    fn before(&self) -> u64 {
        let before = self.tail.last().map(|last| last.discontinuity);
        before.unwrap_or(self.from.discontinuity.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests;
