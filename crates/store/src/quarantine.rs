//! The quarantine: events that this database refuses for their content, kept in it with the reason.
//!
//! A batch writes its refusals in the transaction that moves its range, and takes out of the quarantine what lands.
//! [`Quarantine`] is what the commands use.
//!
//! | SQLSTATE | who says so |
//! | --- | --- |
//! | of class 22, 23, P0, … | the server: a type, CHECK, index or trigger that the owner added |
//! | `TW001` | we: a newer version wrote the event, and this one does not know its kind or version |
//! | `TW002` | we: the server took the event without an error and has no row of it; a trigger dropped it |
//!
//! Too many refusals with one SQLSTATE mean that not the events are wrong but the schema is: more than
//! [`BATCH_MAX`] in a batch, or more than [`HOUR_MAX`] events within an hour. Then the whole transaction is rolled
//! back, nothing is quarantined for it, and a person must look. `TW001` counts in neither: an upgrade heals it,
//! however many there are. An event counts when it is first refused, not when it is tried again.

mod commands;
mod keep;
mod refusals;

pub use commands::{DropMode, Quarantine, QuarantineFilter, Quarantined, RetryMode, RetryOutcome};
pub(crate) use keep::{keep, release};
pub(crate) use refusals::{Limit, Reason, Refusals};

/// The most refusals with one SQLSTATE in a batch. A search for more would cost more than it is worth.
const BATCH_MAX: usize = 100;
/// The most events that one log has refused with one SQLSTATE within an hour.
const HOUR_MAX: i64 = 1_000;

/// The SQLSTATE of events that a newer version wrote.
const UNKNOWN_KIND: &str = "TW001";
/// The SQLSTATE of rows that the database dropped without an error.
const DROPPED: &str = "TW002";
