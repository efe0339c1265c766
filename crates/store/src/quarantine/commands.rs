//! What an operator does with the quarantine: look, try again, give up. Only one log's events are touched.

use std::ops::RangeInclusive;
use std::time::Duration;

use event::wire::{self, Decoded};
use event::{LogId, Position, Time};
use projector::{Entry, ErrorKind, LogIdentity, TargetError};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::Limit;
use super::keep::Parameter;
use crate::apply::Writers;
use crate::claim::{bigint, position};
use crate::connect::{Session, within};
use crate::outside;
use crate::rows::Provenance;
use crate::target::TimescaleTarget;

/// How many events are tried in one transaction; a record may be 64 KiB.
const PAGE: i64 = 500;

/// How long the statements of a transaction may take together.
const PAGE_LIMIT: Duration = Duration::from_secs(300);

const TRIED: &str = "reading the quarantine";
const COLUMNS: &str = "position, kind, sqlstate, message, (extract(epoch FROM at) * 1000000)::bigint";
const MATCHES: &str = "log_no = $1 AND position BETWEEN $2 AND $3
    AND ($4::text IS NULL OR kind = $4) AND ($5::text IS NULL OR sqlstate = $5)";

/// Which events of a log's quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineFilter {
    /// Their positions.
    pub positions: RangeInclusive<Position>,
    /// The name of their kind, or `unknown(9)`; `None` is every kind.
    pub kind: Option<String>,
    /// The SQLSTATE that they were refused with; `None` is every one.
    pub sqlstate: Option<String>,
}

impl Default for QuarantineFilter {
    /// All of them.
    fn default() -> Self {
        Self { positions: Position::FIRST..=Position(u64::MAX), kind: None, sqlstate: None }
    }
}

/// An event in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Its position.
    pub position: Position,
    /// The name of its kind, or `unknown(9)`.
    pub kind: String,
    /// Why it was refused last.
    pub sqlstate: String,
    /// What the database said then, in one line.
    pub message: String,
    /// When that was.
    pub at: Time,
    /// Its log.
    pub log_id: LogId,
    /// That log's host.
    pub host: String,
}

/// Whether a retry is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryMode {
    /// Yes.
    Run,
    /// No: everything is tried and rolled back.
    DryRun,
}

/// Whether events are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropMode {
    /// Yes.
    Run,
    /// No: they are counted.
    DryRun,
}

/// What a retry did: `tried = inserted + present + refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOutcome {
    /// Events that were tried.
    pub tried: u64,
    /// Events that made a new row; they have left the quarantine.
    pub inserted: u64,
    /// Events whose key has a row; they have left the quarantine.
    pub present: u64,
    /// Those of `present` whose content is not that of the row.
    pub conflicting: u64,
    /// Events that stay, with the newest reason.
    pub refused: u64,
}

impl RetryOutcome {
    /// How many have left the quarantine.
    #[must_use]
    pub const fn landed(&self) -> u64 {
        self.inserted + self.present
    }

    fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.inserted += other.inserted;
        self.present += other.present;
        self.conflicting += other.conflicting;
        self.refused += other.refused;
    }
}

/// The quarantine of one log, on a session of its own.
pub struct Quarantine {
    session: Session,
    log: LogIdentity,
    /// `None` where the database has never seen the log.
    log_no: Option<i32>,
    writers: Writers,
}

impl TimescaleTarget {
    /// Opens the quarantine of a log. The schema is left as it is.
    ///
    /// # Errors
    /// Fatal when the schema is not up to date; otherwise as any connection.
    pub async fn quarantine(&self, log: &LogIdentity) -> Result<Quarantine, TargetError> {
        let (session, log_no) = outside::open(self.url(), log, "quarantine").await?;
        Ok(Quarantine { session, log: log.clone(), log_no, writers: Writers::default() })
    }
}

impl Quarantine {
    /// How many events it has.
    ///
    /// # Errors
    /// By [`TargetError::kind`].
    pub async fn count(&self) -> Result<u64, TargetError> {
        self.count_of(&QuarantineFilter::default()).await
    }

    /// The first `events_max` of these events, by position. Ask for more from behind the last one's position.
    ///
    /// # Errors
    /// By [`TargetError::kind`].
    pub async fn list(
        &self,
        filter: &QuarantineFilter,
        events_max: usize,
    ) -> Result<Vec<Quarantined>, TargetError> {
        let limit = i64::try_from(events_max).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {COLUMNS} FROM tailwater_quarantine WHERE {MATCHES} ORDER BY position LIMIT {limit}"
        );
        self.read(&sql, filter).await?.iter().map(|row| self.quarantined(row)).collect()
    }

    /// One event with its reason; `None` when it is not there.
    ///
    /// # Errors
    /// Fatal when its record does not decode; otherwise by [`TargetError::kind`].
    pub async fn show(&self, position: Position) -> Result<Option<(Quarantined, Decoded)>, TargetError> {
        let sql = format!("SELECT {COLUMNS}, record FROM tailwater_quarantine WHERE {MATCHES}");
        let filter = QuarantineFilter { positions: position..=position, ..QuarantineFilter::default() };
        let rows = self.read(&sql, &filter).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let decoded = wire::decode(self.get(row, 5)?).map_err(|error| {
            TargetError::new(ErrorKind::Fatal, format!("{TRIED}: {error}")).at(Some(position))
        })?;
        Ok(Some((self.quarantined(row)?, decoded)))
    }

    /// Tries events again, by the rules of their tables: what lands leaves the quarantine in the same transaction,
    /// what is refused stays with the new reason. Nothing of it needs the log. Many events are tried in several
    /// transactions, each of a run of positions; a dry run rolls each of them back.
    ///
    /// # Errors
    /// By [`TargetError::kind`]; events that were tried in earlier transactions are done with.
    pub async fn retry(
        &mut self,
        filter: &QuarantineFilter,
        mode: RetryMode,
    ) -> Result<RetryOutcome, TargetError> {
        let (mut outcome, mut filter) = (RetryOutcome::default(), filter.clone());
        loop {
            let (last, of_page) = self.retry_transaction(&filter, mode).await?;
            outcome.add(of_page);
            let Some(last) = last else { return Ok(outcome) };
            filter.positions = last.next()..=*filter.positions.end();
        }
    }

    /// Tries the first events again, in a transaction of its own; tells the last one's position.
    async fn retry_transaction(
        &mut self,
        filter: &QuarantineFilter,
        mode: RetryMode,
    ) -> Result<(Option<Position>, RetryOutcome), TargetError> {
        self.session.run(TRIED, self.session.begin_sql()).await?;
        let tried = within(PAGE_LIMIT, "trying events again", self.retry_page(filter)).await;
        let end = match (&tried, mode) {
            (Ok(_), RetryMode::Run) => self.session.run("committing a retry", "COMMIT").await,
            _ => self.session.roll_back("rolling a retry back", "ROLLBACK").await,
        };
        // Where both failed the first one is the reason.
        let told = tried?;
        end.map(|()| told)
    }

    /// Deletes events for good; returns how many.
    ///
    /// # Errors
    /// By [`TargetError::kind`].
    pub async fn drop(&self, filter: &QuarantineFilter, mode: DropMode) -> Result<u64, TargetError> {
        if mode == DropMode::DryRun {
            return self.count_of(filter).await;
        }
        let sql = format!(
            "WITH dropped AS (DELETE FROM tailwater_quarantine WHERE {MATCHES} RETURNING 1)
             SELECT count(*) FROM dropped"
        );
        self.number(&self.read(&sql, filter).await?)
    }

    /// The work of [`Self::retry_transaction`], within the transaction that is open.
    async fn retry_page(
        &mut self,
        filter: &QuarantineFilter,
    ) -> Result<(Option<Position>, RetryOutcome), TargetError> {
        let sql = format!(
            "SELECT position, record FROM tailwater_quarantine WHERE {MATCHES} ORDER BY position LIMIT {PAGE}
             FOR UPDATE"
        );
        let rows = self.read(&sql, filter).await?;
        let (Some(log_no), Some(last)) = (self.log_no, rows.last()) else { return Ok(Default::default()) };
        let last = position(self.get(last, 0)?);
        let entries = self.entries(&rows)?;
        let provenance = Provenance { log_no, host: self.log.host.as_str() };
        let written =
            outside::write(&self.session, &mut self.writers, provenance, &entries, Limit::None).await?;
        let tried = rows.len() as u64;
        let refused = tried.saturating_sub(written.inserted + written.present);
        let (inserted, present) = (written.inserted, written.present);
        Ok((Some(last), RetryOutcome { tried, inserted, present, conflicting: written.conflicting, refused }))
    }

    /// The events of these rows. One whose record does not decode stays where it is.
    fn entries(&self, rows: &[Row]) -> Result<Vec<Entry>, TargetError> {
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let (position, record) = (position(self.get(row, 0)?), self.get::<&[u8]>(row, 1)?);
            match wire::decode(record) {
                Ok(event) => entries.push(Entry { position, checksum: 0, bytes: record.len(), event }),
                Err(error) => {
                    tracing::warn!(%position, %error, "a record in quarantine is damaged; it stays there");
                }
            }
        }
        Ok(entries)
    }

    async fn count_of(&self, filter: &QuarantineFilter) -> Result<u64, TargetError> {
        let sql = format!("SELECT count(*) FROM tailwater_quarantine WHERE {MATCHES}");
        self.number(&self.read(&sql, filter).await?)
    }

    /// The number in the first row; 0 without rows.
    fn number(&self, rows: &[Row]) -> Result<u64, TargetError> {
        let number: i64 = rows.first().map(|row| self.get(row, 0)).transpose()?.unwrap_or_default();
        Ok(u64::try_from(number).unwrap_or_default())
    }

    fn quarantined(&self, row: &Row) -> Result<Quarantined, TargetError> {
        Ok(Quarantined {
            position: position(self.get(row, 0)?),
            kind: self.get(row, 1)?,
            sqlstate: self.get(row, 2)?,
            message: self.get(row, 3)?,
            at: Time::from_micros(self.get(row, 4)?),
            log_id: self.log.log_id,
            host: self.log.host.as_str().to_owned(),
        })
    }

    /// The rows of a query with [`MATCHES`]; none for a log that the database has never seen.
    async fn read(&self, sql: &str, filter: &QuarantineFilter) -> Result<Vec<Row>, TargetError> {
        let Some(log_no) = self.log_no else { return Ok(Vec::new()) };
        let [from, to] = [filter.positions.start(), filter.positions.end()].map(|it| bigint(*it));
        let parameters = [
            (&log_no as Parameter<'_>, Type::INT4),
            (&from, Type::INT8),
            (&to, Type::INT8),
            (&filter.kind, Type::TEXT),
            (&filter.sqlstate, Type::TEXT),
        ];
        let rows = self.session.client().query_typed(sql, &parameters).await;
        rows.map_err(|error| self.session.error(TRIED, error))
    }

    fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
        &self,
        row: &'a Row,
        column: usize,
    ) -> Result<T, TargetError> {
        row.try_get(column).map_err(|error| self.session.error(TRIED, error))
    }
}
