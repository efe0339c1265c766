//! Repair: everything readable of a damaged log goes into a new one that keeps its identity and its positions.
//!
//! fjall is not asked to open the damaged files. Every table and every journal is read by itself (`forensic/`),
//! block by block and batch by batch, and each record proves by its own checksum which position of which log it
//! is. What no file gives any more becomes a hole: up to the mark, for up to there the log was durable; a `gap`
//! event tells of each. The old files stay beside the log under a name with the time. A log that opens, and whose
//! verification finds nothing, is left as it is.
//!
//! ```text
//! log ──read──► log.repaired ──complete──► log → log.damaged-<time>, log.repaired → log
//! ```
//!
//! The file `complete` in the new log is written last. So a kill leaves the old log and a new one, which the next
//! opening or repair removes: from then on the old one goes its own way, and nobody knows of the new one. Or, between
//! the two renames, it leaves no log and a complete one, which the next opening puts in its place.

mod salvage;
mod small;
mod sound;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use event::{Hole, Time};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::engine::{Engine, check_layout};
use crate::error::{EngineError, OpenError};
use crate::forensic::manifest;
use crate::layout;
use crate::lock::DirectoryLock;
use crate::mark::{self, MarkWriter};
use crate::open::{EventLog, log_path, write_identity};
use crate::writer::Order;
use salvage::Salvage;
use small::Small;

/// The file that says that a new log is complete.
const COMPLETE: &str = "complete";

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairOutcome {
    /// Events that can be read: all of them are in the log.
    pub events: u64,
    /// Holes that are new.
    pub holes: Vec<Hole>,
    /// Bytes of files that should hold something and could not be read.
    pub damaged_bytes: u64,
    /// Where the old files are; none where there was nothing to repair.
    pub old: Option<PathBuf>,
}

/// Which logs to repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairWhen {
    /// One that does not open, or does not verify; another one stays as it is.
    Damaged,
    /// Every one.
    Always,
}

/// Why a log was not repaired. The old files are as they were.
#[derive(Debug, Error)]
pub enum RepairError {
    /// Another process has it, or its directory is unusable.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file cannot be read or written.
    #[error("cannot {what} {path}; the log is as it was")]
    File {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The new log cannot be written.
    #[error("cannot write the repaired log {path}; the log is as it was")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: EngineError,
    },
    /// Nothing tells which log this was.
    #[error(
        "neither the file `mark` nor the log in {path} tells which log this was, so no event of it can be \
         checked: put `mark` back from a copy"
    )]
    Nameless {
        /// The log's directory.
        path: PathBuf,
    },
    /// There is no log.
    #[error("there is no log in {path}: nothing to repair")]
    Nothing {
        /// The data directory.
        path: PathBuf,
    },
    /// A reader or another repair has the files open.
    #[error(
        "somebody else still has the log's files open; the log is as it was: try again when that is through"
    )]
    Busy,
    /// It was broken off.
    #[error("the repair was broken off; the log is as it was")]
    Stopped,
    /// The log was closed meanwhile.
    #[error("the log is closed")]
    Closed,
}

pub(crate) type Answer = Result<RepairOutcome, RepairError>;

/// Whom to tell the progress: bytes of files done, of how many; says whether to go on.
pub(crate) struct Told(Box<dyn Fn(u64, u64) -> bool + Send>);

impl Told {
    fn goes_on(&self, done: u64, total: u64) -> Result<(), RepairError> {
        if (self.0)(done, total) { Ok(()) } else { Err(RepairError::Stopped) }
    }
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

impl EventLog {
    /// Whether there is a log in `data_dir`, in whatever state.
    #[must_use]
    pub fn exists(data_dir: &Path) -> bool {
        log_path(data_dir).exists() || new_path(data_dir).join(COMPLETE).exists()
    }

    /// Repairs the log in `data_dir`, which no process has open. `progress` is told how much of how much is done
    /// of each of its two parts, looking and copying, and says whether to go on.
    ///
    /// # Errors
    /// When it is held, or a file cannot be read or written: the old log is as it was.
    pub fn repair(
        data_dir: &Path,
        when: RepairWhen,
        progress: impl Fn(u64, u64) -> bool + Send + 'static,
    ) -> Answer {
        if !Self::exists(data_dir) {
            return Err(RepairError::Nothing { path: data_dir.to_owned() });
        }
        let _lock = DirectoryLock::take(data_dir)?;
        finish_exchange(data_dir)?;
        let told = Told(Box::new(progress));
        if when == RepairWhen::Damaged
            && let Some(outcome) = sound::look(data_dir, &told)?
        {
            return Ok(outcome);
        }
        repair_files(data_dir, &told)
    }

    /// Repairs this log: it takes no events meanwhile, and works again afterwards. It blocks.
    ///
    /// # Errors
    /// As [`Self::repair`].
    pub fn repair_open(
        &self,
        when: RepairWhen,
        progress: impl Fn(u64, u64) -> bool + Send + 'static,
    ) -> Answer {
        if when == RepairWhen::Damaged
            && let Some(outcome) = sound::look_at_open(self, &progress)?
        {
            return Ok(outcome);
        }
        let (reply, answer) = oneshot::channel();
        let order = Order::Repair(Told(Box::new(progress)), reply);
        self.order(order).map_err(|_| RepairError::Closed)?;
        answer.blocking_recv().unwrap_or(Err(RepairError::Closed))
    }
}

/// Repairs the files of a data directory whose lock is held and whose log is not open.
pub(crate) fn repair_files(data_dir: &Path, told: &Told) -> Answer {
    let path = log_path(data_dir);
    if !path.exists() {
        return Err(RepairError::Nothing { path: data_dir.to_owned() });
    }
    let files = Files::find(&path)?;
    let found = mark::read(data_dir).map_err(file("read", &mark::path(data_dir)))?;
    let small = Small::read(&files)?;
    // NOTE: a newer log would become an older one, without what it has and we do not know.
    small.meta(layout::KEY_LAYOUT).map_or(Ok(()), |number| check_layout(number, &path))?;
    let info = small.info().or_else(|| found.mark().map(|mark| mark.info.clone()));
    let Some(info) = info else { return Err(RepairError::Nameless { path }) };
    let ours = found.mark().filter(|mark| mark.info.birth_id == info.birth_id);
    let marked = ours.map(|mark| mark.durable).unwrap_or_default();
    let new = new_path(data_dir);
    if new.exists() {
        fs::remove_dir_all(&new).map_err(file("remove", &new))?;
    }
    let salvaged = write_identity(&new, &info).map_err(write(&new)).and_then(|()| {
        let salvage = Salvage::new(Engine::open(&new)?, info.birth_id, small, told);
        salvage.run(&files, marked)
    });
    let (mut outcome, last) = salvaged.inspect_err(|_| {
        // NOTE: on a disk that is full it must not be what fills it. The next repair removes it, too.
        let _ = fs::remove_dir_all(&new);
    })?;
    outcome.old = Some(exchange(data_dir, &path, &new)?);
    let at_mark = file("write", &mark::path(data_dir));
    let mut writer = MarkWriter::open(data_dir, &info, &found).map_err(&at_mark)?;
    writer.write(last).map_err(&at_mark)?;
    Ok(outcome)
}

fn new_path(data_dir: &Path) -> PathBuf {
    data_dir.join("log.repaired")
}

fn file(what: &'static str, path: &Path) -> impl Fn(io::Error) -> RepairError + use<> {
    let path = path.to_owned();
    move |source| RepairError::File { what, path: path.clone(), source }
}

fn write(path: &Path) -> impl Fn(fjall::Error) -> RepairError + use<> {
    let path = path.to_owned();
    move |error| RepairError::Write { path: path.clone(), source: error.into() }
}

/// Puts the new log in the place of the old one; gives where the old one is.
fn exchange(data_dir: &Path, path: &Path, new: &Path) -> Result<PathBuf, RepairError> {
    let complete = new.join(COMPLETE);
    let written = File::create(&complete).and_then(|file| file.sync_all());
    written.and_then(|()| sync(new)).map_err(file("write", &complete))?;
    // NOTE: no colons, which some tools take for a host.
    let time = Time::from(SystemTime::now()).to_string().replace(':', "");
    let old = data_dir.join(format!("log.damaged-{time}"));
    fs::rename(path, &old).map_err(file("rename", path))?;
    finish_exchange(data_dir)?;
    Ok(old)
}

/// Ends an exchange that a kill has interrupted between its renames, and forgets a repair that came not so far.
pub(crate) fn finish_exchange(data_dir: &Path) -> Result<(), OpenError> {
    let (path, new) = (log_path(data_dir), new_path(data_dir));
    if crate::open::is_there(&path)? {
        return match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(crate::recovery::directory("remove", &new)(error))
            }
            _ => Ok(()),
        };
    }
    if !new.join(COMPLETE).exists() {
        return Ok(());
    }
    let error = crate::recovery::directory("rename", &new);
    fs::rename(&new, &path).and_then(|()| sync(data_dir)).map_err(error)?;
    // NOTE: the file means nothing in a log that has its name.
    let _ = fs::remove_file(path.join(COMPLETE));
    Ok(())
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The files of a log that may hold anything.
struct Files {
    /// Keyspace and path of each table.
    tables: Vec<(u64, PathBuf)>,
    journals: Vec<PathBuf>,
}

impl Files {
    fn find(path: &Path) -> Result<Self, RepairError> {
        let reading = file("read", path);
        let keyspaces = match manifest::keyspaces(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listing => listing.map_err(&reading)?.found,
        };
        let mut tables = Vec::new();
        // NOTE: keyspace 0 is fjall's own.
        for (id, dir) in keyspaces.iter().filter(|(id, _)| *id != 0) {
            let Ok(entries) = fs::read_dir(dir.join("tables")) else { continue };
            for entry in entries {
                tables.push((*id, entry.map_err(&reading)?.path()));
            }
        }
        tables.sort();
        let journals = manifest::journals(path).map_err(&reading)?.found;
        Ok(Self { tables, journals: journals.into_iter().map(|(_, path)| path).collect() })
    }

    fn bytes(&self) -> u64 {
        let paths = self.tables.iter().map(|(_, path)| path).chain(&self.journals);
        paths.map(|path| size(path)).sum()
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kill_leaves_of_a_repair_goes_or_is_the_log() {
        let check = |with_log: bool, complete: bool, log_is: Option<&str>, new_is_left: bool| {
            let dir = tempfile::tempdir().unwrap();
            let (log, new) = (log_path(dir.path()), new_path(dir.path()));
            for (path, name) in [(&log, "old"), (&new, "new")].iter().skip(usize::from(!with_log)) {
                fs::create_dir(path).unwrap();
                fs::write(path.join("name"), name).unwrap();
            }
            if complete {
                fs::write(new.join(COMPLETE), "").unwrap();
            }
            finish_exchange(dir.path()).unwrap();
            assert_eq!(fs::read_to_string(log.join("name")).ok().as_deref(), log_is);
            assert_eq!(new.exists(), new_is_left);
        };
        check(true, false, Some("old"), false);
        check(true, true, Some("old"), false);
        check(false, true, Some("new"), false);
        check(false, false, None, true);
    }
}
