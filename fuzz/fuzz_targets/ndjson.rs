//! NDJSON, from arbitrary bytes.
#![no_main]

#[path = "../checks/ndjson.rs"]
mod ndjson;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ndjson::check(bytes);
});
