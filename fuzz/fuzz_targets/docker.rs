//! Answers of a Docker engine, from arbitrary bytes.
#![no_main]

#[path = "../checks/docker.rs"]
mod docker;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    docker::check(bytes);
});
