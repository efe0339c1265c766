//! The seeds of the bodies' fuzz targets, each checked as the fuzzer checks it.
#![cfg(test)]
#![expect(unreachable_pub, reason = "the checks are shared with the fuzz targets")]

#[path = "../../../fuzz/checks/ingest.rs"]
mod ingest;
#[path = "../../../fuzz/checks/otlp.rs"]
mod otlp;

use std::fs;
use std::path::Path;

/// Calls `check` with each seed of a target; it tells how much in it was understood.
fn run(target: &str, check: impl Fn(&[u8]) -> usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut seeds = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let understood = check(&fs::read(&path).unwrap()) > 0;
        assert_eq!(understood, !name.starts_with("bad-"), "{target}/{name}: whether anything is understood");
        seeds += 1;
    }
    assert!(seeds >= 5, "{target} has {seeds} seeds");
}

#[test]
fn every_seed_of_ingest_holds() {
    run("ingest", ingest::check);
}

#[test]
fn every_seed_of_otlp_holds() {
    run("otlp", otlp::check);
}
