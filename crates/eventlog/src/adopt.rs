//! Adoption: a copy of a log becomes a log of its own.
//!
//! Two copies of one log that both record would give one position to two events, and a database could not tell
//! them apart. A new log id makes the copy another log: a database takes its events from the first one on, and
//! what it has from the original is found present by its keys. The birth id, which every record's checksum
//! covers, stays.

use std::path::Path;
use std::sync::Arc;

use event::LogId;
use tokio::sync::oneshot;

use crate::error::{AppendError, OpenError};
use crate::floor;
use crate::lock::DirectoryLock;
use crate::open::EventLog;
use crate::recovery;
use crate::settings::Settings;
use crate::writer::{Open, Order, Shared};

/// What an adoption did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The id that the log had, and that its original keeps.
    pub from: LogId,
    /// The id that it has now.
    pub to: LogId,
}

impl EventLog {
    /// Gives the log in `data_dir`, which no process has open, a new identity.
    ///
    /// # Errors
    /// When it is held, does not open, or cannot be written.
    pub fn adopt(data_dir: &Path) -> Result<Adoption, OpenError> {
        let _lock = DirectoryLock::take(data_dir)?;
        let opened = recovery::open(data_dir, &Settings::default())?;
        let path = opened.committer.engine.path.clone();
        let floor = floor::read(&opened.committer.engine)?;
        let engine = Arc::clone(&opened.committer.engine);
        let shared =
            Shared::new(engine, opened.info.clone(), opened.ends(), opened.committer.lost_events, floor);
        let mut open = Open::new(opened.committer, opened.mark);
        open.adopt(&shared).map_err(|source| OpenError::Engine { path, source })
    }

    /// Gives this log a new identity. Whoever projects it must stop before, and claim anew afterwards. It blocks.
    ///
    /// # Errors
    /// When the log is closed or has failed.
    pub fn adopt_open(&self) -> Result<Adoption, AppendError> {
        let (reply, adoption) = oneshot::channel();
        self.order(Order::Adopt(reply))?;
        adoption.blocking_recv().unwrap_or_else(|_| Err(self.closed()))
    }
}
