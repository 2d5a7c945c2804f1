//! Properties that hold for whatever a store holds, and for any proposals. The targets in `fuzz/`
//! check them with random input, and a test with the seeds in `fuzz/corpus`.

pub use crate::store::fuzzing::{map_entry, splice_registry};

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
#[test]
fn properties_hold_for_every_seed() {
    replay::replay("map_entry", map_entry);
    replay::replay("splice_registry", splice_registry);
}
