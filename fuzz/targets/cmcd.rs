#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pitwall_proxy::fuzzing::cmcd(data));
