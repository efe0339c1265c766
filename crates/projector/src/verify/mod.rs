//! Whether a database has what the log has, and the reverse: by provenance, per kind and hour.
//!
//! A row belongs to an event when it is in the table of the event's kind, with the event's position and its time. The
//! database is read first, in one snapshot, row by row: of each table a set of positions is kept (a bit each, where they
//! are dense), and for each block of 4,096 positions how many rows there are and a sum of hashes of (position, time).
//! Then the log is walked once, and each event takes its row's part out of its block again:
//!
//! 1. the event has a row at its position: it is there;
//! 2. it is older than the retention: `expired`, whether or not its row is still there;
//! 3. it is in quarantine; or a range says that it is to come: `pending`;
//! 4. else its key is looked up by the rule of the tables: a row that wins over it, or another log's, makes it
//!    `present`. Only what is left is missing.
//!
//! What remains in a block is what no event has taken: rows too many, or one whose time is not its event's. Those
//! blocks alone are read again, rows and events, and compared one by one. A row whose position lies in a hole cannot be
//! compared and counts as `unavailable`; any other row that is left is `extra`.
//!
//! What is projected meanwhile makes no finding: the rows, the ranges and the quarantine are of one snapshot, and the head
//! of the log is asked for after it was taken.

mod comparison;
mod driver;
mod found;
mod positions;
mod rows;

use std::future::Future;

use event::{Entry, Kind, Position, Time};
use thiserror::Error;

use crate::ranges::Span;
use crate::source::SourceError;
use crate::target::TargetError;

pub use driver::{still_missing, verify};
pub use found::{ExtraRow, HourFound, KindNumber, Verification};
pub use positions::{Picker, Positions};

/// Where a row of a log's table says that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// The position, as it stands there: what somebody has written by hand may be no position.
    pub position: i64,
    /// The time.
    pub time: Time,
}

impl Row {
    /// The block of positions that it is in; of negative ones too.
    #[must_use]
    pub const fn block(self) -> Block {
        Block(self.position >> BLOCK_BITS)
    }
}

/// A run of 2^[`BLOCK_BITS`] positions, by its number from position 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block(pub i64);

/// How many bits of a position tell its place in its block.
///
/// NOTE: small enough that reading one again costs little, large enough that what is kept for each is nothing beside
/// the sets of positions.
pub const BLOCK_BITS: u32 = 12;

/// Which rows of a table.
#[derive(Clone, Copy, Debug)]
pub enum RowsOf<'a> {
    /// All of the log's.
    All,
    /// Those in these blocks.
    Blocks(&'a [Block]),
}

/// What a database holds of a log, at one moment.
pub trait Snapshot: Send {
    /// The log's ranges; none where nobody but replays has projected it.
    ///
    /// # Errors
    /// By [`TargetError::kind`].
    fn ranges(&mut self) -> impl Future<Output = Result<Vec<Span>, TargetError>> + Send;

    /// The positions in the log's quarantine.
    ///
    /// # Errors
    /// By [`TargetError::kind`].
    fn quarantined(&mut self) -> impl Future<Output = Result<Vec<Position>, TargetError>> + Send;

    /// Tells the log's rows of a kind, in any order.
    ///
    /// # Errors
    /// By [`TargetError::kind`].
    fn rows(
        &mut self,
        kind: Kind,
        rows: RowsOf<'_>,
        tell: &mut (dyn FnMut(Row) + Send),
    ) -> impl Future<Output = Result<(), TargetError>> + Send;

    /// Which of these events, all of known kinds, have no row of their key that they do not beat.
    ///
    /// # Errors
    /// By [`TargetError::kind`].
    fn unexplained(
        &mut self,
        entries: &[Entry],
    ) -> impl Future<Output = Result<Vec<Position>, TargetError>> + Send;

    /// Is told now and then while nothing else is asked, so that the moment does not pass.
    ///
    /// # Errors
    /// By [`TargetError::kind`].
    fn hold(&mut self) -> impl Future<Output = Result<(), TargetError>> + Send;
}

/// Why nobody can say whether a database has what the log has.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The log cannot be read.
    #[error(transparent)]
    Source(SourceError),
    /// The database cannot be read.
    #[error(transparent)]
    Target(TargetError),
}

impl From<SourceError> for VerifyError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<TargetError> for VerifyError {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}
