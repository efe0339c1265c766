//! Applies a batch: rows and progress in one transaction.
//!
//! ```text
//! chunks of new days, each in a transaction of its own
//! BEGIN; UPDATE the ledger's ranges …       the compare-and-set, first of all: an overtaken lane ends here
//! for each table that the batch has rows for:
//!     SAVEPOINT; COPY into the table        straight: the usual way
//!     on a unique violation ROLLBACK TO     (token usage begins here)
//!     COPY into a temporary table; INSERT … ON CONFLICT by the table's rule
//!     on an event that is refused for its content ROLLBACK TO, in pieces until it is found
//! the quarantine: what landed leaves it, what was refused goes there
//! COMMIT
//! ```
//!
//! What each failure means: before COMMIT was sent nothing has changed, whatever happened. An ERROR from COMMIT
//! says the same. A session that ended between COMMIT and its answer says nothing: `Unsettled`, and the next
//! claim reads the progress row.

mod batch;
mod round;
mod write;

use std::sync::Arc;
use std::time::Duration;

use projector::{ApplyError, ApplyOutcome, Batch, Commit, Entry, ErrorKind, LogIdentity, TargetError};
use tokio_postgres::types::{ToSql, Type};

use crate::chunks::{Attached, Chunks};
use crate::claim::{bigint, parts};
use crate::connect::{COMMIT_FLUSHED, Prepared, Session, within};
use crate::error;
use crate::ledger::{Ledger, Owner};
use crate::quarantine::{self, Limit, Refusals};
use crate::rows::Provenance;

pub(crate) use batch::of_kind;
pub(crate) use write::{Writers, Written};

/// How long the statements of a batch may take together. Generous: a batch is tens of milliseconds of work, but
/// a disk can stall and a lock may be waited for, 10 s each time.
const APPLY_LIMIT: Duration = Duration::from_secs(300);
const COMMIT_LIMIT: Duration = Duration::from_secs(60);

const ADVANCE: &str = "UPDATE {ranges} SET next = $1, digest = $2, digest_at = $3, applied_at = now()
    WHERE {owner} = $4 AND lo = $5 AND next = $6 AND digest IS NOT DISTINCT FROM $7
      AND digest_at IS NOT DISTINCT FROM $8 AND writer = $9
    RETURNING EXISTS (SELECT FROM tailwater_quarantine
        WHERE log_no = $10 AND position >= $6 AND position < $1)";

/// What a lane keeps from batch to batch: prepared statements, and which way each table goes.
pub(crate) struct Applier {
    advance: Prepared,
    advance_sql: String,
    writers: Writers,
    chunks: Arc<Chunks>,
    attached: Attached,
}

/// Whether the quarantine has events of a batch's positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Some,
    None,
}

impl Applier {
    pub(crate) fn new(chunks: Arc<Chunks>, ledger: &Ledger) -> Self {
        Self {
            advance: Prepared::default(),
            advance_sql: ledger.sql(ADVANCE),
            writers: Writers::default(),
            chunks,
            attached: Attached::default(),
        }
    }

    /// Applies a batch. After an error the transaction may still be open.
    pub(crate) async fn apply(
        &mut self,
        session: &Session,
        log: &LogIdentity,
        owner: Owner,
        batch: &Batch<'_>,
    ) -> Result<ApplyOutcome, ApplyError> {
        let making = self.chunks.make(session, &mut self.attached, batch.entries, batch.contents);
        within(APPLY_LIMIT, "making chunks", making).await.map_err(ApplyError::Target)?;
        let provenance = Provenance { log_no: owner.log_no, host: log.host.as_str() };
        let writing = async {
            let held = self.advance(session, owner, batch).await?;
            self.write(session, provenance, batch, held).await.map_err(Failure::Target)
        };
        let outcome = match within(APPLY_LIMIT, "applying a batch", writing).await {
            Ok(outcome) => outcome,
            Err(Failure::Overtaken) => return Err(ApplyError::Overtaken { lo: batch.lo }),
            Err(Failure::Target(error)) => return Err(ApplyError::Target(error)),
        };
        commit(session, outcome, batch.commit).await
    }

    /// Begins the transaction and moves the range, in one round trip; looks into the quarantine on the way.
    async fn advance(&mut self, session: &Session, owner: Owner, batch: &Batch<'_>) -> Result<Held, Failure> {
        let tried = "moving the range";
        let [next, from_next, lo] = [batch.to.next, batch.from.next, batch.lo].map(bigint);
        let [(checksum, at), (from_checksum, from_at)] = [batch.to.digest, batch.from.digest].map(parts);
        let parameters: [(&(dyn ToSql + Sync), Type); 10] = [
            (&next, Type::INT8),
            (&checksum, Type::INT8),
            (&at, Type::INT8),
            (&owner.number, Type::INT4),
            (&lo, Type::INT8),
            (&from_next, Type::INT8),
            (&from_checksum, Type::INT8),
            (&from_at, Type::INT8),
            (&batch.writer.0, Type::UUID),
            (&owner.log_no, Type::INT4),
        ];
        let moved = session.begin_with(tried, &mut self.advance, &self.advance_sql, &parameters).await?;
        let row = moved.first().ok_or(Failure::Overtaken)?;
        let is_held: bool = row.try_get(0).map_err(|error| session.error(tried, error))?;
        Ok(if is_held { Held::Some } else { Held::None })
    }

    /// Writes the rows, and what becomes of the quarantine.
    async fn write(
        &mut self,
        session: &Session,
        provenance: Provenance<'_>,
        batch: &Batch<'_>,
        held: Held,
    ) -> Result<ApplyOutcome, TargetError> {
        let (log_no, entries, contents) = (provenance.log_no, batch.entries, batch.contents);
        let mut refusals = Refusals::new(Limit::SchemaError);
        refusals.add_unknown(entries, contents.unknown())?;
        let written = self.writers.write(session, provenance, entries, contents, &mut refusals).await?;
        let released = match held {
            Held::Some => quarantine::release(session, log_no, entries, &refusals).await?,
            Held::None => 0,
        };
        quarantine::keep(session, log_no, entries, &refusals).await?;
        let outcome = outcome(written, &refusals, released);
        if outcome.sent() == entries.len() as u64 { Ok(outcome) } else { Err(unbalanced(entries, outcome)) }
    }
}

fn outcome(written: Written, refusals: &Refusals, released: u64) -> ApplyOutcome {
    ApplyOutcome {
        inserted: written.inserted,
        present: written.present,
        conflicting: written.conflicting,
        quarantined: refusals.len() as u64,
        released,
    }
}

/// An event of which nobody knows what became of it: a bug of ours.
fn unbalanced(entries: &[Entry], outcome: ApplyOutcome) -> TargetError {
    let message = format!(
        "applying a batch: {} events were sent, {} are accounted for; nothing was applied, please report this",
        entries.len(),
        outcome.sent()
    );
    TargetError::new(ErrorKind::Fatal, message).at(entries.first().map(|entry| entry.position))
}

/// Why a batch was not written.
enum Failure {
    Overtaken,
    Target(TargetError),
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

async fn commit(
    session: &Session,
    outcome: ApplyOutcome,
    commit: Commit,
) -> Result<ApplyOutcome, ApplyError> {
    let tried = "committing a batch";
    let sql = match commit {
        Commit::Flushed => COMMIT_FLUSHED,
        // NOTE: what others commit beside it waits for the disk as it always did, and not for this.
        Commit::Buffered => "SET LOCAL synchronous_commit TO off; COMMIT",
    };
    match tokio::time::timeout(COMMIT_LIMIT, session.client().batch_execute(sql)).await {
        Ok(Ok(())) => Ok(outcome),
        Ok(Err(error)) if error::is_settled(&error) => Err(ApplyError::Target(session.error(tried, error))),
        Ok(Err(error)) => Err(ApplyError::Unsettled { outcome, source: session.error(tried, error) }),
        Err(_) => Err(ApplyError::Unsettled { outcome, source: error::timed_out(tried, COMMIT_LIMIT) }),
    }
}
