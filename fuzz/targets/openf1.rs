#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pitwall_control_plane::fuzzing::openf1(data));
