//! Why a projector gives up: what waiting does not mend.

use event::Position;
use thiserror::Error;

use crate::source::SourceError;
use crate::target::{Divergence, TargetError};

/// Why a projector gave up. Recording is not touched by it.
#[derive(Debug, Error)]
pub enum Halt {
    /// Log and database do not belong together.
    #[error(transparent)]
    Diverged(Divergence),
    /// The database refuses, and waiting does not help.
    #[error(transparent)]
    Target(TargetError),
    /// The log cannot be read on.
    #[error(transparent)]
    Source(SourceError),
    /// The database says something else of a batch than was sent.
    #[error(
        "the batch of positions {from} to {to} had {sent} events, and the database accounts for {told}: this is a \
         bug, please report it; the log has everything"
    )]
    Miscounted {
        /// Its first position.
        from: Position,
        /// Its last position.
        to: Position,
        /// How many events it had.
        sent: u64,
        /// How many the outcome tells of.
        told: u64,
    },
    /// Another process projects a log of the same id into the same database.
    #[error(
        "two writers: another process claimed the range that begins at position {lo} twice while this one \
         worked; a copy of this log must not be projected beside it: `tailwater log adopt` makes the copy a log of \
         its own"
    )]
    TwoWriters {
        /// The range.
        lo: Position,
    },
}
