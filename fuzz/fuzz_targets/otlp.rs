//! OTLP bodies, from arbitrary bytes.
#![no_main]

#[path = "../checks/otlp.rs"]
mod otlp;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    otlp::check(bytes);
});
