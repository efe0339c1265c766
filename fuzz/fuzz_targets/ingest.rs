//! Events that are posted, from arbitrary bytes.
#![no_main]

#[path = "../checks/ingest.rs"]
mod ingest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ingest::check(bytes);
});
