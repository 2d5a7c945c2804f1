#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pitwall_control_plane::fuzzing::m3u(data));
