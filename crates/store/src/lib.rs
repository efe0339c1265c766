//! The projection in TimescaleDB, or in plain PostgreSQL: its schema, its writer, its reader.
//!
//! [`migrate`] makes the tables, [`TimescaleTarget`] applies batches to them in one transaction with their
//! progress. sqlx (migrations and reads) and tokio-postgres (binary COPY) live here only; both connect by one
//! [`DatabaseUrl`].

mod adopt;
mod apply;
mod chunks;
mod claim;
mod connect;
mod copy;
mod error;
mod examine;
mod identity;
mod lane;
mod ledger;
mod mend;
mod merge;
mod outside;
mod predecessor;
mod prices;
mod quarantine;
pub mod read;
mod retention;
mod rows;
mod schema;
mod snapshot;
mod tables;
mod target;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod url;

pub use adopt::{
    ADOPTED_LOG, AdoptProgress, Adoptable, AdoptableTable, AdoptedTable, adopt, adoptable, preview_adoption,
};
pub use connect::{Link, Transport};
pub use examine::{
    DatabaseReport, Distance, LogReport, Namesake, SchemaReport, ServerReport, Tables, examine,
};
pub use identity::{DatabaseIdentity, identify};
pub use lane::TimescaleLane;
pub use ledger::{UnfinishedReplay, unfinished_replay};
pub use mend::{MendOutcome, Mender};
pub use prices::{ModelPrice, PriceList, PriceSource, PricesOutcome, PricesSeen, mirror_prices, prices_seen};
pub use quarantine::{DropMode, Quarantine, QuarantineFilter, Quarantined, RetryMode, RetryOutcome};
pub use retention::{Dropped, Retention, server_time};
pub use schema::{Edition, Extension, Licence, MigrateOutcome, Migration, edition, migrate};
pub use snapshot::{TimescaleSnapshot, table_of};
pub use target::{Migrate, StoreOptions, TimescaleTarget};
pub use url::{DatabaseUrl, DatabaseUrlError, SslMode};
