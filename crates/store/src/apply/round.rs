//! The rows of one table, the way round: by a temporary table, whose rows the rule merges into it ([`merge`]).
//!
//! Every staged row is explained in the end: it made a new row, or its key has a row that it does not beat, or the
//! database refused it. A merge that is refused names nobody, since it works in the order of the keys: it is rolled
//! back and done again for half the positions, which are in the temporary table already. A row that is not there
//! after a merge without an error was dropped by a trigger of the owner's: the winner of its key is refused, with
//! SQLSTATE TW002, and the others of that key have their turn.
//!
//! NOTE: a trigger that changes a key makes a replayed event look dropped, for its own key has no row.

use event::Position;
use projector::{ErrorKind, TargetError};
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use super::batch::{Piece, Pieces, Whole};
use super::write::{SAVEPOINT, SAVEPOINT_AGAIN, Written, copy_in, roll_back};
use crate::connect::{Prepared, Session};
use crate::error;
use crate::merge::{self, Checks, Contents, Met, Span};
use crate::quarantine::{Limit, Reason, Refusals};
use crate::tables::Table;

/// The way round of one table.
pub(super) struct Round {
    table: &'static Table,
    statement: Prepared,
    /// Whether the last batch had to be compared: a replay of another log has to in every batch.
    contents: Contents,
}

/// What a look found, in rows of the temporary table.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    staged: u64,
    /// The key has a row that this one does not beat.
    explained: u64,
    /// The key's row is of another event.
    met_other: u64,
    /// Of those, it has another content.
    conflicting: u64,
}

/// What a merge did.
#[derive(Clone, Copy, Debug, Default)]
struct Merged {
    /// How many rows it was about.
    staged: u64,
    new: u64,
    /// How many of the rows conflict; `None` where only another look can tell, and whether all are explained.
    conflicting: Option<u64>,
}

impl Look {
    /// Whether nothing is left to be merged.
    const fn is_settled(&self) -> bool {
        self.explained == self.staged
    }
}

impl Round {
    pub(super) fn new(table: &'static Table) -> Self {
        Self { table, statement: Prepared::default(), contents: Contents::Left }
    }

    pub(super) async fn write(
        &mut self,
        session: &Session,
        piece: Piece<'_>,
        refusals: &mut Refusals,
    ) -> Result<Written, TargetError> {
        let refused_before = refusals.len();
        self.stage(session, piece, Checks::Kept, refusals).await?;
        let mut inserted = 0;
        loop {
            let merged = self.merge(session, piece, refusals).await?;
            inserted += merged.new;
            let refused = refusals.len() - refused_before;
            let landed = (piece.count - refused) as u64;
            if merged.staged != landed {
                return Err(self.lost(&format!("{landed} rows were staged, {} are there", merged.staged)));
            }
            let conflicting = match merged.conflicting {
                Some(conflicting) => Some(conflicting),
                None => self.settle(session, piece, refusals).await?,
            };
            if let Some(conflicting) = conflicting {
                return Ok(Written { inserted, present: landed.saturating_sub(inserted), conflicting });
            }
        }
    }

    /// Which of these events have no row of their key that they do not beat. Nothing is written.
    ///
    /// NOTE: rolled back each time, because a transaction that looks for long would hold the locks of every temporary
    /// table that it ever had.
    pub(super) async fn look_up(
        &mut self,
        session: &Session,
        piece: Piece<'_>,
    ) -> Result<Vec<Position>, TargetError> {
        let tried = format!("looking rows of {} up", self.table.name);
        session.run(&tried, "SAVEPOINT tailwater_look").await?;
        // NOTE: an event that the columns do not even hold has no row either.
        let mut refusals = Refusals::new(Limit::None);
        self.stage(session, piece, Checks::Left, &mut refusals).await?;
        let sql = merge::unexplained_sql(self.table, &piece.span(Whole::Yes));
        let looked = session.client().simple_query(&sql).await;
        let mut unexplained = positions(&looked.map_err(|error| session.error(&tried, error))?);
        unexplained.extend(refusals.positions());
        let undo = "ROLLBACK TO SAVEPOINT tailwater_look; RELEASE SAVEPOINT tailwater_look";
        session.roll_back(&tried, undo).await?;
        Ok(unexplained)
    }

    /// Fills the temporary table, but for events that not even it takes.
    async fn stage(
        &mut self,
        session: &Session,
        whole: Piece<'_>,
        checks: Checks,
        refusals: &mut Refusals,
    ) -> Result<(), TargetError> {
        let tried = match checks {
            Checks::Kept => format!("copying into {}", self.table.name),
            Checks::Left => {
                format!(
                    "looking up which events {} explains, by a temporary table of their keys",
                    self.table.name
                )
            }
        };
        session.run(&tried, &merge::stage_sql(self.table, checks)).await?;
        let (mut pieces, mut before) = (Pieces::new(whole), SAVEPOINT);
        while let Some(piece) = pieces.next() {
            match self.copy(session, piece, before).await {
                Ok(rows) if rows == piece.count as u64 => {}
                Ok(rows) => return Err(self.lost(&format!("{} rows were sent, {rows} taken", piece.count))),
                Err(error) => {
                    let Some(reason) = error::refusal(&error) else {
                        return Err(session.error(&tried, error));
                    };
                    roll_back(session).await?;
                    if let Some(position) = pieces.refused(piece, error::copy_row(&error)) {
                        refusals.add(position, reason)?;
                    }
                }
            }
            before = SAVEPOINT_AGAIN;
        }
        Ok(())
    }

    async fn copy(
        &mut self,
        session: &Session,
        piece: Piece<'_>,
        before: &str,
    ) -> Result<u64, tokio_postgres::Error> {
        let sql = merge::copy_sql(self.table);
        copy_in(session, before, &mut self.statement, &sql, piece.provenance, piece.events()).await
    }

    /// Merges what is staged; of what is refused, half by half.
    async fn merge(
        &mut self,
        session: &Session,
        whole: Piece<'_>,
        refusals: &mut Refusals,
    ) -> Result<Merged, TargetError> {
        let (mut pieces, mut is_whole, mut sum) = (Pieces::new(whole), Whole::Yes, Merged::default());
        let mut refused = Vec::new();
        while let Some(piece) = pieces.next() {
            match self.try_merge(session, &piece.span(is_whole)).await? {
                Ok(merged) => {
                    sum.staged += merged.staged;
                    sum.new += merged.new;
                    sum.conflicting = if is_whole == Whole::Yes { merged.conflicting } else { None };
                }
                Err(reason) => {
                    roll_back(session).await?;
                    is_whole = Whole::No;
                    sum.conflicting = None;
                    if let Some(position) = pieces.refused(piece, None) {
                        refusals.add(position, reason)?;
                        refused.push(position);
                    }
                }
            }
        }
        self.unstage(session, &refused).await?;
        Ok(sum)
    }

    /// Merges one span; the inner error is the database's refusal.
    async fn try_merge(
        &mut self,
        session: &Session,
        span: &Span,
    ) -> Result<Result<Merged, Reason>, TargetError> {
        match self.look_and_merge(session, span).await {
            Ok(merged) => Ok(Ok(merged)),
            Err(Failure::Told(error)) => match error::refusal(&error) {
                Some(reason) => Ok(Err(reason)),
                None => Err(session.error(&format!("merging into {}", self.table.name), error)),
            },
            Err(Failure::NoCount) => Err(self.lost("no count came back")),
        }
    }

    async fn look_and_merge(&mut self, session: &Session, span: &Span) -> Result<Merged, Failure> {
        let sql = format!("{SAVEPOINT_AGAIN}; {}", merge::look_sql(self.table, span, self.contents));
        let mut look = Look::read(&session.client().simple_query(&sql).await?)?;
        if look.is_settled() && look.met_other > 0 && self.contents == Contents::Left {
            let sql = merge::look_sql(self.table, span, Contents::Compared);
            look = Look::read(&session.client().simple_query(&sql).await?)?;
        }
        self.contents = if look.met_other > 0 { Contents::Compared } else { Contents::Left };
        if look.is_settled() {
            return Ok(Merged { staged: look.staged, new: 0, conflicting: Some(look.conflicting) });
        }
        let met = if look.explained + look.met_other > 0 { Met::Some } else { Met::None };
        let merged = session.client().simple_query(&merge::merge_sql(self.table, span, met)).await?;
        let [new, written] = numbers(&merged)?;
        // Nobody was met but by itself, and every other row was written: no key came twice.
        let is_plain = look.met_other == 0 && look.explained + written == look.staged;
        Ok(Merged { staged: look.staged, new, conflicting: is_plain.then_some(0) })
    }

    /// Looks at everything again, after a merge: the number of conflicts, or nothing when rows were dropped, which
    /// are refused then.
    async fn settle(
        &mut self,
        session: &Session,
        whole: Piece<'_>,
        refusals: &mut Refusals,
    ) -> Result<Option<u64>, TargetError> {
        let tried = format!("counting the rows of {}", self.table.name);
        let span = whole.span(Whole::Yes);
        let sql = merge::look_sql(self.table, &span, Contents::Compared);
        let looked = session.client().simple_query(&sql).await;
        let look = Look::read(&looked.map_err(|error| session.error(&tried, error))?);
        let look = look.map_err(|_| self.lost("no count came back"))?;
        if look.is_settled() {
            return Ok(Some(look.conflicting));
        }
        let dropped = session.client().simple_query(&merge::dropped_sql(self.table, &span)).await;
        let dropped = positions(&dropped.map_err(|error| session.error(&tried, error))?);
        for position in &dropped {
            refusals.add(*position, Reason::dropped(self.table.name))?;
        }
        self.unstage(session, &dropped).await?;
        Ok(None)
    }

    async fn unstage(&self, session: &Session, positions: &[Position]) -> Result<(), TargetError> {
        if positions.is_empty() {
            return Ok(());
        }
        session.run("leaving refused events out", &merge::unstage_sql(self.table, positions)).await
    }

    /// Numbers that do not add up: a bug of ours or of the server's. The transaction is rolled back.
    fn lost(&self, told: &str) -> TargetError {
        let message = format!("writing {}: {told}; nothing was applied, please report this", self.table.name);
        TargetError::new(ErrorKind::Fatal, message)
    }
}

/// Why a merge did not end.
enum Failure {
    Told(tokio_postgres::Error),
    NoCount,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Told(error)
    }
}

impl Look {
    fn read(messages: &[SimpleQueryMessage]) -> Result<Self, Failure> {
        let [staged, explained, met_other, conflicting] = numbers(messages)?;
        Ok(Self { staged, explained, met_other, conflicting })
    }
}

/// The rows of an answer.
fn rows(messages: &[SimpleQueryMessage]) -> impl Iterator<Item = &SimpleQueryRow> {
    messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

/// The numbers in the first row.
fn numbers<const N: usize>(messages: &[SimpleQueryMessage]) -> Result<[u64; N], Failure> {
    let row = rows(messages).next().ok_or(Failure::NoCount)?;
    let mut numbers = [0; N];
    for (index, number) in numbers.iter_mut().enumerate() {
        let text = row.try_get(index)?.unwrap_or_default();
        *number = text.parse().map_err(|_| Failure::NoCount)?;
    }
    Ok(numbers)
}

/// The positions in the first column.
fn positions(messages: &[SimpleQueryMessage]) -> Vec<Position> {
    rows(messages).filter_map(|row| row.get(0)?.parse().ok().map(Position)).collect()
}
