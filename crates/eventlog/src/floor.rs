//! How far the database of the last `run` is: what trimming is held back by.
//!
//! `run` tells the log which database it projects into, by a hash of its URL, and then how far that is. The log
//! keeps both, so that `log trim` and the next `run` know them while the database is away. A database that was
//! never read has nothing; one that comes back with less holds back more.

use event::Position;
use fjall::PersistMode;

use crate::engine::{Engine, engine_error, foreign};
use crate::error::{OpenError, ReadError};
use crate::layout::KEY_PROJECTED;
use crate::open::EventLog;
use crate::retain::Floor;

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
pub(crate) fn read(engine: &Engine) -> Result<Floor, OpenError> {
    Ok(kept(engine)?.map_or(Floor::None, |(position, _)| Floor::Unprojected(position)))
}

impl EventLog {
    /// From now on trimming is held back by this database, or by none. Returns what holds it back now: for a
    /// database that is not the last one, everything.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub fn hold_back(&self, database: Option<DatabaseHash>) -> Result<Floor, ReadError> {
        let engine = self.engine()?;
        let Some(database) = database else {
            engine.meta.remove(KEY_PROJECTED).map_err(ReadError::of_meta)?;
            self.shared().set_floor(Floor::None);
            return Ok(Floor::None);
        };
        let kept = kept(&engine).ok().flatten().filter(|(_, hash)| *hash == database);
        let position = kept.map_or(Position::FIRST, |(position, _)| position);
        self.projected(database, position)?;
        // NOTE: a power cut must not bring back a database that holds back less.
        engine.database.persist(PersistMode::SyncData).map_err(ReadError::of_meta)?;
        Ok(Floor::Unprojected(position))
    }

    /// The database has everything before `next`, and not what follows.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn projected(&self, database: DatabaseHash, next: Position) -> Result<(), ReadError> {
        let floor = Floor::Unprojected(next);
        if self.shared().floor() == floor && next != Position::FIRST {
            return Ok(());
        }
        let value = [next.0.to_be_bytes().as_slice(), &database].concat();
        // NOTE: it need not be durable: an older value of the same database only holds back more.
        self.engine()?.meta.insert(KEY_PROJECTED, value).map_err(ReadError::of_meta)?;
        self.shared().set_floor(floor);
        Ok(())
    }

    /// What holds trimming back now.
    #[must_use]
    pub fn floor(&self) -> Floor {
        self.shared().floor()
    }
}
