//! Writing events again that the database should have: each batch in a transaction of its own, outside of any range.

use std::time::Duration;

use event::Entry;
use projector::{ErrorKind, LogIdentity, TargetError};

use crate::apply::Writers;
use crate::connect::{Session, within};
use crate::outside;
use crate::quarantine::Limit;
use crate::rows::Provenance;
use crate::target::TimescaleTarget;

/// How long the statements of a transaction may take together.
const BATCH_LIMIT: Duration = Duration::from_secs(300);
/// How often a batch is tried that others were in the way of: a lane that writes the same keys.
const TRIES: u32 = 5;

/// Writes events of one log, on a session of its own.
pub struct Mender {
    session: Session,
    log: LogIdentity,
    log_no: i32,
    writers: Writers,
}

/// What became of events that were written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MendOutcome {
    /// Events that made a new row.
    pub inserted: u64,
    /// Events whose key has a row by now.
    pub present: u64,
    /// Events that the database refused for their content.
    pub quarantined: u64,
}

impl MendOutcome {
    /// Adds another batch's.
    pub const fn add(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.present += other.present;
        self.quarantined += other.quarantined;
    }
}

impl TimescaleTarget {
    /// Opens what mends a log's rows; `None` where the database has never seen the log. The schema is left as it is.
    ///
    /// # Errors
    /// Fatal when the schema is not up to date; otherwise as any connection.
    pub async fn mender(&self, log: &LogIdentity) -> Result<Option<Mender>, TargetError> {
        let (session, log_no) = outside::open(self.url(), log, "mend").await?;
        let mender = |log_no| Mender { session, log: log.clone(), log_no, writers: Writers::default() };
        Ok(log_no.map(mender))
    }
}

impl Mender {
    /// Writes these events, all or none. They are in the order of their positions.
    ///
    /// # Errors
    /// By [`TargetError::kind`]; fatal as well when so many are refused alike that the schema must be wrong.
    pub async fn mend(&mut self, entries: &[Entry]) -> Result<MendOutcome, TargetError> {
        let mut tries = 1;
        loop {
            match self.transaction(entries).await {
                Err(error) if error.kind() == ErrorKind::Busy && tries < TRIES => tries += 1,
                mended => return mended,
            }
        }
    }

    async fn transaction(&mut self, entries: &[Entry]) -> Result<MendOutcome, TargetError> {
        self.session.run("mending", self.session.begin_sql()).await?;
        let provenance = Provenance { log_no: self.log_no, host: self.log.host.as_str() };
        let writing =
            outside::write(&self.session, &mut self.writers, provenance, entries, Limit::SchemaError);
        let written = within(BATCH_LIMIT, "mending", writing).await;
        let end = match &written {
            Ok(_) => self.session.run("committing what was mended", "COMMIT").await,
            Err(_) => self.session.roll_back("rolling back what was mended", "ROLLBACK").await,
        };
        // Where both failed the first one is the reason.
        let written = written?;
        end?;
        let landed = written.inserted + written.present;
        Ok(MendOutcome {
            inserted: written.inserted,
            present: written.present,
            quarantined: (entries.len() as u64).saturating_sub(landed),
        })
    }
}
