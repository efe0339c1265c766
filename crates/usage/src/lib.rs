//! Token usage: what the coding tools write about it, which of it is the same call, and what it costs.
//!
//! One folder for each coding tool turns lines of its [`transcript`]s into [`event::TokenUsage`], with the counts
//! disjoint as an event has them. Nothing here does I/O: whoever reads the files brings their lines.

mod claude;
mod codex;
pub mod ledger;
mod line;
mod loose;
mod model;
pub mod otlp;
pub mod prices;
pub mod tool;
pub mod transcript;

pub use model::UNKNOWN_MODEL;
pub use tool::Tool;
