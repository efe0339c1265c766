//! An import and the export of it, from arbitrary bytes.
#![no_main]

#[path = "../checks/import.rs"]
mod import;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    import::check(bytes);
});
