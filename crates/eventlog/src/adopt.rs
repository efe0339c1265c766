//! Adoption: a copy of a log becomes a log of its own.
//!
//! Two copies of one log that both record would give one position to two events, and a database could not tell
//! them apart. A new log id makes the copy another log: a database takes its events from the first one on, and
//! what it has from the original is found present by its keys. The birth id, which every record's checksum
//! covers, stays.

use event::LogId;
use tokio::sync::oneshot;

use crate::error::AppendError;
use crate::open::EventLog;
use crate::writer::Order;

/// What an adoption did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The id that the log had, and that its original keeps.
    pub from: LogId,
    /// The id that it has now.
    pub to: LogId,
}

impl EventLog {
    /// Gives this log a new identity. Whoever projects it must stop before, and claim anew afterwards. It blocks.
    ///
    /// # Errors
    /// When the log is closed or has failed.
    pub fn adopt(&self) -> Result<Adoption, AppendError> {
        let (reply, adoption) = oneshot::channel();
        self.order(Order::Adopt(reply))?;
        adoption.blocking_recv().unwrap_or_else(|_| Err(self.closed()))
    }
}
