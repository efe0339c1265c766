//! The rows of one table: the straight way, and the way round by a temporary table.

use std::ops::RangeInclusive;
use std::pin::pin;

use bytes::BytesMut;
use event::{Kind, Position, Time};
use futures_util::SinkExt;
use projector::{Entry, ErrorKind, TargetError};
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use super::of_kind;
use crate::connect::{Prepared, Session};
use crate::copy;
use crate::error;
use crate::merge;
use crate::rows::Provenance;
use crate::tables::Table;

/// How much is encoded before it is handed on: the memory of a COPY is a few of these.
const CHUNK_BYTES: usize = 128 * 1024;
/// A row rarely has more; a chunk that outgrows it costs a copy.
const ROW_BYTES: usize = 4 * 1024;

const SAVEPOINT: &str = "SAVEPOINT tailwater_rows";
const ROLLBACK_TO: &str = "ROLLBACK TO SAVEPOINT tailwater_rows";

/// The events of a batch that go to one table.
pub(super) struct Rows<'a> {
    pub(super) entries: &'a [Entry],
    pub(super) kind: Kind,
    pub(super) provenance: Provenance<'a>,
    /// How many of the entries are of this kind; not zero.
    pub(super) count: u64,
}

impl Rows<'_> {
    /// The position of the row that COPY counts as `number`, from 1.
    fn position(&self, number: usize) -> Option<Position> {
        of_kind(self.entries, self.kind).nth(number.checked_sub(1)?).map(|(position, _)| position)
    }

    /// The first and the last time.
    fn times(&self) -> RangeInclusive<Time> {
        let times = || of_kind(self.entries, self.kind).map(|(_, event)| event.time());
        times().min().unwrap_or_default()..=times().max().unwrap_or_default()
    }

    /// The position, when there is but one row.
    fn only_position(&self) -> Option<Position> {
        if self.count == 1 { self.position(1) } else { None }
    }
}

/// Which way the rows of a table go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// COPY into the table.
    Straight,
    /// By a temporary table.
    Round,
}

/// Writes one table.
pub(super) struct TableWriter {
    table: &'static Table,
    /// Where the last batch went that had rows here. A replay over rows that are there meets them in every batch.
    way: Way,
    straight: Prepared,
    round: Prepared,
}

impl TableWriter {
    pub(super) fn new(table: &'static Table) -> Self {
        let way = if table.keys_are_unique() { Way::Straight } else { Way::Round };
        Self { table, way, straight: Prepared::default(), round: Prepared::default() }
    }

    pub(super) const fn kind(&self) -> Kind {
        self.table.kind
    }

    /// Writes the rows; returns how many are new.
    pub(super) async fn write(&mut self, session: &Session, rows: &Rows<'_>) -> Result<u64, TargetError> {
        if self.way == Way::Straight {
            match self.go_straight(session, rows).await {
                Ok(()) => return Ok(rows.count),
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => self.way = Way::Round,
                Err(error) => return Err(self.refused(session, rows, error)),
            }
            session.roll_back("going back to the savepoint", ROLLBACK_TO).await?;
        }
        let inserted = self.go_round(session, rows).await?;
        if inserted == rows.count && self.table.keys_are_unique() {
            self.way = Way::Straight;
        }
        Ok(inserted)
    }

    async fn go_straight(&mut self, session: &Session, rows: &Rows<'_>) -> Result<(), tokio_postgres::Error> {
        copy_in(session, SAVEPOINT, &mut self.straight, &self.table.copy_sql(), rows).await
    }

    async fn go_round(&mut self, session: &Session, rows: &Rows<'_>) -> Result<u64, TargetError> {
        let (stage, copy) = (merge::stage_sql(self.table), merge::copy_sql(self.table));
        let copied = copy_in(session, &stage, &mut self.round, &copy, rows).await;
        copied.map_err(|error| self.refused(session, rows, error))?;
        let merged = session.client().simple_query(&merge::merge_sql(self.table, rows.times())).await;
        let merged = merged.map_err(|error| {
            let error = session.error(&format!("merging into {}", self.table.name), error);
            error::at(error, rows.only_position())
        })?;
        count(&merged).ok_or_else(|| {
            TargetError::new(
                ErrorKind::Fatal,
                format!("merging into {}: no count came back", self.table.name),
            )
        })
    }

    /// A COPY that the database refused, with the event it was about.
    fn refused(&self, session: &Session, rows: &Rows<'_>, error: tokio_postgres::Error) -> TargetError {
        let position =
            error::copy_row(&error).and_then(|row| rows.position(row)).or_else(|| rows.only_position());
        error::at(session.error(&format!("copying into {}", self.table.name), error), position)
    }
}

/// Runs `before` and the COPY; the first round trip is shared.
async fn copy_in(
    session: &Session,
    before: &str,
    statement: &mut Prepared,
    sql: &str,
    rows: &Rows<'_>,
) -> Result<(), tokio_postgres::Error> {
    let mut sink = pin!(session.copy_in(before, statement, sql).await?);
    let mut buffer = BytesMut::with_capacity(CHUNK_BYTES + ROW_BYTES);
    copy::header(&mut buffer);
    for (position, event) in of_kind(rows.entries, rows.kind) {
        rows.provenance.row(event, position, &mut buffer);
        if buffer.len() >= CHUNK_BYTES {
            sink.feed(buffer.split().freeze()).await?;
            buffer.reserve(CHUNK_BYTES + ROW_BYTES);
        }
    }
    copy::trailer(&mut buffer);
    sink.feed(buffer.freeze()).await?;
    sink.finish().await.map(drop)
}

/// The number in the first row.
fn count(messages: &[SimpleQueryMessage]) -> Option<u64> {
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    })
}
