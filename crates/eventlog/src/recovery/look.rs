//! Before fjall opens a log: what its files say, and what of them a kill or a power cut has left.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use event::{Position, wire};

use super::{Recovery, directory, dropped_path};
use crate::error::OpenError;
use crate::forensic::journal::{self, Ending};
use crate::forensic::manifest::{self, KeyspaceState};
use crate::layout;
use crate::mark::Found;

/// fjall panics behind 2^63 batches, and no checksum covers what a batch tells. One in each microsecond comes to
/// this in nine years.
const BATCHES_MAX: u64 = 1 << 48;

/// The last of the keyspaces that have the same number in every log: `meta` and `state`, behind fjall's own.
const NUMBERED_KEYSPACES: u64 = 2;

fn damaged(path: &Path, reason: impl Into<String>) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), reason: reason.into() }
}

/// What is done about the broken end of the last journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mending {
    /// It is copied aside and cut.
    Now,
    /// It is told, and nothing is changed.
    Never,
}

/// Looks at fjall's files before fjall does.
pub(super) fn look(
    data_dir: &Path,
    path: &Path,
    found: &Found,
    mending: Mending,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    let reading = directory("read", path);
    if let Some(problem) = manifest::version_problem(path).map_err(&reading)? {
        return Err(damaged(path, problem));
    }
    let keyspaces = manifest::keyspaces(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => damaged(path, error.to_string()),
        _ => reading(error),
    })?;
    let journals = manifest::journals(path).map_err(&reading)?;
    if let Some(strange) = keyspaces.strange.into_iter().chain(journals.strange).next() {
        return Err(damaged(path, strange));
    }
    let mut named = BTreeSet::new();
    let (last, older) = journals.found.split_last().ok_or_else(|| damaged(path, "it has no journal"))?;
    for (_, journal) in older {
        let walk = journal::walk(journal, |item| _ = named.insert(item.keyspace)).map_err(&reading)?;
        if let Ending::Torn { reason, .. } = walk.ending {
            let reason = format!("{} is broken at byte {}: {reason}", journal.display(), walk.end);
            return Err(damaged(path, reason));
        }
        if let Some(at) = walk.disorder {
            return Err(damaged(path, format!("{} is out of order at byte {at}", journal.display())));
        }
    }
    if let Some(broken) = broken_end(path, &last.1, found, &mut named)? {
        recovery.notes.push(match mending {
            Mending::Now => broken.heal(data_dir)?,
            Mending::Never => broken.told("the next opening puts them into the folder `set-aside`"),
        });
    }
    let dropped = read_dropped(data_dir);
    for (id, dir) in &keyspaces.found {
        if dropped.contains(id) {
            continue;
        }
        match manifest::check(dir).map_err(&reading)? {
            KeyspaceState::Broken { reason } => return Err(damaged(path, reason)),
            KeyspaceState::Unfinished if *id == 0 || named.contains(id) => {
                return Err(damaged(path, format!("{} has lost its manifest", dir.display())));
            }
            KeyspaceState::Whole { .. } | KeyspaceState::Unfinished => {}
        }
    }
    let is_there = |id: u64| keyspaces.found.iter().any(|(there, _)| *there == id);
    // IMPORTANT: without the keyspace 0 fjall knows none of the others, and deletes them.
    let is_needed = |id: u64| id == 0 || named.contains(&id) || found.mark().is_some();
    // NOTE: of the others the numbers are not known: a log of layout 1 got its blocks behind its first segment.
    match (0..=NUMBERED_KEYSPACES).find(|id| is_needed(*id) && !is_there(*id)) {
        Some(id) => Err(damaged(path, format!("its keyspace {id} is missing"))),
        None => Ok(()),
    }
}

/// What a kill or a power cut has left at the end of the last journal.
struct BrokenEnd<'a> {
    journal: &'a Path,
    end: u64,
    junk_end: u64,
    reason: String,
}

impl BrokenEnd<'_> {
    /// Cuts it, after a copy of it was made.
    fn heal(&self, data_dir: &Path) -> Result<String, OpenError> {
        let copy = set_aside(data_dir, self.journal, self.end, self.junk_end)?;
        cut(self.journal, self.end).map_err(directory("cut the broken end of", self.journal))?;
        Ok(self.told(&format!("they are in {} and not in the log", copy.display())))
    }

    fn told(&self, fate: &str) -> String {
        let (bytes, reason) = (self.junk_end - self.end, &self.reason);
        format!("{bytes} bytes at the end of the journal were no whole batch ({reason}); {fate}")
    }
}

/// Finds it; what must not be cut is an error.
fn broken_end<'a>(
    path: &Path,
    journal: &'a Path,
    found: &Found,
    named: &mut BTreeSet<u64>,
) -> Result<Option<BrokenEnd<'a>>, OpenError> {
    let reading = directory("read", journal);
    let mut batches = 0;
    let walk = journal::walk(journal, |item| {
        named.insert(item.keyspace);
        batches = batches.max(item.seqno);
    })
    .map_err(&reading)?;
    if batches >= BATCHES_MAX {
        let reason = format!("{} has a batch with the sequence number {batches}", journal.display());
        return Err(damaged(path, reason));
    }
    let (end, junk_end, reason) = match (walk.ending, walk.disorder) {
        (ending, Some(at)) => {
            let junk_end = match ending {
                Ending::Torn { junk_end, .. } => junk_end,
                Ending::Clean => walk.end,
            };
            (at, junk_end, "a batch is out of order".to_owned())
        }
        (Ending::Torn { junk_end, reason }, None) => (walk.end, junk_end, reason),
        (Ending::Clean, None) => return Ok(None),
    };
    // NOTE: the first batch behind the break is durable when it holds an event that the mark covers.
    let durable = found.mark().map_or(Position(u64::MAX), |mark| mark.durable.position);
    let birth = found.mark().map(|mark| mark.info.birth_id);
    let mut behind = 0_u64;
    journal::salvage(journal, end, |_, item| {
        let position = layout::key_position(item.key).filter(|position| *position <= durable);
        let is_record = position.is_some_and(|position| {
            birth.is_none_or(|birth| wire::open(&birth, position, &item.value).is_ok())
        });
        behind += u64::from(is_record);
    })
    .map_err(&reading)?;
    if behind > 0 {
        let reason = format!(
            "{} is broken at byte {end} ({reason}), {behind} events stand behind it",
            journal.display()
        );
        return Err(damaged(path, reason));
    }
    Ok(Some(BrokenEnd { journal, end, junk_end, reason }))
}

/// Copies `from..to` of a journal into the folder `set-aside`.
fn set_aside(data_dir: &Path, journal: &Path, from: u64, to: u64) -> Result<PathBuf, OpenError> {
    let dir = data_dir.join("set-aside");
    fs::create_dir_all(&dir).map_err(directory("make", &dir))?;
    let name = journal.file_name().unwrap_or_default().to_string_lossy();
    // NOTE: a log that fails again at the same place overwrites its own copy, and no other.
    let copy = dir.join(format!("{name}.from-{from}"));
    let copied = (|| {
        let mut source = File::open(journal)?;
        io::Seek::seek(&mut source, io::SeekFrom::Start(from))?;
        let mut target = File::create(&copy)?;
        io::copy(&mut io::Read::take(source, to.saturating_sub(from)), &mut target)?;
        target.sync_all()?;
        File::open(&dir)?.sync_all()
    })();
    copied.map_err(directory("copy the broken end of the journal to", &copy))?;
    Ok(copy)
}

fn cut(journal: &Path, end: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(journal)?;
    file.set_len(end)?;
    file.sync_all()
}

fn read_dropped(data_dir: &Path) -> BTreeSet<u64> {
    let text = fs::read_to_string(dropped_path(data_dir)).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}
