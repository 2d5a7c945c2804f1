//! The contract between the control plane, which writes it, and the edge, which reads it.
//!
//! - [`map`]: [`UpstreamMap`], the immutable, versioned picture of every [`Stream`] and
//!   where its bytes come from. Private: it holds upstream URLs and headers.
//! - [`slug`]: how names become ids.
//! - [`documents`]: what the public may see of it, ready to be answered as JSON.
//! - [`store`]: how a map travels from one to the other: [`Store`].
//! - [`demand`]: what comes back: who is watched, what just failed.
//!
//! Nothing here fetches, ranks or serves.

pub mod demand;
pub mod documents;
pub mod map;
pub mod slug;
pub mod store;

pub use demand::Demand;
pub use map::{
    Container, Group, Health, Outage, Pin, Profile, ProfileId, Rendition, RenditionId, Role,
    Stream, StreamId, Upstream, UpstreamMap,
};
pub use store::{
    BadAddress, Leadership, MemoryStore, RedisAddress, RedisConfig, RedisStore, Store, StoreError,
    StoreKeys,
};
