//! Known errors: every file of a real log is flipped, cut, repeated and removed at many places. Each of these ends
//! in the right events, a hole that is told, or a named error; never in a panic, a hang, or silence. And from each
//! of them `repair` makes a log that is clean, lacks no event whose bytes were not touched, and takes new ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic as tests do")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::Position;
use support::judge::{Found, Judge};
use support::real_log::{BATCH_EVENTS, RealLog, filled, write_sparse};

/// How many bits of a file are flipped beside those near its ends, one at a time, evenly spread.
const FLIPS: usize = 7;
/// A manifest, of which there are many, is read as a whole or not at all: one place of so many is enough.
const MANIFEST_PLACES: usize = 3;
/// At how many places beside its ends a file is cut; and at how many a run of its bytes is repeated.
const CUTS: usize = 3;
const REPEATS: usize = 3;
/// The runs that are repeated, bytes.
const RUNS: [usize; 3] = [1, 16, 700];
/// Which bits of a sequence number are flipped.
const BITS: [usize; 5] = [0, 3, 20, 50, 63];
/// Bytes of the start of a batch in a journal.
const START_BYTES: usize = 13;
/// A case takes a part of a second; one that takes this long hangs.
const CASE_DEADLINE: Duration = Duration::from_secs(60);
/// So many events of ours are in one block of a table at the most: it has 64 KiB, and they nearly 1 KiB each.
const BLOCK_EVENTS_MAX: usize = 90;

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Touch {
    Flip { at: usize, bit: u8 },
    Cut { at: usize },
    Repeat { at: usize, bytes: usize },
    Remove,
}

impl Touch {
    fn apply(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        match self {
            Self::Flip { at, bit } => bytes[at] ^= 1 << bit,
            Self::Cut { at } => bytes.truncate(at),
            Self::Repeat { at, bytes: count } => {
                let run = bytes[at..at + count].to_vec();
                bytes.splice(at..at, run);
            }
            Self::Remove => return fs::remove_file(path).unwrap(),
        }
        write_sparse(path, &bytes);
    }

    fn takes_away(self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Remove)
    }
}

/// What is done to a file of so many bytes, with zeros up to `length` behind them.
fn touches(bytes: usize, length: usize) -> Vec<Touch> {
    let spread = |count: usize| (1..=count).map(move |index| bytes * index / (count + 1));
    let ends = [0, 1, 4, 9, 40, bytes.saturating_sub(40), bytes.saturating_sub(9), bytes.saturating_sub(1)];
    let flips: BTreeSet<usize> = ends.into_iter().chain(spread(FLIPS)).filter(|at| *at < bytes).collect();
    let flips = flips.into_iter().map(|at| Touch::Flip { at, bit: u8::try_from(at * 5 % 8).unwrap() });
    let ends = [0, 1, bytes.saturating_sub(1)];
    let cuts: BTreeSet<usize> = ends.into_iter().chain(spread(CUTS)).filter(|at| *at < bytes).collect();
    let cuts = cuts.into_iter().map(|at| Touch::Cut { at });
    let repeats = [0].into_iter().chain(spread(REPEATS)).zip(RUNS.into_iter().cycle());
    let repeats =
        repeats.filter(|(at, run)| at + run <= bytes).map(|(at, bytes)| Touch::Repeat { at, bytes });
    let zeros = [bytes + 100, length.saturating_sub(1)].into_iter().filter(|at| (bytes..length).contains(at));
    let zeros = zeros.flat_map(|at| [Touch::Flip { at, bit: 0 }, Touch::Cut { at }]);
    [Touch::Remove].into_iter().chain(cuts).chain(repeats).chain(flips).chain(zeros).collect()
}

/// What a file is, by its place in the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Table,
    Manifest,
    Journal,
    Mark,
    Other,
}

fn class(file: &Path) -> Class {
    let text = file.to_string_lossy();
    match text.strip_prefix("log/keyspaces/") {
        Some(rest) if rest.contains("/tables/") => Class::Table,
        Some(_) => Class::Manifest,
        None if text.ends_with(".jnl") => Class::Journal,
        None if text == "mark" => Class::Mark,
        None => Class::Other,
    }
}

/// Everything that a case may be judged by.
struct Case {
    real: Arc<RealLog>,
    file: PathBuf,
    touch: Touch,
}

/// What no checksum of fjall's covers: the sequence number in the start of a batch, which stands behind the end of
/// the batch before it. Flipped in the first batch, the middle one and the last one.
fn sequence_numbers(bytes: &[u8]) -> Vec<Touch> {
    const END: &[u8] = b"FJL\x03";
    let ends = (0..bytes.len() - START_BYTES).filter(|at| bytes[*at..].starts_with(END));
    let starts: Vec<usize> = [0].into_iter().chain(ends.map(|at| at + END.len())).collect();
    let starts: Vec<usize> = starts.into_iter().filter(|at| bytes[*at] == 1).collect();
    let places = [starts[0], starts[starts.len() / 2], starts[starts.len() - 1]];
    let flips = |start: usize| {
        BITS.map(|bit| Touch::Flip { at: start + 5 + bit / 8, bit: u8::try_from(bit % 8).unwrap() })
    };
    places.into_iter().flat_map(flips).collect()
}

/// How it ended.
#[derive(Debug)]
struct End {
    /// Nothing, when the damaged log did not open.
    opened: Option<Found>,
    repaired: Found,
}

/// How often a damage ended in what.
#[derive(Debug, Default)]
struct Ends {
    /// It did not open.
    refused: u64,
    /// It opened with everything in it.
    whole: u64,
    /// It opened without an event, which was told.
    told: u64,
}

impl Ends {
    fn count(&mut self, end: &End) {
        match &end.opened {
            None => self.refused += 1,
            Some(found) if found.lost.is_empty() && found.unreadable.is_empty() => self.whole += 1,
            Some(_) => self.told += 1,
        }
    }
}

impl Case {
    fn run(&self) -> End {
        let copy = self.real.copy();
        self.touch.apply(&copy.path().join(&self.file));
        let judge = Judge::new(&self.real, copy.path());
        let opened = judge.open().ok();
        let (_, repaired) = judge.repair();
        End { opened, repaired }
    }

    /// Runs it in a thread of its own, so that a panic has a name and a hang an end.
    fn watch(self: &Arc<Self>) -> End {
        let (done, end) = mpsc::channel();
        let case = Arc::clone(self);
        std::thread::spawn(move || {
            let end = catch_unwind(AssertUnwindSafe(|| case.run()));
            let _ = done.send(end);
        });
        match end.recv_timeout(CASE_DEADLINE) {
            Ok(Ok(end)) => end,
            Ok(Err(_)) => panic!("{self:?}: see the panic above"),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("{self:?} hangs"),
        }
    }

    /// `held` are the positions that only this file has.
    fn judge(&self, end: &End, held: &BTreeSet<Position>) {
        for found in end.opened.iter().chain([&end.repaired]) {
            let durable = |position: &&Position| **position <= self.real.durable;
            let lost: Vec<Position> = found.lost.iter().filter(durable).copied().collect();
            assert!(lost.iter().all(|position| held.contains(position)), "{self:?} loses {lost:?}");
            let most = match (class(&self.file), self.touch) {
                (_, touch) if touch.takes_away() => usize::MAX,
                (Class::Table, _) => BLOCK_EVENTS_MAX,
                (Class::Journal, _) => usize::try_from(BATCH_EVENTS).unwrap(),
                _ => 0,
            };
            assert!(lost.len() <= most, "{self:?} loses {} events: {lost:?}", lost.len());
        }
        let is_meta_there = class(&self.file) != Class::Journal && !self.file.starts_with("log/keyspaces/2");
        if is_meta_there {
            assert_eq!(end.repaired.meta.as_deref(), self.real.meta.get(&b"offset"[..]).map(Vec::as_slice));
        }
        if is_meta_there && !self.file.starts_with("log/keyspaces/1/tables") {
            assert!(end.repaired.lost_events >= self.real.lost_events, "{self:?}");
        }
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.file.display(), self.touch)
    }
}

/// Damages the files of one class, one after the other.
fn damage(real: RealLog, of: Class) {
    let real = Arc::new(real);
    let panics = watch_panics();
    let mut ends = Ends::default();
    for file in real.files().into_iter().filter(|file| class(file) == of) {
        let bytes = fs::read(real.dir.path().join(&file)).unwrap();
        let mut held = None;
        let mut all = touches(filled(&bytes), bytes.len());
        if of == Class::Journal {
            all.extend(sequence_numbers(&bytes[..filled(&bytes)]));
        }
        let step = if of == Class::Manifest { MANIFEST_PLACES } else { 1 };
        // NOTE: the first touch removes the file, and tells what only it has.
        for touch in all.into_iter().step_by(step) {
            let case = Arc::new(Case { real: Arc::clone(&real), file: file.clone(), touch });
            let end = case.watch();
            let held = held.get_or_insert_with(|| end.repaired.lost.iter().copied().collect());
            case.judge(&end, held);
            ends.count(&end);
        }
    }
    // NOTE: a fixture that nothing happens to would prove nothing.
    match of {
        Class::Table | Class::Journal => {
            assert!(ends.refused > 0 && ends.whole > 0 && ends.told > 0, "{ends:?}");
        }
        Class::Manifest => {
            // NOTE: only those that a later one has replaced can be damaged without harm, and fjall deletes them
            // when it comes to it: there may be none.
            let is_any_old = !replaced(&real.files()).is_empty();
            assert!(ends.refused > 0 && (ends.whole > 0) == is_any_old && ends.told == 0, "{ends:?}");
        }
        Class::Other => assert!(ends.refused > 0 && ends.whole > 0 && ends.told == 0, "{ends:?}"),
        Class::Mark => assert!(ends.refused == 0 && ends.whole > 0 && ends.told == 0, "{ends:?}"),
    }
    assert_eq!(*panics.lock().unwrap(), [""; 0], "in threads of the log");
}

/// Manifests that have a later one beside them: they are called v1, v2, and so on.
fn replaced(files: &[PathBuf]) -> Vec<&PathBuf> {
    let version = |file: &Path| file.file_name()?.to_str()?.strip_prefix('v')?.parse::<u64>().ok();
    let has_later = |file: &&PathBuf| {
        files.iter().any(|other| other.parent() == file.parent() && version(other) > version(file))
    };
    let manifests = files.iter().filter(|file| class(file) == Class::Manifest && version(file).is_some());
    manifests.filter(has_later).collect()
}

/// Notes the panics of threads that nobody joins. Of fjall's at an opening the log makes an error.
fn watch_panics() -> Arc<Mutex<Vec<String>>> {
    let panics = Arc::new(Mutex::new(Vec::new()));
    let (before, noted) = (std::panic::take_hook(), Arc::clone(&panics));
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name().is_some_and(|name| name == "log-writer" || name.contains("fjall")) {
            noted.lock().unwrap().push(info.to_string());
        }
        before(info);
    }));
    panics
}

#[test]
fn tables() {
    damage(RealLog::closed(), Class::Table);
}

#[test]
fn manifests() {
    damage(RealLog::closed(), Class::Manifest);
}

#[test]
fn the_journal() {
    damage(RealLog::closed(), Class::Journal);
}

#[test]
fn the_journal_after_a_kill() {
    damage(RealLog::killed(), Class::Journal);
}

#[test]
fn the_mark() {
    damage(RealLog::closed(), Class::Mark);
}

#[test]
fn the_mark_after_a_kill() {
    damage(RealLog::killed(), Class::Mark);
}

#[test]
fn everything_else() {
    damage(RealLog::closed(), Class::Other);
}
