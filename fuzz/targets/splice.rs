#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pitwall_hls::fuzzing::splice(data));
