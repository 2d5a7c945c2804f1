//! Tests of the segment cache, and what they share: an origin, a target there, and a cache to open
//! it in.

mod bypass;
mod eviction;
mod interrupted;
mod model;
mod negative_caching;
mod origin;
mod prefetch;
mod ranges;
mod readers;
mod windows;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use http::StatusCode;
use pitwall_fetch::{Fetcher, Timeouts};
use pitwall_upstream_map::RequestProfile;
use tokio::time::Instant;

use super::byte_range::ByteRange;
use super::disk_tier::DiskTier;
use super::inflight_fetch::InflightFetch;
use super::object_metadata::ObjectMetadata;
use super::object_store::ReadGuard;
use super::reader::{InflightReader, StoredReader};
use super::*;
use crate::config::CacheConfig;
use crate::http::problem::Problem;
use crate::metrics::upstream::UpstreamMetrics;
use crate::upstream::client::UpstreamClient;
use crate::upstream::denials::DenialLog;
use crate::upstream::limiter::{UpstreamLimiter, UpstreamLimiters};
use crate::upstream::profile::ResolvedProfile;
use crate::upstream::target::UpstreamTarget;
use origin::origin;

const CHUNK_BYTES: usize = 64 * 1024;

pub(super) fn target(address: SocketAddr, path: &str) -> UpstreamTarget {
    target_of_profile("test", UpstreamLimiter::default(), address, path)
}

fn target_of_profile(
    profile: &str,
    limiter: UpstreamLimiter,
    address: SocketAddr,
    path: &str,
) -> UpstreamTarget {
    let request_profile = RequestProfile {
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        ports: vec![address.port()],
        token_parameters: vec!["token".into()],
        ..RequestProfile::default()
    };
    let (origins, denials) = (Arc::default(), DenialLog::default());
    let profile =
        ResolvedProfile::new(profile, Arc::new(request_profile), origins, limiter, denials, None);
    let url = format!("http://{address}{path}").parse().unwrap();
    let target = UpstreamTarget::new(url, Arc::new(profile));
    UpstreamTarget { stream: Some("world".into()), ..target }
}

/// A new cache above these objects on disk.
pub(super) fn segment_cache_with_disk(disk: Option<Arc<DiskTier>>) -> Arc<SegmentCache> {
    SegmentCache::new(&CacheConfig::default(), upstreams(), disk)
}

fn segment_cache(max_object: usize, fill_bytes: usize) -> Arc<SegmentCache> {
    let config = CacheConfig {
        bytes: ByteSize::mib(64),
        fill_bytes: ByteSize(fill_bytes as u64),
        max_object: ByteSize(max_object as u64),
        disk: None,
    };
    SegmentCache::new(&config, upstreams(), None)
}

fn upstreams() -> Arc<UpstreamClient> {
    let fetcher = Fetcher::new(Timeouts::default(), vec![]);
    let metrics = UpstreamMetrics::new(&prometheus::Registry::new()).unwrap();
    Arc::new(UpstreamClient::new(fetcher, metrics))
}

fn large_cache() -> Arc<SegmentCache> {
    segment_cache(1 << 24, 1 << 25)
}

pub(super) async fn open(
    cache: &Arc<SegmentCache>,
    target: UpstreamTarget,
) -> Result<OpenedObject, Problem> {
    cache.open_object(target, RangeRequest::default()).await
}

fn expect_inflight(lookup: Result<OpenedObject, Problem>) -> (InflightReader, bool) {
    match lookup {
        Ok(OpenedObject::Inflight { reader, coalesced }) => (reader, coalesced),
        Ok(OpenedObject::Hit(_)) => panic!("stored already"),
        Ok(OpenedObject::Bypass(_)) => panic!("bypassed"),
        Err(problem) => panic!("{problem}"),
    }
}

async fn read_all(reader: &mut InflightReader) -> Result<usize, Problem> {
    let mut total = 0;
    while let Some(bytes) = reader.read().await? {
        total += bytes.len();
    }
    Ok(total)
}

/// Waits until the fetch task has stored its object.
async fn wait_until_stored(cache: &Arc<SegmentCache>, target: &UpstreamTarget) -> ReadGuard {
    wait_until_key_stored(cache, ObjectKey::of(target, None)).await
}

async fn wait_until_key_stored(cache: &Arc<SegmentCache>, key: ObjectKey) -> ReadGuard {
    for _ in 0..1000 {
        if let Some(object) = cache.objects.find_fresh(&key) {
            return object;
        }
        tokio::task::yield_now().await;
    }
    panic!("never stored");
}

fn range_request(range: &str) -> RangeRequest {
    RangeRequest { range: ByteRange::parse(range.as_bytes()), if_range: None }
}

/// The Content-Range and length of an opened range of `/file`.
async fn open_range(
    cache: &Arc<SegmentCache>,
    address: SocketAddr,
    range: &str,
) -> (Option<String>, usize) {
    let describe = |metadata: &ObjectMetadata, length| {
        (metadata.content_range.as_ref().map(|value| value.to_str().unwrap().to_owned()), length)
    };
    match cache.open_object(target(address, "/file"), range_request(range)).await {
        Ok(OpenedObject::Hit(object)) => {
            describe(&object.metadata, object.body().total_length() as usize)
        }
        Ok(OpenedObject::Inflight { mut reader, .. }) => {
            let metadata = reader.metadata();
            let length = read_all(&mut reader).await.unwrap();
            describe(&metadata, length)
        }
        Ok(OpenedObject::Bypass(_)) => panic!("{range} bypasses the cache"),
        Err(problem) => panic!("{range}: {problem}"),
    }
}
