//! Retention: what is older than a database shall keep goes, piece by piece, each in a short transaction of its own.
//!
//! ```text
//! hypertables     the chunks of one day of one table, the oldest first, by drop_chunks: whole chunks, compressed or not
//! plain tables    at most 10,000 rows, in the order in which they lie on the disk, by DELETE
//! ```
//!
//! Nobody waits for a piece for long, and a piece waits for nobody for long: a lock that is not to be had within a
//! second is Busy, and what is left of that table is for another pass; a row that somebody holds is passed over. So a
//! piece cannot be part of a deadlock for longer than that.
//!
//! NOTE: a plain table has no index on time, so each pass reads it once, 64 MiB at a time. A row that is expired may
//! still be there until all of its chunk is; nobody who reads is kept from it.

use std::collections::VecDeque;
use std::time::Duration;

use event::{LogId, Time};
use projector::{ErrorKind, TargetError};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::connect::{Session, application_name, within};
use crate::schema::{self, State};
use crate::tables::TABLES;
use crate::target::behind;
use crate::url::DatabaseUrl;

/// For every transaction, behind its BEGIN: how long it waits for a lock, and that a scan begins at its beginning.
const SETTINGS: &str = "SET LOCAL lock_timeout TO '1s'; SET LOCAL synchronize_seqscans TO off;
    SET LOCAL enable_seqscan TO off";
/// How long a transaction may take.
const PIECE_LIMIT: Duration = Duration::from_secs(60);
/// How many rows of a plain table go in one transaction: tens of milliseconds of work.
const ROWS_MAX: i64 = 10_000;
/// How much of a plain table one transaction looks at, in blocks of 8 KiB: 64 MiB.
const LOOK_BLOCKS: i64 = 8_192;

const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// The schema of the extension's functions; no row where it is not installed.
const FIND_EXTENSION: &str = "SELECT quote_ident(nspname) FROM pg_extension
    JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'timescaledb'";
const FIND_HYPERTABLES: &str = "SELECT hypertable_name::text FROM timescaledb_information.hypertables
    WHERE hypertable_schema = current_schema() AND hypertable_name = ANY ($1)";
/// Plain tables, with the parts that their owner may have given them, and their sizes in blocks.
const FIND_PARTS: &str = "WITH RECURSIVE parts (name, part) AS (
        SELECT name, to_regclass(quote_ident(name))::oid FROM unnest($1::text[]) AS name
        UNION ALL
        SELECT name, inhrelid FROM parts JOIN pg_inherits ON inhparent = part)
    SELECT name, format('%I.%I', nspname, relname),
        pg_relation_size(part) / current_setting('block_size')::bigint
    FROM parts JOIN pg_class ON pg_class.oid = part JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind = 'r' ORDER BY 1, 2";

/// What the clock of a database's server says.
///
/// # Errors
/// By [`TargetError::kind`], as any connection.
pub async fn server_time(url: &DatabaseUrl) -> Result<Time, TargetError> {
    time_of(&Session::open(url, "tailwater/clock").await?, url.connect_timeout()).await
}

/// What was dropped of a table: whole chunks where it is a hypertable, rows where it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its name.
    pub table: &'static str,
    /// How many chunks.
    pub chunks: u64,
    /// How many rows.
    pub rows: u64,
}

/// A pass over the tables of a database, on a session of its own.
pub struct Retention {
    session: Session,
    limit: Duration,
    before: Time,
    /// The schema of the extension's functions; empty where there are no hypertables.
    functions: String,
    pieces: VecDeque<Piece>,
}

/// What is left to do.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// Chunks of a hypertable that end at this time.
    Chunks { table: &'static str, end: Time },
    /// The blocks of a plain table's part from one to before another.
    Rows { table: &'static str, part: String, from: i64, to: i64 },
}

impl Piece {
    const fn table(&self) -> &'static str {
        match self {
            Self::Chunks { table, .. } | Self::Rows { table, .. } => table,
        }
    }
}

impl Retention {
    /// Connects. The log only gives the session its name.
    ///
    /// # Errors
    /// Fatal when the schema is not ours or not up to date; otherwise as any connection.
    pub async fn open(url: &DatabaseUrl, log: &LogId) -> Result<Self, TargetError> {
        let session = Session::open(url, &application_name(log, "retention")).await?;
        let limit = url.connect_timeout();
        match schema::state(&session, &schema::migrator(), limit).await? {
            State::Current => {}
            State::Behind(pending) => return Err(behind(pending.len())),
            State::Refused(error) => return Err(error),
        }
        let (before, functions, pieces) = (Time::default(), String::new(), VecDeque::new());
        Ok(Self { session, limit, before, functions, pieces })
    }

    /// What the clock of the server says.
    ///
    /// # Errors
    /// By [`TargetError::kind`].
    pub async fn server_time(&self) -> Result<Time, TargetError> {
        time_of(&self.session, self.limit).await
    }

    /// Begins a pass: finds what there may be to drop of events before this time.
    ///
    /// # Errors
    /// By [`TargetError::kind`].
    pub async fn begin(&mut self, before: Time) -> Result<(), TargetError> {
        let tried = "looking for what has expired";
        let (functions, pieces) = transaction(&self.session, tried, find(&self.session, before)).await?;
        (self.before, self.functions, self.pieces) = (before, functions, pieces);
        Ok(())
    }

    /// Drops the next piece and tells what it was, maybe nothing; `None` when the pass is over.
    ///
    /// # Errors
    /// Busy when somebody holds what would be dropped: the rest of that table is left to another pass, the other
    /// tables can go on. Otherwise by [`TargetError::kind`].
    pub async fn drop_next(&mut self) -> Result<Option<Dropped>, TargetError> {
        let Some(piece) = self.pieces.pop_front() else { return Ok(None) };
        let table = piece.table();
        let tried = format!("dropping what has expired from {table}");
        let done = match piece {
            Piece::Chunks { end, .. } => {
                transaction(&self.session, &tried, self.drop_chunks(&tried, table, end)).await
            }
            Piece::Rows { part, from, to, .. } => {
                let deleting = self.delete(&tried, &part, from, to);
                let deleted = transaction(&self.session, &tried, deleting).await;
                deleted.map(|(rows, next)| {
                    if next < to {
                        self.pieces.push_front(Piece::Rows { table, part, from: next, to });
                    }
                    Dropped { table, chunks: 0, rows }
                })
            }
        };
        if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::Busy) {
            self.pieces.retain(|piece| piece.table() != table);
        }
        done.map(Some)
    }

    async fn drop_chunks(&self, tried: &str, table: &'static str, end: Time) -> Result<Dropped, TargetError> {
        let functions = &self.functions;
        let sql = format!(
            "SELECT count(*) FROM {functions}.drop_chunks('{table}'::regclass, older_than => TIMESTAMPTZ '{end}')"
        );
        let rows = query(&self.session, tried, &sql, &[]).await?;
        let chunks = rows.first().map(|row| get::<i64>(&self.session, tried, row, 0)).transpose()?;
        Ok(Dropped { table, chunks: unsigned(chunks.unwrap_or_default()), rows: 0 })
    }

    /// Deletes old rows of a part that lie in these blocks; tells how many, and the block to go on from.
    ///
    /// NOTE: a row that somebody has locked is passed over, as is one that moved meanwhile: the next pass finds it.
    async fn delete(&self, tried: &str, part: &str, from: i64, to: i64) -> Result<(u64, i64), TargetError> {
        let end = to.min(from.saturating_add(LOOK_BLOCKS));
        let before = self.before;
        let sql = format!(
            "WITH old AS MATERIALIZED (
                SELECT ctid AS place FROM ONLY {part}
                WHERE ctid >= '({from},0)' AND ctid < '({end},0)' AND time < TIMESTAMPTZ '{before}'
                LIMIT {ROWS_MAX} FOR UPDATE SKIP LOCKED),
            gone AS (DELETE FROM ONLY {part} WHERE ctid = ANY (ARRAY(SELECT place FROM old)) RETURNING 1)
            SELECT (SELECT count(*) FROM gone), count(*), (max(place)::text::point)[0]::bigint FROM old"
        );
        let rows = query(&self.session, tried, &sql, &[]).await?;
        let Some(row) = rows.first() else { return Ok((0, end)) };
        let (deleted, found): (i64, i64) =
            (get(&self.session, tried, row, 0)?, get(&self.session, tried, row, 1)?);
        let last: Option<i64> = get(&self.session, tried, row, 2)?;
        // A block has fewer rows than a transaction takes, so the last one is behind the first.
        let next = last.filter(|last| found == ROWS_MAX && *last > from).unwrap_or(end);
        Ok((unsigned(deleted), next))
    }
}

async fn time_of(session: &Session, limit: Duration) -> Result<Time, TargetError> {
    let tried = "asking for the server's time";
    let asked = async {
        let rows = query(session, tried, CLOCK, &[]).await?;
        let micros = rows.first().map(|row| get(session, tried, row, 0)).transpose()?;
        Ok(Time::from_micros(micros.unwrap_or_default()))
    };
    within(limit, tried, asked).await
}

/// What there may be to drop, and the schema of the function that drops chunks.
async fn find(session: &Session, before: Time) -> Result<(String, VecDeque<Piece>), TargetError> {
    let tried = "looking for what has expired";
    let mut plain: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    let mut pieces = VecDeque::new();
    let found = query(session, tried, FIND_EXTENSION, &[]).await?;
    let functions = found.first().map(|row| get(session, tried, row, 0)).transpose()?.unwrap_or_default();
    if !found.is_empty() {
        let hypertables = names(session, tried, &plain).await?;
        let (with_chunks, without) = plain.iter().partition(|name| hypertables.iter().any(|it| it == *name));
        plain = without;
        pieces = chunks(session, tried, with_chunks, before).await?;
    }
    for row in query(session, tried, FIND_PARTS, &[(&plain, Type::TEXT_ARRAY)]).await? {
        let part = get(session, tried, &row, 1)?;
        let to = get(session, tried, &row, 2)?;
        if let Some(table) = table(get(session, tried, &row, 0)?).filter(|_| to > 0) {
            pieces.push_back(Piece::Rows { table, part, from: 0, to });
        }
    }
    Ok((functions, pieces))
}

/// Which of these tables are hypertables.
async fn names(session: &Session, tried: &str, tables: &[&str]) -> Result<Vec<String>, TargetError> {
    let rows = query(session, tried, FIND_HYPERTABLES, &[(&tables, Type::TEXT_ARRAY)]).await?;
    rows.iter().map(|row| get(session, tried, row, 0)).collect()
}

/// The days of these hypertables whose chunks end before this time, the oldest first.
async fn chunks(
    session: &Session,
    tried: &str,
    tables: Vec<&str>,
    before: Time,
) -> Result<VecDeque<Piece>, TargetError> {
    let sql = format!(
        "SELECT hypertable_name::text, (extract(epoch FROM range_end) * 1000000)::bigint AS ends
         FROM timescaledb_information.chunks
         WHERE hypertable_schema = current_schema() AND hypertable_name = ANY ($1)
             AND isfinite(range_end) AND range_end <= TIMESTAMPTZ '{before}'
         GROUP BY 1, 2 ORDER BY 2, 1"
    );
    let mut pieces = VecDeque::new();
    for row in query(session, tried, &sql, &[(&tables, Type::TEXT_ARRAY)]).await? {
        let end = Time::from_micros(get(session, tried, &row, 1)?);
        if let Some(table) = table(get(session, tried, &row, 0)?) {
            pieces.push_back(Piece::Chunks { table, end });
        }
    }
    Ok(pieces)
}

fn table(name: &str) -> Option<&'static str> {
    TABLES.iter().map(|table| table.name).find(|it| *it == name)
}

/// Does `work` in a transaction. When it fails, the session is out of it again or of no more use.
async fn transaction<T>(
    session: &Session,
    tried: &str,
    work: impl Future<Output = Result<T, TargetError>>,
) -> Result<T, TargetError> {
    let working = async {
        session.run(tried, &format!("{}; {SETTINGS}", session.begin_sql())).await?;
        let done = work.await?;
        session.run(tried, "COMMIT").await?;
        Ok(done)
    };
    let done = within(PIECE_LIMIT, tried, working).await;
    if done.is_err() {
        // NOTE: where both fail the first error is the reason.
        let _ = within(PIECE_LIMIT, tried, session.roll_back(tried, "ROLLBACK")).await;
    }
    done
}

async fn query(
    session: &Session,
    tried: &str,
    sql: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Row>, TargetError> {
    session.client().query_typed(sql, parameters).await.map_err(|error| session.error(tried, error))
}

fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
    session: &Session,
    tried: &str,
    row: &'a Row,
    column: usize,
) -> Result<T, TargetError> {
    row.try_get(column).map_err(|error| session.error(tried, error))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
