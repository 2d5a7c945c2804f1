//! Read-through storage of media objects, behind pingora-cache's hit path.
//!
//! A request opens an [`Opened`] object before Pingora looks anything up: it is stored, or
//! being filled, or passed through. Pingora then serves it as a hit, which gives ranges,
//! conditions and HEAD their due. Fills are tasks of their own: no viewer paces them, and
//! none that leaves hurts another.
//!
//! - [`fill`]: one fetch that any number of readers follow.
//! - [`reader`]: one viewer's way through an object.
//! - [`hit`]: what Pingora sees of it.
//! - [`range`]: which part a request wants.

pub mod fill;
pub mod hit;
pub mod range;
pub mod reader;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header;
use http::{HeaderMap, HeaderValue, StatusCode};
use pitwall_fetch::{Fetcher, Request, Response};
use quick_cache::OptionsBuilder;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::config::CacheConfig;
use crate::problem::{Problem, of_upstream_status};
use crate::target::Target;
use fill::{Budget, Fill, Head, Refusal};
use range::{Range, content_range};
use reader::Reader;

/// Objects are named by URL, and an encoder that starts anew names its segments as before.
const LIFETIME: Duration = Duration::from_secs(60);

/// Longer than any segment that is a range of a file.
const LARGEST_SLICE: u64 = 16 * 1024 * 1024;

pub struct Storage {
    objects: Cache<Key, Arc<Object>, ByBytes>,
    fills: Mutex<HashMap<Key, Arc<Fill>>>,
    budget: Budget,
    max_object: u64,
    fetcher: Arc<Fetcher>,
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

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A complete object.
pub struct Object {
    pub head: Arc<Head>,
    pub body: Bytes,
    pub stored: Instant,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Object>> for ByBytes {
    fn weight(&self, _: &Key, object: &Arc<Object>) -> u64 {
        // An empty body still costs its entry.
        object.body.len() as u64 + 256
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
            Self::Stored(object) => Some(object.body.clone()),
            Self::Filling { mut reader, .. } => reader.read().await.ok()?,
            Self::Passing(mut response) => response.chunk().await.ok()?,
        }
    }
}

impl Storage {
    pub fn new(config: CacheConfig, fetcher: Arc<Fetcher>) -> Arc<Self> {
        let bytes = config.bytes.as_u64();
        let max_object = config.max_object.as_u64().min(bytes / 2);
        // An object larger than its shard is never kept, so shards are few and large.
        let shards = (bytes / (2 * max_object.max(1))).clamp(1, 16) as usize;
        let estimated_items = (bytes / (512 * 1024)).max(16) as usize;
        let objects = match OptionsBuilder::new()
            .estimated_items_capacity(estimated_items)
            .weight_capacity(bytes)
            .shards(shards)
            .build()
        {
            Ok(options) => {
                Cache::with_options(options, ByBytes, Default::default(), Default::default())
            }
            Err(_) => Cache::with_weighter(estimated_items, bytes, ByBytes),
        };
        Arc::new(Self {
            objects,
            fills: Mutex::default(),
            budget: Budget::new(config.fill_bytes.as_u64()),
            max_object,
            fetcher,
        })
    }

    pub fn stored_bytes(&self) -> u64 {
        self.objects.weight()
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
        let key = Key::of(&target, None);
        if let Some(object) = self.stored(key) {
            return Ok(Opened::Stored(object));
        }
        match asked.range {
            // With If-Range it may be the whole that is wanted.
            Some(Range { first, last: Some(last) })
                if asked.if_range.is_none()
                    && last - first < LARGEST_SLICE
                    && !self.is_filling(key) =>
            {
                let slice = Some((first, last));
                if let Some(opened) = self.hold(Key::of(&target, slice), &target, slice).await? {
                    return Ok(opened);
                }
            }
            // Nobody knows how long the rest is: what grows while it is read is not stored.
            Some(Range { first: 1.., last: None }) if !self.is_filling(key) => {
                return self.pass_through(&target, &asked).await;
            }
            _ => {}
        }
        match self.hold(key, &target, None).await? {
            Some(opened) => Ok(opened),
            None => self.pass_through(&target, &asked).await,
        }
    }

    /// The object, or the part of it, stored or being filled. `None` when it is too large, or
    /// when the upstream does not do this part.
    async fn hold(
        self: &Arc<Self>,
        key: Key,
        target: &Target,
        slice: Option<(u64, u64)>,
    ) -> Result<Option<Opened>, Problem> {
        let (mut reader, joined) = match self.join_or_start(key, target, slice) {
            Started::Filling(reader, joined) => (reader, joined),
            Started::Stored(object) => return Ok(Some(Opened::Stored(object))),
        };
        match reader.head().await {
            Ok(_) => Ok(Some(Opened::Filling { reader, joined })),
            Err(Refusal::Problem(problem)) => Err(problem),
            Err(Refusal::PassThrough | Refusal::Whole) => Ok(None),
        }
    }

    fn stored(&self, key: Key) -> Option<Arc<Object>> {
        let object = self.objects.get(&key)?;
        if object.stored.elapsed() < LIFETIME {
            return Some(object);
        }
        self.objects.remove(&key);
        None
    }

    fn is_filling(&self, key: Key) -> bool {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key)
    }

    fn join_or_start(
        self: &Arc<Self>,
        key: Key,
        target: &Target,
        slice: Option<(u64, u64)>,
    ) -> Started {
        let mut fills = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fill) = fills.get(&key) {
            return Started::Filling(Reader::follow(fill.clone()), true);
        }
        // A fill is forgotten after its object is stored: what is in neither place is new.
        if let Some(object) = self.stored(key) {
            return Started::Stored(object);
        }
        let fill = Arc::new(Fill::default());
        let reader = Reader::follow(fill.clone());
        fills.insert(key, fill.clone());
        drop(fills);
        let storage = self.clone();
        let target = target.clone();
        tokio::spawn(async move {
            let _ended = Ended { storage: storage.clone(), key, fill: fill.clone() };
            let completed = fill.run(
                &storage.fetcher,
                &target,
                slice,
                &storage.budget,
                storage.max_object,
                || storage.forget(key, &fill),
            );
            if let Some((head, body)) = completed.await {
                storage
                    .objects
                    .insert(key, Arc::new(Object { head, body, stored: Instant::now() }));
            }
        });
        Started::Filling(reader, false)
    }

    /// Nobody joins this fill any more.
    fn forget(&self, key: Key, fill: &Arc<Fill>) {
        let mut fills = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        if fills.get(&key).is_some_and(|current| Arc::ptr_eq(current, fill)) {
            fills.remove(&key);
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
        let response = self.fetcher.send(&target.policy, request).await?;
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
        self.storage.forget(self.key, &self.fill);
        self.fill.give_up();
    }
}

fn media_request(target: &Target) -> Request<'static> {
    let request = Request::get(target.url.clone())
        .source_headers(target.headers.clone())
        .forward(header::ACCEPT, HeaderValue::from_static("*/*"))
        // Media is compressed already, and a decoded body has no length to promise.
        .forward(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Request { private_here_only: target.private_here_only, ..request }
}

#[cfg(test)]
mod tests;
