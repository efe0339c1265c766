//! Adoption: a copy of a log becomes a log of its own.
//!
//! Two copies of one log that both record would give one position to two events, and a database could not tell
//! them apart. A new log id makes the copy another log: a database takes its events from the first one on, and
//! what it has from the original is found present by its keys. The birth id, which every record's checksum
//! covers, stays.

use std::path::Path;

use event::{LogId, Position};
use fjall::PersistMode;

use crate::engine::engine_error;
use crate::error::OpenError;
use crate::floor;
use crate::layout::{KEY_LOG_ID, KEY_PROJECTED};
use crate::lock::DirectoryLock;
use crate::mark::{self, MarkWriter};
use crate::open::{EventLog, LogInfo};
use crate::recovery;
use crate::settings::Settings;

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
        let lock = DirectoryLock::take(data_dir)?;
        let opened = recovery::open(data_dir, &Settings::default())?;
        let engine = &opened.committer.engine;
        let error = engine_error(&engine.path);
        let adoption = Adoption { from: opened.info.log_id, to: LogId::random() };
        let mut batch = engine.database.batch();
        batch.insert(&engine.meta, KEY_LOG_ID, *adoption.to.as_bytes());
        // NOTE: under its new name no database has anything of it.
        if let Some((_, database)) = floor::kept(engine)? {
            batch.insert(&engine.meta, KEY_PROJECTED, floor::encode(Position::FIRST, &database));
        }
        batch.commit().map_err(&error)?;
        engine.database.persist(PersistMode::SyncAll).map_err(&error)?;
        let info = LogInfo { log_id: adoption.to, ..opened.info.clone() };
        let at_mark = recovery::directory("write", &mark::path(data_dir));
        let found = mark::read(data_dir).map_err(&at_mark)?;
        let mut mark = MarkWriter::open(data_dir, &info, &found).map_err(&at_mark)?;
        mark.write(opened.committer.last).map_err(&at_mark)?;
        drop(opened);
        drop(lock);
        Ok(adoption)
    }
}
