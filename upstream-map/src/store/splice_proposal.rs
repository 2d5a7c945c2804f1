//! [`SpliceProposal`]: what an edge asks the splice registry for.

use serde::{Deserialize, Serialize};
use tokio::time::Duration;

use crate::stream::StreamId;

/// A proposal of an edge, which is also its query.
#[derive(Clone, Debug)]
pub struct SpliceProposal {
    pub stream: StreamId,
    pub rendition: String,
    /// Splice generation by which the edge publishes or wants to publish; 0 if it knows of none.
    pub generation: u64,
    /// Media sequence number after the last segment that the edge is about to publish; 0 if none.
    pub next_number: u64,
    /// Record of the last segments about to be published, for edges that have not seen them.
    pub tail_record: Vec<u8>,
    /// Record of the source switch with which the generation begins, written if it has not begun.
    pub switch_record: Vec<u8>,
    /// Where the rendition begins in the generation, if the edge proposes that.
    pub start: Option<RenditionStart>,
    /// `start` is not new: it restores a splice that the other edges have lost.
    pub is_restored: bool,
    /// Every number of the stream below this one may have been published before this edge was
    /// killed. Ignored if the rendition is known to have begun.
    pub reserved_below: u64,
    /// How long ago the generation began, zero if it begins with this proposal. `None`: not known.
    pub generation_age: Option<Duration>,
}

impl SpliceProposal {
    /// A proposal that changes nothing and returns the current decision.
    pub fn query(stream: StreamId, rendition: String, generation: u64) -> Self {
        Self {
            stream,
            rendition,
            generation,
            next_number: 0,
            tail_record: Vec::new(),
            switch_record: Vec::new(),
            start: None,
            is_restored: false,
            reserved_below: 0,
            generation_age: None,
        }
    }

    pub(super) fn as_query(&self) -> Self {
        Self::query(self.stream.clone(), self.rendition.clone(), self.generation)
    }
}

/// Where a rendition continues in a splice generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionStart {
    /// First media sequence number of the generation.
    pub published: u64,
    pub record: Vec<u8>,
}
