//! The seeds of the fuzz targets, each checked as the fuzzer checks it.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "helpers of tests panic as tests do"
)]

#[path = "../../../fuzz/checks/import.rs"]
mod import;
#[path = "../../../fuzz/checks/ndjson.rs"]
mod ndjson;
#[path = "../../../fuzz/checks/record.rs"]
mod record;
mod support;

use std::fs;

/// Calls `check` with each seed of a target; it tells whether there was an event in it.
fn run(target: &str, check: impl Fn(&[u8]) -> bool) {
    let mut seeds = 0;
    for file in fs::read_dir(support::repository("fuzz/seeds").join(target)).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = check(&fs::read(&path).unwrap());
        assert_eq!(found, !name.starts_with("bad-"), "{target}/{name}: whether there is an event in it");
        seeds += 1;
    }
    assert!(seeds >= 5, "{target} has {seeds} seeds");
}

#[test]
fn every_seed_of_record_holds() {
    run("record", record::check);
}

#[test]
fn every_seed_of_ndjson_holds() {
    run("ndjson", |bytes| ndjson::check(bytes) > 0);
}

#[test]
fn every_seed_of_import_holds() {
    run("import", |bytes| import::check(bytes) > 0);
}
