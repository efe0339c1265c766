//! Applies a batch: rows and progress in one transaction.
//!
//! ```text
//! BEGIN; UPDATE tailwater_ranges …          the compare-and-set, first of all: an overtaken lane ends here
//! for each table that the batch has rows for:
//!     SAVEPOINT; COPY into the table        straight: the usual way
//!     on a unique violation ROLLBACK TO     (token usage begins here)
//!     COPY into a temporary table; INSERT … ON CONFLICT by the table's rule
//! COMMIT
//! ```
//!
//! What each failure means: before COMMIT was sent nothing has changed, whatever happened. An ERROR from COMMIT
//! says the same. A session that ended between COMMIT and its answer says nothing: `Unsettled`, and the next
//! claim reads the progress row.

mod write;

use std::time::Duration;

use event::wire::Decoded;
use event::{Event, Kind, Position};
use projector::{ApplyError, ApplyOutcome, Batch, Entry, ErrorKind, LogIdentity, TargetError};
use tokio_postgres::types::{ToSql, Type};

use crate::claim::{bigint, parts};
use crate::connect::{Prepared, Session, within};
use crate::error;
use crate::rows::Provenance;
use crate::tables::TABLES;
use write::{Rows, TableWriter};

/// How long the statements of a batch may take together. Generous: a batch is tens of milliseconds of work, but
/// a disk can stall and a lock may be waited for, 10 s each time.
const APPLY_LIMIT: Duration = Duration::from_secs(300);
const COMMIT_LIMIT: Duration = Duration::from_secs(60);

const ADVANCE: &str = "UPDATE tailwater_ranges SET next = $1, digest = $2, digest_at = $3, applied_at = now()
    WHERE log_no = $4 AND lo = $5 AND next = $6 AND digest IS NOT DISTINCT FROM $7
      AND digest_at IS NOT DISTINCT FROM $8 AND writer = $9";

/// What a lane keeps from batch to batch: prepared statements, and which way each table goes.
pub(crate) struct Applier {
    advance: Prepared,
    writers: [TableWriter; TABLES.len()],
}

impl Default for Applier {
    fn default() -> Self {
        Self { advance: Prepared::default(), writers: TABLES.map(TableWriter::new) }
    }
}

impl Applier {
    /// Applies a batch. After an error the transaction may still be open.
    pub(crate) async fn apply(
        &mut self,
        session: &Session,
        log: &LogIdentity,
        log_no: i32,
        batch: &Batch<'_>,
    ) -> Result<ApplyOutcome, ApplyError> {
        let counts = Counts::of(batch.entries).map_err(ApplyError::Target)?;
        let provenance = Provenance { log_no, host: log.host.as_str() };
        let writing = async {
            self.advance(session, log_no, batch).await?;
            self.write(session, provenance, batch.entries, &counts).await.map_err(Failure::Target)
        };
        let inserted = match within(APPLY_LIMIT, "applying a batch", writing).await {
            Ok(inserted) => inserted,
            Err(Failure::Overtaken) => return Err(ApplyError::Overtaken { lo: batch.lo }),
            Err(Failure::Target(error)) => return Err(ApplyError::Target(error)),
        };
        let sent = u64::try_from(batch.entries.len()).unwrap_or(u64::MAX);
        let outcome =
            ApplyOutcome { inserted, present: sent.saturating_sub(inserted), ..ApplyOutcome::default() };
        commit(session, outcome).await
    }

    /// Begins the transaction and moves the range, in one round trip.
    async fn advance(&mut self, session: &Session, log_no: i32, batch: &Batch<'_>) -> Result<(), Failure> {
        let tried = "moving the range";
        let [next, from_next, lo] = [batch.to.next, batch.from.next, batch.lo].map(bigint);
        let [(checksum, at), (from_checksum, from_at)] = [batch.to.digest, batch.from.digest].map(parts);
        let parameters: [(&(dyn ToSql + Sync), Type); 9] = [
            (&next, Type::INT8),
            (&checksum, Type::INT8),
            (&at, Type::INT8),
            (&log_no, Type::INT4),
            (&lo, Type::INT8),
            (&from_next, Type::INT8),
            (&from_checksum, Type::INT8),
            (&from_at, Type::INT8),
            (&batch.writer.0, Type::UUID),
        ];
        let moved = session.begin_with(tried, &mut self.advance, ADVANCE, &parameters).await?;
        if moved == 1 { Ok(()) } else { Err(Failure::Overtaken) }
    }

    /// Writes the rows, table by table; returns how many are new.
    async fn write(
        &mut self,
        session: &Session,
        provenance: Provenance<'_>,
        entries: &[Entry],
        counts: &Counts,
    ) -> Result<u64, TargetError> {
        let mut inserted = 0;
        for writer in &mut self.writers {
            let kind = writer.kind();
            let count = counts.of_kind(kind);
            if count > 0 {
                inserted += writer.write(session, &Rows { entries, kind, provenance, count }).await?;
            }
        }
        Ok(inserted)
    }
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

async fn commit(session: &Session, outcome: ApplyOutcome) -> Result<ApplyOutcome, ApplyError> {
    let tried = "committing a batch";
    match tokio::time::timeout(COMMIT_LIMIT, session.client().batch_execute("COMMIT")).await {
        Ok(Ok(())) => Ok(outcome),
        Ok(Err(error)) if error::is_settled(&error) => Err(ApplyError::Target(session.error(tried, error))),
        Ok(Err(error)) => Err(ApplyError::Unsettled { outcome, source: session.error(tried, error) }),
        Err(_) => Err(ApplyError::Unsettled { outcome, source: error::timed_out(tried, COMMIT_LIMIT) }),
    }
}

/// How many events of each kind a batch has: counted in one pass, for the server waits meanwhile.
struct Counts([u64; Kind::ALL.len()]);

impl Counts {
    /// An event of a kind that has no table here must not get lost without a word.
    fn of(entries: &[Entry]) -> Result<Self, TargetError> {
        let mut counts = [0; Kind::ALL.len()];
        for entry in entries {
            let Some(event) = event_of(entry) else {
                let message = "its kind is not known to this version of tailwater";
                return Err(TargetError::new(ErrorKind::Fatal, message).at(Some(entry.position)));
            };
            if let Some(count) = counts.get_mut(Self::index(event.kind())) {
                *count += 1;
            }
        }
        Ok(Self(counts))
    }

    fn of_kind(&self, kind: Kind) -> u64 {
        self.0.get(Self::index(kind)).copied().unwrap_or_default()
    }

    /// Wire numbers are dense from 1.
    fn index(kind: Kind) -> usize {
        usize::from(kind.number()) - 1
    }
}

fn event_of(entry: &Entry) -> Option<&Event> {
    match &entry.event {
        Decoded::Event(event) => Some(event),
        Decoded::Unknown { .. } => None,
    }
}

/// The entries of one kind.
fn of_kind(entries: &[Entry], kind: Kind) -> impl Iterator<Item = (Position, &Event)> {
    entries
        .iter()
        .filter_map(|entry| event_of(entry).map(|event| (entry.position, event)))
        .filter(move |(_, event)| event.kind() == kind)
}
