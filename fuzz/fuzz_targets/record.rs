//! Records and their payloads, from arbitrary bytes.
#![no_main]

#[path = "../checks/record.rs"]
mod record;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    record::check(bytes);
});
