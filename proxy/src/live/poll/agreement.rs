//! What edges agree on before anything is published: who plays, and under which numbers.

use std::time::Duration;

use jiff::Timestamp;
use pitwall_hls::Cut;
use pitwall_upstream_map::store::{self, Agreed, Word};

use super::{MediaPoll, TURNS, Turn, cut_of};
use crate::live::change::{Change, Joint, Newest};
use crate::live::choose::picked;
use crate::live::track::Part;
use crate::playlists::UpstreamAnswer;
use crate::problem::Problem;

impl MediaPoll {
    /// This rendition's part in the change by which the source plays, agreed on with all edges.
    /// `None`: they agreed on something else.
    pub(super) async fn part(
        &self,
        turn: &Turn<'_>,
        answer: &UpstreamAnswer,
        anew: bool,
    ) -> Result<Option<Part>, Problem> {
        let source = &turn.upstream.source;
        let latest = self.line.latest();
        let mine = self.track.part();
        let current = mine.as_ref().filter(|part| part.splice.generation == latest.generation);
        let anew = anew || self.track.is_torn();
        if let Some(part) = current.filter(|part| part.splice.source == *source && !anew) {
            return Ok(Some(part.clone()));
        }
        let plays = current.map(|part| &part.splice.source);
        let plays = plays.or(latest.change.as_ref().map(|change| &change.source));
        let mut begins = anew || plays != Some(source);
        let cut = if latest.change.is_none() {
            cut_of(&answer.body).ok()
        } else {
            Some(cut_of(&answer.body)?)
        };
        let mut generation = latest.generation;
        let mut change = latest.change.as_deref().cloned().unwrap_or_default();
        if begins {
            // What it begins with is what follows: others take their part from it.
            generation += 1;
            change = self.change(turn, &change, cut.as_ref());
        }
        let (mut head, mut newest) = (self.track.next(), Newest::default());
        for _ in 0..TURNS {
            let target = Duration::from_secs(change.target_duration.max(1));
            let joint = Joint {
                generation,
                change: &change,
                before: mine.as_ref().map(|part| &*part.splice),
                shown: self.track.shown(target).and_then(|text| cut_of(&text).ok()),
                newest,
                head,
            };
            let splice = joint.part(&cut.clone().unwrap_or_default());
            if std::mem::take(&mut begins) {
                change.upstream = splice.upstream;
                change.published = splice.published;
                change.upstream_discontinuity = splice.upstream_discontinuity;
                change.discontinuity = splice.discontinuity;
            }
            let published = splice.published;
            let part = Some(store::Part { published, record: json(&splice)? });
            let word = Word { change: json(&change)?, part, ..self.word(generation) };
            let agreed = self.rooms.store.agree(&word).await;
            self.line.learn(&agreed);
            if agreed.generation != generation || agreed.change != word.change {
                return Ok(None);
            }
            if let Some(record) = &agreed.part {
                let unreadable = || Problem::Unavailable("what was agreed on cannot be read");
                let part = self.track.adopt(record).ok_or_else(unreadable)?;
                tracing::info!(
                    stream = %self.stream, rendition = self.rendition, source = part.splice.source,
                    generation, published = part.splice.published, upstream = part.splice.upstream,
                    shared = agreed.shared, "spliced"
                );
                return Ok((part.splice.source == *source).then_some(part));
            }
            head = agreed.next;
            newest = serde_json::from_slice(&agreed.newest).unwrap_or_default();
            if now_ms().saturating_sub(newest.at) > 4 * 1000 * change.target_duration {
                newest = Newest::default();
            }
        }
        Err(Problem::Unavailable("no two edges agree"))
    }

    /// The change by which this source plays from now on.
    fn change(&self, turn: &Turn<'_>, before: &Change, cut: Option<&Cut>) -> Change {
        let own = cut.map_or(0, |cut| cut.target_duration);
        let all = turn.stream.upstreams.iter().flat_map(|one| &one.renditions);
        let longest = all.filter_map(|one| one.target_duration).max().unwrap_or_default();
        let target_duration = longest.max(own).max(before.target_duration);
        let picked = picked(turn.stream, &self.rendition).map_or("", |one| &one.source);
        let change = Change::first(
            &turn.upstream.source,
            picked,
            turn.map.version,
            self.now,
            target_duration,
        );
        let first = before == &Change::default();
        let discontinuity = if first { 0 } else { self.line.next_discontinuity() };
        Change { discontinuity, ..change }
    }

    /// Before a number is published for the first time, all edges agree that it may be. `false`:
    /// it may not.
    pub(super) async fn agree(&self, part: &Part, next: u64, shown: &Cut) -> bool {
        let latest = self.line.latest();
        let Some(change) = latest.change else { return false };
        let (Ok(change), Ok(newest)) = (json(&*change), json(&Newest::of(shown, now_ms()))) else {
            return false;
        };
        let generation = part.splice.generation;
        if latest.generation != generation {
            return false;
        }
        let word = Word { next, newest, change, ..self.word(generation) };
        let mut agreed = self.rooms.store.agree(&word).await;
        if agreed.generation == generation && agreed.part.is_none() {
            // It was forgotten there.
            let (published, record) = (part.splice.published, part.record.to_vec());
            let part = Some(store::Part { published, record });
            agreed = self.rooms.store.agree(&Word { part, ..word }).await;
        }
        self.line.learn(&agreed);
        let Agreed { generation: agreed_on, part: Some(record), .. } = &agreed else {
            return false;
        };
        if *agreed_on != generation || **record != *part.record {
            if *agreed_on == generation {
                self.track.adopt(record);
            }
            return false;
        }
        self.track.agreed(next);
        true
    }

    fn word(&self, generation: u64) -> Word {
        Word {
            stream: self.stream.clone(),
            rendition: self.rendition.clone(),
            generation,
            next: 0,
            newest: Vec::new(),
            change: Vec::new(),
            part: None,
        }
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|_| Problem::Unavailable("a splice cannot be written"))
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}
