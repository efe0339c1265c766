//! The target against a real server: TimescaleDB, and the same database without the extension.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod applying;
mod claiming;
mod failing;
mod merging;
mod migrating;
mod pooler;
mod support;
mod tls;
mod usage;
