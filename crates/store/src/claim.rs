//! The claim: takes a range for a writer, in a transaction of its own.
//!
//! ```text
//! BEGIN
//! look the log's number up, add it         anew each time: the database may be another one by now
//! the same of a replay                     where the ledger is a replay's
//! SELECT … FOR UPDATE                      the wanted range
//! DELETE … RETURNING                       neighbours that it merges with
//! judge                                    may abandon the claim, or cut the range
//! UPDATE, and INSERT of what was cut off   the writer, the backend
//! COMMIT
//! ```
//!
//! Two lanes of one projector never want the same range; two projectors do, and wait for each other's row.

use event::Position;
use projector::{
    Claim, ClaimError, Claimed, Cursor, Digest, ErrorKind, LogIdentity, RangeState, Refusal, TargetError,
    Wanted, WriterId,
};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::connect::{COMMIT_FLUSHED, Link, Session};
use crate::ledger::{Ledger, Owner};
use crate::predecessor::{Ended, end_predecessor};

pub(crate) const TRIED: &str = "claiming a range";

/// NOTE: whoever holds a range's row longer than this is ended, where it is a dead predecessor of ours, or waited
/// for once more.
const PATIENCE: &str = "SET LOCAL lock_timeout = '2s'";
pub(crate) const FIND_LOG: &str = "SELECT log_no FROM tailwater_logs WHERE log_id = $1";
const ADD_LOG: &str =
    "INSERT INTO tailwater_logs (log_id, host) VALUES ($1, $2) ON CONFLICT (log_id) DO NOTHING";
/// Two that claim a new log at once meet at the index of live ranges: the later one makes nothing.
const ADD_RANGE: &str = "INSERT INTO tailwater_ranges (log_no, lo, next)
    SELECT $1, $2, $2 WHERE NOT EXISTS (SELECT FROM tailwater_ranges WHERE log_no = $1)
    ON CONFLICT DO NOTHING";
const HAS_NO_LIVE_ONE: &str =
    "SELECT count(*) > 0 AND count(*) FILTER (WHERE hi IS NULL) = 0 FROM tailwater_ranges WHERE log_no = $1";
const COLUMNS: &str = "lo, next, digest, digest_at, writer, hi, applied_at";
/// One that is finished and ends where ours begins. NOTE: a neighbour that somebody holds is left for a later claim:
/// a dead backend that has it must not keep us from our own.
const MERGE_BELOW: &str = "DELETE FROM {ranges} WHERE {owner} = $1 AND lo = (
        SELECT lo FROM {ranges}
        WHERE {owner} = $1 AND hi = $2 AND next = hi AND lo <> ALL ($3) FOR UPDATE SKIP LOCKED)
    RETURNING lo, digest, digest_at";
/// One that begins where ours ends, and of which nothing is applied.
const MERGE_ABOVE: &str = "DELETE FROM {ranges} WHERE {owner} = $1 AND lo = (
        SELECT lo FROM {ranges}
        WHERE {owner} = $1 AND lo = $2 AND next = lo AND hi IS NOT NULL AND lo <> ALL ($3) FOR UPDATE SKIP LOCKED)
    RETURNING hi";
/// NOTE: who claimed it before holds it no more; what is cut off must not be known as that one's, who goes on.
const RESHAPE: &str = "UPDATE {ranges}
    SET lo = $3, hi = $4, digest = $5, digest_at = $6, backend = NULL, backend_start = NULL
    WHERE {owner} = $1 AND lo = $2";
const ADD_CUT: &str = "INSERT INTO {ranges} ({owner}, lo, next, hi, digest, digest_at)
    VALUES ($1, $2, $2, $3, $4, $5)";
/// NOTE: a pooler's backend is everybody's, and not noted.
const TAKE: &str = "UPDATE {ranges}
    SET writer = $3, claimed_at = now(), backend = CASE WHEN $4 THEN pg_backend_pid() END,
        backend_start = (SELECT backend_start FROM pg_stat_activity WHERE $4 AND pid = pg_backend_pid())
    WHERE {owner} = $1 AND lo = $2";
const QUARANTINED: &str = "SELECT count(*) FROM tailwater_quarantine WHERE log_no = $1";

/// A range that is now ours.
pub(crate) struct Taken {
    pub(crate) owner: Owner,
    pub(crate) claimed: Claimed,
}

/// Why a claim was given up; the transaction is still open.
pub(crate) enum Failure {
    Refused(Refusal),
    /// Somebody holds the range's row.
    Blocked(TargetError),
    Target(TargetError),
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl From<Failure> for ClaimError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Blocked(error) | Failure::Target(error) => Self::Target(error),
        }
    }
}

/// Claims a range of `log`; `None` when there is none of those wanted, and nothing has changed.
pub(crate) async fn claim(
    session: &Session,
    log: &LogIdentity,
    ledger: &Ledger,
    claim: &Claim<'_>,
) -> Result<Option<Taken>, Failure> {
    session.run(TRIED, &format!("{}; {PATIENCE}", session.begin_sql())).await?;
    let log_no = log_no(session, log).await?;
    let owner = ledger.owner(session, log_no).await?;
    let table = Ranges { session, ledger, owner, busy: claim.busy.iter().copied().map(bigint).collect() };
    let Some(found) = table.find(claim.wanted).await? else {
        ledger.nothing_found(session, owner, claim.wanted).await?;
        return Ok(None);
    };
    let mut range = found;
    table.merge_below(&mut range).await?;
    table.merge_above(&mut range).await?;
    let cut = (claim.judge)(&range).map_err(Failure::Refused)?;
    let range = table.cut(&found, range, cut).await?;
    table.take(range.lo, claim.writer).await?;
    let (ranges, quarantined) = (table.all().await?, table.quarantined().await?);
    session.run(TRIED, COMMIT_FLUSHED).await?;
    let range = RangeState { writer: Some(claim.writer), ..range };
    Ok(Some(Taken { owner, claimed: Claimed { found, range, ranges, quarantined } }))
}

/// The ranges of one owner, in a transaction.
struct Ranges<'a> {
    session: &'a Session,
    ledger: &'a Ledger,
    owner: Owner,
    busy: Vec<i64>,
}

impl Ranges<'_> {
    /// The wanted range, locked.
    async fn find(&self, wanted: Wanted) -> Result<Option<RangeState>, Failure> {
        match wanted {
            Wanted::Live { first } => {
                let lo = bigint(first.max(Position::FIRST));
                loop {
                    let parameters: Parameters<'_> = &[(&self.owner.number, Type::INT4), (&lo, Type::INT8)];
                    execute(self.session, ADD_RANGE, parameters).await?;
                    let found = self.lock("hi IS NULL AND $2::bigint[] IS NOT NULL", "").await?;
                    if found.is_some() {
                        return Ok(found);
                    }
                    // NOTE: whoever had the row may have cut it, or taken all progress away: only a statement that
                    // begins later sees what there is now.
                    if self.has_no_live_one().await? {
                        return Err(no_live_range().into());
                    }
                }
            }
            Wanted::This { lo } => {
                let condition =
                    format!("lo = {} AND hi IS NOT NULL AND $2::bigint[] IS NOT NULL", bigint(lo));
                Ok(self.lock(&condition, "").await?)
            }
            Wanted::Oldest => {
                let open = "hi IS NOT NULL AND next < hi AND lo <> ALL ($2)";
                // NOTE: one that a dead backend still holds comes last, so that the others get on.
                match self.lock(open, "SKIP LOCKED").await? {
                    Some(found) => Ok(Some(found)),
                    None => Ok(self.lock(open, "").await?),
                }
            }
        }
    }

    /// Whether the log has ranges, and none of them is live.
    async fn has_no_live_one(&self) -> Result<bool, TargetError> {
        let row = query(self.session, HAS_NO_LIVE_ONE, &[(&self.owner.number, Type::INT4)]).await?;
        row.map_or(Ok(false), |row| row.try_get(0)).map_err(|error| self.session.error(TRIED, error))
    }

    async fn lock(&self, condition: &str, how: &str) -> Result<Option<RangeState>, Failure> {
        let sql = self.ledger.sql(&format!(
            "SELECT {COLUMNS} FROM {{ranges}} WHERE {{owner}} = $1 AND {condition}
             ORDER BY lo LIMIT 1 FOR UPDATE {how}"
        ));
        let parameters: Parameters<'_> = &[(&self.owner.number, Type::INT4), (&self.busy, Type::INT8_ARRAY)];
        let rows = self.session.client().query_typed(&sql, parameters).await.map_err(|error| {
            let is_blocked = error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE);
            let error = self.session.error(TRIED, error);
            if is_blocked { Failure::Blocked(error) } else { Failure::Target(error) }
        })?;
        let read = |row: &Row| range(row).map_err(|error| self.session.error(TRIED, error));
        Ok(rows.first().map(read).transpose()?)
    }

    async fn merge_below(&self, range: &mut RangeState) -> Result<(), TargetError> {
        while let Some(row) = self.delete(MERGE_BELOW, range.lo).await? {
            let read = || Ok((position(row.try_get(0)?), digest(&row, 1)?));
            let (lo, last) = read().map_err(|error| self.session.error(TRIED, error))?;
            range.lo = lo;
            range.cursor.digest = range.cursor.digest.or(last);
        }
        Ok(())
    }

    async fn merge_above(&self, range: &mut RangeState) -> Result<(), TargetError> {
        while let Some(hi) = range.hi {
            let Some(row) = self.delete(MERGE_ABOVE, hi).await? else { break };
            let above: i64 = row.try_get(0).map_err(|error| self.session.error(TRIED, error))?;
            range.hi = Some(position(above));
        }
        Ok(())
    }

    async fn delete(&self, sql: &str, at: Position) -> Result<Option<Row>, TargetError> {
        let at = bigint(at);
        let parameters: Parameters<'_> =
            &[(&self.owner.number, Type::INT4), (&at, Type::INT8), (&self.busy, Type::INT8_ARRAY)];
        query(self.session, &self.ledger.sql(sql), parameters).await
    }

    /// Writes the range's new shape, and what was cut off; gives the part that is claimed.
    ///
    /// NOTE: the part of a live range before the cut keeps its writer, so that a batch of which nobody knows
    /// whether it was committed can still be told by it.
    async fn cut(
        &self,
        found: &RangeState,
        range: RangeState,
        cut: Option<Cursor>,
    ) -> Result<RangeState, TargetError> {
        let Some(cut) = cut else {
            self.reshape(found.lo, &range).await?;
            return Ok(range);
        };
        let below = RangeState { hi: Some(cut.next), ..range };
        let above = RangeState { lo: cut.next, cursor: cut, writer: None, applied_at: None, ..range };
        self.reshape(found.lo, &below).await?;
        let (lo, hi) = (bigint(above.lo), above.hi.map(bigint));
        let (checksum, at) = parts(cut.digest);
        let parameters: Parameters<'_> = &[
            (&self.owner.number, Type::INT4),
            (&lo, Type::INT8),
            (&hi, Type::INT8),
            (&checksum, Type::INT8),
            (&at, Type::INT8),
        ];
        execute(self.session, &self.ledger.sql(ADD_CUT), parameters).await?;
        Ok(if range.hi.is_none() { above } else { below })
    }

    async fn reshape(&self, name: Position, range: &RangeState) -> Result<(), TargetError> {
        let (name, lo, hi) = (bigint(name), bigint(range.lo), range.hi.map(bigint));
        let (checksum, at) = parts(range.cursor.digest);
        let parameters: Parameters<'_> = &[
            (&self.owner.number, Type::INT4),
            (&name, Type::INT8),
            (&lo, Type::INT8),
            (&hi, Type::INT8),
            (&checksum, Type::INT8),
            (&at, Type::INT8),
        ];
        execute(self.session, &self.ledger.sql(RESHAPE), parameters).await
    }

    async fn take(&self, lo: Position, writer: WriterId) -> Result<(), TargetError> {
        let (lo, is_direct) = (bigint(lo), self.session.link() == Link::Direct);
        let parameters: Parameters<'_> = &[
            (&self.owner.number, Type::INT4),
            (&lo, Type::INT8),
            (&writer.0, Type::UUID),
            (&is_direct, Type::BOOL),
        ];
        execute(self.session, &self.ledger.sql(TAKE), parameters).await
    }

    async fn all(&self) -> Result<Vec<RangeState>, TargetError> {
        let sql = format!("SELECT {COLUMNS} FROM {{ranges}} WHERE {{owner}} = $1 ORDER BY lo");
        let sql = self.ledger.sql(&sql);
        let rows = self.session.client().query_typed(&sql, &[(&self.owner.number, Type::INT4)]).await;
        let rows = rows.map_err(|error| self.session.error(TRIED, error))?;
        rows.iter().map(range).collect::<Result<_, _>>().map_err(|error| self.session.error(TRIED, error))
    }

    async fn quarantined(&self) -> Result<u64, TargetError> {
        let row = query(self.session, QUARANTINED, &[(&self.owner.log_no, Type::INT4)]).await?;
        let count: i64 =
            row.map_or(Ok(0), |row| row.try_get(0)).map_err(|error| self.session.error(TRIED, error))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

/// Ends the backend that keeps the wanted range from us, where it is a dead one of this log's.
///
/// IMPORTANT: of the oldest ranges those are left out that other lanes of this projector work: they are well, and look
/// the same.
pub(crate) async fn unblock(
    session: &Session,
    log: &LogIdentity,
    ledger: &Ledger,
    claim: &Claim<'_>,
) -> Result<(), TargetError> {
    // NOTE: before anything is asked: outside a transaction a pooled session has whatever settings others left in it.
    if session.link() == Link::Pooled {
        return Ok(());
    }
    let condition = match claim.wanted {
        Wanted::Live { .. } => "hi IS NULL".to_owned(),
        Wanted::This { lo } => format!("lo = {}", bigint(lo)),
        Wanted::Oldest => "hi IS NOT NULL AND next < hi AND lo <> ALL ($2)".to_owned(),
    };
    let busy: Vec<i64> = claim.busy.iter().copied().map(bigint).collect();
    let sql = ledger.sql(&format!(
        "SELECT {{owner}}, lo FROM {{ranges}}
         WHERE {{owner}} = (SELECT {{owner}} FROM {{owners}} WHERE {{id}} = $1) AND $2::bigint[] IS NOT NULL AND {condition} ORDER BY lo LIMIT 1"
    ));
    let id = ledger.owner_id(log);
    let parameters: Parameters<'_> = &[(&id, Type::UUID), (&busy, Type::INT8_ARRAY)];
    let Some(row) = query(session, &sql, parameters).await? else { return Ok(()) };
    let read = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?));
    let (owner, lo) = read(&row).map_err(|error| session.error(TRIED, error))?;
    match end_predecessor(session, &log.log_id, ledger, owner, lo).await? {
        Ended::Gone(pid) | Ended::Told(pid) => {
            tracing::info!(pid, lo, "ended a dead session of this log's that still held the range");
        }
        Ended::Pooled | Ended::Nobody | Ended::NotPermitted => {}
    }
    Ok(())
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

/// The columns of [`COLUMNS`].
fn range(row: &Row) -> Result<RangeState, tokio_postgres::Error> {
    let writer: Option<Uuid> = row.try_get(4)?;
    let hi: Option<i64> = row.try_get(5)?;
    Ok(RangeState {
        lo: position(row.try_get(0)?),
        cursor: Cursor { next: position(row.try_get(1)?), digest: digest(row, 2)? },
        hi: hi.map(position),
        writer: writer.map(WriterId),
        applied_at: row.try_get(6)?,
    })
}

/// The columns `digest` and `digest_at`, at these places.
fn digest(row: &Row, column: usize) -> Result<Option<Digest>, tokio_postgres::Error> {
    let (checksum, at): (Option<i64>, Option<i64>) = (row.try_get(column)?, row.try_get(column + 1)?);
    Ok(checksum.zip(at).map(|(checksum, at)| Digest {
        // The table's CHECK keeps it within 32 bits.
        checksum: u32::try_from(checksum).unwrap_or(u32::MAX),
        at: position(at),
    }))
}

/// A digest as its two columns.
pub(crate) fn parts(digest: Option<Digest>) -> (Option<i64>, Option<i64>) {
    (digest.map(|it| i64::from(it.checksum)), digest.map(|it| bigint(it.at)))
}

/// A position as the database holds it. NOTE: a log of 2^63 events does not happen.
pub(crate) fn bigint(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

/// Back from there.
pub(crate) fn position(number: i64) -> Position {
    Position(u64::try_from(number).unwrap_or_default())
}

pub(crate) type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

pub(crate) async fn query(
    session: &Session,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<Option<Row>, TargetError> {
    let rows = session.client().query_typed(sql, parameters).await;
    Ok(rows.map_err(|error| session.error(TRIED, error))?.into_iter().next())
}

pub(crate) async fn execute(
    session: &Session,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<(), TargetError> {
    query(session, sql, parameters).await.map(drop)
}
