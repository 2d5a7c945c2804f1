//! The [`pingora_cache::storage::Storage`] that Pingora sees: every opened object is a cache hit.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::{Error, ErrorType, Result};
use pingora_cache::key::CacheKey;
use pingora_cache::storage::{
    HandleHit, HitHandler, MissHandler, PurgeOutcome, PurgeTarget, PurgeType,
};
use pingora_cache::trace::SpanHandle;
use pingora_cache::{CacheMeta, storage};
use pitwall_fetch::Response;

use super::reader::{InflightReader, StoredReader};
use crate::http::problem::Problem;

/// Storage whose lookup takes the object out of the request's own cache key, where it was put when
/// it was opened.
pub struct CacheAdapter;

pub static CACHE_ADAPTER: CacheAdapter = CacheAdapter;

/// An opened object inside a cache key, which must be `Clone`, though the object is taken only
/// once.
#[derive(Clone)]
struct PreparedHit(Arc<Mutex<Option<(CacheMeta, HitBody)>>>);

/// Body of a hit, by where it comes from.
pub enum HitBody {
    Stored(StoredReader),
    Inflight(InflightReader, Option<u64>),
    Bypass(Box<Response>),
}

/// A cache key that carries `meta` and `body` to the lookup. The key has no name, because nothing
/// is looked up by it and no request waits for another's.
pub fn build_cache_key(meta: CacheMeta, body: HitBody) -> CacheKey {
    let mut key = CacheKey::new("", "");
    key.extensions.insert(PreparedHit(Arc::new(Mutex::new(Some((meta, body))))));
    key
}

#[async_trait]
impl storage::Storage for CacheAdapter {
    async fn lookup(
        &'static self,
        key: &CacheKey,
        _trace: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let prepared = key.extensions.get::<PreparedHit>();
        let prepared_hit = prepared
            .and_then(|prepared| prepared.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(prepared_hit.map(|(meta, body)| (meta, Box::new(body) as HitHandler)))
    }

    async fn get_miss_handler(
        &'static self,
        _key: &CacheKey,
        _meta: &CacheMeta,
        _trace: &SpanHandle,
    ) -> Result<MissHandler> {
        Error::e_explain(ErrorType::InternalError, "fetch tasks write to the cache, not requests")
    }

    async fn purge(
        &'static self,
        _target: PurgeTarget<'_>,
        _purge_type: PurgeType,
        _trace: &SpanHandle,
    ) -> Result<PurgeOutcome> {
        Ok(PurgeOutcome::NotFound)
    }

    async fn update_meta(
        &'static self,
        _key: &CacheKey,
        _meta: &CacheMeta,
        _trace: &SpanHandle,
    ) -> Result<bool> {
        Ok(false)
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

#[async_trait]
impl HandleHit for HitBody {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Stored(reader) => Ok(reader.read()),
            Self::Inflight(reader, _) => reader.read().await.map_err(read_error),
            Self::Bypass(response) => {
                response.chunk().await.map_err(|error| read_error(Problem::from(error)))
            }
        }
    }

    async fn finish(
        self: Box<Self>,
        _storage: &'static (dyn storage::Storage + Sync),
        _key: &CacheKey,
        _trace: &SpanHandle,
    ) -> Result<()> {
        Ok(())
    }

    /// Pingora serves ranges only of objects whose length is known.
    fn can_seek(&self) -> bool {
        match self {
            Self::Stored(_) => true,
            Self::Inflight(_, length) => length.is_some(),
            Self::Bypass(_) => false,
        }
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let (start, end) = (start as u64, end.map(|end| end as u64));
        match self {
            Self::Stored(reader) => reader.seek(start, end),
            Self::Inflight(reader, _) => reader.seek(start, end),
            Self::Bypass(_) => {
                return Error::e_explain(ErrorType::InternalError, "a bypass response cannot seek");
            }
        }
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// An error after the header, which the client sees as an aborted transfer.
fn read_error(problem: Problem) -> Box<Error> {
    Error::explain(ErrorType::ReadError, problem.to_string()).into_up()
}
