//! Numbers about a log.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::error::StatError;
use event::Hole;

use crate::open::EventLog;
use crate::writer::{Ends, NoRoom};

/// The size of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Where it begins and ends.
    pub ends: Ends,
    /// Events that are there.
    pub events: u64,
    /// Bytes that it takes on the disk, journals included.
    pub bytes: u64,
    /// Segments.
    pub segments: usize,
    /// How many events the gaps in the log tell as lost.
    pub lost_events: u64,
    /// Runs of positions that have no events any more.
    pub holes: Vec<Hole>,
    /// How many events callers were told are not kept, since the log was opened.
    pub refused_events: u64,
    /// The log is at its bound and takes nothing.
    pub no_room: Option<NoRoom>,
}

impl EventLog {
    /// Measures the log.
    ///
    /// # Errors
    /// When its directory cannot be read.
    pub fn stat(&self) -> Result<Stat, StatError> {
        let (ends, shared) = (self.ends(), self.shared());
        let holes: Vec<Hole> =
            shared.engine().map(|engine| engine.holes().iter().collect()).unwrap_or_default();
        let gone: u64 = holes.iter().map(Hole::positions).sum();
        Ok(Stat {
            ends,
            events: ends.next.since(event::Position::FIRST).saturating_sub(gone),
            bytes: disk_bytes(self.path())
                .map_err(|source| StatError { path: self.path().to_owned(), source })?,
            segments: shared.engine().map_or(0, |engine| engine.segments().len()),
            lost_events: shared.lost_events.load(Ordering::Relaxed),
            holes,
            refused_events: shared.refused_events.load(Ordering::Relaxed),
            no_room: shared.room(),
        })
    }
}

/// Bytes of disk that everything under `dir` takes: allocated blocks, not lengths, for fjall preallocates.
pub(crate) fn disk_bytes(dir: &Path) -> io::Result<u64> {
    /// The unit of `st_blocks`, whatever the file system's block size (stat(2)).
    const BLOCK_BYTES: u64 = 512;
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        // NOTE: compaction removes files while we walk, and a trim whole folders.
        let Some(entry) = unless_gone(entry)? else { continue };
        let Some(metadata) = unless_gone(entry.metadata())? else { continue };
        bytes += match metadata.is_dir() {
            true => unless_gone(disk_bytes(&entry.path()))?.unwrap_or_default(),
            false => metadata.blocks() * BLOCK_BYTES,
        };
    }
    Ok(bytes)
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(it) => Ok(Some(it)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
