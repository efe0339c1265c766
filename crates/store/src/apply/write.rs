//! The rows of one table, the straight way: COPY into it.
//!
//! A COPY that the database refuses for an event's content is rolled back to its savepoint and sent again in
//! pieces, until the event is found: three more COPYs where the refusal names it, as CHECKs, types and most triggers
//! do, and two for each halving otherwise. What turns out to meet its keys goes the way round.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use event::{Event, Kind, Position};
use futures_util::SinkExt;
use projector::{Contents, Entry, TargetError};
use tokio_postgres::error::SqlState;

use super::batch::{Piece, Pieces};
use super::round::Round;
use crate::connect::{Prepared, Session};
use crate::copy;
use crate::error;
use crate::quarantine::{Reason, Refusals};
use crate::rows::Provenance;
use crate::tables::{TABLES, Table};

/// How much is encoded before it is handed on: the memory of a COPY is a few of these.
const CHUNK_BYTES: usize = 128 * 1024;
/// A row rarely has more; a chunk that outgrows it costs a copy.
const ROW_BYTES: usize = 4 * 1024;

pub(super) const SAVEPOINT: &str = "SAVEPOINT tailwater_rows";
/// Lets go of the last savepoint, so that they do not pile up, and makes it anew.
pub(super) const SAVEPOINT_AGAIN: &str = "RELEASE SAVEPOINT tailwater_rows; SAVEPOINT tailwater_rows";
const ROLLBACK_TO: &str = "ROLLBACK TO SAVEPOINT tailwater_rows";

/// What became of the events that were not refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) inserted: u64,
    pub(crate) present: u64,
    pub(crate) conflicting: u64,
}

impl Written {
    fn add(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.present += other.present;
        self.conflicting += other.conflicting;
    }
}

/// Writes every table: what a connection keeps from batch to batch.
pub(crate) struct Writers([TableWriter; TABLES.len()]);

impl Default for Writers {
    fn default() -> Self {
        Self(TABLES.map(TableWriter::new))
    }
}

impl Writers {
    /// Writes the rows, table by table, within the transaction that is open; what the database refuses goes to
    /// `refusals`.
    pub(crate) async fn write(
        &mut self,
        session: &Session,
        provenance: Provenance<'_>,
        entries: &[Entry],
        contents: &Contents,
        refusals: &mut Refusals,
    ) -> Result<Written, TargetError> {
        let mut written = Written::default();
        for writer in &mut self.0 {
            if let Some(piece) = Piece::new(entries, contents, writer.kind(), provenance) {
                written.add(writer.write(session, piece, refusals).await?);
            }
        }
        Ok(written)
    }

    /// Which of these events have no row of their key that they do not beat, table by table.
    pub(crate) async fn look_up(
        &mut self,
        session: &Session,
        provenance: Provenance<'_>,
        entries: &[Entry],
    ) -> Result<Vec<Position>, TargetError> {
        let (contents, mut unexplained) = (Contents::of(entries), Vec::new());
        for writer in &mut self.0 {
            if let Some(piece) = Piece::new(entries, &contents, writer.kind(), provenance) {
                unexplained.extend(writer.round.look_up(session, piece).await?);
            }
        }
        Ok(unexplained)
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
struct TableWriter {
    table: &'static Table,
    /// Where the last batch went that had rows here. A replay over rows that are there meets them in every batch.
    way: Way,
    straight: Prepared,
    round: Round,
}

/// How a COPY ended that the server did not refuse for good.
enum Copied {
    /// Every row is there.
    All,
    /// A key was there already, or rows were dropped without a word: the way round tells which.
    NotAll,
    /// The database refuses an event: the `row`th of the piece, counted from 1, if it names one.
    Refused { reason: Reason, row: Option<usize> },
}

impl TableWriter {
    fn new(table: &'static Table) -> Self {
        let way = if table.keys_are_unique() { Way::Straight } else { Way::Round };
        Self { table, way, straight: Prepared::default(), round: Round::new(table) }
    }

    const fn kind(&self) -> Kind {
        self.table.kind
    }

    async fn write(
        &mut self,
        session: &Session,
        piece: Piece<'_>,
        refusals: &mut Refusals,
    ) -> Result<Written, TargetError> {
        let mut written = Written::default();
        let rest = match self.way {
            Way::Straight => self.go_straight(session, piece, refusals, &mut written).await?,
            Way::Round => piece,
        };
        if rest.count > 0 {
            let round = self.round.write(session, rest, refusals).await?;
            written.add(round);
            let is_new = round.present == 0 && self.table.keys_are_unique();
            self.way = if is_new { Way::Straight } else { Way::Round };
        }
        Ok(written)
    }

    /// Sends piece by piece; returns what is left for the way round.
    async fn go_straight<'a>(
        &mut self,
        session: &Session,
        whole: Piece<'a>,
        refusals: &mut Refusals,
        written: &mut Written,
    ) -> Result<Piece<'a>, TargetError> {
        let (mut pieces, mut done, mut before) = (Pieces::new(whole), 0, SAVEPOINT);
        while let Some(piece) = pieces.next() {
            let copied = self.copy(session, piece, before).await?;
            before = SAVEPOINT_AGAIN;
            match copied {
                Copied::All => {
                    done += piece.count;
                    written.inserted += piece.count as u64;
                }
                Copied::NotAll => {
                    roll_back(session).await?;
                    break;
                }
                Copied::Refused { reason, row } => {
                    roll_back(session).await?;
                    if let Some(position) = pieces.refused(piece, row) {
                        done += 1;
                        refusals.add(position, reason)?;
                    }
                }
            }
        }
        let [_, rest] = whole.split_at(done);
        Ok(rest)
    }

    async fn copy(
        &mut self,
        session: &Session,
        piece: Piece<'_>,
        before: &str,
    ) -> Result<Copied, TargetError> {
        let sql = self.table.copy_sql();
        let copied = copy_in(session, before, &mut self.straight, &sql, piece.provenance, piece.rows()).await;
        let error = match copied {
            Ok(rows) if rows == piece.count as u64 => return Ok(Copied::All),
            Ok(_) => return Ok(Copied::NotAll),
            Err(error) => error,
        };
        if error.code() == Some(&SqlState::UNIQUE_VIOLATION) {
            return Ok(Copied::NotAll);
        }
        if let Some(reason) = error::refusal(&error) {
            let row = error::copy_row(&error).and_then(|row| piece.place_of(row));
            return Ok(Copied::Refused { reason, row });
        }
        // Two lanes that send each other's keys in different orders; sorted by key they meet in one.
        if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) {
            self.way = Way::Round;
        }
        Err(session.error(&format!("copying into {}", self.table.name), error))
    }
}

/// Undoes a piece, and sees that the session is still in step.
pub(super) async fn roll_back(session: &Session) -> Result<(), TargetError> {
    session.roll_back("going back to the savepoint", ROLLBACK_TO).await
}

/// Runs `before` and the COPY; the first round trip is shared, and used to encode the first rows. Returns how many rows the server took.
pub(super) async fn copy_in<'a, R: Iterator<Item = (Position, &'a Event)>>(
    session: &Session,
    before: &str,
    statement: &mut Prepared,
    sql: &str,
    provenance: Provenance<'_>,
    rows: R,
) -> Result<u64, tokio_postgres::Error> {
    let beginning = async {
        // NOTE: what was asked for is sent by another task, which may have to run on this very thread.
        tokio::task::yield_now().await;
        let mut chunks = Chunks { rows, provenance, buffer: BytesMut::new(), is_through: false };
        copy::header(&mut chunks.buffer);
        let first = chunks.next();
        (chunks, first)
    };
    let (sink, (chunks, first)) = tokio::join!(biased; session.copy_in(before, statement, sql), beginning);
    let mut sink = pin!(sink?);
    for chunk in first.into_iter().chain(chunks) {
        sink.feed(chunk).await?;
    }
    sink.finish().await
}

/// A stream of rows, in pieces of about [`CHUNK_BYTES`].
struct Chunks<'a, R> {
    rows: R,
    provenance: Provenance<'a>,
    buffer: BytesMut,
    is_through: bool,
}

impl<'a, R: Iterator<Item = (Position, &'a Event)>> Iterator for Chunks<'_, R> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.is_through {
            return None;
        }
        self.buffer.reserve(CHUNK_BYTES + ROW_BYTES);
        for (position, event) in &mut self.rows {
            self.provenance.row(event, position, &mut self.buffer);
            if self.buffer.len() >= CHUNK_BYTES {
                return Some(self.buffer.split().freeze());
            }
        }
        copy::trailer(&mut self.buffer);
        self.is_through = true;
        Some(self.buffer.split().freeze())
    }
}
