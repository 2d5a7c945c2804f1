//! How a rendition is published: by its part in the change by which the stream plays, and nothing
//! before all edges have agreed that it may be.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use pitwall_hls::splice::{Numbers, Window, tailored};
use pitwall_hls::{Cut, Splice, Tempo};
use pitwall_upstream_map::StreamId;
use pitwall_upstream_map::store::{self, Agreed, Store, Word};
use prometheus::IntCounterVec;

use super::change::{Change, Joint, Newest, Reason};
use super::line::Line;
use super::track::{Part, Step, Told, Track};
use crate::playlists::version::Version;
use crate::problem::Problem;

pub(super) struct Publisher {
    pub store: Arc<dyn Store>,
    pub switches: IntCounterVec,
    pub line: Arc<Line>,
    pub track: Arc<Track>,
    pub stream: StreamId,
    pub rendition: String,
    /// How much is shown.
    pub window: Duration,
}

/// A source that is to be published.
pub(super) struct Offer<'a> {
    pub source: &'a str,
    /// The one that the map has first, and which map that is.
    pub picked: &'a str,
    pub map: u64,
    /// Unix seconds.
    pub now: u64,
    /// The longest of all sources.
    pub target_duration: u64,
    /// Should another one play now: why that does no more.
    pub reason: Reason,
    pub playlist: &'a [u8],
}

pub(super) enum Published {
    Text(Bytes),
    /// More is published already.
    Behind,
    /// Another part is agreed on.
    Over,
}

/// How often others may have been faster.
const TURNS: usize = 5;

impl Publisher {
    /// The part by which it is published now, unless none can be.
    pub(super) fn current(&self) -> Option<Part> {
        let part = self.track.part().filter(|part| part.is_of(&self.line.latest()))?;
        (!self.track.is_torn()).then_some(part)
    }

    /// Can it be published without another target duration?
    pub(super) fn fits(&self, playlist: &[u8]) -> bool {
        let Some(change) = self.line.latest().change else { return true };
        cut_of(playlist).map_or(true, |cut| change.fits(&cut))
    }

    /// Are players to load the multivariant playlist again?
    pub(super) fn is_anew(&self, now: u64) -> bool {
        self.line.latest().change.is_some_and(|change| now < change.nothing_until)
    }

    /// Who plays, as agreed on.
    pub(super) fn playing(&self) -> Option<String> {
        let latest = self.line.latest();
        let part = self.track.part().filter(|part| part.is_of(&latest));
        let source = part.map(|part| part.splice.source.clone());
        source.or(latest.change.map(|change| change.source.clone()))
    }

    /// This rendition's part in the change by which the source plays, agreed on with all edges.
    /// `anew`: it plays already, and counts anew. `None`: they agreed on something else.
    pub(super) async fn part(
        &self,
        offer: &Offer<'_>,
        anew: bool,
    ) -> Result<Option<Part>, Problem> {
        let latest = self.line.latest();
        let mine = self.track.part();
        let current = mine.as_ref().filter(|part| part.is_of(&latest));
        let torn = current.is_some() && self.track.is_torn();
        let anew = anew || torn;
        if let Some(part) = current.filter(|part| part.splice.source == offer.source && !anew) {
            return Ok(Some(part.clone()));
        }
        let mut begins = anew || self.playing().is_none_or(|source| source != offer.source);
        let cut = if latest.change.is_none() {
            cut_of(offer.playlist).ok()
        } else {
            Some(cut_of(offer.playlist)?)
        };
        let generation = latest.generation + u64::from(begins);
        let mut change = latest.change.as_deref().cloned().unwrap_or_default();
        if begins {
            // What it begins with is what follows: others take their part from it.
            change = self.change(offer, latest.change.as_deref(), cut.as_ref());
            change.reason = match (torn, anew) {
                (true, _) => Reason::Split,
                (_, true) => Reason::Restarted,
                _ => offer.reason,
            };
            // Whoever fills its gap with what others have published needs one for itself.
            change.from.discontinuity += u64::from(torn);
        }
        for _ in 0..TURNS {
            let target = Duration::from_secs(change.target_duration.max(1));
            let Told { head, mut newest } = self.track.told();
            if now_ms().saturating_sub(newest.at) > 4 * 1000 * change.target_duration {
                newest = Newest::default();
            }
            let joint = Joint {
                generation,
                change: &change,
                begins,
                torn,
                before: mine.as_ref().map(|part| &*part.splice),
                shown: self.track.shown(target).and_then(|text| cut_of(&text).ok()),
                newest,
                head,
            };
            let splice = joint.part(&cut.clone().unwrap_or_default());
            if std::mem::take(&mut begins) {
                change.from = splice.from;
            }
            let published = splice.from.published;
            let part = Some(store::Part { published, record: json(&splice)? });
            let word = Word { change: json(&change)?, part, ..self.word(generation) };
            let agreed = self.ask(&word).await;
            if agreed.generation != generation || agreed.change != word.change {
                return Ok(None);
            }
            if let Some(record) = &agreed.part {
                let unreadable = || Problem::Unavailable("what was agreed on cannot be read");
                let change = Arc::new(change);
                let part = self.track.adopt(record, &change).ok_or_else(unreadable)?;
                let torn = self.track.is_torn();
                tracing::info!(
                    stream = %self.stream, rendition = self.rendition, source = part.splice.source,
                    generation, from = ?part.splice.from, shared = agreed.shared, torn, "spliced"
                );
                return Ok((part.splice.source == offer.source && !torn).then_some(part));
            }
        }
        Err(Problem::Unavailable("no two edges agree"))
    }

    /// The change by which this source plays from now on.
    fn change(&self, offer: &Offer<'_>, before: Option<&Change>, cut: Option<&Cut>) -> Change {
        let own = cut.map_or(0, |cut| cut.target_duration);
        let all = offer.target_duration.max(own);
        let kept = before.filter(|before| cut.is_none_or(|cut| before.fits(cut)));
        let nothing_until = match (before, kept) {
            // Each player comes once in a target duration. The second that it is may be over soon.
            (Some(before), None) => offer.now + (before.target_duration * 3).div_ceil(2),
            _ => before.map_or(0, |before| before.nothing_until),
        };
        // Above all that was published of any rendition, here or as others told.
        let discontinuity = before.map_or(0, |before| {
            let others = self.track.told().newest.discontinuity().max(before.from.discontinuity);
            self.line.next_discontinuity().max(others + 1)
        });
        Change {
            source: offer.source.to_owned(),
            picked: offer.picked.to_owned(),
            map: offer.map,
            at: offer.now,
            reason: offer.reason,
            from: Numbers { discontinuity, ..Numbers::default() },
            target_duration: match kept.map_or(0, |kept| kept.target_duration) {
                0 => all,
                kept => kept,
            },
            nothing_until,
        }
    }

    /// What a source's playlist is to what was published, and which numbers it has: none if it
    /// counts from before where it began to play.
    pub(super) fn step(&self, part: &Part, version: &Version) -> (Step, Option<Range<u64>>) {
        let numbers = numbers(version, &part.splice);
        let step = numbers
            .as_ref()
            .map_or(Step::Restarted, |numbers| self.track.step(part, numbers, version.target()));
        (step, numbers)
    }

    /// The playlist as it is published. `over`: nothing will follow, from no source.
    pub(super) async fn publish(
        &self,
        part: &Part,
        version: &Version,
        over: bool,
    ) -> Result<Published, Problem> {
        let next = numbers(version, &part.splice).map_or(0, |numbers| numbers.end);
        let text = self.text(&part.splice, version, over)?;
        let news = self.track.is_news(next);
        let shown = (news || self.track.is_new()).then(|| cut_of(&text).unwrap_or_default());
        if let Some(shown) = shown.as_ref().filter(|_| news)
            && !self.agree(part, next, shown).await
        {
            return Ok(Published::Over);
        }
        Ok(match self.track.publish(part, text.clone(), next, shown.as_ref()) {
            Step::Ahead => Published::Text(text),
            Step::Behind => Published::Behind,
            Step::Over | Step::Restarted => Published::Over,
        })
    }

    fn text(&self, splice: &Splice, version: &Version, over: bool) -> Result<Bytes, Problem> {
        let rewritten = &version.playlist.bytes;
        let window = self.window(&version.tempo);
        if splice.is_plain() {
            if !window.holds(&version.tempo)
                && let Some(shortened) = splice.shortened(rewritten, window, over)
            {
                return Ok(shortened.into());
            }
            return Ok(tailored(rewritten, splice.target_duration, over)
                .map_or_else(|| rewritten.clone(), Bytes::from));
        }
        let printed = splice.print(&cut_of(rewritten)?, window, over);
        Ok(printed.map_err(|error| Problem::UpstreamInvalid(error.to_string()))?.into())
    }

    /// What has ended is left as it is, but for what players have seen leave.
    fn window(&self, tempo: &Tempo) -> Window {
        match tempo.end_list {
            false => Window::Newest(self.window),
            true => self.track.first().map_or(Window::Whole, Window::From),
        }
    }

    /// Before a number is published for the first time, all edges agree that it may be. `false`:
    /// it may not.
    async fn agree(&self, part: &Part, next: u64, shown: &Cut) -> bool {
        let latest = self.line.latest();
        let Some(change) = latest.change.clone().filter(|_| part.is_of(&latest)) else {
            return false;
        };
        let (Ok(said), Ok(newest)) = (json(&*change), json(&Newest::of(shown, now_ms()))) else {
            return false;
        };
        let generation = latest.generation;
        let word = Word { next, newest, change: said, ..self.word(generation) };
        let of_this =
            |agreed: &Agreed| agreed.generation == generation && agreed.change == word.change;
        let mut agreed = self.ask(&word).await;
        if of_this(&agreed) && agreed.part.is_none() {
            // It was forgotten there.
            let (published, record) = (part.splice.from.published, part.record.to_vec());
            let part = Some(store::Part { published, record });
            self.ask(&Word { part, again: true, ..word.clone() }).await;
            agreed = self.ask(&word).await;
        }
        if !of_this(&agreed) {
            return false;
        }
        match &agreed.part {
            Some(record) if **record == *part.record => {
                self.track.agreed(next);
                return true;
            }
            Some(record) => drop(self.track.adopt(record, &change)),
            // Others have published more by another one.
            None => self.track.tear(),
        }
        false
    }

    async fn ask(&self, word: &Word) -> Agreed {
        let agreed = self.store.agree(word).await;
        if let Some(reason) = self.line.learn(&agreed) {
            self.switches.with_label_values(&[reason.label()]).inc();
        }
        self.track.hear(&agreed);
        agreed
    }

    fn word(&self, generation: u64) -> Word {
        Word::asking(self.stream.clone(), self.rendition.clone(), generation)
    }
}

pub(super) fn cut_of(text: &[u8]) -> Result<Cut, Problem> {
    Cut::of(text).map_err(|error| Problem::UpstreamInvalid(error.to_string()))
}

/// Those of its segments, as they are published.
fn numbers(version: &Version, splice: &Splice) -> Option<Range<u64>> {
    let next = version.newest().map_or(0, |newest| newest.saturating_add(1));
    let next = splice.next(next)?;
    Some(next.saturating_sub(version.tempo.segments)..next)
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|_| Problem::Unavailable("a splice cannot be written"))
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
