//! The claim: takes the live range for a writer, in a transaction of its own.

use event::Position;
use projector::{
    ClaimCheck, ClaimError, Cursor, Digest, Divergence, ErrorKind, LogIdentity, RangeState, TargetError,
    WriterId,
};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::connect::Session;

const TRIED: &str = "claiming the live range";

const FIND_LOG: &str = "SELECT log_no FROM tailwater_logs WHERE log_id = $1";
const ADD_LOG: &str =
    "INSERT INTO tailwater_logs (log_id, host) VALUES ($1, $2) ON CONFLICT (log_id) DO NOTHING";
/// Two that claim a new log at once meet at the index of live ranges: the later one makes nothing.
const ADD_RANGE: &str = "INSERT INTO tailwater_ranges (log_no, lo, next)
    SELECT $1, $2, $2 WHERE NOT EXISTS (SELECT FROM tailwater_ranges WHERE log_no = $1)
    ON CONFLICT DO NOTHING";
const LOCK_RANGE: &str = "SELECT lo, next, digest, digest_at, writer FROM tailwater_ranges
    WHERE log_no = $1 AND hi IS NULL FOR UPDATE";
const TAKE_RANGE: &str = "UPDATE tailwater_ranges
    SET writer = $3, backend = pg_backend_pid(), claimed_at = now(),
        backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
    WHERE log_no = $1 AND lo = $2";

/// A range that is now ours.
pub(crate) struct Claim {
    pub(crate) log_no: i32,
    pub(crate) range: RangeState,
}

/// Why a claim was given up; the transaction is still open.
pub(crate) enum Refusal {
    Diverged(Divergence),
    Target(TargetError),
}

impl From<TargetError> for Refusal {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl From<Refusal> for ClaimError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Diverged(divergence) => Self::Diverged(divergence),
            Refusal::Target(error) => Self::Target(error),
        }
    }
}

/// Claims the live range of `log`; makes it, beginning at `first`, where the log has no range.
pub(crate) async fn claim(
    session: &Session,
    log: &LogIdentity,
    writer: WriterId,
    first: Position,
    check: ClaimCheck<'_>,
) -> Result<Claim, Refusal> {
    session.run(TRIED, session.begin_sql()).await?;
    let log_no = log_no(session, log).await?;
    let lo = bigint(first.max(Position::FIRST));
    execute(session, ADD_RANGE, &[(&log_no, Type::INT4), (&lo, Type::INT8)]).await?;
    let row = query(session, LOCK_RANGE, &[(&log_no, Type::INT4)]).await?.ok_or_else(no_live_range)?;
    let range = range(&row).map_err(|error| session.error(TRIED, error))?;
    check(&range).map_err(Refusal::Diverged)?;
    let lo = bigint(range.lo);
    execute(session, TAKE_RANGE, &[(&log_no, Type::INT4), (&lo, Type::INT8), (&writer.0, Type::UUID)])
        .await?;
    session.run(TRIED, "COMMIT").await?;
    Ok(Claim { log_no, range })
}

/// The log's number, looked up anew: the database may have been restored, or made anew, since the last claim.
async fn log_no(session: &Session, log: &LogIdentity) -> Result<i32, TargetError> {
    let id = log.log_id.0;
    if let Some(row) = query(session, FIND_LOG, &[(&id, Type::UUID)]).await? {
        return row.try_get(0).map_err(|error| session.error(TRIED, error));
    }
    let host = log.host.as_str();
    execute(session, ADD_LOG, &[(&id, Type::UUID), (&host, Type::TEXT)]).await?;
    let row = query(session, FIND_LOG, &[(&id, Type::UUID)]).await?;
    let row =
        row.ok_or_else(|| TargetError::new(ErrorKind::Retry, format!("{TRIED}: the log's row vanished")))?;
    row.try_get(0).map_err(|error| session.error(TRIED, error))
}

fn no_live_range() -> TargetError {
    let message = format!("{TRIED}: the log has ranges in tailwater_ranges, but no live one (with hi NULL)");
    TargetError::new(ErrorKind::Fatal, message)
}

fn range(row: &Row) -> Result<RangeState, tokio_postgres::Error> {
    let digest: Option<i64> = row.try_get(2)?;
    let digest_at: Option<i64> = row.try_get(3)?;
    let writer: Option<Uuid> = row.try_get(4)?;
    let digest = digest.zip(digest_at).map(|(checksum, at)| Digest {
        // The table's CHECK keeps it within 32 bits.
        checksum: u32::try_from(checksum).unwrap_or(u32::MAX),
        at: position(at),
    });
    Ok(RangeState {
        lo: position(row.try_get(0)?),
        cursor: Cursor { next: position(row.try_get(1)?), digest },
        writer: writer.map(WriterId),
    })
}

/// A position as the database holds it. NOTE: a log of 2^63 events does not happen.
pub(crate) fn bigint(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

fn position(number: i64) -> Position {
    Position(u64::try_from(number).unwrap_or_default())
}

type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

async fn query(session: &Session, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>, TargetError> {
    let rows = session.client().query_typed(sql, parameters).await;
    Ok(rows.map_err(|error| session.error(TRIED, error))?.into_iter().next())
}

async fn execute(session: &Session, sql: &str, parameters: Parameters<'_>) -> Result<(), TargetError> {
    query(session, sql, parameters).await.map(drop)
}
