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

mod look;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use event::wire::{self, Decoded};
use event::{Hole, HoleCause, Position, Time};
use fjall::PersistMode;

use crate::append::Encoded;
use crate::commit::{Committer, Extra};
use crate::engine::{Engine, engine_error, foreign, read_info};
use crate::error::OpenError;
use crate::forensic::manifest;
use crate::losses;
use crate::mark::{self, Found, LastDurable, MarkWriter};
use crate::open::{LogInfo, log_path};
use crate::settings::Settings;
use crate::writer::Ends;
use look::Mending;

/// So many records at the end are checked at every opening: what was written last is what a power cut hits.
const TAIL_RECORDS: u64 = 1_024;

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
    look::look(data_dir, &path, &found, Mending::Now, &mut recovery)?;
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

/// Looks at the files of a log as an opening does first, and changes nothing; gives what that opening would tell.
pub(crate) fn examine(data_dir: &Path, found: &Found) -> Result<Vec<String>, OpenError> {
    let mut recovery = Recovery::default();
    look::look(data_dir, &log_path(data_dir), found, Mending::Never, &mut recovery)?;
    Ok(recovery.notes)
}

pub(crate) fn directory(what: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError::Directory { what, path: path.clone(), source }
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
    let gap = losses::gap(now, from.min(now), now, hole.positions(), hole.cause.as_str());
    let mut gap = Encoded::new(vec![gap].into()).map_err(|error| foreign(&engine.path, error.to_string()))?;
    let mut holes = engine.holes();
    let extra = Extra { holes: holes.add(hole), ..Extra::default() };
    committer.commit(std::iter::once(&mut gap), extra).map_err(&error)?;
    // NOTE: to a table at once: a journal whose end was lost may lose it again.
    engine.meta.rotate_memtable().map_err(&error)?;
    engine.set_holes(holes);
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

/// Writes the last journal anew. After a failed fsync the kernel forgets that its bytes are not on the disk: they can
/// be read, a second fsync succeeds, and a power cut takes them. New bytes are really written.
pub(crate) fn rewrite_last_journal(data_dir: &Path) -> io::Result<()> {
    let path = log_path(data_dir);
    let journals = manifest::journals(&path)?;
    let Some((_, journal)) = journals.found.last() else { return Ok(()) };
    let mut bytes = fs::read(journal)?;
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    let new = journal.with_extension("rewritten");
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&new, journal)) {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    File::open(&path)?.sync_all()
}
