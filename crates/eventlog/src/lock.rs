//! The lock of a data directory: one process at a time, and the others learn who it is.
//!
//! The lock is `flock` on the file `lock`, so a process that dies lets go of it. The holder writes a line
//! about itself into the file: it is read only by who finds the lock taken, so it is never stale.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::OpenError;

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock of `dir`, or says who has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("lock");
        let error = |what| {
            let path = path.clone();
            move |source| OpenError::Directory { what, path, source }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(error("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Held { dir: dir.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(error("lock")(source)),
        }
        introduce(&mut file).map_err(error("write to"))?;
        Ok(Self { _file: file })
    }
}

/// Writes who holds the lock.
fn introduce(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {} ({})", std::process::id(), command_line())
}

/// The program and its first arguments: enough to know it by, and no URL with a password in it.
fn command_line() -> String {
    let mut arguments = std::env::args().take(2);
    let program = arguments.next().unwrap_or_default();
    let program = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned());
    let command = arguments.next().filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
    [program, command].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Who holds the lock of `dir` now, as it says itself; `None` when nobody does. No file is made.
pub(crate) fn held_by(dir: &Path) -> std::io::Result<Option<String>> {
    let mut file = match File::open(dir.join("lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // NOTE: a shared lock, let go at once: who wants the whole one in this moment tries again.
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(1_024).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "another process".to_owned(),
    }
}
