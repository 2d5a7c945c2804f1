//! Read-through cache of media objects.
//!
//! A request opens an object as a [`OpenedObject`]: the object is stored, in flight, or bypasses the
//! cache. Fetches run in tasks of their own: no reader slows one down, and a reader that leaves does
//! not end it for the others. An object for which there is no room is fetched once all the same,
//! and its readers share a window of it.
//!
//! - [`inflight_fetch`]: one fetch that any number of readers follow, and [`fetch_task`], the task
//!   behind it, which resumes an interrupted body (`resume`) and asks the body whether it is
//!   complete where its message does not say ([`body_end`]).
//! - [`writer`]: the body of a fetch, held whole or in a window. [`reader`]: one viewer's position in
//!   an object. [`fetch_progress`]: whether a fetch stalls.
//! - [`object_store`]: complete objects, whose bodies are [`chunks`], stored for a [`freshness`]
//!   lifetime. [`disk_tier`]: the same on disk, where the operator has given it one.
//! - [`bypass`]: a response for one reader.
//! - [`fetch_budget`]: what all bodies outside the store may take of the memory.
//! - [`byte_range`]: which range a request asks for.

pub mod body_end;
pub mod bypass;
pub mod byte_range;
pub mod chunks;
pub mod disk_tier;
pub mod fetch_budget;
pub mod fetch_progress;
pub mod fetch_task;
pub mod freshness;
pub mod inflight_fetch;
pub mod object_store;
pub mod reader;
pub mod writer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use moka::sync::Cache;
use pitwall_fetch::Response;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument as _;
use url::Url;

use crate::config::CacheConfig;
use crate::http::problem::{Problem, upstream_status_problem};
use crate::metrics::upstream::TrafficKind;
use crate::upstream::client::UpstreamClient;
use crate::upstream::target::UpstreamTarget;
use bypass::Bypass;
use byte_range::{ByteRange, parse_content_range};
use disk_tier::DiskTier;
use fetch_budget::FetchBudget;
use fetch_progress::FetchObserver;
use fetch_task::{FetchTask, FetchedObject, build_media_request, is_whole_representation};
use freshness::FreshnessByDirectory;
use inflight_fetch::{InflightFetch, NotCacheable};
use object_store::{CachedObject, ObjectStore, ReadGuard};
use reader::{InflightReader, StoredReader};

/// Maximum length of a range that is stored as an object of its own; longer than any segment that
/// is a byte range of a file.
const RANGE_OBJECT_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// How long an upstream's error response is repeated for other requests. It is short, because a
/// segment that is announced too early exists a moment later.
const NEGATIVE_CACHE_TTL: Duration = Duration::from_secs(1);

/// How long an object is known not to be available in ranges.
const NOT_CACHEABLE_TTL: Duration = Duration::from_secs(60);

/// Limit of the entries, which are small: the holder of one link may request any number of objects.
const NEGATIVE_CACHE_MAX_ENTRIES: u64 = 4096;

/// The segment cache: stored objects, fetches in flight, and remembered refusals.
pub struct SegmentCache {
    objects: ObjectStore,
    inflight: Mutex<HashMap<ObjectKey, InflightEntry>>,
    negative_cache: Cache<ObjectKey, NegativeEntry>,
    pub lifetimes: FreshnessByDirectory,
    budget: FetchBudget,
    /// Maximum size of a stored object in bytes; 0 if nothing is stored.
    max_object_bytes: u64,
    upstreams: Arc<UpstreamClient>,
    disk: Option<Arc<DiskTier>>,
}

/// Why a fetch had no cacheable body, for which URL, and until when that is repeated. With another
/// token, and so another URL, the upstream may respond otherwise.
#[derive(Clone)]
struct NegativeEntry {
    reason: NotCacheable,
    url: Url,
    expires_at: Instant,
}

/// A fetch in flight, and what a purge finds it by.
struct InflightEntry {
    fetch: Arc<InflightFetch>,
    url_key: ObjectKey,
    stream: Option<Arc<str>>,
}

/// Cache key of an object: a hash of the URL without its token, the request profile, the number in
/// its link, and the byte range if it is a part.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectKey([u8; 32]);

impl ObjectKey {
    pub fn of(target: &UpstreamTarget, bounds: Option<(u64, u64)>) -> Self {
        let mut hasher = Self::hash_url(target);
        if let Some(number) = target.object_number {
            hasher.update(&number.to_le_bytes());
        }
        if let Some((first, last)) = bounds {
            hasher.update(&first.to_le_bytes()).update(&last.to_le_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The same key for all objects that the URL has named, and their ranges.
    pub fn purge_key_of(target: &UpstreamTarget) -> Self {
        Self(*Self::hash_url(target).finalize().as_bytes())
    }

    /// The key in hexadecimal digits.
    pub fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    fn hash_url(target: &UpstreamTarget) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new();
        for component in [&*target.profile.id, &*target.canonical_url()] {
            // Each length comes first, so that no two lists of parts hash alike.
            hasher.update(&component.len().to_le_bytes());
            hasher.update(component.as_bytes());
        }
        hasher
    }
}

/// Range and If-Range of a request.
#[derive(Default)]
pub struct RangeRequest {
    pub range: Option<ByteRange>,
    pub if_range: Option<HeaderValue>,
}

impl RangeRequest {
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let if_range = headers.get(header::IF_RANGE).cloned();
        let range = headers.get(header::RANGE).and_then(|range| ByteRange::parse(range.as_bytes()));
        Self { range, if_range }
    }
}

/// An opened object, and where it comes from.
pub enum OpenedObject {
    Hit(ReadGuard),
    Inflight { reader: InflightReader, coalesced: bool },
    Bypass(Bypass),
}

impl OpenedObject {
    /// The first bytes of the body; `None` if the body is empty or cannot be read.
    pub async fn read_first_chunk(self) -> Option<Bytes> {
        match self {
            Self::Hit(object) => StoredReader::new(object).read().ok()?,
            Self::Inflight { mut reader, .. } => reader.read().await.ok()?,
            Self::Bypass(mut bypass) => bypass.read().await.ok()?,
        }
    }
}

/// Outcome of a prefetch.
#[derive(Debug)]
pub enum PrefetchOutcome {
    Stored,
    /// The object is stored and being fetched once more, before it is stale.
    Refreshing,
    /// `coalesced`: another request has started the fetch.
    Inflight {
        completion: JoinHandle<Result<(), Problem>>,
        progress: FetchObserver,
        coalesced: bool,
    },
    /// The upstream has refused the object, now or within [`NEGATIVE_CACHE_TTL`].
    Failed(Problem),
    /// The object is left to the first request for it.
    Skipped,
}

impl PrefetchOutcome {
    /// Waits until the object is stored, or is left to the first request for it.
    ///
    /// # Errors
    /// The problem with which its fetch ended.
    pub async fn wait_until_done(self) -> Result<(), Problem> {
        match self {
            Self::Inflight { completion, .. } => completion.await.unwrap_or(Ok(())),
            Self::Failed(problem) => Err(problem),
            Self::Stored | Self::Refreshing | Self::Skipped => Ok(()),
        }
    }
}

/// Which objects a purge removes.
pub enum PurgeScope {
    Stream(String),
    /// What is stored of these URLs, whole objects and ranges of them, by [`ObjectKey::purge_key_of`].
    Urls(Vec<ObjectKey>),
}

impl PurgeScope {
    fn matches(&self, url_key: &ObjectKey, stream: Option<&Arc<str>>) -> bool {
        match self {
            Self::Stream(id) => stream.is_some_and(|stream| **stream == **id),
            Self::Urls(keys) => keys.contains(url_key),
        }
    }
}

impl SegmentCache {
    pub fn new(
        config: &CacheConfig,
        upstreams: Arc<UpstreamClient>,
        disk: Option<Arc<DiskTier>>,
    ) -> Arc<Self> {
        let bytes = config.bytes.as_u64();
        let max_object_bytes = config.max_object.as_u64().min(bytes / 2);
        // Every object that may be stored can be fetched: where the budget of fetches is smaller,
        // the store gives what is missing.
        let fetch_bytes = config.fill_bytes.as_u64().max(max_object_bytes);
        let stored_bytes = bytes - (fetch_bytes - config.fill_bytes.as_u64());
        Arc::new(Self {
            objects: ObjectStore::new(stored_bytes),
            inflight: Mutex::default(),
            negative_cache: Cache::new(NEGATIVE_CACHE_MAX_ENTRIES),
            lifetimes: FreshnessByDirectory::default(),
            budget: FetchBudget::new(fetch_bytes),
            max_object_bytes,
            upstreams,
            disk,
        })
    }

    pub fn stored_bytes(&self) -> u64 {
        self.objects.stored_bytes()
    }

    pub fn inflight_bytes(&self) -> u64 {
        self.budget.used_bytes()
    }

    /// The whole object, if it is stored.
    pub fn find_stored(&self, target: &UpstreamTarget) -> Option<OpenedObject> {
        if self.max_object_bytes == 0 {
            return None;
        }
        self.objects.find_fresh(&ObjectKey::of(target, None)).map(OpenedObject::Hit)
    }

    /// Opens an object, as far as its header fields, from the cache, from a fetch in flight, or
    /// from a new fetch. An object that the cache cannot take bypasses it, with the requested
    /// range.
    ///
    /// A range of an object that is not stored is fetched as an object of its own, so that a
    /// playlist whose segments are byte ranges of one file never fetches the whole file.
    ///
    /// # Errors
    /// The problem of the upstream, now or within [`NEGATIVE_CACHE_TTL`].
    pub async fn open_object(
        self: &Arc<Self>,
        target: UpstreamTarget,
        range_request: RangeRequest,
    ) -> Result<OpenedObject, Problem> {
        if self.max_object_bytes == 0 {
            return self.open_bypass(&target, &range_request).await;
        }
        let key = ObjectKey::of(&target, None);
        if let Some(object) = self.objects.find_fresh(&key) {
            return Ok(OpenedObject::Hit(object));
        }
        match range_request.range {
            // With If-Range the whole object may be the response.
            Some(ByteRange { first, last: Some(last) })
                if range_request.if_range.is_none()
                    && last - first < RANGE_OBJECT_MAX_BYTES
                    && !self.is_being_stored(&key) =>
            {
                let bounds = Some((first, last));
                if let Some(lookup) = self.open_cacheable(&target, bounds).await? {
                    return Ok(lookup);
                }
            }
            // The length of an open-ended range is unknown: a file that grows while it is read is
            // not stored.
            Some(ByteRange { first: 1.., last: None }) if !self.is_being_stored(&key) => {
                return self.open_bypass(&target, &range_request).await;
            }
            _ => {}
        }
        match self.open_cacheable(&target, None).await? {
            Some(lookup) => Ok(lookup),
            None => self.open_bypass(&target, &range_request).await,
        }
    }

    /// Fetches an object that players will request, unless that would take the budget or a permit
    /// from requests in progress. An `is_long_lived` object, a map or a key, is needed for as long
    /// as the playlist plays, which may outlive its source: it is fetched again before it is stale.
    pub fn prefetch(
        self: &Arc<Self>,
        target: &UpstreamTarget,
        byte_range: Option<(u64, u64)>,
        is_long_lived: bool,
    ) -> PrefetchOutcome {
        let bounds = match byte_range {
            None => None,
            Some((length @ 1..=RANGE_OBJECT_MAX_BYTES, offset)) => {
                match offset.checked_add(length - 1) {
                    Some(last) => Some((offset, last)),
                    None => return PrefetchOutcome::Skipped,
                }
            }
            Some(_) => return PrefetchOutcome::Skipped,
        };
        if self.max_object_bytes == 0 {
            return PrefetchOutcome::Skipped;
        }
        let key = ObjectKey::of(target, bounds);
        let may_start =
            || self.budget.has_prefetch_room() && target.profile.limiter.has_free_permit();
        match self.objects.find_fresh(&key) {
            Some(object) if is_long_lived && object.is_due_for_refresh() && may_start() => {
                let mut inflight = self.lock_inflight();
                if inflight.contains_key(&key) {
                    return PrefetchOutcome::Stored;
                }
                let (guard, reader) = self.register_fetch(&mut inflight, key, target);
                // What is on disk is no fresher than what is stored.
                self.spawn_fetch(guard, target, bounds, None);
                drop(inflight);
                tokio::spawn(reader.read_to_end());
                return PrefetchOutcome::Refreshing;
            }
            Some(_) => return PrefetchOutcome::Stored,
            None if self.is_inflight(&key) || may_start() => {}
            None => return PrefetchOutcome::Skipped,
        }
        match self.join_or_start_fetch(target, bounds) {
            JoinOutcome::Inflight(reader, coalesced) => {
                let progress = reader.observe_fetch();
                PrefetchOutcome::Inflight {
                    completion: tokio::spawn(reader.read_to_end()),
                    progress,
                    coalesced,
                }
            }
            JoinOutcome::Hit(_) => PrefetchOutcome::Stored,
            JoinOutcome::NotCacheable(NotCacheable::Problem(problem)) => {
                PrefetchOutcome::Failed(problem)
            }
            JoinOutcome::NotCacheable(_) => PrefetchOutcome::Skipped,
        }
    }

    /// Removes objects, and keeps new readers from joining the fetches of such. Returns how many
    /// objects were removed.
    pub fn purge(&self, scope: &PurgeScope) -> usize {
        self.lock_inflight()
            .retain(|_, entry| !scope.matches(&entry.url_key, entry.stream.as_ref()));
        let on_disk = self.disk.as_ref().map_or(0, |disk| disk.purge(scope));
        let in_memory = self
            .objects
            .remove_matching(|object| scope.matches(&object.url_key, object.stream.as_ref()));
        // Most of what is in memory is on disk too.
        in_memory.max(on_disk)
    }

    /// The object, or its byte range `bounds`, stored or in flight. `None` if the upstream does not
    /// serve the range.
    async fn open_cacheable(
        self: &Arc<Self>,
        target: &UpstreamTarget,
        bounds: Option<(u64, u64)>,
    ) -> Result<Option<OpenedObject>, Problem> {
        let (mut reader, coalesced) = match self.join_or_start_fetch(target, bounds) {
            JoinOutcome::Inflight(reader, coalesced) => (reader, coalesced),
            JoinOutcome::Hit(object) => return Ok(Some(OpenedObject::Hit(object))),
            JoinOutcome::NotCacheable(not_cacheable) => return not_cacheable.into_open_result(),
        };
        match reader.wait_for_metadata().await {
            Ok(_) => Ok(Some(OpenedObject::Inflight { reader, coalesced })),
            Err(not_cacheable) => not_cacheable.into_open_result(),
        }
    }

    fn lock_inflight(&self) -> MutexGuard<'_, HashMap<ObjectKey, InflightEntry>> {
        self.inflight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_inflight(&self, key: &ObjectKey) -> bool {
        self.lock_inflight().contains_key(key)
    }

    /// Whether the object is in flight and will be stored.
    fn is_being_stored(&self, key: &ObjectKey) -> bool {
        self.lock_inflight().get(key).is_some_and(|entry| !entry.fetch.is_windowed())
    }

    fn find_negative(&self, key: &ObjectKey, url: &Url) -> Option<NotCacheable> {
        let NegativeEntry { reason: not_cacheable, url: failed_url, expires_at } =
            self.negative_cache.get(key)?;
        let has_new_url = matches!(not_cacheable, NotCacheable::Problem(_)) && failed_url != *url;
        (Instant::now() < expires_at && !has_new_url).then_some(not_cacheable)
    }

    fn join_or_start_fetch(
        self: &Arc<Self>,
        target: &UpstreamTarget,
        bounds: Option<(u64, u64)>,
    ) -> JoinOutcome {
        let disk = self.disk.clone();
        self.join_or_fetch_with(target, bounds, |guard| {
            self.spawn_fetch(guard, target, bounds, disk);
        })
    }

    /// As [`join_or_start_fetch`](Self::join_or_start_fetch); `run` has a new fetch done.
    fn join_or_fetch_with(
        self: &Arc<Self>,
        target: &UpstreamTarget,
        bounds: Option<(u64, u64)>,
        run: impl FnOnce(InflightGuard),
    ) -> JoinOutcome {
        let key = ObjectKey::of(target, bounds);
        let mut inflight = self.lock_inflight();
        // The store comes first, because a stored object may be being fetched once more.
        if let Some(object) = self.objects.find_fresh(&key) {
            return JoinOutcome::Hit(object);
        }
        // A fetch leaves the index only after its object is stored, or its reason is in the
        // negative cache: an object in none of the three is new.
        let joined =
            inflight.get(&key).map(|entry| InflightReader::join_fetch(entry.fetch.clone()));
        if let Some(Some(reader)) = joined {
            return JoinOutcome::Inflight(reader, true);
        }
        if let Some(not_cacheable) = self.find_negative(&key, &target.url) {
            return JoinOutcome::NotCacheable(not_cacheable);
        }
        let (guard, reader) = self.register_fetch(&mut inflight, key, target);
        run(guard);
        JoinOutcome::Inflight(reader, false)
    }

    /// A new fetch in the index, and its first reader.
    fn register_fetch(
        self: &Arc<Self>,
        inflight: &mut HashMap<ObjectKey, InflightEntry>,
        key: ObjectKey,
        target: &UpstreamTarget,
    ) -> (InflightGuard, InflightReader) {
        let (fetch, reader) = InflightReader::of_new_fetch(self.budget.new_share());
        let url_key = ObjectKey::purge_key_of(target);
        inflight.insert(
            key,
            InflightEntry { fetch: fetch.clone(), url_key, stream: target.stream.clone() },
        );
        (InflightGuard { cache: self.clone(), key, fetch }, reader)
    }

    fn spawn_fetch(
        self: &Arc<Self>,
        guard: InflightGuard,
        target: &UpstreamTarget,
        bounds: Option<(u64, u64)>,
        disk: Option<Arc<DiskTier>>,
    ) {
        let fetch = self.clone().run_fetch(guard, target.clone(), bounds, disk);
        tokio::spawn(fetch.in_current_span());
    }

    async fn run_fetch(
        self: Arc<Self>,
        guard: InflightGuard,
        target: UpstreamTarget,
        bounds: Option<(u64, u64)>,
        disk: Option<Arc<DiskTier>>,
    ) {
        let InflightGuard { key, fetch, .. } = &guard;
        let fetch_task = FetchTask {
            fetch,
            upstreams: &self.upstreams,
            target: &target,
            requested_bounds: bounds,
            max_object_bytes: self.max_object_bytes,
            remove_inflight: &|reason| {
                self.remove_inflight(key, fetch, reason.map(|reason| (reason, &target.url)))
            },
        };
        let on_disk = match &disk {
            Some(disk) => disk.read(*key).await,
            None => None,
        };
        let fetched = match on_disk {
            Some(object) => fetch_task.take_from_disk(object).await,
            None => fetch_task.run().await,
        };
        if let Some(fetched) = fetched {
            self.finish_fetch(&guard, &target, fetched);
        }
    }

    /// Stores an object that may be stored, and has the readers of its fetch go on with it.
    fn finish_fetch(
        &self,
        InflightGuard { key, fetch, .. }: &InflightGuard,
        target: &UpstreamTarget,
        FetchedObject { metadata, body, is_storable, may_go_to_disk, expires_at }: FetchedObject,
    ) {
        let object = Arc::new(CachedObject::new(
            Arc::new(metadata),
            body,
            ObjectKey::purge_key_of(target),
            target.stream.clone(),
            expires_at.unwrap_or_else(|| Instant::now() + self.lifetimes.lifetime_for(target)),
            fetch.budget_share().clone(),
        ));
        let guard = object.acquire_body();
        let is_stored = {
            // The lock is held across the insertion, so that an object that was purged meanwhile is
            // not stored again.
            let inflight = self.lock_inflight();
            let is_indexed =
                inflight.get(key).is_some_and(|entry| Arc::ptr_eq(&entry.fetch, fetch));
            match is_storable && is_indexed {
                true => self.objects.insert(*key, object),
                // Those who have read it while it was fetched read it to its end.
                false => object.evict(),
            }
            is_storable && is_indexed
        };
        if let Some(guard) = guard {
            if is_stored
                && may_go_to_disk
                && let Some(disk) = &self.disk
            {
                disk.store(*key, guard.clone());
            }
            fetch.complete(guard);
        }
    }

    /// Removes a fetch from the index, so that no new reader joins it, and remembers `reason` in
    /// the negative cache.
    fn remove_inflight(
        &self,
        key: &ObjectKey,
        fetch: &Arc<InflightFetch>,
        reason: Option<(&NotCacheable, &Url)>,
    ) {
        if let Some((not_cacheable, url)) = reason {
            let ttl = match not_cacheable {
                NotCacheable::Problem(_) => NEGATIVE_CACHE_TTL,
                NotCacheable::RangeIgnored => NOT_CACHEABLE_TTL,
            };
            let (not_cacheable, expires_at) = (not_cacheable.clone(), Instant::now() + ttl);
            self.negative_cache.insert(
                *key,
                NegativeEntry { reason: not_cacheable, url: url.clone(), expires_at },
            );
        }
        let mut inflight = self.lock_inflight();
        if inflight.get(key).is_some_and(|current| Arc::ptr_eq(&current.fetch, fetch)) {
            inflight.remove(key);
        }
    }

    async fn open_bypass(
        &self,
        target: &UpstreamTarget,
        range_request: &RangeRequest,
    ) -> Result<OpenedObject, Problem> {
        let mut request = build_media_request(target);
        if let Some(range) = &range_request.range {
            request = request.with_forwarded_header(header::RANGE, range.header_value());
        }
        if let Some(if_range) = &range_request.if_range {
            request = request.with_forwarded_header(header::IF_RANGE, if_range.clone());
        }
        let share = Bypass::reserve(&self.budget).await?;
        let response = self.upstreams.send(target, TrafficKind::Media, request).await?;
        let bypass = |response| Ok(OpenedObject::Bypass(Bypass::new(response, share)));
        match response.status() {
            status if is_whole_representation(status) => bypass(response),
            StatusCode::PARTIAL_CONTENT if is_requested_range(&response, range_request.range) => {
                bypass(response)
            }
            StatusCode::RANGE_NOT_SATISFIABLE if range_request.range.is_some() => bypass(response),
            StatusCode::PARTIAL_CONTENT => {
                Err(Problem::UpstreamInvalid("it is not the range that was asked for".to_owned()))
            }
            status => Err(upstream_status_problem(status)),
        }
    }
}

/// Outcome of joining or starting a fetch.
enum JoinOutcome {
    Hit(ReadGuard),
    /// The reader, and whether another request has started the fetch.
    Inflight(InflightReader, bool),
    /// The upstream's refusal of an earlier request.
    NotCacheable(NotCacheable),
}

impl NotCacheable {
    fn into_open_result(self) -> Result<Option<OpenedObject>, Problem> {
        match self {
            Self::Problem(problem) => Err(problem),
            Self::RangeIgnored => Ok(None),
        }
    }
}

/// Whether a 206 response starts at the requested range and does not exceed it, as far as its
/// Content-Range says.
fn is_requested_range(response: &Response, requested: Option<ByteRange>) -> bool {
    let content_range = response.headers().get(header::CONTENT_RANGE);
    let content_range =
        content_range.and_then(|content_range| parse_content_range(content_range.as_bytes()));
    match (content_range, requested) {
        (Some((first, last, _)), Some(requested)) => {
            first == requested.first
                && requested.last.is_none_or(|requested_last| last <= requested_last)
        }
        _ => false,
    }
}

/// Removes and fails a fetch when its task ends, however that is, so that no reader joins or waits
/// for it any more.
struct InflightGuard {
    cache: Arc<SegmentCache>,
    key: ObjectKey,
    fetch: Arc<InflightFetch>,
}

impl Drop for InflightGuard {
    fn drop(&mut self) {
        self.cache.remove_inflight(&self.key, &self.fetch, None);
        self.fetch.fail_if_unfinished();
    }
}

#[cfg(test)]
mod tests;
