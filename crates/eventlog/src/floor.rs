//! How far the database of the last `run` is: what trimming is held back by.
//!
//! `run` tells the log which database it projects into, by a hash of its URL, and then how far that is. The log
//! keeps both, so that `log trim` and the next `run` know them while the database is away. A database that was
//! never read has nothing; one that comes back with less holds back more.

use event::Position;
use tokio::sync::oneshot;

use crate::engine::{Engine, engine_error, foreign};
use crate::error::{OpenError, ReadError};
use crate::layout::KEY_PROJECTED;
use crate::open::EventLog;
use crate::retain::Floor;
use crate::writer::Order;

/// Which database: a hash of what its URL means, without the password.
pub type DatabaseHash = [u8; 32];

/// What the log keeps: how far, and which.
fn decode(value: &[u8]) -> Option<(Position, DatabaseHash)> {
    let (position, hash) = value.split_first_chunk()?;
    Some((Position(u64::from_be_bytes(*position)), hash.try_into().ok()?))
}

fn kept(engine: &Engine) -> Result<Option<(Position, DatabaseHash)>, OpenError> {
    let value = engine.meta.get(KEY_PROJECTED).map_err(engine_error(&engine.path))?;
    let wrong = || foreign(&engine.path, "its note of the database is none of ours");
    value.map(|value| decode(&value).ok_or_else(wrong)).transpose()
}

/// What holds trimming back, as the last `run` left it.
pub(crate) fn read(engine: &Engine) -> Result<HeldBack, OpenError> {
    kept(engine).map(HeldBack::kept)
}

/// What holds trimming back now, and whether the disk knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldBack {
    pub(crate) floor: Floor,
    database: Option<DatabaseHash>,
    is_written: bool,
}

impl HeldBack {
    /// What was read from the disk.
    pub(crate) fn kept(kept: Option<(Position, DatabaseHash)>) -> Self {
        let floor = kept.map_or(Floor::None, |(position, _)| Floor::Unprojected(position));
        Self { floor, database: kept.map(|(_, database)| database), is_written: true }
    }

    /// The disk may not know it, whatever was told to it.
    pub(crate) fn write_again(&mut self) {
        self.is_written = false;
    }

    /// The database has nothing of the log any more.
    pub(crate) fn forget(&mut self) {
        if let Floor::Unprojected(next) = &mut self.floor {
            *next = Position::FIRST;
            self.is_written = false;
        }
    }

    /// What the disk must be told, once: a value, or that there is none.
    pub(crate) fn take_change(&mut self) -> Option<Option<Vec<u8>>> {
        if std::mem::replace(&mut self.is_written, true) {
            return None;
        }
        Some(match (self.floor, self.database) {
            (Floor::Unprojected(next), Some(database)) => {
                Some([next.0.to_be_bytes().as_slice(), &database].concat())
            }
            _ => None,
        })
    }
}

impl EventLog {
    /// From now on trimming is held back by this database, or by none. Gives what holds it back: for a database
    /// that is not the last one, everything. It blocks until that is durable: a power cut must not bring back a
    /// database that holds back less.
    ///
    /// # Errors
    /// When the log cannot be read, is closed, or has failed.
    pub fn hold_back(&self, database: Option<DatabaseHash>) -> Result<Floor, ReadError> {
        let kept = self.engine()?.meta.get(KEY_PROJECTED).map_err(ReadError::of_meta)?;
        let kept = kept.and_then(|value| decode(&value)).filter(|(_, hash)| Some(*hash) == database);
        let position = kept.map_or(Position::FIRST, |(position, _)| position);
        let floor = database.map_or(Floor::None, |_| Floor::Unprojected(position));
        self.shared().set_held_back(HeldBack { floor, database, is_written: false });
        let (reply, written) = oneshot::channel();
        self.order(Order::KeepFloor(reply)).map_err(|_| ReadError::Closed)?;
        written.blocking_recv().map_err(|_| ReadError::Closed)?.map_err(|_| ReadError::Failed)?;
        Ok(floor)
    }

    /// The database has everything before `next`, and not what follows. It is kept with the next commit, or some
    /// seconds later: an older value only holds back more.
    pub fn projected(&self, database: DatabaseHash, next: Position) {
        let floor = Floor::Unprojected(next);
        self.shared().set_held_back(HeldBack { floor, database: Some(database), is_written: false });
    }

    /// What holds trimming back now.
    #[must_use]
    pub fn floor(&self) -> Floor {
        self.shared().floor()
    }
}
