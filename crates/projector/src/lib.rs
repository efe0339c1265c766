//! The projector: tails a log, applies it to a database, exactly once in effect.
//!
//! Progress lives in the database and changes in the transaction of the rows. This crate owns the two ends,
//! [`Source`] and [`Target`], and knows neither fjall nor SQL.

mod claim;
mod contents;
mod halt;
mod lane;
mod lanes;
mod outage;
mod parts;
mod project;
mod pulse;
mod ranges;
mod rate;
mod replay;
mod settings;
mod shared;
mod sieve;
mod source;
mod status;
mod step;
mod target;
pub mod verify;

pub use contents::{Contents, OfKind};
pub use event::Entry;
pub use halt::Halt;
pub use parts::Parts;
pub use project::{Projector, Until};
pub use ranges::Span;
pub use replay::{Replay, ReplayBegin, ReplayEnd, ReplayRequest, Replayed};
pub use settings::Settings;
pub use sieve::{Select, Sieve, kept_from};
pub use source::{Ends, LogIdentity, ReadLimits, Source, SourceError};
pub use status::{State, Status, Totals};
pub use target::{
    ApplyError, ApplyOutcome, Batch, Claim, ClaimError, Claimed, Commit, Cursor, Digest, Divergence,
    ErrorKind, Judge, Lane, LaneName, RangeState, Refusal, Target, TargetError, Wanted, WriterId,
};
