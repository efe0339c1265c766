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
    /// An event of a newer version.
    #[error(
        "the event at position {position} is of kind {kind}, schema version {version}, which a newer \
         tailwater wrote: upgrade this one"
    )]
    UnknownKind {
        /// Where.
        position: Position,
        /// Its kind's number.
        kind: u8,
        /// Its schema version.
        version: u8,
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
