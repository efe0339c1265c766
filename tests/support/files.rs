//! The files of a log, and damage to them.

use std::fs;
use std::path::{Path, PathBuf};

use super::log::Log;
use super::{agent_line, json};

/// Text that no compressor makes smaller, another one for each number.
pub fn noise(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + u8::try_from(state % 75).unwrap())
    };
    (0..3_000).map(letter).filter(char::is_ascii_alphanumeric).collect()
}

/// So many events that some are in a table file, and no daemon.
pub const LARGE: u64 = 9_000;

pub fn fill(log: &Log) {
    let line = |second: u64| {
        let role = format!("\"role\":\"{}\",\"agent_name\"", noise(second));
        agent_line("zen", second, 1.0).replace("\"agent_name\"", &role)
    };
    let input: String = (0..LARGE).map(line).collect();
    assert_eq!(json(&log.import(input.as_bytes()))["imported"], LARGE);
}

pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Flips a byte of the event of this second in every file of this sort; gives how many files have it.
pub fn damage(log: &Log, is_damaged: impl Fn(&Path) -> bool, second: u64) -> usize {
    let needle = &noise(second)[1_000..1_040];
    let mut count = 0;
    for path in files(&log.data().join("log")).iter().filter(|path| is_damaged(path)) {
        let mut bytes = fs::read(path).unwrap();
        let found = bytes.windows(needle.len()).position(|window| window == needle.as_bytes());
        if let Some(at) = found {
            bytes[at] ^= 0x55;
            fs::write(path, bytes).unwrap();
            count += 1;
        }
    }
    count
}

pub fn is_table(path: &Path) -> bool {
    path.parent().unwrap().ends_with("tables")
}

pub fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jnl")
}

/// Flips a byte in the middle of what the journal of a stopped log holds.
pub fn break_journal(log: &Log) {
    let path = files(&log.data().join("log")).into_iter().find(|path| is_journal(path)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end / 2] ^= 0x55;
    fs::write(path, bytes).unwrap();
}
