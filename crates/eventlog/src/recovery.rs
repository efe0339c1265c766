//! Recovery: from what a kill, a power cut or a bad disk has left to a log that takes events again.
//!
//! It runs at every opening, and when a log that had failed is opened again in the same process. fjall mends in
//! its own way, which is not ours: it cuts its journal at the first byte that it cannot read, whole batches
//! behind it included, it deletes tables that a damaged manifest does not name and keyspaces that have lost
//! theirs, and it tells nobody. So its files are looked at first (`forensic/`), and what is found decides:
//!
//! | what is found | what it means | what happens |
//! | --- | --- | --- |
//! | the last journal ends in bytes that are no batch; no durable event stands behind them | a kill or a power cut in the middle of a write, or damage past the mark | they are copied to `set-aside/`, cut, and the log opens |
//! | the same, and whole batches of durable events stand behind them | damage in the middle of what was durable | the log does not open: `log repair` saves what stands behind |
//! | an older journal has such bytes, journals or keyspaces are missing, a manifest is missing or differs from its checksum | damage | the log does not open: fjall would delete; `log repair` |
//! | keyspaces that were dropped and are not gone | a kill in the middle of a trim | they go now |
//! | the log ends before its mark | its durable end is lost (`mark.rs`) | a `lost_tail` hole, a `gap` event, and positions go on behind the mark |
//! | a record near the end does not pass its checksum | a bad disk | told; reading stops there until `log repair` makes it a hole |
//!
//! What is past the mark was never durable: an acknowledgement of `interval` and `os` may be lost with it by a
//! power cut, none by a kill. After recovery everything that is there is durable, and the mark says so.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use event::wire::{self, Decoded};
use event::{Event, Gap, Hole, HoleCause, Position, Time};
use fjall::PersistMode;

use crate::append::Encoded;
use crate::commit::{Committer, Extra};
use crate::engine::{Engine, engine_error, foreign, read_info};
use crate::error::OpenError;
use crate::forensic::journal::{self, Ending};
use crate::forensic::manifest::{self, KeyspaceState};
use crate::layout;
use crate::mark::{self, Found, LastDurable, MarkWriter};
use crate::open::{LogInfo, log_path};
use crate::settings::Settings;
use crate::writer::Ends;

/// So many records at the end are checked at every opening: what was written last is what a power cut hits.
const TAIL_RECORDS: u64 = 1_024;

/// fjall panics behind 2^63 batches, and no checksum covers what a batch tells. One in each microsecond comes to
/// this in nine years.
const BATCHES_MAX: u64 = 1 << 48;

/// What opening a log found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// What an operator should know, one sentence each. Empty after an orderly end, and after most kills.
    pub notes: Vec<String>,
    /// The end of the log that was durable and is gone.
    pub lost_tail: Option<Hole>,
}

/// An open log, before its writer thread.
pub(crate) struct Opened {
    pub(crate) info: LogInfo,
    pub(crate) committer: Committer,
    pub(crate) mark: MarkWriter,
    pub(crate) recovery: Recovery,
}

impl Opened {
    pub(crate) fn ends(&self) -> Ends {
        let next = self.committer.next;
        let first = self.committer.engine.holes().first_outside();
        Ends { first, next, durable: next.before() }
    }
}

/// Opens the log of `data_dir`, which exists and whose lock is held.
pub(crate) fn open(data_dir: &Path, settings: &Settings) -> Result<Opened, OpenError> {
    let path = log_path(data_dir);
    let found = mark::read(data_dir).map_err(directory("read", &mark::path(data_dir)))?;
    let mut recovery = Recovery::default();
    if found == Found::Damaged {
        recovery
            .notes
            .push("the file `mark` is damaged: a lost end of the log would not be noticed".to_owned());
    }
    look(data_dir, &path, &found, &mut recovery)?;
    let engine = Arc::new(Engine::open(&path)?);
    let info = read_info(&engine.meta, &path)?;
    check_mark(&found, &info, &path)?;
    finish_drops(data_dir, &engine)?;
    let mut committer = committer(&engine, &info, &found, settings, &mut recovery)?;
    check_tail(&engine, &info, committer.last.position, &mut recovery);
    if let Some(hole) = recovery.lost_tail {
        tell_lost_tail(&mut committer, hole)?;
    }
    engine.database.persist(PersistMode::SyncAll).map_err(engine_error(&path))?;
    let at_mark = directory("write", &mark::path(data_dir));
    let mut mark = MarkWriter::open(data_dir, &info, &found).map_err(&at_mark)?;
    mark.write(committer.last).map_err(&at_mark)?;
    Ok(Opened { info, committer, mark, recovery })
}

pub(crate) fn directory(what: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError::Directory { what, path: path.clone(), source }
}

fn damaged(path: &Path, reason: impl Into<String>) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), reason: reason.into() }
}

/// Looks at fjall's files before fjall does.
fn look(data_dir: &Path, path: &Path, found: &Found, recovery: &mut Recovery) -> Result<(), OpenError> {
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
    heal(data_dir, path, &last.1, found, &mut named, recovery)?;
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
    match (0..=layout::SMALL_KEYSPACES.len() as u64).find(|id| is_needed(*id) && !is_there(*id)) {
        Some(id) => Err(damaged(path, format!("its keyspace {id} is missing"))),
        None => Ok(()),
    }
}

/// Cuts what a kill or a power cut has left at the end of the last journal, after a copy of it was made.
fn heal(
    data_dir: &Path,
    path: &Path,
    journal: &Path,
    found: &Found,
    named: &mut BTreeSet<u64>,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
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
        (Ending::Clean, None) => return Ok(()),
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
    let copy = set_aside(data_dir, journal, end, junk_end)?;
    cut(journal, end).map_err(directory("cut the broken end of", journal))?;
    recovery.notes.push(format!(
        "{} bytes at the end of the journal were no whole batch ({reason}); they are in {} and not in the log",
        junk_end - end,
        copy.display()
    ));
    Ok(())
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

/// Mark and log must belong together: the positions of one say nothing about the other otherwise.
fn check_mark(found: &Found, info: &LogInfo, path: &Path) -> Result<(), OpenError> {
    match found.mark() {
        Some(mark) if mark.info.birth_id != info.birth_id => Err(foreign(
            path,
            "the file `mark` beside it belongs to another log; if this log is the right one, remove `mark`",
        )),
        _ => Ok(()),
    }
}

/// Where a trim notes which keyspaces fjall is deleting, so that the remains of one are not taken for damage.
pub(crate) fn dropped_path(data_dir: &Path) -> PathBuf {
    data_dir.join("dropped")
}

fn read_dropped(data_dir: &Path) -> BTreeSet<u64> {
    let text = fs::read_to_string(dropped_path(data_dir)).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Ends what a kill has interrupted: segments whose positions are a hole go.
fn finish_drops(data_dir: &Path, engine: &Engine) -> Result<(), OpenError> {
    let error = engine_error(&engine.path);
    let segments = engine.segments();
    let holes = engine.holes();
    for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
        let last = next.first.before();
        let positions = next.first.since(segment.first);
        if holes.positions_within(segment.first, last) == positions {
            engine.drop_segments(segment.first, segment.first).map_err(&error)?;
        }
    }
    let path = dropped_path(data_dir);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(directory("remove", &path)(source)),
        _ => Ok(()),
    }
}

/// The end of the log, and what the mark says about it.
fn committer(
    engine: &Arc<Engine>,
    info: &LogInfo,
    found: &Found,
    settings: &Settings,
    recovery: &mut Recovery,
) -> Result<Committer, OpenError> {
    let holes = engine.holes();
    let head = engine.last_record()?.unwrap_or_default().max(holes.end());
    let mut last = LastDurable { position: head, checksum: 0 };
    if let Some(hole) = holes.at(head) {
        last.checksum = hole.checksum.unwrap_or_default();
    } else if let Ok(Some(record)) = engine.record(head) {
        last.checksum = wire::open(&info.birth_id, head, &record).map_or(0, |record| record.checksum);
    }
    match found.mark().map(|mark| mark.durable) {
        Some(mark) if mark.position > head => {
            let checksum = Some(mark.checksum);
            let hole = Hole { lo: head.next(), hi: mark.position, cause: HoleCause::LostTail, checksum };
            recovery.notes.push(format!(
                "{} events that were durable are gone from the end of the log, positions {} to {}: they are a hole now",
                hole.positions(), hole.lo, hole.hi
            ));
            recovery.lost_tail = Some(hole);
            last = mark;
        }
        Some(mark) => check_marked_record(engine, info, mark, recovery),
        None => {}
    }
    drop_empty_segments(engine, last.position)?;
    let next = last.position.next();
    Committer::new(Arc::clone(engine), info.birth_id, next, last, settings.segment_bytes())
}

/// The record that the mark names is the one that is there; a log that was put back from an older copy and has
/// gone its own way since differs.
fn check_marked_record(engine: &Engine, info: &LogInfo, mark: LastDurable, recovery: &mut Recovery) {
    let Ok(Some(record)) = engine.record(mark.position) else { return };
    if let Ok(record) = wire::open(&info.birth_id, mark.position, &record)
        && record.checksum != mark.checksum
    {
        recovery.notes.push(format!(
            "the event at position {} is not the one that the mark names: an older copy of this log has gone its own way",
            mark.position
        ));
    }
}

/// A segment that was begun for events that a power cut took again would hide the ones that come now.
fn drop_empty_segments(engine: &Engine, last: Position) -> Result<(), OpenError> {
    let begun_too_far = |first: Position| first > last.next();
    for segment in engine.segments().into_iter().filter(|segment| begun_too_far(segment.first)) {
        engine.drop_segments(segment.first, segment.first).map_err(engine_error(&engine.path))?;
    }
    Ok(())
}

/// Checks the records that were written last.
fn check_tail(engine: &Engine, info: &LogInfo, last: Position, recovery: &mut Recovery) {
    let from = Position(last.0.saturating_sub(TAIL_RECORDS)).next();
    let mut position = from;
    while position <= last {
        let problem = match (engine.hole_at(position), engine.record(position)) {
            (Some(_), _) => None,
            (None, Err(error)) => Some(crate::error::EngineError::from(error).to_string()),
            (None, Ok(None)) if recovery.lost_tail.is_some_and(|hole| hole.contains(position)) => None,
            (None, Ok(None)) => Some("it is missing".to_owned()),
            (None, Ok(Some(record))) => {
                wire::open(&info.birth_id, position, &record).err().map(|error| error.to_string())
            }
        };
        if let Some(problem) = problem {
            recovery.notes.push(format!(
                "the event at position {position}, near the end of the log, cannot be read ({problem}): `tailwater log verify` tells how much"
            ));
            return;
        }
        position = position.next();
    }
}

/// Writes the hole of a lost tail and the `gap` event that tells of it.
fn tell_lost_tail(committer: &mut Committer, hole: Hole) -> Result<(), OpenError> {
    let engine = Arc::clone(&committer.engine);
    let error = engine_error(&engine.path);
    let now = Time::from(SystemTime::now());
    let from = last_time(committer, hole.lo.before()).unwrap_or(now);
    let gap = Gap {
        time: now,
        host: None,
        from: from.min(now),
        to: now,
        events: hole.positions(),
        what: "log".into(),
        reason: hole.cause.as_str().into(),
    };
    let mut gap = Encoded::new(vec![Event::Gap(gap)].into())
        .map_err(|error| foreign(&engine.path, error.to_string()))?;
    let mut holes = engine.holes();
    let extra = Extra { holes: holes.add(hole), ..Extra::default() };
    committer.commit(std::iter::once(&mut gap), extra).map_err(error)?;
    *engine.holes.write().unwrap_or_else(std::sync::PoisonError::into_inner) = holes;
    Ok(())
}

/// The time of the event at `position`, if it can be read.
fn last_time(committer: &Committer, position: Position) -> Option<Time> {
    let record = committer.engine.record(position).ok()??;
    let record = committer.checker.open(position, &record).ok()?;
    match wire::decode(record.payload).ok()? {
        Decoded::Event(event) => Some(event.time()),
        Decoded::Unknown { .. } => None,
    }
}
