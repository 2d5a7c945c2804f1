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

pub mod fill;
pub mod hit;
pub mod reader;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use http::header;
use pitwall_fetch::{Fetcher, Request, Response};
use quick_cache::OptionsBuilder;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::config::CacheConfig;
use crate::problem::{Problem, of_upstream_status};
use crate::target::Target;
use fill::{Budget, Fill, Head, Refusal};
use reader::Reader;

/// Objects are named by URL, and an encoder that starts anew names its segments as before.
const LIFETIME: Duration = Duration::from_secs(60);

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
    pub fn of(target: &Target) -> Self {
        let mut hasher = blake3::Hasher::new();
        let canonical = target.canonical();
        for part in [target.profile.as_bytes(), canonical.as_bytes()] {
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
    stored: Instant,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Object>> for ByBytes {
    fn weight(&self, _: &Key, object: &Arc<Object>) -> u64 {
        // An empty body still costs its entry.
        object.body.len() as u64 + 256
    }
}

/// An object that a request may read, and how it was come by.
pub enum Opened {
    Stored(Arc<Object>),
    Filling { reader: Reader, joined: bool },
    Passing(Box<Response>),
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
    pub async fn open(
        self: &Arc<Self>,
        target: Target,
        range: Option<&HeaderValue>,
        if_range: Option<&HeaderValue>,
    ) -> Result<Opened, Problem> {
        let key = Key::of(&target);
        if let Some(object) = self.objects.get(&key) {
            if object.stored.elapsed() < LIFETIME {
                return Ok(Opened::Stored(object));
            }
            self.objects.remove(&key);
        }
        let (mut reader, joined) = self.join_or_start(key, &target);
        match reader.head().await {
            Ok(_) => Ok(Opened::Filling { reader, joined }),
            Err(Refusal::Problem(problem)) => Err(problem),
            Err(Refusal::PassThrough) => {
                drop(reader);
                self.pass_through(&target, range, if_range).await
            }
        }
    }

    fn join_or_start(self: &Arc<Self>, key: Key, target: &Target) -> (Reader, bool) {
        let mut fills = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fill) = fills.get(&key) {
            return (Reader::follow(fill.clone()), true);
        }
        let fill = Arc::new(Fill::default());
        let reader = Reader::follow(fill.clone());
        fills.insert(key, fill.clone());
        drop(fills);
        let storage = self.clone();
        let target = target.clone();
        tokio::spawn(async move {
            let completed =
                fill.run(&storage.fetcher, &target, &storage.budget, storage.max_object, || {
                    storage.forget(key, &fill);
                });
            if let Some((head, body)) = completed.await {
                storage
                    .objects
                    .insert(key, Arc::new(Object { head, body, stored: Instant::now() }));
            }
            storage.forget(key, &fill);
        });
        (reader, false)
    }

    /// Nobody joins this fill any more.
    fn forget(&self, key: Key, fill: &Arc<Fill>) {
        let mut fills = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        if fills.get(&key).is_some_and(|current| Arc::ptr_eq(current, fill)) {
            fills.remove(&key);
        }
    }

    async fn pass_through(
        &self,
        target: &Target,
        range: Option<&HeaderValue>,
        if_range: Option<&HeaderValue>,
    ) -> Result<Opened, Problem> {
        let mut request = media_request(target);
        if let Some(range) = range {
            request = request.forward(header::RANGE, range.clone());
        }
        if let Some(if_range) = if_range {
            request = request.forward(header::IF_RANGE, if_range.clone());
        }
        let response = self.fetcher.send(&target.policy, request).await?;
        match response.status().as_u16() {
            200 | 206 | 416 => Ok(Opened::Passing(Box::new(response))),
            _ => Err(of_upstream_status(response.status())),
        }
    }
}

fn media_request(target: &Target) -> Request<'static> {
    Request::get(target.url.clone())
        .source_headers(target.headers.clone())
        .forward(header::ACCEPT, HeaderValue::from_static("*/*"))
        // Media is compressed already, and a decoded body has no length to promise.
        .forward(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
}

#[cfg(test)]
mod tests;
