//! Read-through storage of media objects, behind pingora-cache's hit path.
//!
//! A request opens an [`Opened`] object before Pingora looks anything up: it is stored, or
//! being filled, or passed through. Pingora then serves it as a hit, which gives ranges,
//! conditions and HEAD their due. Fills are tasks of their own: no viewer paces them, and
//! none that leaves hurts another.
//!
//! - [`fill`]: one fetch that any number of readers follow, and [`filling`], the task behind it,
//!   which takes a body up again where it broke off ([`resume`]), within a [`budget`].
//! - [`reader`]: one viewer's way through an object.
//! - [`shelf`]: complete objects, whose bodies are [`pieces`], kept for a [`lifetime`].
//! - [`hit`]: what Pingora sees of it.
//! - [`range`]: which part a request wants.

pub mod budget;
pub mod fill;
pub mod filling;
pub mod hit;
pub mod lifetime;
pub mod pieces;
pub mod range;
pub mod reader;
pub mod resume;
pub mod shelf;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use moka::sync::Cache;
use pitwall_fetch::{Fetcher, Response};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use url::Url;

use crate::config::CacheConfig;
use crate::problem::{Problem, of_upstream_status};
use crate::target::Target;
use budget::Budget;
use fill::{Fill, Refusal};
use filling::{Filling, media_request};
use lifetime::Lifetimes;
use range::{Range, content_range};
use reader::Reader;
use shelf::{Object, Shelf};

/// Longer than any segment that is a range of a file.
const LARGEST_SLICE: u64 = 16 * 1024 * 1024;

/// How long an upstream's refusal is given to others who ask. A segment that is announced a
/// moment too early is there in the next.
const REFUSED: Duration = Duration::from_secs(1);

/// How long an object is known to be too large, or not to be had in parts.
const UNSTORABLE: Duration = Duration::from_secs(60);

/// Refusals are small, but whoever holds a link may ask for many things.
const REFUSALS: u64 = 4096;

pub struct Storage {
    shelf: Shelf,
    fills: Mutex<HashMap<Key, Under>>,
    refusals: Cache<Key, Refused>,
    pub lifetimes: Lifetimes,
    budget: Budget,
    /// 0: nothing is stored.
    max_object: u64,
    fetcher: Arc<Fetcher>,
}

/// What an upstream said, to which URL, and until when others are told the same. With another
/// token it may say something else.
#[derive(Clone)]
struct Refused {
    refusal: Refusal,
    url: Url,
    until: Instant,
}

/// A fill under way.
struct Under {
    fill: Arc<Fill>,
    whole: Key,
    stream: Option<Arc<str>>,
}

/// What an object is stored under: the URL without its token, and how it was reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    pub fn of(target: &Target, slice: Option<(u64, u64)>) -> Self {
        let mut hasher = blake3::Hasher::new();
        let canonical = target.canonical();
        let slice = slice.map_or(String::new(), |(first, last)| format!("{first}-{last}"));
        for part in [target.profile.as_bytes(), canonical.as_bytes(), slice.as_bytes()] {
            // Lengths first, so that no two pairs of parts run together alike.
            hasher.update(&part.len().to_le_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

/// What of an object a request wants.
#[derive(Default)]
pub struct Asked {
    pub range: Option<Range>,
    pub if_range: Option<HeaderValue>,
}

impl Asked {
    pub fn of(headers: &HeaderMap) -> Self {
        let if_range = headers.get(header::IF_RANGE).cloned();
        let range = headers.get(header::RANGE).and_then(|range| Range::parse(range.as_bytes()));
        Self { range, if_range }
    }
}

/// An object that a request may read, and how it was come by.
pub enum Opened {
    Stored(Arc<Object>),
    Filling { reader: Reader, joined: bool },
    Passing(Box<Response>),
}

impl Opened {
    /// The first bytes of the body.
    pub async fn first(self) -> Option<Bytes> {
        match self {
            Self::Stored(object) => object.body().at(0, u64::MAX),
            Self::Filling { mut reader, .. } => reader.read().await.ok()?,
            Self::Passing(mut response) => response.chunk().await.ok()?,
        }
    }
}

/// An object that nobody has asked for yet.
#[derive(Debug)]
pub enum Ahead {
    Stored,
    /// It is stored, and fetched once more.
    Renewed,
    /// `joined`: somebody was faster.
    Coming {
        end: JoinHandle<Result<(), Problem>>,
        joined: bool,
    },
    /// A moment ago, or now.
    Refused(Problem),
    /// Whoever asks for it has it fetched.
    Skipped,
}

impl Ahead {
    /// When it is here, or has to be fetched for whoever asks.
    pub async fn end(self) -> Result<(), Problem> {
        match self {
            Self::Coming { end, .. } => end.await.unwrap_or(Ok(())),
            Self::Refused(problem) => Err(problem),
            Self::Stored | Self::Renewed | Self::Skipped => Ok(()),
        }
    }
}

/// Which objects are to be forgotten.
pub enum Purge {
    Stream(String),
    /// And all their parts.
    Wholes(Vec<Key>),
}

impl Purge {
    fn takes(&self, whole: &Key, stream: Option<&Arc<str>>) -> bool {
        match self {
            Self::Stream(id) => stream.is_some_and(|stream| **stream == **id),
            Self::Wholes(keys) => keys.contains(whole),
        }
    }
}

impl Storage {
    pub fn new(config: CacheConfig, fetcher: Arc<Fetcher>) -> Arc<Self> {
        let bytes = config.bytes.as_u64();
        Arc::new(Self {
            shelf: Shelf::new(bytes),
            fills: Mutex::default(),
            refusals: Cache::new(REFUSALS),
            lifetimes: Lifetimes::default(),
            budget: Budget::new(config.fill_bytes.as_u64()),
            max_object: config.max_object.as_u64().min(bytes / 2),
            fetcher,
        })
    }

    pub fn stored_bytes(&self) -> u64 {
        self.shelf.bytes()
    }

    pub fn filling_bytes(&self) -> u64 {
        self.budget.used()
    }

    /// Opens an object: as far as its headers, which come from storage, from a fill under
    /// way, or from a new one. What storage cannot take is passed through, with the range
    /// that was asked for.
    ///
    /// A range of an object that is not here is fetched as an object of its own, so that a
    /// playlist whose segments are ranges of one file never brings in the whole of it.
    pub async fn open(self: &Arc<Self>, target: Target, asked: Asked) -> Result<Opened, Problem> {
        if self.max_object == 0 {
            return self.pass_through(&target, &asked).await;
        }
        let key = Key::of(&target, None);
        if let Some(object) = self.shelf.get(&key) {
            return Ok(Opened::Stored(object));
        }
        match asked.range {
            // With If-Range it may be the whole that is wanted.
            Some(Range { first, last: Some(last) })
                if asked.if_range.is_none()
                    && last - first < LARGEST_SLICE
                    && !self.is_filling(&key) =>
            {
                let slice = Some((first, last));
                if let Some(opened) = self.hold(&target, slice, &asked).await? {
                    return Ok(opened);
                }
            }
            // Nobody knows how long the rest is: what grows while it is read is not stored.
            Some(Range { first: 1.., last: None }) if !self.is_filling(&key) => {
                return self.pass_through(&target, &asked).await;
            }
            _ => {}
        }
        match self.hold(&target, None, &asked).await? {
            Some(opened) => Ok(opened),
            None => self.pass_through(&target, &asked).await,
        }
    }

    /// Fetches an object that somebody will ask for, unless others need what that takes. One that
    /// `stays` is asked for as long as what needs it, which may outlive its source: it is fetched
    /// again before it is too old.
    pub fn prefetch(
        self: &Arc<Self>,
        target: &Target,
        byte_range: Option<(u64, u64)>,
        stays: bool,
    ) -> Ahead {
        let slice = match byte_range {
            None => None,
            Some((length @ 1..=LARGEST_SLICE, offset)) => match offset.checked_add(length - 1) {
                Some(last) => Some((offset, last)),
                None => return Ahead::Skipped,
            },
            Some(_) => return Ahead::Skipped,
        };
        if self.max_object == 0 {
            return Ahead::Skipped;
        }
        let key = Key::of(target, slice);
        let may_begin = || self.budget.is_idle() && target.slot.is_free();
        match self.shelf.get(&key) {
            Some(object) if stays && object.is_old() && may_begin() => {
                let mut fills = self.fills();
                if fills.contains_key(&key) {
                    return Ahead::Stored;
                }
                let reader = self.start(&mut fills, key, target, slice);
                drop(fills);
                tokio::spawn(reader.drain(self.max_object));
                return Ahead::Renewed;
            }
            Some(_) => return Ahead::Stored,
            None if self.is_filling(&key) || may_begin() => {}
            None => return Ahead::Skipped,
        }
        match self.join_or_start(target, slice) {
            Started::Filling(reader, joined) => {
                Ahead::Coming { end: tokio::spawn(reader.drain(self.max_object)), joined }
            }
            Started::Stored(_) => Ahead::Stored,
            Started::Refused(Refusal::Problem(problem)) => Ahead::Refused(problem),
            Started::Refused(_) => Ahead::Skipped,
        }
    }

    /// Forgets objects, and lets nobody join the fills of such. Says how many objects there were.
    pub fn purge(&self, purge: &Purge) -> usize {
        self.fills().retain(|_, under| !purge.takes(&under.whole, under.stream.as_ref()));
        self.shelf.remove(|object| purge.takes(&object.whole, object.stream.as_ref()))
    }

    /// The object, or the part of it, stored or being filled. `None` when it is too large, or
    /// when the upstream does not do this part.
    async fn hold(
        self: &Arc<Self>,
        target: &Target,
        slice: Option<(u64, u64)>,
        asked: &Asked,
    ) -> Result<Option<Opened>, Problem> {
        let (mut reader, joined) = match self.join_or_start(target, slice) {
            Started::Filling(reader, joined) => (reader, joined),
            Started::Stored(object) => return Ok(Some(Opened::Stored(object))),
            Started::Refused(refusal) => return refusal.outcome(),
        };
        match reader.head().await {
            Ok(_) => Ok(Some(Opened::Filling { reader, joined })),
            Err(Refusal::PassThrough) if asked.range.is_none() => {
                Ok(reader.take_answer().map(Opened::Passing))
            }
            Err(refusal) => refusal.outcome(),
        }
    }

    fn fills(&self) -> MutexGuard<'_, HashMap<Key, Under>> {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_filling(&self, key: &Key) -> bool {
        self.fills().contains_key(key)
    }

    fn refused(&self, key: &Key, url: &Url) -> Option<Refusal> {
        let Refused { refusal, url: refused, until } = self.refusals.get(key)?;
        let again = matches!(refusal, Refusal::Problem(_)) && refused != *url;
        (Instant::now() < until && !again).then_some(refusal)
    }

    fn join_or_start(self: &Arc<Self>, target: &Target, slice: Option<(u64, u64)>) -> Started {
        let key = Key::of(target, slice);
        let mut fills = self.fills();
        // First what is stored: it may be being fetched once more.
        if let Some(object) = self.shelf.get(&key) {
            return Started::Stored(object);
        }
        // A fill is forgotten after its object is stored, or its refusal known: what is in none
        // of the three places is new.
        if let Some(under) = fills.get(&key) {
            return Started::Filling(Reader::follow(under.fill.clone()), true);
        }
        if let Some(refusal) = self.refused(&key, &target.url) {
            return Started::Refused(refusal);
        }
        Started::Filling(self.start(&mut fills, key, target, slice), false)
    }

    fn start(
        self: &Arc<Self>,
        fills: &mut HashMap<Key, Under>,
        key: Key,
        target: &Target,
        slice: Option<(u64, u64)>,
    ) -> Reader {
        let fill = Arc::new(Fill::default());
        let reader = Reader::follow(fill.clone());
        let whole = slice.map_or(key, |_| Key::of(target, None));
        fills.insert(key, Under { fill: fill.clone(), whole, stream: target.stream.clone() });
        let ended = Ended { storage: self.clone(), key, fill };
        tokio::spawn(self.clone().fill(ended, target.clone(), slice));
        reader
    }

    async fn fill(self: Arc<Self>, ended: Ended, target: Target, slice: Option<(u64, u64)>) {
        let Ended { key, fill, .. } = &ended;
        let completed = Filling {
            fill,
            fetcher: &self.fetcher,
            target: &target,
            slice,
            budget: &self.budget,
            max_object: self.max_object,
            detach: &|why| self.detach(key, fill, why.map(|why| (why, &target.url))),
        };
        let Some((head, body)) = completed.run().await else { return };
        let until = Instant::now() + self.lifetimes.of(&target);
        // Under the lock: one that was purged meanwhile is not put back.
        let fills = self.fills();
        if let Some(under) = fills.get(key).filter(|under| Arc::ptr_eq(&under.fill, fill)) {
            let object = Object::new(head, body, under.whole, under.stream.clone(), until);
            self.shelf.put(*key, object);
        }
    }

    /// Nobody joins this fill any more.
    fn detach(&self, key: &Key, fill: &Arc<Fill>, why: Option<(&Refusal, &Url)>) {
        if let Some((refusal, url)) = why {
            let known_for = match refusal {
                Refusal::Problem(_) => REFUSED,
                Refusal::PassThrough | Refusal::Whole => UNSTORABLE,
            };
            let (refusal, until) = (refusal.clone(), Instant::now() + known_for);
            self.refusals.insert(*key, Refused { refusal, url: url.clone(), until });
        }
        let mut fills = self.fills();
        if fills.get(key).is_some_and(|current| Arc::ptr_eq(&current.fill, fill)) {
            fills.remove(key);
        }
    }

    async fn pass_through(&self, target: &Target, asked: &Asked) -> Result<Opened, Problem> {
        let mut request = media_request(target);
        if let Some(range) = &asked.range {
            request = request.forward(header::RANGE, range.value());
        }
        if let Some(if_range) = &asked.if_range {
            request = request.forward(header::IF_RANGE, if_range.clone());
        }
        let response = target.send(&self.fetcher, request).await?;
        match response.status() {
            StatusCode::OK => Ok(Opened::Passing(Box::new(response))),
            StatusCode::PARTIAL_CONTENT if answers(&response, asked.range) => {
                Ok(Opened::Passing(Box::new(response)))
            }
            StatusCode::RANGE_NOT_SATISFIABLE if asked.range.is_some() => {
                Ok(Opened::Passing(Box::new(response)))
            }
            StatusCode::PARTIAL_CONTENT => {
                Err(Problem::UpstreamInvalid("it is not the range that was asked for".to_owned()))
            }
            status => Err(of_upstream_status(status)),
        }
    }
}

enum Started {
    Stored(Arc<Object>),
    /// And whether somebody else began it.
    Filling(Reader, bool),
    /// A moment ago, to somebody else.
    Refused(Refusal),
}

impl Refusal {
    fn outcome(self) -> Result<Option<Opened>, Problem> {
        match self {
            Self::Problem(problem) => Err(problem),
            Self::PassThrough | Self::Whole => Ok(None),
        }
    }
}

/// Is it the part that was asked for, as far as anybody can know?
fn answers(response: &Response, asked: Option<Range>) -> bool {
    let given = response.headers().get(header::CONTENT_RANGE);
    let given = given.and_then(|given| content_range(given.as_bytes()));
    match (given, asked) {
        (Some((first, last, _)), Some(asked)) => {
            first == asked.first && asked.last.is_none_or(|asked| last <= asked)
        }
        _ => false,
    }
}

/// However a fill's task ends, nobody joins it any more and nobody waits for it.
struct Ended {
    storage: Arc<Storage>,
    key: Key,
    fill: Arc<Fill>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.storage.detach(&self.key, &self.fill, None);
        self.fill.give_up();
    }
}

#[cfg(test)]
mod tests;
