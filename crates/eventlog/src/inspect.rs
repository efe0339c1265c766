//! Looking at a data directory without opening its log: nothing is written, cut or mended, and nobody is kept out.
//!
//! Who has the log open changes its files all the time. So they are looked at while nobody holds the lock, and what was
//! seen counts only when nobody has held it meanwhile: every holder writes a line about itself into the file `lock`,
//! which changes that file.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use event::Position;

use crate::error::OpenError;
use crate::mark::{self, Found};
use crate::open::{LogInfo, log_path};
use crate::recovery::{self, directory};
use crate::{lock, stat};

/// How often the files are looked at while others open the log in between.
const LOOKS_MAX: usize = 5;

/// What the file `mark` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marked {
    /// Which log this is, and how far it was durable.
    Durable {
        /// The log.
        info: LogInfo,
        /// The last durable position; zero when there is none.
        position: Position,
        /// When that was written.
        at: SystemTime,
    },
    /// There is no such file.
    Missing,
    /// It says nothing that can be trusted.
    Damaged,
}

/// What the files of a log look like from outside.
#[derive(Debug)]
pub enum Files {
    /// There is no log.
    Missing,
    /// Somebody works in them: only that process can tell.
    InUse,
    /// The log should open. What its opening would mend and tell, one sentence each.
    Sound(Vec<String>),
    /// It would not open, for this reason.
    Refused(OpenError),
}

/// Who holds the log of a data directory now, as that process told; `None` when nobody does.
///
/// # Errors
/// When the lock cannot be looked at.
pub fn holder(data_dir: &Path) -> io::Result<Option<String>> {
    lock::held_by(data_dir)
}

/// Reads the mark of a data directory. A daemon may move it meanwhile: it is whole all the same.
///
/// # Errors
/// When it is there and cannot be read.
pub fn marked(data_dir: &Path) -> io::Result<Marked> {
    Ok(match mark::read(data_dir)? {
        Found::Mark(mark) => Marked::Durable {
            position: mark.durable.position,
            info: mark.info,
            at: fs::metadata(mark::path(data_dir))?.modified()?,
        },
        Found::Missing => Marked::Missing,
        Found::Damaged => Marked::Damaged,
    })
}

/// Bytes of disk that the log of a data directory takes.
///
/// # Errors
/// When its folders cannot be read.
pub fn bytes(data_dir: &Path) -> io::Result<u64> {
    stat::disk_bytes(&log_path(data_dir))
}

/// Looks at the files of a log as an opening does before it begins. Records are not read: `verify` does that.
///
/// # Errors
/// When the data directory cannot be read.
pub fn files(data_dir: &Path) -> Result<Files, OpenError> {
    if !crate::open::is_there(&log_path(data_dir))? {
        return Ok(Files::Missing);
    }
    let reading = directory("read the lock of", data_dir);
    for _ in 0..LOOKS_MAX {
        let before = last_holder(data_dir);
        if holder(data_dir).map_err(&reading)?.is_some() {
            return Ok(Files::InUse);
        }
        let found = mark::read(data_dir).map_err(directory("read", &mark::path(data_dir)))?;
        let looked = recovery::examine(data_dir, &found);
        if holder(data_dir).map_err(&reading)?.is_none() && last_holder(data_dir) == before {
            return Ok(looked.map_or_else(Files::Refused, Files::Sound));
        }
    }
    Ok(Files::InUse)
}

/// What changes with everyone who takes the lock: when that was, and who.
fn last_holder(data_dir: &Path) -> Option<(SystemTime, Vec<u8>)> {
    let path = data_dir.join("lock");
    Some((fs::metadata(&path).ok()?.modified().ok()?, fs::read(&path).ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use event::HostName;

    use super::*;
    use crate::{EventLog, Settings};

    fn contents(dir: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => contents(&path, into),
                false => _ = into.insert(path.clone(), fs::read(&path).unwrap()),
            }
        }
    }

    fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        contents(dir, &mut files);
        files
    }

    fn open(dir: &Path) -> EventLog {
        EventLog::open(dir, &HostName::new("here").unwrap(), Settings::default()).unwrap()
    }

    #[test]
    fn an_empty_directory_has_no_log_and_gets_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(files(dir.path()), Ok(Files::Missing)));
        assert_eq!(marked(dir.path()).unwrap(), Marked::Missing);
        assert_eq!(holder(dir.path()).unwrap(), None);
        assert_eq!(snapshot(dir.path()), BTreeMap::new());
    }

    #[test]
    fn an_open_log_is_in_use_and_says_by_whom() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        assert!(matches!(files(dir.path()), Ok(Files::InUse)));
        let holder = holder(dir.path()).unwrap().unwrap();
        assert!(holder.starts_with(&format!("process {}", std::process::id())), "{holder}");
        let Marked::Durable { info, position, .. } = marked(dir.path()).unwrap() else { panic!("no mark") };
        assert_eq!((info, position), (log.info(), Position(0)));
        assert!(bytes(dir.path()).unwrap() > 0);
    }

    #[test]
    fn what_an_opening_would_mend_is_told_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).close().unwrap();
        assert!(matches!(files(dir.path()), Ok(Files::Sound(notes)) if notes.is_empty()));
        let journal = snapshot(&dir.path().join("log"))
            .into_keys()
            .find(|path| path.extension().is_some_and(|extension| extension == "jnl"));
        let journal = journal.unwrap();
        let mut bytes = fs::read(&journal).unwrap();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        bytes.extend([0xff; 40]);
        fs::write(&journal, &bytes).unwrap();
        let before = snapshot(dir.path());
        let Ok(Files::Sound(notes)) = files(dir.path()) else { panic!("sound but for its end") };
        assert!(notes.len() == 1 && notes[0].contains("the next opening puts them into"), "{notes:?}");
        assert_eq!(snapshot(dir.path()), before);
        assert_eq!(open(dir.path()).recovery().notes.len(), 1, "and that opening does");
    }

    #[test]
    fn damage_is_refused_as_an_opening_would() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).close().unwrap();
        fs::write(mark::path(dir.path()), [7; 5_000]).unwrap();
        assert_eq!(marked(dir.path()).unwrap(), Marked::Damaged);
        fs::remove_file(dir.path().join("log/keyspaces/0/current")).unwrap();
        let before = snapshot(dir.path());
        let Ok(Files::Refused(error)) = files(dir.path()) else { panic!("it would not open") };
        assert!(error.to_string().contains("tailwater log repair"), "{error}");
        assert_eq!(snapshot(dir.path()), before);
    }
}
