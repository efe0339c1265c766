//! Small things that the log's tests share.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic as tests do")]

pub mod gate;
pub mod judge;
pub mod real_log;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

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
/// A kill is an instant and a copy is not: one during which fjall's workers or a sync changed a file is taken
/// again. So it never shows a flush or a trim half done; tests with a real kill do.
pub fn copy_as_killed(dir: &Path) -> TempDir {
    loop {
        let before = listing(dir);
        let copy = tempfile::tempdir().unwrap();
        // NOTE: the mark first, so that it is not ahead of its log.
        let _ = fs::copy(dir.join("mark"), copy.path().join("mark"));
        let copied = copy_tree(dir, copy.path());
        match copied {
            Ok(()) if listing(dir) == before => return copy,
            Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

/// Every file under `dir`: its path, its length and when it changed. Files that go meanwhile are left out.
pub fn listing(dir: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => dirs.push(entry.path()),
                Ok(metadata) => files.push((entry.path(), metadata.len(), metadata.modified().unwrap())),
                Err(_) => {}
            }
        }
    }
    files.sort();
    files
}

pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_tree(&entry.path(), &target)?;
        } else if !target.exists() {
            copy_sparse(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Copies what is not zero: a journal is 64 MiB of which a test fills some kilobytes.
fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let (mut source, target) = (File::open(from)?, File::create(to)?);
    let (mut chunk, mut at) = (vec![0; ZEROS.len()], 0);
    loop {
        let read = source.read(&mut chunk)?;
        let bytes = chunk.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return target.set_len(at);
        }
        if !ZEROS.starts_with(bytes) {
            target.write_all_at(bytes, at)?;
        }
        at += read as u64;
    }
}

/// The records of a closed log, without the log around them.
pub fn open_segment(dir: &Path) -> (fjall::Database, fjall::Keyspace) {
    let database = fjall::Database::builder(dir.join("log")).open().unwrap();
    let options = fjall::KeyspaceCreateOptions::default;
    let segment = database.keyspace("events-00000000000000000001", options).unwrap();
    (database, segment)
}
