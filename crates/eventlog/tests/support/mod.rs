//! Small things that the log's tests share.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic as tests do")]

pub mod judge;
pub mod real_log;

use std::fs;
use std::path::Path;

use event::wire::{Decoded, Entry};
use event::{Event, HostName, Position, Stretch, SystemSample, Time};
use eventlog::{EventLog, ReadLimits, Settings, Sync};
use tempfile::TempDir;

pub fn host() -> HostName {
    HostName::new("here").unwrap()
}

pub fn open(dir: &Path) -> EventLog {
    EventLog::open(dir, &host(), Settings::default()).unwrap()
}

pub fn open_with(dir: &Path, sync: Sync) -> EventLog {
    EventLog::open(dir, &host(), Settings { sync, ..Settings::default() }).unwrap()
}

pub const ALL: ReadLimits = ReadLimits { events_max: usize::MAX, bytes_max: usize::MAX };

/// The entries of a read that finds no hole.
pub fn entries(log: &EventLog, from: Position, limits: ReadLimits) -> Vec<Entry> {
    match log.read(from, limits).unwrap() {
        Stretch::Events(entries) => entries,
        Stretch::Hole(hole) => panic!("{from} lies in {hole:?}"),
    }
}

/// One valid event for each name.
pub fn events<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Vec<Event> {
    names.into_iter().map(|name| event(name.as_ref())).collect()
}

pub fn time() -> Time {
    Time::from_micros(1_767_323_045_678_901)
}

pub fn event(name: &str) -> Event {
    Event::SystemSample(SystemSample { time: time(), system_name: name.into(), ..SystemSample::default() })
}

pub fn names(entries: &[Entry]) -> Vec<String> {
    let name = |entry: &Entry| match &entry.event {
        Decoded::Event(Event::SystemSample(sample)) => sample.system_name.to_string(),
        other => panic!("not a system sample: {other:?}"),
    };
    entries.iter().map(name).collect()
}

/// The files as a SIGKILL would leave them at this instant: what the kernel has, nothing of ours.
///
/// NOTE: files that fjall's workers add or remove meanwhile may be half seen, as no kill would leave them;
/// the tests that use it write too little for a worker to run.
pub fn copy_as_killed(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    // NOTE: a kill is an instant and a copy is not: the mark first, so that it is not ahead of its log.
    let _ = fs::copy(dir.join("mark"), copy.path().join("mark"));
    copy_tree(dir, copy.path());
    copy
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if target.ends_with("mark") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The records of a closed log, without the log around them.
pub fn open_segment(dir: &Path) -> (fjall::Database, fjall::Keyspace) {
    let database = fjall::Database::builder(dir.join("log")).open().unwrap();
    let options = fjall::KeyspaceCreateOptions::default;
    let segment = database.keyspace("events-00000000000000000001", options).unwrap();
    (database, segment)
}
