//! Properties that hold for whatever a server answers. The targets in `fuzz/` check them with
//! random input, and a test with the seeds in `fuzz/corpus`.

pub use crate::http_client::{chunked_body, response_head};

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
#[test]
fn properties_hold_for_every_seed() {
    replay::replay("response_head", response_head);
    replay::replay("chunked_body", chunked_body);
}
