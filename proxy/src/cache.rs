//! Read-through cache of media objects.
//!
//! A request opens an object as a [`OpenedObject`]: the object is stored, in flight, or bypasses the
//! cache. Fetches run in tasks of their own: no reader slows one down, and a reader that leaves does
//! not end it for the others. An object for which there is no room is fetched once all the same,
//! and its readers share a window of it.
//!
//! - [`segment_cache`]: the whole; [`opened_object`], [`prefetch_outcome`]: what it returns;
//!   [`object_key`], [`byte_range`], [`purge_scope`]: what it is asked for.
//! - [`inflight_fetch`]: one fetch that any number of readers follow, and [`fetch_task`], the task
//!   behind it, which resumes an interrupted body (`resume`) and asks the body whether it is
//!   complete where its message does not say ([`body_end`]). `inflight_index`: the fetches that may
//!   be joined; `negative_cache`: those that upstreams have just refused.
//! - [`writer`]: the body of a fetch, held whole or in a window. [`reader`]: one viewer's position in
//!   an object. [`fetch_progress`]: whether a fetch stalls.
//! - [`object_store`]: complete objects, whose bodies are [`chunks`], stored for a [`freshness`]
//!   lifetime. [`disk_tier`]: the same on disk, where the operator has given it one.
//! - [`bypass`]: a response for one reader.
//! - [`fetch_budget`]: what all bodies outside the store may take of the memory.

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
mod inflight_index;
mod negative_cache;
pub mod object_key;
pub mod object_metadata;
pub mod object_store;
pub mod opened_object;
pub mod prefetch_outcome;
pub mod purge_scope;
pub mod reader;
pub mod segment_cache;
#[cfg(test)]
mod tests;
pub mod writer;

pub use self::byte_range::RangeRequest;
pub use self::object_key::ObjectKey;
pub use self::opened_object::OpenedObject;
pub use self::prefetch_outcome::PrefetchOutcome;
pub use self::purge_scope::PurgeScope;
pub use self::segment_cache::SegmentCache;
