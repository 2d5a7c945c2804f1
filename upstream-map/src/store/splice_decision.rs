//! [`SpliceDecision`]: what the splice registry answers.

use tokio::time::Duration;

/// The decision that is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpliceDecision {
    /// Splice generation; 0 if there is no decision.
    pub generation: u64,
    pub switch_record: Vec<u8>,
    /// Splice record of the rendition in this generation, if an edge has begun it.
    pub splice_record: Option<Vec<u8>>,
    /// Media sequence number after the rendition's last published one, in any generation.
    pub next_number: u64,
    pub tail_record: Vec<u8>,
    /// The highest `next_number` that this process knows: a higher one if it has published while the
    /// other edges could not be asked, also before it was restarted.
    pub known_next_number: u64,
    /// Below this number this process has published by another splice than `splice_record`, while
    /// the other edges could not be asked or before the shared registry lost it; 0 if it has not.
    pub superseded_below: u64,
    /// Every number of the stream below this one may have been published.
    pub reserved_below: u64,
    /// How long ago the generation began, by one clock for all edges: edges' own clocks may differ.
    /// `None`: not known, long ago.
    pub generation_age: Option<Duration>,
    /// The same for `tail_record`.
    pub tail_age: Option<Duration>,
    /// Whether the decision is the same at every edge; false if the other edges could not be asked.
    pub is_shared: bool,
}

impl SpliceDecision {
    /// The lowest number that has certainly not been published.
    pub fn first_free_number(&self) -> u64 {
        if self.splice_record.is_some() {
            self.next_number
        } else {
            self.next_number.max(self.reserved_below)
        }
    }
}
