//! What the database holds of a log, in one transaction that sees one moment.
//!
//! No index leads from a position to its row, and none is worth its cost for every row that is ever written: a table is
//! read from end to end, by a binary COPY of what a comparison needs of each row. What has no row of its own is looked up
//! by key, with the statements of the way round ([`crate::merge`]), so by the very rule by which it was or was not written.

use std::pin::pin;
use std::time::Duration;

use event::{Entry, Kind, Position, Time};
use futures_util::StreamExt;
use projector::verify::{BLOCK_BITS, Row, RowsOf, Snapshot};
use projector::{ErrorKind, LogIdentity, Span, TargetError};
use tokio_postgres::types::Type;

use crate::apply::Writers;
use crate::claim::position;
use crate::connect::{Session, within};
use crate::copy::Pairs;
use crate::outside;
use crate::rows::Provenance;
use crate::tables::{TABLES, Table};
use crate::target::TimescaleTarget;

/// How long the server may send nothing, or work on one statement: a table is read from a disk that may be slow.
const STALL_LIMIT: Duration = Duration::from_secs(300);
/// How many rows are taken at once, where they are there: a deadline for each would cost more than the row.
const ROWS_READY_MAX: usize = 4_096;

const TRIED: &str = "reading the log's progress";

/// What the database holds of a log. Its session ends with the value.
pub struct TimescaleSnapshot {
    session: Session,
    log: LogIdentity,
    log_no: i32,
    writers: Writers,
}

impl TimescaleTarget {
    /// Takes a snapshot; `None` where the database has never seen the log. The schema is left as it is.
    ///
    /// # Errors
    /// Fatal when the schema is not up to date; otherwise as any connection.
    pub async fn snapshot(&self, log: &LogIdentity) -> Result<Option<TimescaleSnapshot>, TargetError> {
        let (session, Some(log_no)) = outside::open(self.url(), log, "verify").await? else {
            return Ok(None);
        };
        // NOTE: the moment is that of the first query, which must not be after somebody else's question.
        let begin = format!("{}; SELECT FROM tailwater_logs", session.begin_snapshot_sql());
        within(self.url().connect_timeout(), TRIED, session.run(TRIED, &begin)).await?;
        Ok(Some(TimescaleSnapshot { session, log: log.clone(), log_no, writers: Writers::default() }))
    }
}

/// The name of the table that events of a kind go to.
#[must_use]
pub fn table_of(kind: Kind) -> &'static str {
    table(kind).map_or("", |table| table.name)
}

fn table(kind: Kind) -> Option<&'static Table> {
    TABLES.into_iter().find(|table| table.kind == kind)
}

impl TimescaleSnapshot {
    /// The log's number in this database, which its rows carry.
    #[must_use]
    pub const fn log_no(&self) -> i32 {
        self.log_no
    }

    /// Lets go of the moment in order, which is kind to a pooler: a session that is left in a transaction is thrown away.
    ///
    /// # Errors
    /// When the session has ended.
    pub async fn close(self) -> Result<(), TargetError> {
        let tried = "letting go of the snapshot";
        within(STALL_LIMIT, tried, self.session.run(tried, "ROLLBACK")).await
    }

    /// The rows of a query about the log, which is `$1`.
    async fn query(&self, sql: &str) -> Result<Vec<tokio_postgres::Row>, TargetError> {
        let asking = async {
            let found = self.session.client().query_typed(sql, &[(&self.log_no, Type::INT4)]).await;
            found.map_err(|error| self.session.error(TRIED, error))
        };
        within(STALL_LIMIT, TRIED, asking).await
    }

    fn error(&self, error: tokio_postgres::Error) -> TargetError {
        self.session.error(TRIED, error)
    }

    /// NOTE: the shift is the one of [`Row::block`], for negative numbers too; a list of this length is hashed by the
    /// server, where as many ranges would be tried one after the other for each row.
    fn rows_sql(&self, table: &Table, rows: RowsOf<'_>) -> String {
        let of_blocks = match rows {
            RowsOf::All => String::new(),
            RowsOf::Blocks(blocks) => {
                let blocks: Vec<String> = blocks.iter().map(|block| block.0.to_string()).collect();
                format!(" AND position >> {BLOCK_BITS} = ANY ('{{{}}}'::bigint[])", blocks.join(","))
            }
        };
        format!(
            "COPY (SELECT position::bigint, time::timestamptz FROM {} WHERE log_no = {}{of_blocks}) \
             TO STDOUT (FORMAT binary)",
            table.name, self.log_no
        )
    }
}

impl Snapshot for TimescaleSnapshot {
    async fn ranges(&mut self) -> Result<Vec<Span>, TargetError> {
        let rows =
            self.query("SELECT lo, next, hi FROM tailwater_ranges WHERE log_no = $1 ORDER BY lo").await?;
        let span = |row: &tokio_postgres::Row| {
            let (lo, next, hi) = (row.try_get(0)?, row.try_get(1)?, row.try_get::<_, Option<i64>>(2)?);
            Ok(Span { lo: position(lo), next: position(next), hi: hi.map(position) })
        };
        rows.iter().map(|row| span(row).map_err(|error| self.error(error))).collect()
    }

    async fn quarantined(&mut self) -> Result<Vec<Position>, TargetError> {
        let rows = self.query("SELECT position FROM tailwater_quarantine WHERE log_no = $1").await?;
        rows.iter().map(|row| row.try_get(0).map(position).map_err(|error| self.error(error))).collect()
    }

    async fn rows(
        &mut self,
        kind: Kind,
        rows: RowsOf<'_>,
        tell: &mut (dyn FnMut(Row) + Send),
    ) -> Result<(), TargetError> {
        let Some(table) = table(kind) else { return Ok(()) };
        let tried = format!("reading {}", table.name);
        let error = |error| self.session.error(&tried, error);
        let malformed =
            || TargetError::new(ErrorKind::Fatal, format!("{tried}: this is no binary COPY of two columns"));
        let begun = async { self.session.copy_out(&self.rows_sql(table, rows)).await.map_err(error) };
        let mut stream = pin!(within(STALL_LIMIT, &tried, begun).await?.ready_chunks(ROWS_READY_MAX));
        let mut tell = |position: i64, time: Time| tell(Row { position, time });
        let mut pairs = Pairs::default();
        while let Some(ready) = within(STALL_LIMIT, &tried, async { Ok(stream.next().await) }).await? {
            for bytes in ready {
                pairs.read(&bytes.map_err(error)?, &mut tell).map_err(|_| malformed())?;
            }
        }
        if pairs.has_ended() { Ok(()) } else { Err(malformed()) }
    }

    async fn unexplained(&mut self, entries: &[Entry]) -> Result<Vec<Position>, TargetError> {
        let provenance = Provenance { log_no: self.log_no, host: self.log.host.as_str() };
        let looking = self.writers.look_up(&self.session, provenance, entries);
        within(STALL_LIMIT, "looking keys up", looking).await
    }

    async fn hold(&mut self) -> Result<(), TargetError> {
        self.query("SELECT $1").await.map(drop)
    }
}
