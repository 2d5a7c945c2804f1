#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pitwall_upstream_map::fuzzing::map_entry(data));
