//! What the machine grants this process: room on a disk, limits, rights. For who looks once, not for a sampler.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, geteuid, getrlimit};

use crate::ProbeError;
use crate::proc::mounts::{self, Mount};
use crate::tmux::command;

const MOUNTS: &str = "/proc/self/mountinfo";
/// How long the service that knows of the clock may take to answer.
const CLOCK_LIMIT: Duration = Duration::from_secs(2);

/// What is free on a file system for who is not root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are free.
    pub bytes_free: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// Files that can still be made; `None` where the file system does not count them.
    pub files_free: Option<u64>,
}

/// How much room there is where `path` is.
///
/// # Errors
/// When there is no such path, or it cannot be asked.
pub fn room(path: &Path) -> io::Result<Room> {
    let answer = statvfs(path)?;
    Ok(Room {
        bytes_free: answer.f_bavail.saturating_mul(answer.f_frsize),
        bytes: answer.f_blocks.saturating_mul(answer.f_frsize),
        files_free: (answer.f_files > 0).then_some(answer.f_favail),
    })
}

/// The limits of this process; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a file.
    pub file_bytes: Option<u64>,
    /// The most files that it may have open.
    pub open_files: Option<u64>,
}

/// Asks for them.
#[must_use]
pub fn limits() -> Limits {
    Limits { file_bytes: getrlimit(Resource::Fsize).current, open_files: getrlimit(Resource::Nofile).current }
}

/// The number of the user that this process runs as.
#[must_use]
pub fn user() -> u32 {
    geteuid().as_raw()
}

/// Whether this process may make files in a folder, as far as its mode and its mount tell.
#[must_use]
pub fn may_write_in(folder: &Path) -> bool {
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// The mount that an absolute path without links lies on.
///
/// # Errors
/// When the kernel does not tell.
pub fn mount_of(path: &Path) -> Result<Option<Mount>, ProbeError> {
    let read = |source| ProbeError::Read { path: MOUNTS.into(), source };
    let mounts = mounts::parse(&std::fs::read(MOUNTS).map_err(read)?);
    Ok(mounts::covering(&mounts.items, path).cloned())
}

/// Whether the kernel's clock is held by a time server; `None` where nobody can be asked.
///
/// NOTE: only adjtimex(2) knows, which no library offers without unsafe code; timedatectl of systemd passes it on.
#[must_use]
pub fn is_clock_synchronised() -> Option<bool> {
    let mut asking = std::process::Command::new("timedatectl");
    asking.args(["show", "--property=NTPSynchronized", "--value"]);
    let answer = command::run(&mut asking, CLOCK_LIMIT).ok().filter(|answer| answer.status.success())?;
    match answer.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells() {
        let here = tempfile::tempdir().unwrap();
        let room = room(here.path()).unwrap();
        assert!(room.bytes >= room.bytes_free && room.bytes > 0, "{room:?}");
        assert!(super::room(&here.path().join("no")).is_err());
        assert!(may_write_in(here.path()) && !may_write_in(&here.path().join("no")));
        assert!(limits().open_files.is_none_or(|files| files > 0));
        assert_eq!(mount_of(Path::new("/proc/self")).unwrap().unwrap().kind, "proc");
        let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(here.path()).unwrap());
        assert_eq!(user(), own);
    }
}
