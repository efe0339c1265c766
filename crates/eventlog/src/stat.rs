//! Numbers about a log.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::error::StatError;
use crate::open::EventLog;
use crate::writer::Ends;

/// The size of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl EventLog {
    /// Measures the log.
    ///
    /// # Errors
    /// When its directory cannot be read.
    pub fn stat(&self) -> Result<Stat, StatError> {
        let ends = self.ends();
        Ok(Stat {
            ends,
            events: ends.next.since(ends.first),
            bytes: disk_bytes(self.dir())
                .map_err(|source| StatError { path: self.dir().to_owned(), source })?,
            segments: self.segments(),
            lost_events: self.shared().lost_events.load(Ordering::Relaxed),
        })
    }
}

/// Bytes of disk that everything under `dir` takes: allocated blocks, not lengths, for fjall preallocates.
fn disk_bytes(dir: &Path) -> io::Result<u64> {
    /// The unit of `st_blocks`, whatever the file system's block size (stat(2)).
    const BLOCK_BYTES: u64 = 512;
    let mut bytes = 0;
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => dirs.push(entry.path()),
                Ok(metadata) => bytes += metadata.blocks() * BLOCK_BYTES,
                // NOTE: compaction removes files while we walk.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(bytes)
}
