//! Reads small files below one folder quickly: the folder stays open, buffers are used again.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::{CWD, Mode, OFlags, RawDir, SeekFrom, openat, seek};
use rustix::io::{Errno, read};

use super::Pid;
use super::words::number;
use crate::ProbeError;

/// Room for any one record of /proc; a buffer that is full gets more.
const BUFFER_BYTES: usize = 8 * 1024;
/// Room for the names of some 1,000 processes in one system call.
const LIST_BYTES: usize = 32 * 1024;

/// A folder that is held open.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    list: Vec<u8>,
}

/// Whether a file was there to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It was read.
    Read,
    /// It is not there, or no longer: processes end at any moment.
    Gone,
    /// It is there and we may not read it.
    Denied,
}

/// How much a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// One record of /proc: what one read does not fill is at its end.
    Record,
    /// Many records: the end is where nothing more comes.
    Whole,
}

impl Folder {
    /// Opens the folder.
    pub(crate) fn open(path: &Path) -> Result<Self, ProbeError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| ProbeError::Read { path: path.to_owned(), source: errno.into() })?;
        Ok(Self { fd, path: path.to_owned(), list: Vec::with_capacity(LIST_BYTES) })
    }

    /// The path of a file in it.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads a file that must be there, whole, into `buffer`.
    pub(crate) fn read(&self, name: &str, buffer: &mut Vec<u8>) -> Result<(), ProbeError> {
        self.try_read(name, Extent::Whole, buffer).map_err(|errno| self.failed(name, errno))
    }

    /// Reads a file of one record, which may be gone or denied, into `buffer`.
    pub(crate) fn read_if_there(&self, name: &str, buffer: &mut Vec<u8>) -> Result<Presence, ProbeError> {
        match self.try_read(name, Extent::Record, buffer) {
            Ok(()) => Ok(Presence::Read),
            Err(Errno::NOENT | Errno::SRCH) => Ok(Presence::Gone),
            Err(Errno::ACCESS | Errno::PERM) => Ok(Presence::Denied),
            Err(errno) => Err(self.failed(name, errno)),
        }
    }

    fn try_read(&self, name: &str, extent: Extent, buffer: &mut Vec<u8>) -> Result<(), Errno> {
        let file = openat(&self.fd, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        buffer.clear();
        loop {
            buffer.reserve(BUFFER_BYTES);
            match read(&file, spare_capacity(buffer)) {
                Ok(0) => return Ok(()),
                // NOTE: the kernel makes one record in one go; asking for its end again would cost a tenth more.
                Ok(read) if extent == Extent::Record && read < BUFFER_BYTES => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Lists the entries whose names are numbers: in /proc, the processes.
    pub(crate) fn pids(&mut self, into: &mut Vec<Pid>) -> Result<(), ProbeError> {
        into.clear();
        let path = &self.path;
        let failed = |errno: Errno| ProbeError::Read { path: path.clone(), source: errno.into() };
        seek(&self.fd, SeekFrom::Start(0)).map_err(failed)?;
        let mut entries = RawDir::new(&self.fd, self.list.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(failed)?;
            into.extend(
                number(entry.file_name().to_bytes()).and_then(|pid| u32::try_from(pid).ok()).map(Pid),
            );
        }
        Ok(())
    }

    fn failed(&self, name: &str, errno: Errno) -> ProbeError {
        ProbeError::Read { path: self.path_of(name), source: io::Error::from(errno) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_any_size_and_missing_ones() {
        let folder = tempfile::tempdir().unwrap();
        let long = vec![b'x'; 3 * BUFFER_BYTES + 1];
        std::fs::write(folder.path().join("long"), &long).unwrap();
        std::fs::create_dir(folder.path().join("17")).unwrap();
        std::fs::create_dir(folder.path().join("self")).unwrap();
        let mut open = Folder::open(folder.path()).unwrap();
        let mut buffer = b"old".to_vec();
        open.read("long", &mut buffer).unwrap();
        assert_eq!(buffer, long);
        assert_eq!(open.read_if_there("17/stat", &mut buffer).unwrap(), Presence::Gone);
        let error = open.read("17/stat", &mut buffer).unwrap_err();
        assert!(error.to_string().ends_with("17/stat"), "{error}");
        let mut pids = vec![Pid(1)];
        open.pids(&mut pids).unwrap();
        assert_eq!(pids, [Pid(17)]);
        open.pids(&mut pids).unwrap();
        assert_eq!(pids, [Pid(17)], "a second listing starts anew");
    }

    #[test]
    fn the_real_proc_lists_this_process() {
        let mut proc = Folder::open(Path::new("/proc")).unwrap();
        let mut pids = Vec::new();
        proc.pids(&mut pids).unwrap();
        assert!(pids.contains(&Pid(std::process::id())));
    }
}
