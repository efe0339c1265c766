//! The simulated world's tests against a real server: its histories, and its claims beside ours.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test fails by panic")]

mod arena;
mod claims;
mod content;
mod histories;
