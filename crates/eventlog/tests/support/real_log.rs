//! A log with a past: several segments in tables, a trimmed one, meta, and a journal with events that are nowhere
//! else. Made once for each test, and copied for each damage.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use event::{AgentState, Event, Gap, Position, SystemSample, Time};
use eventlog::{Batch, EventLog, LogInfo, MetaEntry, Settings, Sync, TrimTo};
use tempfile::TempDir;

use super::host;

/// Events of one batch.
pub const BATCH_EVENTS: u64 = 6;
/// Small, so that a log of a few hundred events has several segments; large enough for several blocks in a table.
const SEGMENT_BYTES_MAX: u64 = 160 * 1024;
/// Batches before the filler, and behind it. The latter fit into the segment that is there, so that the journal alone
/// has them: a full segment goes to a table at any time.
const BATCHES: [u64; 2] = [108, 20];
/// Positions before this are asked to be trimmed.
const TRIM_BEFORE: Position = Position(300);
/// Values of one batch of the filler: few, for the last of them stand in the journal that is damaged.
const FILLER_ENTRIES: usize = 10;
/// How long fjall's workers may take for what they do beside us.
const WORKERS_DEADLINE: Duration = Duration::from_secs(60);

/// A log that no process has open, and what it must hold.
pub struct RealLog {
    pub dir: TempDir,
    pub info: LogInfo,
    /// The last position that was durable.
    pub durable: Position,
    /// The last position that was acknowledged.
    pub head: Position,
    /// The last position of the trimmed segments.
    pub trimmed: Position,
    /// What appenders keep.
    pub meta: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The events that gaps tell as lost.
    pub lost_events: u64,
}

impl RealLog {
    /// Closed in order.
    pub fn closed() -> Self {
        let making = Making::new();
        making.trim();
        making.reopened().finish(|log, dir, first| {
            append(log, first, BATCHES[1]);
            log.close().unwrap();
            dir
        })
    }

    /// Killed, with events that were acknowledged and not durable.
    pub fn killed() -> Self {
        let making = Making::new();
        making.trim();
        making.finish(|log, dir, first| {
            append(log, first, BATCHES[1] / 2);
            let last = log.ends().next.before();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(log.wait_durable(last)).unwrap();
            append(log, last.next(), BATCHES[1] / 2);
            let copy = super::copy_as_killed(dir.path());
            shorten_zeros(&copy.path().join("log/1.jnl"));
            copy
        })
    }

    /// Closed while it had two journals, nothing trimmed.
    pub fn with_two_journals() -> Self {
        let making = Making::new();
        let log = making.finish(|log, dir, first| {
            append(log, first, BATCHES[1]);
            log.close().unwrap();
            dir
        });
        assert_eq!(journals(&log.dir.path().join("log")).len(), 2);
        log
    }

    /// A copy that may be damaged.
    pub fn copy(&self) -> TempDir {
        let copy = memory_dir();
        copy_tree(self.dir.path(), copy.path());
        copy
    }

    /// Every file, relative to the data directory, in order.
    pub fn files(&self) -> Vec<PathBuf> {
        sizes(self.dir.path()).into_keys().collect()
    }
}

/// The files of a folder, relative to it, with their sizes.
pub fn sizes(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut sizes = BTreeMap::new();
    walk(dir, &mut |path| {
        let bytes = fs::metadata(path).unwrap().len();
        sizes.insert(path.strip_prefix(dir).unwrap().to_owned(), bytes);
    });
    sizes
}

/// The event that is appended at `position`.
pub fn event_at(position: Position) -> Event {
    let number = position.0;
    let time = Time::from_micros(super::time().micros() + i64::try_from(number).unwrap());
    match number % 7 {
        0 => Event::SystemSample(SystemSample {
            time,
            system_name: noise(number, 20).into(),
            ..SystemSample::default()
        }),
        1 => Event::Gap(Gap {
            time,
            from: time,
            to: time,
            events: number % 3,
            what: "host".into(),
            reason: noise(number, 900).into(),
            ..Gap::default()
        }),
        // NOTE: fjall compresses values from 4 KiB on in its journals.
        2 if number.is_multiple_of(3) => agent(time, number, "the same ".repeat(400).as_str()),
        _ => agent(time, number, ""),
    }
}

fn agent(time: Time, number: u64, more: &str) -> Event {
    Event::AgentState(AgentState {
        time,
        agent_name: format!("agent {number}").into(),
        role: noise(number, 1_000).into(),
        tool: more.into(),
        ..AgentState::default()
    })
}

/// Letters that do not compress.
fn noise(seed: u64, bytes: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let letter = move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[usize::try_from(state >> 58).unwrap()])
    };
    (0..bytes).map(letter).collect()
}

/// A log while it is made: segments in tables and a second journal, nothing of the events in it.
struct Making {
    dir: TempDir,
    log: EventLog,
}

impl Making {
    fn new() -> Self {
        let dir = memory_dir();
        let log = open(dir.path());
        append(&log, Position::FIRST, BATCHES[0]);
        fill_journal(&log, &dir.path().join("log"));
        Self { dir, log }
    }

    /// Trims, which also takes the events to tables and lets the first journal go.
    fn trim(&self) {
        let outcome = self.log.trim(TrimTo::Before { position: TRIM_BEFORE, dry_run: false }).unwrap();
        assert_eq!(outcome.segments, 1, "{outcome:?}");
        let path = self.dir.path().join("log");
        wait_until(|| journals(&path) == ["1.jnl"]);
    }

    /// Closes and opens: fjall cuts the room off that it had allocated ahead in its journal.
    fn reopened(self) -> Self {
        self.log.close().unwrap();
        drop(self.log);
        let log = open(self.dir.path());
        Self { dir: self.dir, log }
    }

    fn finish(self, end: impl FnOnce(&EventLog, TempDir, Position) -> TempDir) -> RealLog {
        let Self { dir, log } = self;
        let next = log.ends().next;
        let dir = end(&log, dir, next);
        let (ends, info) = (log.ends(), log.info().clone());
        let trimmed = ends.first.before();
        let meta = [(b"offset".to_vec(), ends.next.0.to_be_bytes().to_vec())];
        let lost_events = (1..ends.next.0).filter(|number| number % 7 == 1).map(|number| number % 3).sum();
        drop(log);
        let (durable, head) = (ends.durable, ends.next.before());
        RealLog { dir, info, durable, head, trimmed, meta: meta.into(), lost_events }
    }
}

pub fn open(dir: &Path) -> EventLog {
    EventLog::open(dir, &host(), settings()).unwrap()
}

pub fn settings() -> Settings {
    Settings { sync: Sync::Os, segment_bytes_max: Some(SEGMENT_BYTES_MAX), ..Settings::default() }
}

/// Appends batches from `first` on, each with how far it goes as meta.
fn append(log: &EventLog, first: Position, batches: u64) {
    let segments = log.stat().unwrap().segments;
    let mut next = first;
    for _ in 0..batches {
        let events = (0..BATCH_EVENTS).map(|index| event_at(next.plus(index))).collect();
        next = next.plus(BATCH_EVENTS);
        let meta = vec![MetaEntry { key: b"offset".to_vec(), value: Some(next.0.to_be_bytes().to_vec()) }];
        let outcome = log.append(Batch { events, meta, ..Batch::default() }).unwrap();
        assert_eq!(outcome.last().next(), next);
    }
    assert!(first == Position::FIRST || log.stat().unwrap().segments == segments, "a segment is full");
}

/// Fills the journal with values of one key, which leave next to nothing in tables, until fjall begins another.
fn fill_journal(log: &EventLog, path: &Path) {
    // NOTE: just below the size from which on fjall compresses them.
    let value = vec![b'x'; 4_000];
    let entry = |value| MetaEntry { key: b"filler".to_vec(), value };
    while journals(path).len() < 2 {
        let meta = vec![entry(Some(value.clone())); FILLER_ENTRIES];
        log.append(Batch { meta, ..Batch::default() }).unwrap();
    }
    // NOTE: not removed: fjall keeps a journal until its tables have the newest number of each keyspace in it, and
    // a compaction takes the number of a removal away.
    log.append(Batch { meta: vec![entry(Some(b"end".to_vec()))], ..Batch::default() }).unwrap();
}

pub fn journals(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(".jnl"));
    names.sort();
    names
}

pub fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WORKERS_DEADLINE, "it does not come to that");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A directory that forgets: these tests make hundreds of logs, and what an fsync promises is not what they test.
pub fn memory_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn walk(dir: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, visit) } else { visit(&path) }
    }
}

/// Copies a folder; zeros at the end of a file become a hole of the file system's.
pub fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            write_sparse(&target, &fs::read(entry.path()).unwrap());
        }
    }
}

/// Writes a file without its zeros at the end, and gives it its length.
pub fn write_sparse(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(&bytes[..filled(bytes)]).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

/// Leaves one of the 64 MiB that fjall allocates ahead: all of them are read at each opening.
fn shorten_zeros(journal: &Path) {
    let bytes = fs::read(journal).unwrap();
    let length = filled(&bytes) + 1024 * 1024;
    assert!(length < bytes.len());
    File::options().write(true).open(journal).unwrap().set_len(length as u64).unwrap();
}

/// How many bytes there are up to the last that is not zero.
pub fn filled(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut end = bytes.len();
    while end > ZEROS.len() && bytes[end - ZEROS.len()..end] == ZEROS {
        end -= ZEROS.len();
    }
    bytes[..end].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}
