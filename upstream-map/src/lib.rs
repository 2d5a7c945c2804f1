//! The contract between the control plane, which writes [`UpstreamMap`], and the edge, which reads
//! it.
//!
//! - [`map`]: [`UpstreamMap`], the immutable, versioned model of every [`Stream`]. Private, because
//!   it holds upstream URLs and headers.
//! - [`stream`]: [`Stream`], its upstreams and their renditions.
//! - [`slug`]: ids made from names.
//! - [`documents`]: the public JSON documents, serialised for the API; [`document`]: one of them, as
//!   text with its entity tag.
//! - [`store`]: [`Store`], which carries a map from the control plane to the edges.
//! - [`feedback`]: what the edges report: viewers per stream, failed and stalled upstreams.
//! - [`state_directory`]: where a process keeps what outlives it.
//! - [`command_signature`]: how an edge proves to a control plane that a command is the operator's;
//!   [`trace_context`]: which trace it belongs to.
//! - `fuzzing`: properties that hold for any input; only for tests and the fuzz targets.
//!
//! This crate fetches, ranks and serves nothing.

pub mod command_signature;
pub mod document;
pub mod documents;
pub mod feedback;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod map;
pub mod slug;
pub mod state_directory;
pub mod store;
pub mod stream;
pub mod trace_context;

pub use command_signature::{CommandKey, CommandSignature, PRECONDITION_HEADERS};
pub use feedback::EdgeFeedback;
pub use map::UpstreamMap;
pub use state_directory::StateDirectory;
pub use store::{
    InvalidRedisAddress, Leadership, MapReach, MemoryStore, RedisAddress, RedisConfig, RedisStore,
    Store, StoreError, StoreSecrets,
};
pub use stream::{
    AttributeList, Container, Health, IFramePlaylist, MultivariantTags, Outage, Rendition,
    RenditionGroup, RenditionId, RequestProfile, RequestProfileId, Role, SessionTag, SourcePin,
    Stream, StreamId, Upstream,
};
