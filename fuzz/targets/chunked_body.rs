#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pitwall_fetch::fuzzing::chunked_body(data));
