//! The event log: durable, dense, bounded, on this host's own disk.
//!
//! One writer thread owns the log. Appends from everywhere meet in a bounded channel; the writer commits
//! what has gathered as one fjall batch, events and the meta that belongs to them together, and
//! acknowledges each append when the promise of its [`Sync`] mode holds:
//!
//! | mode | an acknowledgement means | a killed process loses | a power cut loses |
//! | --- | --- | --- | --- |
//! | `always` | an fsync has happened | nothing acknowledged | nothing acknowledged |
//! | `interval:200ms` | the kernel has it | nothing acknowledged | at most the last interval |
//! | `os` | the kernel has it | nothing acknowledged | what the kernel had not written |
//!
//! In every mode readers see durable positions only: a reader that wants more asks for a sync. What has no
//! events any more is a hole with a cause: a read gives events, or a hole, and never silence.
//!
//! A data directory holds `lock` (held by the one process that has the log open; says who that is), `log` (the
//! fjall database, see `layout.rs`), `mark` (how far the log was durable, see `mark.rs`), and now and then
//! `set-aside` (what recovery has cut, see `recovery.rs`) and `dropped` (what a trim is deleting). This crate is
//! the only one that names fjall.

mod adopt;
mod append;
mod blocks;
mod by_time;
mod commit;
mod engine;
mod error;
mod floor;
mod forensic;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod holes;
pub mod inspect;
mod latest;
mod layout;
mod lock;
mod losses;
mod mark;
mod open;
mod read;
mod recovery;
mod repair;
mod retain;
mod settings;
mod stat;
mod state;
mod upgrade;
mod verify;
mod writer;

pub use adopt::Adoption;
pub use append::{AppendOutcome, Batch, MetaEntry, Order, Teller};
pub use by_time::TimeRange;
pub use error::{AppendError, EngineError, OpenError, ReadError, StatError};
pub use floor::DatabaseHash;
pub use gate::{Fate, Gate, GateError, Shelf};
pub use latest::LOOK_BACK;
pub use open::{EventLog, LogInfo, Parts};
pub use read::ReadLimits;
pub use recovery::Recovery;
pub use repair::{RepairError, RepairOutcome, RepairWhen};
pub use retain::Floor;
pub use settings::{Backpressure, Bounds, ParseSyncError, Settings, Sync, Trims, WhenFull};
pub use stat::Stat;
pub use state::KeyValue;
pub use verify::{Damage, Verification};
pub use writer::{Ends, Health, NoRoom, TrimError, TrimOutcome, TrimTo};
