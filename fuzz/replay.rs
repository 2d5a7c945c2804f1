//! Runs a fuzz target on its seeds: what the tests of each crate do with those of its targets.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// A fuzz target.
pub(crate) type Check = fn(&[u8]);

/// Runs `check` on every seed in `fuzz/corpus/TARGET`.
pub(crate) fn replay(target: &str, check: Check) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let seeds: Vec<_> = fs::read_dir(&corpus).unwrap().map(|seed| seed.unwrap().path()).collect();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for path in seeds {
        let data = fs::read(&path).unwrap();
        if catch_unwind(|| check(&data)).is_err() {
            panic!("a property does not hold for {}", path.display());
        }
    }
}
