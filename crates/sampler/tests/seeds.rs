//! The seeds of the parsers' fuzz targets, each checked as the fuzzer checks it.
#![cfg(test)]
#![expect(unreachable_pub, reason = "the checks are shared with the fuzz targets")]

#[path = "../../../fuzz/checks/docker.rs"]
mod docker;
#[path = "../../../fuzz/checks/proc_text.rs"]
mod proc_text;
#[path = "../../../fuzz/checks/tmux_panes.rs"]
mod tmux_panes;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

fn seeds_of(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target)
}

/// Calls `check` with each seed of a target; it tells whether anything in it was understood.
fn run(target: &str, check: impl Fn(&[u8]) -> bool) {
    let mut seeds = 0;
    for file in fs::read_dir(seeds_of(target)).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let understood = check(&fs::read(&path).unwrap());
        assert_eq!(understood, !name.starts_with("bad-"), "{target}/{name}: whether anything is understood");
        seeds += 1;
    }
    assert!(seeds >= 5, "{target} has {seeds} seeds");
}

#[test]
fn every_seed_of_proc_text_holds() {
    run("proc_text", proc_text::check);
}

#[test]
fn every_seed_of_docker_holds() {
    run("docker", docker::check);
}

#[test]
fn every_seed_of_tmux_panes_holds() {
    run("tmux_panes", |bytes| tmux_panes::check(bytes) > 0);
}

proptest! {
    #[test]
    fn damaged_answers_of_docker_hold(
        seed in prop::sample::select(vec!["v2", "restart", "largest", "odd-fields"]),
        places in prop::collection::vec((any::<Index>(), prop::sample::select(b"09-e.,:{}[]\"\n\xff".to_vec())), 1..8),
    ) {
        let mut bytes = fs::read(seeds_of("docker").join(seed)).unwrap();
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        docker::check(&bytes);
    }
}
