#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pitwall_upstream_map::fuzzing::splice_registry(data));
