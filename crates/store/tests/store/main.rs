//! The target against real servers: TimescaleDB under either licence, and PostgreSQL.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod adopting;
mod adopting_again;
mod applying;
mod chunks;
mod claiming;
mod compressed;
mod crashing;
mod examining;
mod failing;
mod lanes;
mod merging;
mod migrating;
mod oracle;
mod poison;
mod pooler;
mod pricing;
mod quarantine;
mod replaying;
mod retention;
mod rivals;
mod schema_errors;
mod snapshot;
mod support;
mod tls;
mod usage;
