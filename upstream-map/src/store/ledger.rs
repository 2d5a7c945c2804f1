//! [`Ledger`]: what edges have agreed on about how a stream is published, so that the same number
//! is the same segment wherever a player asks.
//!
//! A stream goes through generations, one for each change of its source. A generation has one
//! *change* for the stream and a *part* for each of its renditions; what is in them is the edges'
//! own business. Both are written once: whoever comes second is told what is there. A rendition
//! also has a *head*, the number up to which it is published, and no part can begin below it.
//! Since no head moves any more once the next generation has begun, nothing is published twice.
//!
//! [`Ledger::agree`] is the whole protocol; `agree.lua` is the same for many machines.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

use crate::map::StreamId;

/// A stream that nobody watches for so long begins anew.
pub(super) const REMEMBERED: Duration = Duration::from_secs(6 * 3600);

/// What an edge says, and wants to hear about.
#[derive(Clone, Debug)]
pub struct Word {
    pub stream: StreamId,
    pub rendition: String,
    /// By which it publishes, or wants to. 0: it knows of none.
    pub generation: u64,
    /// The number that follows the last one it is about to publish. 0: none.
    pub next: u64,
    /// What is about to be published last, for whoever has not seen it.
    pub newest: Vec<u8>,
    /// The change that this generation begins with, should it not have begun.
    pub change: Vec<u8>,
    pub part: Option<Part>,
    /// The part is none that begins now: others have forgotten it.
    pub again: bool,
    /// Any number of the stream below may have been published before this edge was killed. Of no
    /// account where the rendition is known to have begun.
    pub reserved: u64,
}

impl Word {
    /// Only asks.
    pub fn asking(stream: StreamId, rendition: String, generation: u64) -> Self {
        Self {
            stream,
            rendition,
            generation,
            next: 0,
            newest: Vec::new(),
            change: Vec::new(),
            part: None,
            again: false,
            reserved: 0,
        }
    }

    fn silent(&self) -> Self {
        Self::asking(self.stream.clone(), self.rendition.clone(), self.generation)
    }
}

/// Where a rendition goes on in a generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The first number of the generation.
    pub published: u64,
    pub record: Vec<u8>,
}

/// What is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// 0: nothing is.
    pub generation: u64,
    pub change: Vec<u8>,
    /// Of the rendition in this generation, if somebody has begun it.
    pub part: Option<Vec<u8>>,
    /// Of the rendition, from whichever generation.
    pub next: u64,
    pub newest: Vec<u8>,
    /// Any number of the stream below may have been published.
    pub reserved: u64,
    /// Every edge hears the same. If not, others could not be asked.
    pub shared: bool,
}

impl Agreed {
    /// The number below which none is free.
    pub fn free(&self) -> u64 {
        if self.part.is_some() { self.next } else { self.next.max(self.reserved) }
    }
}

/// In the memory of one process.
#[derive(Default)]
pub struct Ledger(Mutex<HashMap<StreamId, Entry>>);

/// All that is written of a stream.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Entry {
    generation: u64,
    change: Vec<u8>,
    parts: BTreeMap<String, Vec<u8>>,
    heads: BTreeMap<String, (u64, Vec<u8>)>,
    /// Whoever wrote this before it was killed may have published any number below, of each
    /// rendition. The first that is published again by what was agreed on shows how far all of
    /// them had come.
    #[serde(default)]
    reserved: u64,
    /// Others have heard of `reserved`, and say from now on what it is.
    #[serde(skip)]
    told: bool,
    #[serde(skip)]
    heard: Option<Instant>,
}

impl Ledger {
    pub fn agree(&self, word: &Word) -> Agreed {
        let mut streams = self.streams();
        let now = Instant::now();
        let idle = |entry: &Entry| entry.heard.is_some_and(|at| now - at >= REMEMBERED);
        if streams.get(&word.stream).is_some_and(idle) {
            streams.remove(&word.stream);
        }
        let entry = streams.entry(word.stream.clone()).or_default();
        entry.heard = Some(now);
        entry.agree(word)
    }

    /// Agrees with others: `say` tells them, and hears what they have written. What they have
    /// forgotten is said again before anybody begins anew, also when it is this edge that was
    /// restarted and knows it from disk only. Says besides whether there was news.
    pub async fn agree_with<F, E>(
        &self,
        word: &Word,
        say: impl Fn(Word) -> F,
    ) -> Result<(Agreed, bool), E>
    where
        F: Future<Output = Result<Agreed, E>>,
    {
        let reserved = word.reserved.max(self.untold(word));
        let known = if self.knows_more(word) { word.silent() } else { word.clone() };
        let mut agreed = say(Word { reserved, ..known }).await?;
        if let Some(forgotten) = self.forgotten(word, &agreed) {
            agreed = say(Word { reserved, ..forgotten }).await?;
            // Only now there is a part by which it can be published.
            if word.next > agreed.next && word.generation == agreed.generation {
                agreed = say(word.clone()).await?;
            }
        }
        let news = self.learn(word, &agreed);
        Ok((agreed, news))
    }

    /// Decides without the others, from what was agreed before.
    pub fn agree_alone(&self, word: &Word) -> Agreed {
        Agreed { shared: false, ..self.agree(word) }
    }

    /// Takes over what others have agreed on. Says whether it was news.
    /// Where they have forgotten, this remembers.
    fn learn(&self, word: &Word, agreed: &Agreed) -> bool {
        let mut streams = self.streams();
        let entry = streams.entry(word.stream.clone()).or_default();
        entry.heard = Some(Instant::now());
        if agreed.generation < entry.generation {
            return false;
        }
        let begun = entry.generation != agreed.generation || entry.change != agreed.change;
        if begun {
            entry.generation = agreed.generation;
            entry.change.clone_from(&agreed.change);
            entry.parts.clear();
        }
        let has_heard = entry.told || agreed.reserved >= entry.reserved;
        if begun || has_heard || agreed.part.is_some() {
            (entry.reserved, entry.told) = (agreed.reserved, true);
        }
        let rendition = word.rendition.clone();
        let head = entry.heads.entry(rendition.clone()).or_default();
        // What was published without them is not free either.
        if agreed.next >= head.0 {
            *head = (agreed.next, agreed.newest.clone());
        }
        let Some(part) = &agreed.part else { return begun };
        entry.parts.insert(rendition, part.clone()).as_ref() != Some(part)
    }

    /// What is reserved, if only the disk has said so.
    fn untold(&self, word: &Word) -> u64 {
        let streams = self.streams();
        let entry = streams.get(&word.stream).filter(|entry| !entry.told);
        entry.map_or(0, |entry| entry.reserved)
    }

    /// Is whoever says this behind what is known here?
    fn knows_more(&self, word: &Word) -> bool {
        self.streams().get(&word.stream).is_some_and(|entry| entry.generation > word.generation)
    }

    /// What is known here and not there any more. The part too where nothing is known of the
    /// rendition: elsewhere others may have published what this edge decided alone, and only who
    /// knows where the part began can tell whether it still holds.
    fn forgotten(&self, word: &Word, agreed: &Agreed) -> Option<Word> {
        let streams = self.streams();
        let entry = streams.get(&word.stream)?;
        let part = entry.parts.get(&word.rendition).filter(|_| agreed.next == 0);
        let same = entry.generation == agreed.generation && entry.change == agreed.change;
        let lost = entry.generation > agreed.generation || (same && agreed.part.is_none());
        let head = entry.heads.get(&word.rendition).cloned().unwrap_or_default();
        (lost && entry.generation > 0 && (part.is_some() || !same)).then(|| Word {
            generation: entry.generation,
            change: entry.change.clone(),
            part: part.map(|record| Part { published: head.0, record: record.clone() }),
            again: true,
            ..word.silent()
        })
    }

    /// A copy to be kept, in which the next `count` numbers of each stream are reserved, and up to
    /// where they are.
    pub(super) fn reserving(
        &self,
        count: u64,
    ) -> (HashMap<StreamId, Entry>, HashMap<StreamId, u64>) {
        let mut entries = self.streams().clone();
        for entry in entries.values_mut() {
            let heads = entry.heads.values().map(|head| head.0);
            let highest = heads.max().unwrap_or_default();
            entry.reserved = entry.reserved.max(highest.saturating_add(count));
            entry.told = false;
        }
        let reserved = entries.iter().map(|(stream, entry)| (stream.clone(), entry.reserved));
        let reserved = reserved.collect();
        (entries, reserved)
    }

    pub(super) fn of(entries: HashMap<StreamId, Entry>) -> Self {
        Self(Mutex::new(entries))
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<StreamId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn agree(&mut self, word: &Word) -> Agreed {
        if word.generation > self.generation && !word.change.is_empty() {
            self.generation = word.generation;
            self.change.clone_from(&word.change);
            self.parts.clear();
        }
        let head = self.heads.entry(word.rendition.clone()).or_default();
        let begun = self.parts.contains_key(&word.rendition);
        if word.generation == self.generation {
            if !begun {
                self.reserved = self.reserved.max(word.reserved);
            }
            let free = if word.again { head.0 } else { head.0.max(self.reserved) };
            match &word.part {
                // One that was made for another change is none of this one.
                Some(part) if !begun && part.published >= free && word.change == self.change => {
                    self.parts.insert(word.rendition.clone(), part.record.clone());
                    head.0 = part.published;
                }
                // Nor has who publishes by another change anything to say of what is published.
                None if begun && word.next > head.0 && word.change == self.change => {
                    *head = (word.next, word.newest.clone());
                    self.reserved = self.reserved.min(word.next);
                }
                _ => {}
            }
        }
        Agreed {
            generation: self.generation,
            change: self.change.clone(),
            part: self.parts.get(&word.rendition).cloned(),
            next: head.0,
            newest: head.1.clone(),
            reserved: self.reserved,
            shared: true,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn word(rendition: &str, generation: u64) -> Word {
        let stream = StreamId::of_feed("World feed").unwrap();
        Word::asking(stream, rendition.to_owned(), generation)
    }

    fn begins(generation: u64, change: &str, published: u64, record: &str) -> Word {
        let part = Part { published, record: record.into() };
        Word { change: change.into(), part: Some(part), ..word("v", generation) }
    }

    fn publishes(generation: u64, change: &str, next: u64) -> Word {
        let newest = format!("{next}").into();
        Word { next, newest, change: change.into(), ..word("v", generation) }
    }

    /// The other rendition begins.
    fn sound(generation: u64, change: &str, published: u64) -> Word {
        Word { rendition: "a-en".into(), ..begins(generation, change, published, "s") }
    }

    /// Another one does, or has done so before.
    fn third(again: bool) -> Word {
        Word { again, rendition: "a-fr".into(), ..sound(9, "i", HIGH + 5) }
    }

    fn reserving(rendition: &str, generation: u64, reserved: u64) -> Word {
        Word { reserved, ..word(rendition, generation) }
    }

    /// Higher than a double can count, one by one.
    const HIGH: u64 = (1 << 53) + 1;

    /// Generation, change, part and head.
    pub(crate) type Expected = (u64, &'static str, &'static str, u64);

    /// What edges may say one after another, and what is written then: the same for every
    /// implementation.
    pub(crate) fn conversation() -> Vec<(&'static str, Word, Expected)> {
        vec![
            ("nothing is written", word("v", 0), (0, "", "", 0)),
            ("the first change", begins(1, "a", 0, "a0"), (1, "a", "a0", 0)),
            ("the second to come is told", begins(1, "b", 9, "b9"), (1, "a", "a0", 0)),
            ("it is published", publishes(1, "a", 107), (1, "a", "a0", 107)),
            ("by all of them", publishes(1, "a", 106), (1, "a", "a0", 107)),
            ("another rendition has its own", word("a-en", 1), (1, "a", "", 0)),
            ("none begins below the head", begins(2, "b", 106, "b106"), (2, "b", "", 107)),
            ("whoever is behind moves no head", publishes(1, "a", 108), (2, "b", "", 107)),
            ("nor does who has no part", publishes(2, "b", 108), (2, "b", "", 107)),
            ("nor by another change", begins(2, "c", 107, "c107"), (2, "b", "", 107)),
            ("it begins at the head", begins(2, "b", 107, "b107"), (2, "b", "b107", 107)),
            (
                "nor does who publishes by another change",
                publishes(2, "c", 109),
                (2, "b", "b107", 107),
            ),
            ("and is published", publishes(2, "b", 108), (2, "b", "b107", 108)),
            (
                "what was forgotten is said again",
                begins(7, "g", 200, "g200"),
                (7, "g", "g200", 200),
            ),
            ("numbers may be high", publishes(7, "g", HIGH), (7, "g", "g200", HIGH)),
            ("and differ by one", publishes(7, "g", HIGH + 1), (7, "g", "g200", HIGH + 1)),
            ("none of them is below", begins(8, "h", HIGH, "h"), (8, "h", "", HIGH + 1)),
            ("nor is 9 above 10", begins(8, "h", 9, "h9"), (8, "h", "", HIGH + 1)),
            ("but this", begins(8, "h", HIGH + 1, "hh"), (8, "h", "hh", HIGH + 1)),
            ("who was killed tells", reserving("a-en", 8, HIGH + 9), (8, "h", "", HIGH + 9)),
            ("what is over it does not", reserving("a-en", 7, HIGH + 99), (8, "h", "", HIGH + 9)),
            ("nor what is known better", reserving("v", 8, HIGH + 99), (8, "h", "hh", HIGH + 1)),
            ("no rendition begins below", sound(8, "h", HIGH + 8), (8, "h", "", HIGH + 9)),
            ("nor in what follows", begins(9, "i", HIGH + 8, "i"), (9, "i", "", HIGH + 9)),
            ("but there", begins(9, "i", HIGH + 9, "ii"), (9, "i", "ii", HIGH + 9)),
            ("which is published", publishes(9, "i", HIGH + 11), (9, "i", "ii", HIGH + 11)),
            ("and the other does not step back", sound(9, "i", 1), (9, "i", "", HIGH + 9)),
            ("it begins there too", sound(9, "i", HIGH + 9), (9, "i", "s", HIGH + 9)),
            (
                "who was killed tells again",
                reserving("a-fr", 9, HIGH + 99),
                (9, "i", "", HIGH + 99),
            ),
            ("what is none of it begins there", third(false), (9, "i", "", HIGH + 99)),
            ("what had begun goes on", third(true), (9, "i", "s", HIGH + 5)),
            ("how far it has come counts", publishes(9, "i", HIGH + 12), (9, "i", "ii", HIGH + 12)),
            ("for what follows", begins(10, "j", HIGH + 12, "j"), (10, "j", "j", HIGH + 12)),
            ("and for the other", sound(10, "j", HIGH + 11), (10, "j", "", HIGH + 12)),
        ]
    }

    pub(crate) fn check(what: &str, agreed: &Agreed, expected: Expected) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let part = agreed.part.as_deref().map(text).unwrap_or_default();
        let got = (agreed.generation, text(&agreed.change), part, agreed.free());
        let (generation, change, part, next) = expected;
        assert_eq!(got, (generation, change.to_owned(), part.to_owned(), next), "{what}");
    }

    #[test]
    fn what_is_said_first_is_written() {
        let ledger = Ledger::default();
        for (what, word, expected) in conversation() {
            let agreed = ledger.agree(&word);
            check(what, &agreed, expected);
            assert!(agreed.shared, "{what}");
        }
    }

    /// What two edges decided apart, said when they can: one of them is heard, and the other's
    /// numbers are not free all the same.
    #[tokio::test]
    async fn what_was_decided_apart_is_decided_by_who_speaks_first() {
        let theirs = Ledger::default();
        let say = |word: Word| std::future::ready(Ok::<_, ()>(theirs.agree(&word)));
        let edges = [Ledger::default(), Ledger::default()];
        for edge in &edges {
            edge.agree_with(&begins(1, "a", 0, "a0"), say).await.unwrap();
            edge.agree_with(&publishes(1, "a", 107), say).await.unwrap();
        }
        for (edge, change, next) in [(&edges[0], "b", 109), (&edges[1], "c", 111)] {
            let record = format!("{change}107");
            let alone = edge.agree_alone(&begins(2, change, 107, &record));
            assert!(!alone.shared && alone.part == Some(record.into()));
            assert_eq!(edge.agree_alone(&publishes(2, change, next)).next, next);
        }
        for (what, edge, said, expected) in [
            ("the first is heard", 0, publishes(2, "b", 110), (2, "b", "", 107)),
            ("which says where it began", 0, begins(2, "b", 107, "b107"), (2, "b", "b107", 107)),
            ("and how far it has come", 0, publishes(2, "b", 110), (2, "b", "b107", 110)),
            ("the second is told", 1, publishes(2, "c", 112), (2, "b", "b107", 110)),
            ("and begins above both", 1, begins(3, "d", 111, "d111"), (3, "d", "d111", 111)),
            ("which the first is told", 0, publishes(2, "b", 111), (3, "d", "d111", 111)),
        ] {
            let (agreed, _) = edges[edge].agree_with(&said, say).await.unwrap();
            check(what, &agreed, expected);
        }
    }

    #[test]
    fn what_others_agreed_on_is_taken_over() {
        let (theirs, ours) = (Ledger::default(), Ledger::default());
        for (what, word, expected) in conversation() {
            let agreed = theirs.agree(&word);
            ours.learn(&word, &agreed);
            assert!(!ours.learn(&word, &agreed), "{what}: no news twice");
            check(what, &ours.agree(&tests::word(&word.rendition, 0)), expected);
        }
    }

    /// A process that was killed had published more than it wrote, up to what it had reserved.
    #[test]
    fn no_new_splice_begins_below_what_was_reserved() {
        let before = Ledger::default();
        before.agree(&begins(1, "a", 0, "a0"));
        before.agree(&publishes(1, "a", 107));
        let (entries, reserved) = before.reserving(50);
        assert_eq!(reserved.into_values().collect::<Vec<_>>(), [157]);
        let restarted = || Ledger::of(entries.clone());
        for (what, words) in [
            (
                "another source begins above it, and so does its other rendition",
                vec![
                    (begins(2, "b", 107, "b107"), (2, "b", "", 157)),
                    (begins(2, "b", 157, "b157"), (2, "b", "b157", 157)),
                    (
                        Word { rendition: "a-en".into(), ..begins(2, "b", 100, "e100") },
                        (2, "b", "", 157),
                    ),
                ],
            ),
            (
                "the same one goes on, and what follows begins where it is",
                vec![
                    (begins(1, "a", 0, "a0"), (1, "a", "a0", 107)),
                    (publishes(1, "a", 107), (1, "a", "a0", 107)),
                    (publishes(1, "a", 112), (1, "a", "a0", 112)),
                    (begins(2, "b", 112, "b112"), (2, "b", "b112", 112)),
                ],
            ),
        ] {
            let ledger = restarted();
            for (word, expected) in words {
                check(what, &ledger.agree(&word), expected);
            }
        }
    }

    /// Picture and sound keep the same numbers when one of two edges was killed and others have
    /// forgotten everything, whichever edge speaks first and whether the second can ask then.
    #[tokio::test]
    async fn what_was_reserved_ends_with_what_others_know_and_is_one_for_all_renditions() {
        let both = |word: Word| [word.clone(), Word { rendition: "a-en".into(), ..word }];
        let theirs = Ledger::default();
        let say = |word: Word| std::future::ready(Ok::<_, ()>(theirs.agree(&word)));
        let (knows, killed) = (Ledger::default(), Ledger::default());
        for said in [begins(1, "a", 100, "a"), publishes(1, "a", 107)].into_iter().flat_map(both) {
            knows.agree_with(&said, say).await.unwrap();
            killed.agree_with(&said, say).await.unwrap();
        }
        let [picture, sound] = both(publishes(1, "a", 109));
        let [next_picture, next_sound] = both(begins(2, "b", 109, "b"));
        for (what, words, alone, expected) in [
            ("who knows goes on", vec![(0, &picture), (0, &sound)], 0, 109),
            ("and tells", vec![(0, &picture), (1, &picture), (0, &sound), (1, &sound)], 1, 109),
            ("also half of it", vec![(0, &sound), (1, &picture)], 1, 109),
            ("who was killed goes on", vec![(1, &picture), (1, &sound)], 1, 109),
            ("with one of both", vec![(1, &picture), (0, &sound), (1, &next_sound)], 1, 109),
            ("with one of both only", vec![(1, &sound)], 1, 109),
            ("nobody knows how far it had come", vec![(1, &next_picture)], 1, 157),
            ("whichever is asked for", vec![(1, &next_sound)], 1, 157),
        ] {
            // With all that they knew.
            *theirs.streams() = HashMap::new();
            let copy = |ledger: &Ledger| Ledger(Mutex::new(ledger.streams().clone()));
            let edges = [copy(&knows), Ledger::of(killed.reserving(50).0)];
            for (edge, said) in words {
                edges[edge].agree_with(said, say).await.unwrap();
            }
            for said in [&next_picture, &next_sound] {
                let name = &said.rendition;
                let free = edges[alone].agree_alone(said).free();
                assert_eq!(free, expected, "{what}: {name} alone");
                let (agreed, _) = edges[alone].agree_with(said, say).await.unwrap();
                assert_eq!(agreed.free(), expected, "{what}: {name}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_forgotten_when_nobody_speaks_of_it() {
        let ledger = Ledger::default();
        ledger.agree(&begins(1, "a", 0, "a0"));
        for (seconds, expected) in [(REMEMBERED.as_secs() - 1, 1), (REMEMBERED.as_secs(), 0)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(ledger.agree(&word("v", 0)).generation, expected, "after {seconds} s");
        }
    }
}
