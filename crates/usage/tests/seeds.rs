//! The seeds of the transcripts' fuzz targets, each checked as the fuzzer checks it.
#![cfg(test)]
#![expect(unreachable_pub, reason = "the check is shared with the fuzz targets")]

#[path = "../../../fuzz/checks/transcript.rs"]
mod transcript;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use usage::Tool;

/// The seeds of a target, by name.
fn seeds(tool: Tool) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(tool.name());
    let read = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read(path).unwrap())
    };
    fs::read_dir(folder).unwrap().map(|file| read(&file.unwrap().path())).collect()
}

#[test]
fn every_seed_holds() {
    for tool in Tool::ALL {
        let seeds = seeds(tool);
        assert!(seeds.len() >= 5, "{} has {} seeds", tool.name(), seeds.len());
        for (name, bytes) in seeds {
            let calls = transcript::check(tool, &bytes);
            assert_eq!(
                calls > 0,
                !name.starts_with("bad-"),
                "{}/{name}: whether it tells a call",
                tool.name()
            );
        }
    }
}

/// A change of a transcript: where, to what, and whether a byte is changed, cut out or put in.
#[derive(Clone, Copy, Debug)]
enum Change {
    Set(u8),
    Cut,
    Put(u8),
}

fn change() -> impl Strategy<Value = (Index, Change)> {
    // Digits and signs go where a JSON parser still takes them, so that wrong numbers come through.
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"0123456789-.\"{}[]:,\n".to_vec())];
    let change =
        prop_oneof![byte.clone().prop_map(Change::Set), Just(Change::Cut), byte.prop_map(Change::Put)];
    (any::<Index>(), change)
}

proptest! {
    #[test]
    fn every_seed_holds_when_it_is_damaged(
        is_claude in any::<bool>(),
        which in any::<Index>(),
        changes in prop::collection::vec(change(), 1..12),
    ) {
        let tool = if is_claude { Tool::Claude } else { Tool::Codex };
        let mut seeds = seeds(tool);
        seeds.sort();
        let at = which.index(seeds.len());
        let (_, bytes) = &mut seeds[at];
        for (at, change) in changes {
            let at = at.index(bytes.len());
            match change {
                Change::Set(byte) => bytes[at] = byte,
                Change::Cut => { bytes.remove(at); }
                Change::Put(byte) => bytes.insert(at, byte),
            }
        }
        transcript::check(tool, bytes);
    }
}
