//! The seeds of the journals' fuzz target, each checked as the fuzzer checks it.
#![cfg(test)]
#![expect(unreachable_pub, reason = "the check is shared with the fuzz target")]

#[path = "../../../fuzz/checks/journal.rs"]
mod journal;

use std::fs;
use std::path::Path;

#[test]
fn every_seed_of_journal_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/journal");
    let mut seeds = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = journal::check(&fs::read(&path).unwrap());
        assert_eq!(found, !name.starts_with("bad-"), "journal/{name}: whether there is an item in it");
        seeds += 1;
    }
    assert!(seeds >= 5, "journal has {seeds} seeds");
}
