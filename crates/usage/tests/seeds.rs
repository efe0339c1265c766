//! The seeds of the transcripts' fuzz targets, each checked as the fuzzer checks it.
#![cfg(test)]
#![expect(unreachable_pub, reason = "the check is shared with the fuzz targets")]

#[path = "../../../fuzz/checks/transcript.rs"]
mod transcript;

use std::fs;
use std::path::Path;

use usage::Tool;

#[test]
fn every_seed_holds() {
    for tool in Tool::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(tool.name());
        let mut seeds = 0;
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let calls = transcript::check(tool, &fs::read(&path).unwrap());
            assert_eq!(
                calls > 0,
                !name.starts_with("bad-"),
                "{}/{name}: whether it tells a call",
                tool.name()
            );
            seeds += 1;
        }
        assert!(seeds >= 5, "{} has {seeds} seeds", tool.name());
    }
}
