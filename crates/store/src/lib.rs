//! The projection in TimescaleDB, or in plain PostgreSQL: its schema, its writer, its reader.
//!
//! [`migrate`] makes the tables, [`TimescaleTarget`] applies batches to them in one transaction with their
//! progress. sqlx (migrations and reads) and tokio-postgres (binary COPY) live here only; both connect by one
//! [`DatabaseUrl`].

mod apply;
mod chunks;
mod claim;
mod connect;
mod copy;
mod error;
mod examine;
mod identity;
mod lane;
mod merge;
mod predecessor;
mod quarantine;
pub mod read;
mod rows;
mod schema;
mod tables;
mod target;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod url;

pub use connect::{Link, Transport};
pub use examine::{
    DatabaseReport, Distance, LogReport, Namesake, SchemaReport, ServerReport, Tables, examine,
};
pub use identity::{DatabaseIdentity, identify};
pub use lane::TimescaleLane;
pub use quarantine::{DropMode, Quarantine, QuarantineFilter, Quarantined, RetryMode, RetryOutcome};
pub use schema::{Edition, Extension, Licence, MigrateOutcome, Migration, edition, migrate};
pub use target::{Migrate, StoreOptions, TimescaleTarget};
pub use url::{DatabaseUrl, DatabaseUrlError, SslMode};
