//! Samples folded into answers: the rules of the crate's documentation, as code.
//!
//! A fold takes samples one by one, in the order of their positions, and gives the answer at the end. The log's
//! reader is made of these, and the database's reader is tested against them.

mod latest;
mod measure;
mod points;
mod series;
mod summary;

pub use latest::AgentLatestFold;
pub use series::{AgentSeriesFold, SystemSeriesFold};
pub use summary::AgentSummaryFold;

#[cfg(test)]
mod tests;
