//! The event log: durable, dense, on this host's own disk.
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
//! In every mode readers see durable positions only: a reader that wants more asks for a sync.
//!
//! A data directory holds `lock` (held by the one process that has the log open; says who that is) and
//! `log` (the fjall database, see `layout.rs`). This crate is the only one that names fjall.

mod append;
mod error;
#[cfg_attr(not(test), expect(dead_code, reason = "for the check before an open and for the repair of a log"))]
mod forensic;
#[doc(hidden)]
pub mod fuzzing;
mod layout;
mod lock;
mod open;
mod read;
mod settings;
mod stat;
mod writer;

pub use append::{AppendOutcome, Batch, MetaEntry};
pub use error::{AppendError, EngineError, OpenError, ReadError, StatError};
pub use open::{EventLog, LogInfo};
pub use read::ReadLimits;
pub use settings::{ParseSyncError, Settings, Sync};
pub use stat::Stat;
pub use writer::Ends;
