//! The simulated world's tests against a real server: its histories, and its claims beside ours.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod arena;
mod claims;
mod content;
mod histories;
