//! The copy of one table that was set aside, in pieces: a transaction takes the rows of some times, judges them,
//! inserts those that can be copied, and moves the adoption's row behind them. So whatever ends it, and whoever
//! goes on, every row is copied once.
//!
//! ```text
//! BEGIN
//! SELECT … FOR UPDATE             how far it is: another process may copy as well
//! CREATE TEMP TABLE … AS          the rows of the piece, judged and numbered
//! INSERT … ON CONFLICT            a row that is there already stays
//! SELECT count(*)                 that each key has a row now, where not every row was new
//! UPDATE tailwater_adoptions      how far it is, and the counts
//! COMMIT
//! ```
//!
//! The rows of one time are in one piece, however many they are, and so is everything with one key.

use event::Time;
use projector::{ErrorKind, TargetError};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::LONG_WORK;
use super::look::ADOPTIONS_TABLE;
use super::source::{Original, Window};
use crate::connect::Session;
use crate::merge::LOOKUP_SETTINGS;
use crate::tables::{Rule, Table};

/// The rows of a piece: a second of the server's work, during which a lane that needs a new chunk may wait.
const PIECE_ROWS: u64 = 100_000;
/// The days of a piece: each may need a chunk, and a chunk takes locks, which a server has few of.
const PIECE_DAYS: u64 = 50;

/// The temporary table of a piece.
const STAGE: &str = "pg_temp.tailwater_adopting";

/// A table whose copy goes on.
pub(super) struct Copying<'a> {
    session: &'a Session,
    original: &'a Original,
    target: &'static Table,
    kept_name: String,
    tried: String,
    /// Where pieces end.
    ends: Vec<Time>,
}

/// How far a copy is.
struct Cursor {
    log_no: i32,
    host: String,
    next_time: Time,
    next_position: i64,
}

/// What became of the rows of a piece.
#[derive(Default)]
struct Counts {
    rows: i64,
    copied: i64,
    present: i64,
    duplicates: i64,
    filled: i64,
}

impl<'a> Copying<'a> {
    /// Finds out where the pieces of what is left end.
    pub(super) async fn begin(
        session: &'a Session,
        original: &'a Original,
        target: &'static Table,
    ) -> Result<Self, TargetError> {
        let kept_name = original.source.kept_name();
        let tried = format!("copying {kept_name} into {}", original.source.name);
        let mut copying = Self { session, original, target, kept_name, tried, ends: Vec::new() };
        copying.ends = copying.find_ends().await?;
        Ok(copying)
    }

    async fn find_ends(&self) -> Result<Vec<Time>, TargetError> {
        self.start().await?;
        let Some(cursor) = self.cursor().await? else {
            self.run("COMMIT").await?;
            return Ok(Vec::new());
        };
        let left = Window { from: cursor.next_time, ..Window::ALL };
        let sql = format!(
            "SELECT DISTINCT (extract(epoch FROM min(\"time\")) * 1000000)::bigint AS first FROM (
                 SELECT \"time\", row_number() OVER (ORDER BY \"time\") AS row,
                     dense_rank() OVER (ORDER BY date_trunc('day', \"time\")) AS day
                 FROM ({}) AS judged
             ) AS numbered
             GROUP BY (row - 1) / {PIECE_ROWS}, (day - 1) / {PIECE_DAYS} ORDER BY first",
            self.original.judged(&self.kept_name, Some(left)),
        );
        let rows = self.query(&sql).await?;
        self.run("COMMIT").await?;
        let first = |row: &Row| self.get::<i64>(row, 0).map(Time::from_micros);
        // Where the first piece begins none ends.
        rows.iter().skip(1).map(first).collect()
    }

    /// How many pieces there are.
    pub(super) fn pieces(&self) -> u64 {
        self.ends.len() as u64 + 1
    }

    /// Copies one piece; `false` when there is none left.
    pub(super) async fn copy_piece(&self) -> Result<bool, TargetError> {
        self.start().await?;
        let Some(cursor) = self.cursor().await?.filter(|cursor| cursor.next_time < Window::ALL.to) else {
            self.run("COMMIT").await?;
            return Ok(false);
        };
        let end = self.ends.iter().find(|end| **end > cursor.next_time);
        let window = Window { from: cursor.next_time, to: end.copied().unwrap_or(Window::ALL.to) };
        self.run(&format!(
            "CREATE TEMP TABLE tailwater_adopting ON COMMIT DROP AS {}",
            self.original.staged(&self.kept_name, window)
        ))
        .await?;
        let mut counts = self.count().await?;
        counts.copied = self.insert(&cursor).await?;
        counts.present = counts.present.saturating_sub(counts.copied);
        // NOTE: the look costs as much as the insert, and where every row is new there is nothing to find.
        if counts.present > 0 {
            self.refuse_lost_rows(&cursor, window).await?;
        }
        self.note(&window, &counts).await?;
        self.run("COMMIT").await?;
        Ok(true)
    }

    /// The copy is done: what could not be copied is counted, once and over all rows, and the table marked.
    pub(super) async fn finish(&self) -> Result<(), TargetError> {
        self.start().await?;
        if self.cursor().await?.is_some() {
            let judged = self.original.judged(&self.kept_name, None);
            self.run(&format!(
                "WITH judged AS (SELECT reason, count(*) AS rows FROM ({judged}) AS judged GROUP BY reason)
                 UPDATE {ADOPTIONS_TABLE} SET finished_at = now(),
                     rows = (SELECT coalesce(sum(rows), 0) FROM judged),
                     refused = (SELECT coalesce(jsonb_object_agg(reason, rows), '{{}}') FROM judged
                                WHERE reason IS NOT NULL)
                 WHERE name = '{}'",
                self.original.source.name
            ))
            .await?;
        }
        self.run("COMMIT").await
    }

    async fn start(&self) -> Result<(), TargetError> {
        self.run(&format!("{}; {LONG_WORK}; {LOOKUP_SETTINGS}", self.session.begin_sql())).await
    }

    /// How far it is, and nobody else moves it now; `None` when it is finished.
    async fn cursor(&self) -> Result<Option<Cursor>, TargetError> {
        let sql = format!(
            "SELECT log_no, host, (extract(epoch FROM next_time) * 1000000)::bigint, next_position
             FROM {ADOPTIONS_TABLE} AS adoption JOIN tailwater_logs USING (log_no)
             WHERE name = '{}' AND finished_at IS NULL FOR UPDATE OF adoption",
            self.original.source.name
        );
        let rows = self.query(&sql).await?;
        let read = |row: &Row| {
            Ok(Cursor {
                log_no: self.get(row, 0)?,
                host: self.get(row, 1)?,
                next_time: Time::from_micros(self.get(row, 2)?),
                next_position: self.get(row, 3)?,
            })
        };
        rows.first().map(read).transpose()
    }

    /// Counts the rows of the stage; those that are to have a row of their key are `present` for now.
    async fn count(&self) -> Result<Counts, TargetError> {
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE {good}),
                 count(*) FILTER (WHERE reason IS NULL AND NOT ({good})),
                 count(*) FILTER (WHERE {good} AND is_filled)
             FROM {STAGE}",
            good = self.is_good(),
        );
        let rows = self.query(&sql).await?;
        let Some(row) = rows.first() else { return Ok(Counts::default()) };
        Ok(Counts {
            rows: self.get(row, 0)?,
            present: self.get(row, 1)?,
            duplicates: self.get(row, 2)?,
            filled: self.get(row, 3)?,
            copied: 0,
        })
    }

    /// Which rows of the stage are to be copied. Token usage of one key are several calls, and not one told twice.
    const fn is_good(&self) -> &'static str {
        match self.target.rule {
            Rule::Smaller => "reason IS NULL AND nth = 1",
            Rule::Snapshot => "reason IS NULL",
        }
    }

    /// NOTE: sorted by key, so that a lane that writes the same keys takes its locks in the same order.
    async fn insert(&self, cursor: &Cursor) -> Result<i64, TargetError> {
        let columns = self.original.source.columns().join(", ");
        let (message_column, message) = match self.target.rule {
            Rule::Smaller => ("", String::new()),
            Rule::Snapshot => ("message_id, ", format!("{MESSAGE_ID}, ")),
        };
        let sql = format!(
            "INSERT INTO {table} ({columns}, {message_column}host, log_no, position)
             SELECT {columns}, {message}$1, $2, $3 + place FROM {STAGE} WHERE {good}
             ORDER BY {key} ON CONFLICT ({conflict}) DO NOTHING",
            table = self.target.name,
            good = self.is_good(),
            key = self.ordered_key(),
            conflict = self.target.key.join(", "),
        );
        let before = cursor.next_position - 1;
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
            [(&cursor.host, Type::TEXT), (&cursor.log_no, Type::INT4), (&before, Type::INT8)];
        let copied = self.session.client().execute_typed(&sql, &parameters).await;
        let copied = copied.map_err(|error| self.session.error(&self.tried, error))?;
        Ok(i64::try_from(copied).unwrap_or(i64::MAX))
    }

    /// The key as the stage has it: the host is one for all.
    fn ordered_key(&self) -> String {
        let expression = |column: &&str| match *column {
            "host" => None,
            "message_id" => Some("nth".to_owned()),
            column => Some(format!("\"{column}\"")),
        };
        self.target.key.iter().filter_map(expression).collect::<Vec<_>>().join(", ")
    }

    /// NOTE: a trigger of the owner's may drop a row without a word, and servers had bugs that did.
    async fn refuse_lost_rows(&self, cursor: &Cursor, window: Window) -> Result<(), TargetError> {
        let meets = |column: &&str| match *column {
            "host" => "kept.host = $1".to_owned(),
            "message_id" => format!("kept.message_id = {MESSAGE_ID}"),
            column => format!("kept.\"{column}\" = staged.\"{column}\""),
        };
        let meets: Vec<String> = self.target.key.iter().map(meets).collect();
        let sql = format!(
            "SELECT count(*) FROM {STAGE} AS staged WHERE {good} AND NOT EXISTS (
                 SELECT FROM {table} AS kept WHERE {meets} AND kept.time >= '{from}' AND kept.time < '{to}')",
            good = self.is_good(),
            table = self.target.name,
            meets = meets.join(" AND "),
            from = window.from,
            to = window.to,
        );
        let rows = self.session.client().query_typed(&sql, &[(&cursor.host, Type::TEXT)]).await;
        let rows = rows.map_err(|error| self.session.error(&self.tried, error))?;
        match rows.first().map(|row| self.get::<i64>(row, 0)).transpose()?.unwrap_or_default() {
            0 => Ok(()),
            lost => {
                let message = format!(
                    "{}: the database drops {lost} rows without a word: look at the triggers of {}",
                    self.tried, self.target.name
                );
                Err(TargetError::new(ErrorKind::Fatal, message))
            }
        }
    }

    async fn note(&self, window: &Window, counts: &Counts) -> Result<(), TargetError> {
        let Counts { rows, copied, present, duplicates, filled } = counts;
        self.run(&format!(
            "UPDATE {ADOPTIONS_TABLE} SET next_time = '{}', next_position = next_position + {rows},
                 copied = copied + {copied}, present = present + {present},
                 duplicates = duplicates + {duplicates}, filled = filled + {filled}
             WHERE name = '{}'",
            window.to, self.original.source.name
        ))
        .await
    }

    async fn run(&self, sql: &str) -> Result<(), TargetError> {
        self.session.run(&self.tried, sql).await
    }

    async fn query(&self, sql: &str) -> Result<Vec<Row>, TargetError> {
        let rows = self.session.client().query_typed(sql, &[]).await;
        rows.map_err(|error| self.session.error(&self.tried, error))
    }

    fn get<T: tokio_postgres::types::FromSqlOwned>(&self, row: &Row, index: usize) -> Result<T, TargetError> {
        row.try_get(index).map_err(|error| self.session.error(&self.tried, error))
    }
}

/// The first of several calls of an agent and a model at one instant has no message id, as an event without one;
/// the others have a number.
const MESSAGE_ID: &str = "CASE nth WHEN 1 THEN '' ELSE 'bc:' || nth END";
