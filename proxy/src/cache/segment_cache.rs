//! [`SegmentCache`]: opens objects and purges them.

mod prefetch;
pub(super) mod shared_fetch;

use std::sync::Arc;

use http::{StatusCode, header};

use self::shared_fetch::JoinOutcome;
use super::bypass::Bypass;
use super::byte_range::{ByteRange, RangeRequest};
use super::disk_tier::DiskTier;
use super::fetch_budget::FetchBudget;
use super::fetch_task::{build_media_request, is_whole_representation};
use super::freshness::FreshnessByDirectory;
use super::inflight_fetch::NotCacheable;
use super::inflight_index::InflightIndex;
use super::negative_cache::NegativeCache;
use super::object_key::ObjectKey;
use super::object_store::ObjectStore;
use super::opened_object::OpenedObject;
use super::purge_scope::PurgeScope;
use crate::config::CacheConfig;
use crate::http::problem::{Problem, upstream_status_problem};
use crate::metrics::upstream::TrafficKind;
use crate::upstream::client::UpstreamClient;
use crate::upstream::target::UpstreamTarget;

/// Maximum length of a range that is stored as an object of its own; longer than any segment that
/// is a byte range of a file.
const RANGE_OBJECT_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The segment cache: stored objects, fetches in flight, and remembered refusals.
pub struct SegmentCache {
    pub(super) objects: ObjectStore,
    pub(super) inflight: InflightIndex,
    negative_cache: NegativeCache,
    pub lifetimes: FreshnessByDirectory,
    pub(super) budget: FetchBudget,
    /// Maximum size of a stored object in bytes; 0 if nothing is stored.
    max_object_bytes: u64,
    upstreams: Arc<UpstreamClient>,
    disk: Option<Arc<DiskTier>>,
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
            inflight: InflightIndex::default(),
            negative_cache: NegativeCache::default(),
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
    /// The problem of the upstream, now or within [`PROBLEM_TTL`](super::negative_cache::PROBLEM_TTL).
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
                    && !self.inflight.is_being_stored(&key) =>
            {
                let bounds = Some((first, last));
                if let Some(lookup) = self.open_cacheable(&target, bounds).await? {
                    return Ok(lookup);
                }
            }
            // The length of an open-ended range is unknown: a file that grows while it is read is
            // not stored.
            Some(ByteRange { first: 1.., last: None }) if !self.inflight.is_being_stored(&key) => {
                return self.open_bypass(&target, &range_request).await;
            }
            _ => {}
        }
        match self.open_cacheable(&target, None).await? {
            Some(lookup) => Ok(lookup),
            None => self.open_bypass(&target, &range_request).await,
        }
    }
    /// Removes objects, and keeps new readers from joining the fetches of such. Returns how many
    /// objects were removed.
    pub fn purge(&self, scope: &PurgeScope) -> usize {
        self.inflight.purge(scope);
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
            StatusCode::PARTIAL_CONTENT if range_request.is_answered_by(&response) => {
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
impl NotCacheable {
    fn into_open_result(self) -> Result<Option<OpenedObject>, Problem> {
        match self {
            Self::Problem(problem) => Err(problem),
            Self::RangeIgnored => Ok(None),
        }
    }
}
