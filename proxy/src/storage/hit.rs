//! What Pingora sees of an opened object: a cache hit.

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

use super::reader::{Reader, StoredReader};
use super::shelf::Object;
use crate::problem::Problem;

/// Where Pingora looks an object up: in the request's own key, where it was put when it was
/// opened.
pub struct Handover;

pub static HANDOVER: Handover = Handover;

/// An opened object on its way through a cache key, which must be `Clone`.
#[derive(Clone)]
struct Carried(Arc<Mutex<Option<(CacheMeta, Body)>>>);

pub enum Body {
    Stored(StoredReader),
    Filling(Reader, Option<u64>),
    Passing(Box<Response>),
}

impl Body {
    pub fn stored(object: &Object) -> Self {
        Self::Stored(StoredReader::new(object))
    }
}

/// A key that carries `meta` and `body` to the lookup. It needs no name: nothing is ever looked
/// up by it, and no request waits for another's.
pub fn carrying(meta: CacheMeta, body: Body) -> CacheKey {
    let mut key = CacheKey::new("", "");
    key.extensions.insert(Carried(Arc::new(Mutex::new(Some((meta, body))))));
    key
}

#[async_trait]
impl storage::Storage for Handover {
    async fn lookup(
        &'static self,
        key: &CacheKey,
        _trace: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let carried = key.extensions.get::<Carried>();
        let taken = carried
            .and_then(|carried| carried.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(taken.map(|(meta, body)| (meta, Box::new(body) as HitHandler)))
    }

    async fn get_miss_handler(
        &'static self,
        _key: &CacheKey,
        _meta: &CacheMeta,
        _trace: &SpanHandle,
    ) -> Result<MissHandler> {
        Error::e_explain(ErrorType::InternalError, "fills write to storage, not requests")
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
impl HandleHit for Body {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Stored(reader) => Ok(reader.read()),
            Self::Filling(reader, _) => reader.read().await.map_err(broken),
            Self::Passing(response) => {
                response.chunk().await.map_err(|error| broken(Problem::from(error)))
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

    /// Pingora answers ranges only of objects whose length is known.
    fn can_seek(&self) -> bool {
        match self {
            Self::Stored(_) => true,
            Self::Filling(_, length) => length.is_some(),
            Self::Passing(_) => false,
        }
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let (start, end) = (start as u64, end.map(|end| end as u64));
        match self {
            Self::Stored(reader) => reader.seek(start, end),
            Self::Filling(reader, _) => reader.seek(start, end),
            Self::Passing(_) => {
                return Error::e_explain(ErrorType::InternalError, "passed through: no seeking");
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

/// The client sees an aborted transfer.
fn broken(problem: Problem) -> Box<Error> {
    Error::explain(ErrorType::ReadError, problem.to_string()).into_up()
}
