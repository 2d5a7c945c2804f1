//! Properties of configured sources, and of the lists and pages that they lead to.

use std::time::Duration;

use pitwall_fetch::OwnListeners;

use super::ConfiguredSource;
pub use super::m3u::m3u;
pub use super::recipe::page;
use crate::settings::assert_located;

/// Checks that an error in a source has a place in its file, and that a source that is accepted can
/// be judged and run.
pub fn recipe(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ConfiguredSource::parse_file(text) {
        Ok(sources) => {
            for source in sources {
                assert!(!source.name.is_empty() && !source.every.is_zero());
                assert!(source.extractor.timeout() > Duration::ZERO);
                let denials = source.policy_denials(&OwnListeners::default());
                assert!(denials.iter().all(|denial| !denial.is_empty()));
            }
        }
        Err(error) => assert_located(text, &error),
    }
}
